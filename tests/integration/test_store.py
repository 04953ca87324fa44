"""HDFS keeps a store's promises, and what it cannot do it says within seconds."""

import gc
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from loadgen.errors import StoreError, StoreFull, StoreRefused, StoreUnreachable
from loadgen.store import Store, open_store
from loadgen.store import hdfs as hdfs_module
from tests.integration.local import Local
from tests.store.contract import StoreContract, comes_true

numbers = itertools.count()


@pytest.fixture
def store(hdfs: Local) -> Iterator[Store]:
    """A folder of its own for each test."""
    store = open_store(url(hdfs, f"/test/{next(numbers)}"))
    yield store
    store.close()


def url(hdfs: Local, path: str) -> str:
    """Of a folder."""
    return f"hdfs://127.0.0.1:{hdfs.hdfs_port}{path}"


def path_of(store: Store) -> str:
    """The store's root, as HDFS's own tools want it."""
    return "/" + store.url.split("/", 3)[3]


def name_node_command(hdfs: Local) -> list[str]:
    """How the NameNode was started: java and its options, and the class last."""
    words: list[str] = psutil.Process(hdfs.pids()["namenode"]).cmdline()
    return words


def dfsadmin(hdfs: Local, *arguments: str) -> None:
    """Run `hdfs dfsadmin`."""
    command = [*name_node_command(hdfs)[:-1], "org.apache.hadoop.hdfs.tools.DFSAdmin", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def takes_files(store: Store) -> bool:
    """Whether HDFS is up."""
    try:
        store.write("_tmp/probe", b"probe")
    except StoreUnreachable:
        return False
    return True


def every_call(store: Store) -> list[Callable[[], object]]:
    """Each method of a store, on a file `a` that is there."""
    return [
        lambda: store.create("_tmp/x"),
        lambda: store.write("_tmp/y", b"x"),
        lambda: store.rename("a", "b"),
        lambda: store.length("a"),
        lambda: store.read("a"),
        lambda: store.open("a"),
        lambda: list(store.files()),
        lambda: store.remove("c"),
    ]


def refuses_all(store: Store, calls: list[Callable[[], object]]) -> float:
    """See each call raise StoreUnreachable, all at the same time; the seconds that the slowest took."""

    def refused(call: Callable[[], object]) -> None:
        with pytest.raises(StoreUnreachable, match=r"The same call may work later|see whether the NameNode hangs"):
            call()

    began_s = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(refused, calls))
    return time.monotonic() - began_s


class TestHdfsStore(StoreContract):
    """All that every store promises."""


def test_sixteen_files_close_in_the_time_of_a_few(store: Store) -> None:
    """A close takes half a second, which is waited for outside Python."""
    writers = [store.create(f"{number}") for number in range(16)]
    for writer in writers:
        writer.write(b"x")
    began_s = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda writer: writer.close(), writers))
    assert time.monotonic() - began_s < 4.0
    assert [file.length_bytes for file in store.files()] == [1] * 16


def test_a_name_node_that_was_killed_is_unreachable_within_seconds_and_then_works_again(
    hdfs: Local, store: Store
) -> None:
    store.write("a", b"x")
    writing = store.create("_tmp/open")
    writing.write(b"x")
    reading = store.open("a")
    hdfs.signal("namenode", signal.SIGKILL)
    assert refuses_all(store, [*every_call(store), writing.close]) < 10.0
    assert reading.read() == b"x", "a DataNode needs no NameNode"
    hdfs.up()
    assert store.read("a") == b"x"
    store.write("_tmp/z", b"z")
    store.rename("_tmp/z", "z")
    assert store.read("z") == b"z"


def test_a_name_node_that_hangs_is_unreachable_within_seconds_and_then_works_again(
    hdfs: Local, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a", b"x")
    writing, closing = store.create("_tmp/open"), store.create("_tmp/closing")
    monkeypatch.setattr(hdfs_module, "CALL_S", 2.0)
    hdfs.signal("namenode", signal.SIGSTOP)
    try:
        assert refuses_all(store, [*every_call(store), lambda: writing.write(b"x"), closing.close]) < 8.0
        with pytest.raises(ValueError, match="a write to it has failed"):
            writing.close()
        writing.abandon()
    finally:
        hdfs.signal("namenode", signal.SIGCONT)
        monkeypatch.undo()
    assert store.length("a") in (1, None), "the rename that went unanswered may still happen"
    assert comes_true(lambda: store.length("b") == 1), "and it does"
    store.write("_tmp/z", b"z")
    store.rename("_tmp/z", "z")
    assert store.read("z") == b"z"


def test_a_program_can_end_while_the_name_node_hangs(hdfs: Local, store: Store) -> None:
    program = f"""
import loadgen.store.hdfs
from loadgen.store import open_store
loadgen.store.hdfs.CALL_S = 1.0
store = open_store({store.url!r})
try:
    store.write("a", b"x")
except Exception as error:
    print(type(error).__name__)
"""
    hdfs.signal("namenode", signal.SIGSTOP)
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    finally:
        hdfs.signal("namenode", signal.SIGCONT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "StoreUnreachable\n", "")


def test_a_dead_data_node_fails_the_write_and_a_new_one_takes_it(hdfs: Local, store: Store) -> None:
    store.write("a", b"x")
    writing = store.create("_tmp/open")
    writing.write(b"x" * 100_000)
    hdfs.signal("datanode", signal.SIGKILL)
    began_s = time.monotonic()
    with pytest.raises(StoreError, match="_tmp/open"):
        writing.close()
    writing.abandon()
    with pytest.raises(StoreUnreachable, match=r"DataNodes|no DataNode"):
        store.write("_tmp/later", b"x")
    with pytest.raises(StoreError, match="'a'"):
        store.read("a")
    assert time.monotonic() - began_s < 30.0
    hdfs.up()

    assert comes_true(lambda: takes_files(store), 30.0)
    assert comes_true(lambda: store.read("a") == b"x")
    store.rename("_tmp/probe", "again")
    assert store.read("again") == b"probe"


def test_a_name_node_that_is_starting_is_unreachable_for_now(hdfs: Local, store: Store) -> None:
    store.write("a", b"x")
    dfsadmin(hdfs, "-safemode", "enter")
    try:
        changes: tuple[Callable[[], None], ...] = (
            lambda: store.rename("a", "b"),
            lambda: store.write("c", b""),
            lambda: store.remove("a"),
        )
        for change in changes:
            with pytest.raises(StoreUnreachable, match="HDFS is starting: wait"):
                change()
        assert store.length("a") == 1
    finally:
        dfsadmin(hdfs, "-safemode", "leave")
    store.rename("a", "b")
    assert store.read("b") == b"x"


def test_a_quota_that_is_used_up_is_a_full_store(hdfs: Local, store: Store) -> None:
    store.write("a", b"x")
    dfsadmin(hdfs, "-setSpaceQuota", "1m", path_of(store))
    with pytest.raises(StoreFull, match="a quota is used up: remove files, or raise the quota"):
        store.write("b", b"x" * 100)
    dfsadmin(hdfs, "-clrSpaceQuota", path_of(store))
    store.remove("b")
    dfsadmin(hdfs, "-setQuota", "3", path_of(store))
    store.write("b", b"x")
    with pytest.raises(StoreFull, match="a quota is used up"):
        store.create("c")
    with pytest.raises(StoreFull, match="a quota is used up"):
        store.rename("a", "day/a")
    assert [file.path for file in store.files()] == ["a", "b"]


@contextmanager
def with_permissions(hdfs: Local, store: Store) -> Iterator[None]:
    """A NameNode that looks who is asking, which the one that `make services-up` starts does not."""
    command, conf = name_node_command(hdfs), hdfs.data / "hdfs" / "conf" / "hdfs-site.xml"
    hdfs.signal("namenode", signal.SIGKILL)
    names_no = "<name>dfs.permissions.enabled</name><value>false</value>"
    assert names_no in conf.read_text()
    conf.write_text(conf.read_text().replace(names_no, names_no.replace("false", "true")))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert comes_true(lambda: takes_files(store), 90.0)
            yield
        finally:
            process.kill()


def test_a_folder_of_somebody_else_is_refused(hdfs: Local, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("a", b"x")
    with with_permissions(hdfs, store):
        monkeypatch.setenv("HADOOP_USER_NAME", "guest")
        guest = open_store(store.url)
        assert guest.read("a") == b"x"
        changes: tuple[Callable[[], object], ...] = (
            lambda: guest.write("b", b""),
            lambda: guest.rename("a", "b"),
            lambda: guest.remove("a"),
        )
        for change in changes:
            with pytest.raises(StoreRefused, match=r"Permission denied: user=guest.*or set HADOOP_USER_NAME"):
                change()
    hdfs.up()
    assert store.read("a") == b"x"


def test_a_file_that_is_neither_closed_nor_abandoned_is_not_published(store: Store) -> None:
    """The client's own file objects close themselves when they are collected."""
    writer = store.create("_tmp/half")
    writer.write(b"x" * 100_000)
    del writer
    gc.collect()
    time.sleep(1.0)
    assert store.length("_tmp/half") == 0


def test_what_a_killed_program_left_open_can_be_written_again(store: Store, tmp_path: Path) -> None:
    program = f"""
import os, signal
from loadgen.store import open_store
writer = open_store({store.url!r}).create("_tmp/a")
writer.write(b"x" * 100_000)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=30)
    assert done.returncode == -signal.SIGKILL
    store.write("_tmp/a", b"mine")
    assert store.read("_tmp/a") == b"mine"


def test_the_usual_port_is_the_default(monkeypatch: pytest.MonkeyPatch, hdfs: Local, store: Store) -> None:
    monkeypatch.setattr(hdfs_module, "DEFAULT_PORT", hdfs.hdfs_port)
    store.write("a", b"x")
    same = open_store(f"hdfs://127.0.0.1{path_of(store)}")
    assert same.read("a") == b"x"

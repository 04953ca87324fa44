"""HDFS's refusals are said in words, and an HDFS that is not there or hangs is noticed. With real HDFS:
tests/integration/test_store.py.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loadgen.errors import AlreadyThere, NotThere, StoreError, StoreFull, StoreRefused, StoreUnreachable
from loadgen.store import Store, hdfs, open_store
from loadgen.store.hdfs import in_words


def java(name: str, message: str) -> RuntimeError:
    """As the client shows an exception of Java."""
    return RuntimeError(f'RPCError("{name}", "{message}\\n\\tat org.apache.hadoop.X.y(X.java:1)\\n")')


FEW = "File /a could only be written to 0 of the 1 minReplication nodes. There are"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FileExistsError("rename destination /b already exists\n\tat x"), AlreadyThere, "name another path"),
        (FileExistsError("/a already exists as a directory\n\tat x"), StoreRefused, "name another folder"),
        (FileNotFoundError("/a"), NotThere, "look what is in the store"),
        (FileNotFoundError("Path is not a file: /a\n\tat x"), StoreRefused, "name a file"),
        (IsADirectoryError("/a"), StoreRefused, "name a file"),
        (OSError("Connection refused (os error 111)"), StoreUnreachable, "The same call may work later"),
        (OSError("RPC listener disconnected"), StoreUnreachable, "The same call may work later"),
        (TimeoutError("deadline has elapsed"), StoreUnreachable, "The same call may work later"),
        (java("org.apache.hadoop.hdfs.server.namenode.SafeModeException", "Cannot create"), StoreUnreachable, "wait"),
        (java("org.apache.hadoop.ipc.RetriableException", "SafeModeException: x"), StoreUnreachable, "wait"),
        (java("org.apache.hadoop.ipc.StandbyException", "Operation category READ"), StoreUnreachable, "try again"),
        (java("org.apache.hadoop.hdfs.protocol.NSQuotaExceededException", "The NameSpace"), StoreFull, "quota"),
        (java("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException", "The DiskSpace"), StoreFull, "quota"),
        (java("java.io.IOException", f"{FEW} 3 datanode(s) running and no node(s) are excluded"), StoreFull, "room"),
        (java("java.io.IOException", f"{FEW} 3 datanode(s) running and 1 node(s) are excluded"), StoreFull, "room"),
        (java("java.io.IOException", f"{FEW} 1 datanode(s) running and 1 node(s) are excluded"), StoreUnreachable, ""),
        (java("java.io.IOException", f"{FEW} 0 datanode(s) running and 0 node(s) are excluded"), StoreUnreachable, ""),
        (java("org.apache.hadoop.security.AccessControlException", "Permission denied: user=x"), StoreRefused, "USER"),
        (java("org.apache.hadoop.fs.ParentNotDirectoryException", "/a (is not a directory)"), StoreRefused, "folder"),
        (java("java.io.IOException", "Source /a and destination /b must both be directories"), StoreRefused, "folder"),
        (java("org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException", "No lease on /a"), NotThere, "look"),
        (RuntimeError('SASLError("no valid token")'), StoreRefused, "kinit"),
        (RuntimeError('DataTransferError("Failed to write")'), StoreUnreachable, "DataNodes"),
        (RuntimeError('OperationFailed("Failed to complete file in time")'), StoreUnreachable, "DataNodes"),
        (RuntimeError("Already borrowed"), StoreUnreachable, "an earlier call"),
        (java("java.lang.NullPointerException", "oops"), StoreError, "see the NameNode's log"),
    ],
)
def test_each_refusal_has_its_kind_and_its_next_step(error: Exception, kind: type[StoreError], words: str) -> None:
    said = in_words("write 'a' in hdfs://n:1/x", error)
    assert type(said) is kind
    assert words in str(said)
    assert str(said).startswith("cannot write 'a' in hdfs://n:1/x: ")
    assert "\n" not in str(said)
    assert "\tat" not in str(said).replace("\\t", "\t")


def every_call(store: Store) -> list[Callable[[], object]]:
    """Each method that asks HDFS something."""
    return [
        lambda: store.create("a"),
        lambda: store.write("a", b"x"),
        lambda: store.rename("a", "b"),
        lambda: store.length("a"),
        lambda: store.read("a"),
        lambda: store.open("a"),
        lambda: list(store.files()),
        lambda: store.remove("a"),
    ]


def refuses_all(store: Store) -> float:
    """See each call raise StoreUnreachable; the seconds that the slowest took."""

    def refused(call: Callable[[], object]) -> None:
        with pytest.raises(StoreUnreachable, match=store.url):
            call()

    began_s = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(refused, every_call(store)))
    return time.monotonic() - began_s


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Listens, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def store_at(server: socket.socket) -> Store:
    return open_store(f"hdfs://127.0.0.1:{server.getsockname()[1]}/x")


def test_a_closed_port_is_noticed_within_seconds(server: socket.socket) -> None:
    store = store_at(server)
    server.close()
    assert refuses_all(store) < 10.0


def test_a_name_node_that_never_answers_is_noticed_within_the_time_for_a_call(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdfs, "CALL_S", 0.2)
    assert refuses_all(store_at(server)) < 5.0


def test_after_a_call_without_an_answer_a_new_connection_is_made(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdfs, "CALL_S", 0.2)
    store = store_at(server)
    server.settimeout(10.0)
    connections = []
    for _ in range(2):
        with pytest.raises(StoreUnreachable, match=r"no answer for 0\.2 s; see whether the NameNode hangs"):
            store.length("a")
        connections.append(server.accept()[0])
    assert connections[0].getpeername() != connections[1].getpeername()
    for connection in connections:
        connection.close()


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(StoreUnreachable, match=r"no-such-host\.invalid"):
        open_store("hdfs://no-such-host.invalid:8020/x").length("a")


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "core-site.xml").write_text("<configuration>")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    with pytest.raises(StoreRefused, match="check the URL, and HADOOP_CONF_DIR"):
        open_store("hdfs://127.0.0.1:1/x").length("a")


def test_a_store_belongs_to_the_process_that_opened_it(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(server)
    monkeypatch.setattr(os, "getpid", lambda: os.getppid())
    with pytest.raises(ValueError, match="belongs to the process that opened it"):
        store.length("a")

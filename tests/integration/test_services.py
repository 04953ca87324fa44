"""services.py itself: ready when it returns, harmless twice, nothing left behind, whatever kills its caller."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.integration.local import PROGRAM, Local, processes_of
from tests.ports import free_port, is_free
from tests.runner.program import wait_until


@pytest.fixture
def local(needs_java: None, tmp_path: Path) -> Iterator[Local]:
    """A broker that is not up yet; down at the end."""
    local = Local(tmp_path / "data", ["--only", "kafka"])
    yield local
    local.down()


def test_a_second_up_changes_nothing_and_down_leaves_nothing(local: Local) -> None:
    local.up()
    before = local.pids()
    assert set(before) == {"kafka-1"}
    assert "was ready already" in local.up()
    assert local.pids() == before
    assert local.call("status").returncode == 0
    assert "stopped kafka-1" in local.down()
    assert processes_of(local) == []
    assert local.call("status").returncode == 1
    assert "nothing was running" in local.down()
    assert is_free(local.kafka_port)


@pytest.mark.parametrize("after_s", [0.3, 1.5, 4.0])  # while it formats, while the broker starts, and later
def test_after_its_caller_is_killed_the_next_up_finds_what_is_left(local: Local, after_s: float) -> None:
    caller = subprocess.Popen(local.command("up"), stdout=subprocess.DEVNULL)
    time.sleep(after_s)
    caller.kill()
    caller.wait()
    local.up()
    assert [process.pid for process in processes_of(local)] == list(local.pids().values())


def test_after_its_caller_is_killed_down_stops_what_is_left(local: Local) -> None:
    caller = subprocess.Popen(local.command("up"), stdout=subprocess.DEVNULL)
    wait_until(lambda: bool(processes_of(local)))
    caller.kill()
    caller.wait()
    local.down()
    assert processes_of(local) == []


def test_a_process_that_has_been_given_an_old_pid_is_left_alone(local: Local) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        folder = local.data / "kafka-1"
        folder.mkdir(parents=True)
        (folder / "pid").write_text(f"{stranger.pid} another-boot 1\n")
        assert "nothing was running" in local.down()
        assert stranger.poll() is None
        stranger.kill()


def test_a_taken_port_is_named_with_the_flag_that_chooses_another(local: Local) -> None:
    with socket.create_server(("127.0.0.1", local.kafka_port)):
        done = local.call("up")
    assert done.returncode == 1
    assert f"127.0.0.1:{local.kafka_port} is taken" in done.stderr
    assert "--kafka-port" in done.stderr
    assert processes_of(local) == []


def test_data_of_one_broker_is_not_taken_for_that_of_three(local: Local) -> None:
    local.up()
    done = local.call("up", "--brokers", "3")
    assert done.returncode == 1
    assert "was made with brokers 1, now asked for is 3" in done.stderr
    assert set(local.pids()) == {"kafka-1"}


def test_a_missing_java_is_named_with_the_next_step(tmp_path: Path) -> None:
    variables = {**os.environ, "PATH": str(tmp_path), "JAVA_HOME": ""}
    command = [sys.executable, str(PROGRAM), "up", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 1
    assert "need Java 17 or newer, found none; install it" in done.stderr


def test_hdfs_takes_a_file_and_keeps_it_over_a_crash(needs_java: None, tmp_path: Path) -> None:
    port = free_port((0, 1))
    local = Local(tmp_path / "data", ["--only", "hdfs"], hdfs_port=port, web_port=port + 1)
    try:
        local.up()
        write(local, "/events/a.jsonl", b'{"ts":1}\n')
        for name in ("namenode", "datanode"):
            local.signal(name, signal.SIGKILL)
        local.up()
        assert n_missing_blocks(local) == 0, "it is ready, and files are not to be had"
        assert read(local, "/events/a.jsonl") == b'{"ts":1}\n'
        listed = json.loads(urlopen(address(local, "/events", "LISTSTATUS"), timeout=10).read())
        assert [file["pathSuffix"] for file in listed["FileStatuses"]["FileStatus"]] == ["a.jsonl"]
    finally:
        local.down()
    assert processes_of(local) == []


def n_missing_blocks(local: Local) -> int:
    """Blocks of files that no DataNode has reported."""
    query = "jmx?qry=Hadoop:service=NameNode,name=FSNamesystem"
    with urlopen(f"http://127.0.0.1:{local.web_port}/{query}", timeout=10) as answer:
        return int(json.load(answer)["beans"][0]["MissingBlocks"])


def address(local: Local, path: str, operation: str) -> str:
    """Of HDFS's HTTP interface."""
    return f"http://127.0.0.1:{local.web_port}/webhdfs/v1{path}?op={operation}&user.name=tester"


def write(local: Local, path: str, content: bytes) -> None:
    """Make a file: the NameNode says where, the DataNode takes it."""
    ask = Request(address(local, path, "CREATE") + "&noredirect=true", method="PUT")
    with urlopen(ask, timeout=10) as answer:
        where = json.load(answer)["Location"]
    with urlopen(Request(where, content, method="PUT"), timeout=10) as answer:
        assert answer.status == 201


def read(local: Local, path: str) -> bytes:
    """What a file holds."""
    with urlopen(address(local, path, "OPEN"), timeout=10) as answer:
        content: bytes = answer.read()
        return content

"""`loadgen doctor` as a person starts it: with nothing, with a folder, with what does not work, interrupted."""

import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from loadgen.doctor.round_trip import events
from tests.consume.cluster import filled_cluster
from tests.doctor.program import end, left_in, start, visited
from tests.ports import free_port
from tests.runner.program import wait_until

WELL = {"packages": "ok", "memory": "ok", "disk": "ok", "catalog": "ok"}


def test_with_nothing_asked_for_a_hundred_events_go_through_and_nothing_is_left(tmp_path: Path) -> None:
    code, found, said = visited(tmp_path, "--port", str(free_port()))
    assert code == 0, said
    rest = dict.fromkeys(("kafka", "registry", "store", "clock"), "not tried")
    assert found == {**WELL, **rest, "through": "ok", "port": "ok"}
    assert "✓ 100 events: produced, consumed, stored and counted" in said
    assert "all well, in " in said
    assert left_in(tmp_path) == []


def test_a_store_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    code, found, said = visited(tmp_path, "--port", str(free_port()), "--store", "here/not/yet", "--quiet")
    assert (code, found["store"], found["through"], said) == (0, "ok", "ok", "")
    assert left_in(tmp_path) == ["here"]


def test_what_does_not_work_is_said_with_its_next_step_and_the_rest_is_tried_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        began_s = time.monotonic()
        code, found, said = visited(tmp_path, "--brokers", "127.0.0.1:1", "--store", "file", "--port", port)
    assert time.monotonic() - began_s < 30
    assert code == 1
    bad = {"kafka": "failed", "store": "failed", "port": "failed"}
    assert found == {**WELL, **bad, **dict.fromkeys(("topic", "registry", "through", "clock"), "not tried")}
    lines = said.splitlines()
    for mark in ("✗ Kafka: no broker answered", "✗ store: ", f"✗ port {port}"):
        (at,) = [number for number, line in enumerate(lines) if line.startswith(mark)]
        assert lines[at + 1].startswith("    → "), said
    assert lines[-1].startswith("3 to be mended")
    assert left_in(tmp_path) == ["file"]


@pytest.mark.slow
def test_a_topic_that_is_missing_is_the_topics_fault_and_not_kafkas(tmp_path: Path) -> None:
    with filled_cluster({}) as cluster:
        flags = ("--brokers", cluster.address, "--topic", "nowhere", "--port", str(free_port()))
        code, found, said = visited(tmp_path, *flags)
    assert (code, found["kafka"], found["topic"]) == (1, "ok", "failed")
    assert "    → add --create-topic" in said or "    → produce to it" in said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_in_the_middle_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "--store", "store", "--port", str(free_port()))
    wait_until(lambda: len(psutil.Process(process.pid).children()) > 0)
    (consumer,) = psutil.Process(process.pid).children()
    process.send_signal(number)
    code, _, said = end(process)
    assert code == 128 + number, said
    assert left_in(tmp_path) == []
    assert not consumer.is_running() or consumer.status() == psutil.STATUS_ZOMBIE


def test_its_events_are_marked() -> None:
    lines = events("mark-1", 5)
    assert len(lines) == len(set(lines)) == 100
    assert all(b'"artist": "mark-1"' in line for line in lines)

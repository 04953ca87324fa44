"""`loadgen replay` as a program: recorded events arrive as they were, and whatever goes wrong is said."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from tests.mock_cluster import MockCluster
from tests.runner.program import Program, adds_up, do_here, start_program, wait_until

FIRST_MS = 1_767_571_200_000
START_S = 100.0
"""Longest time in which a busy machine starts a program, or ends it."""
QUIET = ("--json", "--metrics-port", "0")


def recording(path: Path, n: int, every_ms: int = 1) -> list[bytes]:
    """A file of n events, one each few milliseconds; its lines."""
    lines = [b'{"ts":%d,"userId":%d,"song":"s\xc3\xa9"}' % (FIRST_MS + k * every_ms, k % 7) for k in range(n)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return lines


def replay(folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    return do_here(folder, "replay", *QUIET, *words)


def start_replay(folder: Path, *words: str) -> Program:
    return Program(start_program(folder, "replay", *QUIET, *words, text=True))


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def read(address: str, topic: str, n: int, partitions: int = 4) -> list[Message]:
    """The first n messages of a topic."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    found: list[Message] = []
    while len(found) < n:
        found += [one for one in consumer.consume(n - len(found), 10.0) if one.error() is None]
    consumer.close()
    return found


def test_a_topic_replayed_into_another_has_the_same_messages_in_the_order_of_time(tmp_path: Path) -> None:
    cluster = MockCluster("from", 3)
    cluster.add_topic("to", 4)
    producer = Producer({"bootstrap.servers": cluster.address})
    sent = []
    for k in range(600):
        key = None if k % 5 == 0 else b"k%d" % (k % 11)
        headers: Any = [("trace", b"%d" % k), ("trace", b"again"), ("empty", None)] if k % 3 else None
        value = b'{"a":\n%d}' % k if k % 2 else bytes([0, 255, k % 256])
        at_ms = FIRST_MS + k
        producer.produce("from", value, key, k % 3, timestamp=at_ms, headers=headers)
        sent.append((at_ms, key, value, headers))
    producer.flush(10.0)
    code, summary, shown = replay(
        tmp_path, f"kafka://{cluster.address}/from", "--brokers", cluster.address, "--topic", "to", "--speed", "5"
    )
    assert (code, summary["delivered"], summary["recording"]["read"]) == (0, 600, 600), shown
    found = read(cluster.address, "to", 600)
    assert sorted((one.timestamp()[1], one.key(), one.value(), one.headers()) for one in found) == sorted(sent)
    by_partition: dict[Any, list[int]] = {}
    for one in found:
        by_partition.setdefault(one.partition(), []).append(one.timestamp()[1])
    assert len(by_partition) == 4
    assert all(times == sorted(times) for times in by_partition.values())


def test_what_is_broken_or_has_no_time_is_counted_and_named_and_the_rest_arrives_byte_for_byte(tmp_path: Path) -> None:
    good = [b'{"ts":1700000000000,"userId":1}', b'{"timestamp":"2023-11-14T22:13:20.5Z","user":"\xc3\xa9"}']
    bad = [b"broken", b"[1]", b'{"x":1}', b'{"ts":null}']
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([good[0], bad[0], bad[1], b"", bad[2], good[1], bad[3]]))
    code, summary, shown = replay(tmp_path, "in.jsonl", "--output", "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == b"\n".join(good) + b"\n"
    found = summary["recording"]
    assert (code, found["read"], found["broken"], found["without_time"]) == (0, 6, 2, 2)
    places = [one.split(": ")[0].rpartition("/")[2] for one in found["named"]]
    assert places == ["in.jsonl:2", "in.jsonl:3", "in.jsonl:5", "in.jsonl:7"]
    assert "6 records read, not sent: 2 broken, 2 without a time, first: " in shown


def test_a_loop_goes_on_with_shifted_times_and_ends_after_its_events(tmp_path: Path) -> None:
    lines = recording(tmp_path / "in.jsonl", 10, every_ms=10)
    flags = ("--loop", "--events", "25", "--start", "20ms", "--folder", "out", "--report", "r.html")
    code, summary, shown = replay(tmp_path, "in.jsonl", *flags)
    (path,) = (tmp_path / "out").glob("year=2026/month=01/day=05/*.jsonl")
    passes = [*lines[2:], *lines[2:], *lines[2:], *lines[2:]]
    assert path.read_bytes().splitlines() == passes[:25]
    assert (code, summary["delivered"], summary["exit_reason"]) == (0, 25, "events"), shown
    assert summary["elapsed_s"] >= 0.24  # of 8 events a pass, 80 ms; the 25th is due after three of them
    manifest = json.loads((tmp_path / summary["manifest"]).read_bytes())
    assert manifest["settings"]["sources"] == ["in.jsonl"]
    assert "seed" not in manifest
    assert "they cannot be made again, so there is nothing to verify" in (tmp_path / "r.html").read_text()
    code, _, shown = do_here(tmp_path, "verify", summary["manifest"], "--files", "out")
    assert (code, "cannot be made again from a seed" in shown) == (2, True)


@pytest.mark.parametrize(
    ("content", "flags", "said"),
    [
        (None, (), "there is no store and no file 'in.jsonl'; name files"),
        (b"", (), "in.jsonl has no events: its files are empty; name another source"),
        (b'{"a":1,"when":3}\n', (), "--time-field NAME (fields are a, when)"),
        (b"x\n" * 3, (), "they are broken, as "),
        (b'[{"ts":1}]', (), "it is a JSON array; convert it with"),
        (b'{"ts":1700000000000}\n', ("--start", "2030-01-01"), "--start must be before the last event of in.jsonl"),
    ],
)
def test_a_recording_that_cannot_be_replayed_is_refused_with_the_next_step(
    tmp_path: Path, content: bytes | None, flags: tuple[str, ...], said: str
) -> None:
    if content is not None:
        (tmp_path / "in.jsonl").write_bytes(content)
    code, _, shown = replay(tmp_path, "in.jsonl", "--discard", *flags)
    assert code in (1, 2)
    assert said in shown
    assert "Traceback" not in shown


def test_a_replay_of_what_another_replay_writes_is_refused(tmp_path: Path) -> None:
    code, _, shown = replay(tmp_path, "kafka://a:1/t", "--brokers", "a:1", "--topic", "t")
    assert (code, "a replay must not read what it writes" in shown) == (2, True)


@pytest.mark.timeout(220)
def test_ctrl_c_drains_and_says_how_far_it_came(tmp_path: Path) -> None:
    recording(tmp_path / "in.jsonl", 20_000, every_ms=10)
    program = start_replay(tmp_path, "in.jsonl", "--output", "out.jsonl")
    wait_until(lambda: size_of(tmp_path / "out.jsonl") > 2000, START_S)
    program.signal(signal.SIGINT)
    code, summary, shown = program.end(START_S)
    n_lines = len((tmp_path / "out.jsonl").read_bytes().splitlines())
    assert (code, summary["exit_reason"], summary["delivered"]) == (130, "interrupted early", n_lines), shown
    assert adds_up(summary)


@pytest.mark.timeout(220)
def test_a_killed_worker_ends_the_replay_with_a_ledger_that_adds_up(tmp_path: Path) -> None:
    recording(tmp_path / "in.jsonl", 20_000, every_ms=10)
    program = start_replay(tmp_path, "in.jsonl", "--output", "out.jsonl")
    wait_until(lambda: size_of(tmp_path / "out.jsonl") > 2000, START_S)
    program.kill_a_worker()
    code, summary, shown = program.end(START_S)
    assert (code, summary["exit_reason"]) == (1, "error"), shown
    assert "a replay does not go on from there: start again, with --start to skip what was sent" in shown
    assert adds_up(summary)
    assert summary["delivered"] <= len((tmp_path / "out.jsonl").read_bytes().splitlines())

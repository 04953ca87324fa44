"""`loadgen consume` as a person starts it, against a mock cluster: what is stored, what is said, how it ends."""

import json
import random
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from loadgen.store.layout import DEAD
from tests.consume.cluster import (
    assert_stored_once,
    consume,
    events,
    fill,
    filled_cluster,
    spread,
    stored,
)
from tests.run.program import Program, wait_until

IDLE = ("--until-idle", "0.3")


def published_files(folder: Path) -> list[Path]:
    return sorted((folder / "store").glob("year=*/**/batch_*"))


def test_kill_9_at_any_instant_loses_and_repeats_nothing(tmp_path: Path) -> None:
    rng, sent = random.Random(7), events(30_000)
    flags = ("-b", "50", "--rotate-interval", "0.1")
    with filled_cluster(spread(sent)) as cluster:
        for n in range(4):
            program = consume(tmp_path, cluster.address, *flags, "--group", f"g{n}")
            wait_until(lambda: (tmp_path / "store" / "_commits").exists(), 20)
            n_files = len(published_files(tmp_path))
            wait_until(lambda n_files=n_files: len(published_files(tmp_path)) > n_files, 20)  # type: ignore[misc]
            wait_s = rng.random() * 0.2
            wait_until(lambda waited=iter(range(1 + int(wait_s / 0.02))): next(waited, None) is None)  # type: ignore[misc]
            program.signal(signal.SIGKILL)
            program.process.communicate(timeout=10)
        code, summary, said = consume(tmp_path, cluster.address, *IDLE, "--group", "last").end()
    assert code == 0, said
    assert 0 < summary["events"] < 30_000, "nothing was left to the last, or all"
    assert_stored_once(tmp_path, sent)


def consuming(folder: Path, address: str, n_stored: int, *flags: str) -> Program:
    """A consumer that has stored so many events and goes on."""
    program = consume(folder, address, "--rotate-interval", "0.1", *flags)
    wait_until(lambda: sum(stored(folder).values()) >= n_stored)
    return program


@pytest.mark.parametrize(
    ("number", "code", "reason"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 0, "terminated")]
)
def test_a_signal_publishes_what_is_read(tmp_path: Path, number: signal.Signals, code: int, reason: str) -> None:
    sent = events(500)
    with filled_cluster({0: sent[:400]}) as cluster:
        program = consume(tmp_path, cluster.address, "--rotate-interval", "0.3")
        wait_until(lambda: sum(stored(tmp_path).values()) == 400)
        fill(cluster.address, {0: sent[400:]})
        program.signal(number)
        found, summary, said = program.end()
        assert (found, summary["exit_reason"]) == (code, reason), said
        assert "stopping: publishing what is read" in said
        assert consume(tmp_path, cluster.address, *IDLE, "--group", "later").end()[0] == 0
    assert_stored_once(tmp_path, sent)


def test_two_consumers_share_the_partitions_and_take_over_from_each_other(tmp_path: Path) -> None:
    sent = events(8000)
    by_brokers = ("--kafka-option", "group.protocol=consumer")  # the mock does no classic rebalance among the living
    with filled_cluster(spread(sent[:2000])) as cluster:
        first = consuming(tmp_path, cluster.address, 2000, *by_brokers)
        second = consume(tmp_path, cluster.address, "--rotate-interval", "0.1", *by_brokers)
        fill(cluster.address, spread(sent[2000:4000]))
        wait_until(lambda: sum(stored(tmp_path).values()) >= 4000)
        first.signal(signal.SIGTERM)
        fill(cluster.address, spread(sent[4000:6000]))
        assert first.end()[0] == 0
        fill(cluster.address, spread(sent[6000:]))
        wait_until(lambda: sum(stored(tmp_path).values()) >= 8000)
        second.signal(signal.SIGTERM)
        code, summary, said = second.end()
    assert (code, summary["exit_reason"]) == (0, "terminated"), said
    assert_stored_once(tmp_path, sent)


def test_a_consumer_that_stood_still_past_its_session_does_no_harm(tmp_path: Path) -> None:
    sent = events(4000)
    quick = ("--kafka-option", "session.timeout.ms=1000", "--kafka-option", "heartbeat.interval.ms=200")
    with filled_cluster(spread(sent[:1000])) as cluster:
        zombie = consuming(tmp_path, cluster.address, 1000, *quick)
        zombie.signal(signal.SIGSTOP)
        fill(cluster.address, spread(sent[1000:3000]))
        heir = consuming(tmp_path, cluster.address, 3000, *quick)
        zombie.signal(signal.SIGCONT)
        fill(cluster.address, spread(sent[3000:]))
        wait_until(lambda: sum(stored(tmp_path).values()) >= 4000)
        for program in (zombie, heir):
            program.signal(signal.SIGTERM)
            code, _, said = program.end()
            assert code == 0, said
    assert_stored_once(tmp_path, sent)


def test_a_topic_that_is_not_there_is_said_with_the_next_step(tmp_path: Path) -> None:
    with filled_cluster({0: events(1)}) as cluster:
        code, _, said = consume(tmp_path, cluster.address, "--topic", "nowhere").end()
    assert code == 1
    assert "nowhere" in said
    assert "--create-topic" in said
    assert "Traceback" not in said


def test_a_wrong_option_is_wrong_usage(tmp_path: Path) -> None:
    code, _, said = consume(tmp_path, "127.0.0.1:1", "--kafka-option", "enable.auto.commit=true").end()
    assert code == 2
    assert "not yours to set" in said


def test_the_metrics_tell_what_is_stored(tmp_path: Path) -> None:
    with filled_cluster({0: [*events(50), b"x"]}) as cluster:
        port = _free_port()
        program = consume(tmp_path, cluster.address, "--rotate-interval", "0.1", "--metrics-port", str(port))
        wait_until(lambda: "loadgen_published_events_total 50.0" in _scrape(port))
        text = _scrape(port)
        program.signal(signal.SIGTERM)
        assert program.end()[0] == 0
    assert "loadgen_dead_letters_total 1.0" in text
    assert 'loadgen_consumer_lag_messages{partition="0"} 0.0' in text


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _scrape(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
    except OSError:
        return ""
    return text


def test_the_dead_letters_are_lines_of_json(tmp_path: Path) -> None:
    with filled_cluster({2: [b"no json", b"neither"]}) as cluster:
        assert consume(tmp_path, cluster.address, *IDLE).end()[1]["dead_letters"] == 2
    (path,) = (tmp_path / "store" / DEAD).rglob("*.jsonl")
    letters: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    assert [letter["offset"] for letter in letters] == [0, 1]

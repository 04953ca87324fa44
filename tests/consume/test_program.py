"""`loadgen consume` as a person starts it, against a mock cluster: killed, stopped, stood still, refused."""

import random
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import loadgen
from loadgen.container import container_tables
from loadgen.store.local import LocalStore
from tests.analyze.reading import figures_of
from tests.consume.cluster import (
    assert_stored_once,
    consume,
    consume_here,
    events,
    fill,
    filled_cluster,
    published_files,
    spread,
    stored,
)
from tests.mock_cluster import MockCluster
from tests.own_fields import NAMES
from tests.ports import free_port
from tests.runner.program import TRACKS, Program, catches, wait_until

IDLE = ("--until-idle", "0.3")
QUICK = ("--rotate-interval", "0.1")


def n_stored(folder: Path) -> int:
    return sum(stored(folder).values())


def consuming(folder: Path, address: str, at_least: int, *flags: str) -> Program:
    """A consumer that goes on, once so many events are stored."""
    program = consume(folder, address, *QUICK, *flags)
    wait_until(lambda: n_stored(folder) >= at_least)
    return program


@pytest.mark.parametrize("file_format", ["jsonl", "avro"])
def test_kill_9_at_any_instant_loses_and_repeats_nothing(tmp_path: Path, file_format: str) -> None:
    rng, sent, kind = random.Random(7), events(30_000), ("--file-format", file_format)
    with filled_cluster(spread(sent)) as cluster:
        for n in range(4):
            n_files = len(published_files(tmp_path))
            program = consume(tmp_path, cluster.address, "-b", "50", *QUICK, *kind, "--group", f"g{n}")
            wait_until(lambda before=n_files: len(published_files(tmp_path)) > before)  # type: ignore[misc]
            time.sleep(rng.random() * 0.1)
            program.signal(signal.SIGKILL)
            program.process.communicate(timeout=10)
        code, summary, said = consume_here(tmp_path, cluster.address, *IDLE, *kind, "--group", "last")
    assert code == 0, said
    assert 0 < summary["events"] < 30_000, "nothing was left to the last, or all"
    assert_stored_once(tmp_path, sent)


def test_a_run_stored_as_avro_is_proved_and_counted(tmp_path: Path) -> None:
    fields = [word for name in NAMES for word in ("--field", name)]
    settings: dict[str, Any] = {"users": 200, "tracks": TRACKS, "events": 3000, "impair": "malform=0.02", "seed": 4}
    to: dict[str, Any] = {"output": tmp_path / "e.jsonl", "manifest": tmp_path / "m.json", "metrics_port": 0}
    with MockCluster("t", 4) as cluster:
        at = {"brokers": cluster.address, "topic": "t"}
        assert loadgen.run(**settings, **at, **to, rate="max", workers=1, format="full", field=NAMES).kept
        flags = ("--file-format", "avro", "--compress", "zst", "-b", "500", *fields)
        code, summary, said = consume_here(tmp_path, cluster.address, *IDLE, *flags)
        assert code == 0, said
    store, n_dead = tmp_path / "store", summary["dead_letters"]
    assert 0 < n_dead == 3000 - summary["events"]
    assert {path.suffix for path in published_files(tmp_path)} == {".avro"}
    assert loadgen.verify(tmp_path / "m.json", store=str(store)).proved
    files = [str(path.relative_to(store)) for path in published_files(tmp_path)]
    tables = [table for path in files for table, _ in container_tables(LocalStore(store), path)]
    assert sum(table["plan"].null_count for table in tables) == 0  # the fields of others have columns
    assert sum(table["raw"].null_count for table in tables) == 3000 - n_dead
    figures = figures_of(store)
    assert figures["events"] == 3000 - n_dead
    assert figures | {"unreadable": n_dead} == figures_of(tmp_path / "e.jsonl")


@pytest.mark.parametrize(
    ("number", "flags", "code", "reason"),
    [
        (signal.SIGINT, (), 130, "interrupted"),
        (signal.SIGTERM, (), 0, "terminated"),
        (signal.SIGHUP, ("--until-idle", "60"), 129, "hung up early"),
    ],
)
def test_a_signal_publishes_what_is_read(
    tmp_path: Path, number: signal.Signals, flags: tuple[str, ...], code: int, reason: str
) -> None:
    sent = events(500)
    with filled_cluster({0: sent[:400]}) as cluster:
        program = consuming(tmp_path, cluster.address, 400, "--rotate-interval", "0.3", *flags)
        fill(cluster.address, {0: sent[400:]})
        program.signal(number)
        found, summary, said = program.end()
        assert (found, summary["exit_reason"]) == (code, reason), said
        assert "stopping: publishing what is read" in said
        assert consume_here(tmp_path, cluster.address, *IDLE, "--group", "later")[0] == 0
    assert_stored_once(tmp_path, sent)


def test_two_consumers_share_the_partitions_and_take_over_from_each_other(tmp_path: Path) -> None:
    sent = events(8000)
    by_brokers = ("--kafka-option", "group.protocol=consumer")  # the mock does no classic rebalance among the living
    with filled_cluster(spread(sent[:2000])) as cluster:
        first = consuming(tmp_path, cluster.address, 2000, *by_brokers)
        second = consume(tmp_path, cluster.address, *QUICK, *by_brokers)
        fill(cluster.address, spread(sent[2000:4000]))
        wait_until(lambda: n_stored(tmp_path) >= 4000)
        first.signal(signal.SIGTERM)
        fill(cluster.address, spread(sent[4000:]))
        assert first.end()[0] == 0
        wait_until(lambda: n_stored(tmp_path) >= 8000 and catches(second.process, signal.SIGTERM))
        second.signal(signal.SIGTERM)
        code, _, said = second.end()
    assert code == 0, said
    assert_stored_once(tmp_path, sent)


@pytest.mark.slow
def test_a_consumer_that_stood_still_past_its_session_does_no_harm(tmp_path: Path) -> None:
    sent = events(4000)
    short = ("--kafka-option", "session.timeout.ms=1000", "--kafka-option", "heartbeat.interval.ms=200")
    with filled_cluster(spread(sent[:1000])) as cluster:
        zombie = consuming(tmp_path, cluster.address, 1000, *short)
        zombie.signal(signal.SIGSTOP)
        fill(cluster.address, spread(sent[1000:3000]))
        heir = consuming(tmp_path, cluster.address, 3000, *short)
        zombie.signal(signal.SIGCONT)
        fill(cluster.address, spread(sent[3000:]))
        wait_until(lambda: n_stored(tmp_path) >= 4000)
        for program in (zombie, heir):
            program.signal(signal.SIGTERM)
            code, _, said = program.end()
            assert code == 0, said
    assert_stored_once(tmp_path, sent)


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--topic", "nowhere"), 1, "loadgen run --create-topic"),
        (("--kafka-option", "enable.auto.commit=true"), 2, "not yours to set"),
    ],
)
def test_what_stands_in_the_way_is_said_in_one_line(
    tmp_path: Path, flags: tuple[str, ...], code: int, words: str
) -> None:
    with filled_cluster({0: events(1)}) as cluster:
        found, _, said = consume_here(tmp_path, cluster.address, *flags)
    assert (found, words in said, "Traceback" in said) == (code, True, False)


def test_the_metrics_tell_what_is_stored(tmp_path: Path) -> None:
    with filled_cluster({0: [*events(50), b"x"]}) as cluster:
        program = consume(tmp_path, cluster.address, *QUICK, "--metrics-port", str(free_port()))
        url = _said_url(program)
        wait_until(lambda: "loadgen_published_events_total 50.0" in _scrape(url))
        text = _scrape(url)
        program.signal(signal.SIGTERM)
        assert program.end()[0] == 0
    assert "loadgen_dead_letters_total 1.0" in text
    assert 'loadgen_consumer_lag_messages{partition="0"} 0.0' in text


def _said_url(program: Program) -> str:
    """The address of the metrics, as the program says it."""
    assert program.process.stderr is not None
    for line in program.process.stderr:
        if line.startswith("metrics on "):
            return line.split()[-1]
    raise AssertionError("the program said no address")


def _scrape(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
    return text

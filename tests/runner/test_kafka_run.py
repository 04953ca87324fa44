"""A whole run to Kafka: the ledger equals what the topic holds, event for event, whatever the broker does."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadgen.fingerprint import run_key
from loadgen.record import FingerprintRecord
from tests.messages import value_of
from tests.mock_cluster import MockCluster
from tests.runner.program import Program, adds_up, run_here, start, wait_until
from tests.sink.topic import n_in_topic, read_topic, without_repeats
from tests.verifier.recompute import fingerprint_of
from tests.verifier.runs import counts_of, verified

FLAGS = ("--topic", "t", "--workers", "2", "--users", "1000", "--start", "2026-01-05", "--seed", "9")
ONE_IN_FLIGHT = ("--kafka-option", "max.in.flight=1")
"""The mock takes a batch although the one before it was refused, and the producer then takes both for delivered."""
REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS, INVALID_RECORD = 7, 19, 87


def check(folder: Path, summary: dict[str, Any], cluster: MockCluster) -> None:
    """Hold the ledger and the fingerprint against the topic."""
    messages = without_repeats(read_topic(cluster.address))
    values = [value_of(message) for message in messages]
    assert adds_up(summary)
    assert summary["delivered"] == len(values)
    manifest = json.loads((folder / summary["manifest"]).read_text())
    assert (
        manifest["sinks"]["kafka"]["fingerprint"]
        == FingerprintRecord.from_fingerprint(fingerprint_of(values, run_key(manifest["seed"]))).model_dump()
    )
    items: dict[int, tuple[int, int]] = {}
    for message in messages:
        record = orjson.loads(value_of(message))
        assert message.key() == str(record["userId"]).encode()
        assert message.timestamp()[1] == record["ts"]
        here = (record["ts"], record["itemInSession"])
        assert items.get(record["userId"], (0, 0))[0] < here[0], "a listener's events are out of order"
        items[record["userId"]] = here


def running(folder: Path, cluster: MockCluster, *flags: str) -> Program:
    """A run that has begun to deliver."""
    program = start(folder, "--brokers", cluster.address, *FLAGS, *flags)
    wait_until(lambda: n_in_topic(cluster.address) > 2000)
    return program


def test_every_event_of_a_calm_run_is_in_the_topic(tmp_path: Path) -> None:
    with MockCluster() as cluster:
        flags = ("--brokers", cluster.address, *FLAGS, "--events", "20000", "--rate", "max")
        code, summary, shown = run_here(tmp_path, *flags)
        assert code == 0, shown
        assert summary["delivered"] == 20_000
        check(tmp_path, summary, cluster)


def test_nothing_is_lost_when_the_broker_goes_away_and_comes_back(tmp_path: Path) -> None:
    with MockCluster() as cluster:
        program = running(tmp_path, cluster, "--rate", "2k/s", "--duration", "6s")
        cluster.down()
        time.sleep(2.0)
        cluster.up()
        _, summary, shown = program.end()
        assert summary["delivered"] == summary["planned"] > 4000, shown
        assert summary["intended_to_ack_ms"]["max"] > 1500  # the stall is seen, not hidden
        check(tmp_path, summary, cluster)


@pytest.mark.slow
def test_batches_that_are_refused_for_a_while_arrive_once(tmp_path: Path) -> None:
    with MockCluster() as cluster:
        cluster.push_errors([REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS, 0, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS] * 3)
        flags = (*FLAGS, *ONE_IN_FLIGHT, "--rate", "3k/s", "--duration", "3s")
        _, summary, shown = run_here(tmp_path, "--brokers", cluster.address, *flags)
        assert summary["delivered"] == summary["planned"] > 8000, shown
        check(tmp_path, summary, cluster)


@pytest.mark.slow
def test_slow_acknowledgements_change_latency_and_nothing_else(tmp_path: Path) -> None:
    with MockCluster() as cluster:
        cluster.delay(200, 300)
        program = start(tmp_path, "--brokers", cluster.address, *FLAGS, "--rate", "3k/s", "--duration", "3s")
        _, summary, shown = program.end()
        assert summary["delivered"] == summary["planned"] > 8000, shown
        assert summary["ack_ms"]["p50"] > 250
        check(tmp_path, summary, cluster)


def test_a_batch_that_is_refused_for_good_ends_the_run_with_an_exact_ledger(tmp_path: Path) -> None:
    with MockCluster() as cluster:
        program = running(tmp_path, cluster, "--rate", "3k/s", "--duration", "30s")
        cluster.push_errors([INVALID_RECORD])
        code, summary, shown = program.end()
        assert code == 1
        assert "error:" in shown
        assert summary["failed"] + summary["unfinished"] > 0
        check(tmp_path, summary, cluster)


def test_a_broker_that_stays_away_leaves_unfinished_events_and_the_run_ends_in_time(tmp_path: Path) -> None:
    with MockCluster() as cluster:
        program = running(tmp_path, cluster, "--rate", "2k/s", "--continuous", "--drain-timeout", "2")
        cluster.down()
        time.sleep(1.0)
        asked_s = time.monotonic()
        program.signal(signal.SIGINT)
        code, summary, shown = program.end(30.0)
        assert time.monotonic() - asked_s < 20.0
        assert code == 1, shown
        assert summary["unfinished"] > 0
        assert adds_up(summary)
        cluster.up()
        in_topic = len(without_repeats(read_topic(cluster.address)))
        assert summary["delivered"] <= in_topic <= summary["delivered"] + summary["unfinished"]


@pytest.mark.parametrize("key", ["user", "artist"])
def test_after_a_worker_is_killed_every_event_is_in_the_topic_and_repeats_are_counted(key: str, tmp_path: Path) -> None:
    with MockCluster() as cluster:
        program = running(tmp_path, cluster, "--rate", "6k/s", "--events", "30000", "--key", key)
        program.kill_a_worker()
        _, summary, shown = program.end()
        assert summary["restarts"] == 1, shown
        messages = read_topic(cluster.address)
        distinct = {value_of(message) for message in messages}
        assert summary["delivered"] == len(distinct) == 30_000
        assert len(messages) - len(distinct) <= summary["repeated_possibly"]
        report = verified(tmp_path / summary["manifest"], brokers=cluster.address, topic="t")
        assert counts_of(report).keys() <= {"repeated"}


def test_after_a_worker_is_killed_every_event_is_in_the_topic_of_its_page(tmp_path: Path) -> None:
    with MockCluster("plays", partitions=3) as cluster:
        cluster.add_topic("activity", 5)
        flags = (*FLAGS[2:], "--rate", "6k/s", "--events", "30000", "--topic-map", "NextSong=plays,*=activity")
        program = start(tmp_path, "--brokers", cluster.address, *flags)
        wait_until(lambda: n_in_topic(cluster.address, "activity") > 500)
        program.kill_a_worker()
        _, summary, shown = program.end()
        assert summary["restarts"] == 1, shown
        messages = {name: read_topic(cluster.address, name) for name in ("plays", "activity")}
        n_distinct = 0
        for name, found in messages.items():
            distinct = {value_of(message) for message in found}
            n_distinct += len(distinct)
            assert all((orjson.loads(value)["page"] == "NextSong") == (name == "plays") for value in distinct)
            alone = verified(tmp_path / summary["manifest"], brokers=cluster.address, topic=name)
            assert counts_of(alone).keys() <= {"repeated"}
            assert alone.findings.n_expected == len(distinct)
        assert summary["delivered"] == n_distinct == 30_000
        assert sum(map(len, messages.values())) - n_distinct <= summary["repeated_possibly"]
        report = verified(tmp_path / summary["manifest"], brokers=cluster.address)
        assert counts_of(report).keys() <= {"repeated"}


@pytest.mark.parametrize("flags", [("--brokers", "127.0.0.1:1"), ("--brokers", "no-such-host.invalid:9092")])
def test_an_unreachable_broker_is_named_within_ten_seconds(tmp_path: Path, flags: tuple[str, ...]) -> None:
    began_s = time.monotonic()
    code, _, shown = run_here(tmp_path, *flags)
    assert time.monotonic() - began_s < 14.0  # ten of waiting, on a busy machine
    assert code == 1
    assert flags[1] in shown
    assert "Traceback" not in shown

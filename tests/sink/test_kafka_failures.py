"""With errors injected into librdkafka's mock cluster, the ledger equals what the topic holds, event for event."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import Producer

from loadgen.errors import SinkError
from loadgen.kafka.options import KafkaSettings
from loadgen.sink import kafka
from loadgen.sink.kafka import READ_BACK_S, KafkaSink
from tests.mock_cluster import MockCluster
from tests.sink.lines import make_lines
from tests.sink.topic import assert_in_order, assert_ledger_equals_topic, read_topic, without_repeats

pytestmark = pytest.mark.usefixtures("patient")

NOT_LEADER, TIMED_OUT, NOT_ENOUGH_REPLICAS, ACCESS_DENIED, INVALID_RECORD = 6, 7, 19, 29, 87
QUICK = {
    "retry.backoff.ms": "20",
    "reconnect.backoff.max.ms": "100",
    "linger.ms": "5",
    "batch.num.messages": "500",
    "max.in.flight": "1",  # the mock takes a batch although the one before it was refused; a broker would not
}
PER_SEND = 1000


def open_sink(cluster: MockCluster, **options: str) -> KafkaSink:
    named = {name.replace("_", "."): value for name, value in options.items()}
    return KafkaSink(KafkaSettings(cluster.address, "t", {**QUICK, **named}), n_partitions=4)


def offer(sink: KafkaSink, n_events: int, at: dict[int, Callable[[], None]]) -> int:
    """Send so many events, calling at[k] before event k; how many were offered before the sink broke."""
    for first in range(0, n_events, PER_SEND):
        if first in at:
            at[first]()
        lines = make_lines(PER_SEND, first)
        with suppress(SinkError):
            while sink.room() < PER_SEND:
                sink.poll(0.01)
        try:
            sink.send(lines)
        except SinkError:
            return first + PER_SEND
        with suppress(SinkError):
            sink.poll(0.002)
    return n_events


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster(partitions=4) as mock:
        yield mock


def close_unacknowledged(sink: KafkaSink, cluster: MockCluster) -> None:
    """Send 30,000 events, and close the sink when the acknowledgements of the last 10,000 are on their way."""
    offer(sink, 20_000, {})
    sink.flush(10)
    cluster.delay(20, 10_000)
    for first in range(20_000, 30_000, PER_SEND):
        sink.send(make_lines(PER_SEND, first))
    sink.flush(0.5)
    n_in_flight = sink.tally.in_flight
    sink.close()
    assert n_in_flight > 0, "the acknowledgements were not slow"


def test_without_errors_everything_is_delivered(cluster: MockCluster) -> None:
    sink = open_sink(cluster)
    offer(sink, 20_000, {})
    sink.flush(10)
    sink.close()
    assert sink.tally.counts() == {
        "planned": 20_000,
        "delivered": 20_000,
        "failed": 0,
        "dropped": 0,
        "unfinished": 0,
        "aborted": 0,
    }
    assert sink.completed.sum() == 20_000
    messages = read_topic(cluster.address)
    assert_ledger_equals_topic(sink, messages)
    assert_in_order(messages)


@pytest.mark.parametrize("is_idempotent", [True, False])
def test_retriable_errors_lose_and_repeat_nothing(cluster: MockCluster, is_idempotent: bool) -> None:
    sink = open_sink(cluster, enable_idempotence=str(is_idempotent).lower())
    errors = [NOT_LEADER, 0, TIMED_OUT, NOT_ENOUGH_REPLICAS, 0, 0, TIMED_OUT, NOT_LEADER]
    offer(sink, 30_000, {5000: lambda: cluster.push_errors(errors), 15_000: lambda: cluster.push_errors(errors)})
    sink.flush(20)
    sink.close()
    assert sink.tally.counts()["delivered"] == 30_000
    messages = read_topic(cluster.address)
    assert_ledger_equals_topic(sink, messages)
    if is_idempotent:  # without, librdkafka may send later batches while an earlier one waits for its retry
        assert_in_order(messages)


def test_a_broker_that_is_away_for_a_while_loses_and_repeats_nothing(cluster: MockCluster) -> None:
    sink = open_sink(cluster)

    def back_after_a_second() -> None:
        deadline_s = time.monotonic() + 1.0
        while time.monotonic() < deadline_s:
            sink.poll(0.01)
        cluster.up()

    offer(sink, 30_000, {10_000: cluster.down, 20_000: back_after_a_second})
    sink.flush(20)
    sink.close()
    assert sink.tally.counts()["delivered"] == 30_000
    messages = without_repeats(read_topic(cluster.address))
    assert_ledger_equals_topic(sink, messages)
    assert_in_order(messages)


def test_a_producer_that_has_lost_all_brokers_for_good_is_replaced(cluster: MockCluster) -> None:
    configs: list[dict[str, Any]] = []

    def connect(config: dict[str, Any], logger: logging.Logger) -> Producer:
        configs.append(config)
        return Producer(config, logger=logger)

    options = {**QUICK, "statistics.interval.ms": "100"}
    sink = KafkaSink(KafkaSettings(cluster.address, "t", options), n_partitions=4, connect=connect)

    def lose_all_brokers() -> None:
        cluster.delay(8, 300)  # some of what is in flight will have arrived
        sink.send(make_lines(PER_SEND, 30_000))
        sink.poll(0.1)
        cluster.down()
        for _ in range(2):
            configs[0]["stats_cb"]('{"msg_cnt": 0, "brokers": {}}')
        sink.poll(0.0)
        assert (len(configs), sink.room()) == (2, 0)
        assert sink.tally.in_flight >= PER_SEND
        cluster.up()

    offer(sink, 30_000, {10_000: lose_all_brokers})
    sink.flush(20)
    sink.close()
    assert sink.tally.counts()["delivered"] == 31_000
    assert_ledger_equals_topic(sink, read_topic(cluster.address))


@pytest.mark.parametrize("error", [ACCESS_DENIED, INVALID_RECORD])
def test_a_permanent_error_ends_the_run_and_the_ledger_is_still_right(cluster: MockCluster, error: int) -> None:
    sink = open_sink(cluster, queue_buffering_max_messages="5000")
    n_offered = offer(sink, 50_000, {10_000: lambda: cluster.push_errors([0, error])})
    sink.close()
    counts = sink.tally.counts()
    assert n_offered < 50_000, "the sink has gone on after a permanent error"
    assert counts["planned"] == n_offered
    assert counts["failed"] == n_offered - counts["delivered"] > 0
    assert_ledger_equals_topic(sink, read_topic(cluster.address))


def test_after_a_permanent_error_events_of_a_topic_that_cannot_be_read_are_unfinished(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = open_sink(cluster)
    n_offered = offer(sink, 50_000, {10_000: lambda: cluster.push_errors([INVALID_RECORD])})
    cluster.down()
    monkeypatch.setattr(kafka, "READ_BACK_S", 0.2)
    sink.close()
    counts = sink.tally.counts()
    assert counts["unfinished"] > 0
    assert n_offered == counts["planned"] == counts["delivered"] + counts["failed"] + counts["unfinished"]


def test_events_whose_acknowledgement_did_not_come_in_time_are_found_in_the_topic(cluster: MockCluster) -> None:
    sink = open_sink(cluster)
    close_unacknowledged(sink, cluster)
    counts = sink.tally.counts()
    assert counts["planned"] == 30_000
    assert counts["delivered"] > 20_000, "nothing was read back"
    assert_ledger_equals_topic(sink, read_topic(cluster.address))


def test_events_that_expire_failed_and_the_others_are_in_the_topic(cluster: MockCluster) -> None:
    sink = open_sink(cluster, message_timeout_ms="300", max_in_flight="1")
    offer(sink, 8000, {5000: cluster.down})
    sink.flush(3)
    assert sink.tally.in_flight == 0
    cluster.up()
    sink.send(make_lines(1000, 8000))
    sink.flush(3)
    sink.close()
    counts = sink.tally.counts()
    assert counts["failed"] == 9000 - counts["delivered"] > 0
    assert_ledger_equals_topic(sink, read_topic(cluster.address))


def test_an_event_that_is_too_large_for_kafka_fails_alone(cluster: MockCluster) -> None:
    sink = open_sink(cluster, message_max_bytes="2000")
    lines = make_lines(1000, pad=4000)
    n_small = sum(len(line) < 1800 for line in lines.lines.to_pylist())
    sink.send(lines)
    sink.flush(5)
    counts = sink.tally.counts()
    assert n_small <= counts["delivered"] < n_small + 100
    assert counts["failed"] == 1000 - counts["delivered"]
    sink.close()
    assert_ledger_equals_topic(sink, read_topic(cluster.address))


def test_a_queue_that_is_fuller_than_thought_makes_the_sender_wait(cluster: MockCluster) -> None:
    def connect(config: dict[str, Any], logger: logging.Logger) -> Producer:
        return Producer({**config, "queue.buffering.max.messages": "150"}, logger=logger)

    sink = KafkaSink(KafkaSettings(cluster.address, "t", QUICK), n_partitions=4, connect=connect)
    assert sink.room() > 3000
    sink.send(make_lines(3000))
    sink.flush(5)
    sink.close()
    assert sink.tally.counts()["delivered"] == 3000
    assert_ledger_equals_topic(sink, read_topic(cluster.address))


def test_a_broker_that_stays_away_leaves_events_unfinished_within_seconds(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "READ_BACK_S", READ_BACK_S)
    sink = open_sink(cluster)
    offer(sink, 10_000, {5000: cluster.down})
    sink.flush(0.2)
    start_s = time.monotonic()
    sink.close()
    assert time.monotonic() - start_s < 3 * READ_BACK_S
    counts = sink.tally.counts()
    assert counts["planned"] == 10_000
    assert counts["unfinished"] == 10_000 - counts["delivered"] > 0
    assert sink.completed.sum() == 10_000

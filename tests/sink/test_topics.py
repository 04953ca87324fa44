"""The Kafka sink with several topics on librdkafka's mock cluster: the ledger equals what all of them hold."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Message, Producer

from loadgen.errors import SinkError
from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.fingerprint import mix
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topics import Topics, hash_of_topic
from loadgen.ledger import Fingerprint
from loadgen.sink.kafka import KafkaSink
from tests.messages import key_of, value_of
from tests.mock_cluster import MockCluster
from tests.sink.lines import N_PAGES, T0_MS, hash_of, make_lines
from tests.sink.test_kafka_failures import PER_SEND, QUICK, close_unacknowledged, offer
from tests.sink.topic import assert_in_order, read_topic

pytestmark = pytest.mark.usefixtures("patient")

TOPICS = Topics.mapped(["b", "a", *["b"] * (N_PAGES - 2)], {"a": 3, "b": 4})


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster("a", partitions=3) as mock:
        mock.add_topic("b", 4)
        yield mock


def open_sink(cluster: MockCluster, connect: Any = Producer, **options: str) -> KafkaSink:
    settings = KafkaSettings(cluster.address, "a", QUICK | options)
    return KafkaSink(settings, topics=TOPICS, topic_ends=dict.fromkeys(range(7), 0), connect=connect)


def assert_ledger_equals_topics(sink: KafkaSink, cluster: MockCluster) -> None:
    """Each event counted as delivered is in the topic of its page, in order, and in the fingerprint as of there."""
    found, expected = {name: read_topic(cluster.address, name) for name in TOPICS.names}, Fingerprint()
    n_delivered = sum(map(len, found.values()))
    assert sink.tally.counts()["delivered"] == n_delivered == sink.progress.n_delivered(0, 7)
    for name, messages in found.items():
        assert len({value_of(message) for message in messages}) == len(messages) > 0
        first = int(TOPICS.firsts[TOPICS.names.index(name)])
        assert len(messages) == sink.progress.n_delivered(first, first + len(read_partitions(messages)))
        assert all((page_of(message) == 1) == (name == "a") for message in messages)
        assert_in_order(messages)
        hashes = np.array([hash_of(value_of(message)) for message in messages], np.uint64)
        shards = np.array([int(key_of(message)) % N_VIRTUAL_SHARDS for message in messages], np.uint16)
        expected.add(shards, mix(hashes ^ hash_of_topic(name)))
    assert (sink.tally.fingerprint.count == expected.count).all()
    assert (sink.tally.fingerprint.total == expected.total).all()


def page_of(message: Message) -> int:
    return (message.timestamp()[1] - T0_MS) % N_PAGES


def read_partitions(messages: list[Message]) -> dict[int, list[Message]]:
    found = defaultdict(list)
    for message in messages:
        found[message.partition() or 0].append(message)
    return found


def test_each_event_is_delivered_to_the_topic_of_its_page(cluster: MockCluster) -> None:
    sink = open_sink(cluster)
    offer(sink, 20_000, {5000: lambda: cluster.push_errors([6, 0, 7, 19])})
    sink.flush(10)
    sink.close()
    assert sink.tally.counts()["delivered"] == 20_000
    assert_ledger_equals_topics(sink, cluster)


def test_events_whose_acknowledgement_did_not_come_in_time_are_found_in_their_topics(cluster: MockCluster) -> None:
    sink = open_sink(cluster)
    close_unacknowledged(sink, cluster)
    assert sink.tally.counts()["delivered"] > 20_000, "nothing was read back"
    assert_ledger_equals_topics(sink, cluster)


def test_a_permanent_error_names_the_topics_and_the_ledger_is_right(cluster: MockCluster) -> None:
    sink = open_sink(cluster, **{"queue.buffering.max.messages": "5000"})
    n_offered = offer(sink, 50_000, {10_000: lambda: cluster.push_errors([0, 87])})
    with pytest.raises(SinkError, match="Kafka takes no more events of topics 'a', 'b'"):
        sink.poll(0.0)
    sink.close()
    assert sink.tally.counts()["failed"] == n_offered - sink.tally.counts()["delivered"] > 0
    assert_ledger_equals_topics(sink, cluster)


def test_a_replaced_producer_sends_to_each_topic_what_it_lacks(cluster: MockCluster) -> None:
    configs: list[dict[str, Any]] = []

    def connect(config: dict[str, Any], logger: logging.Logger) -> Producer:
        configs.append(config)
        return Producer(config, logger=logger)

    sink = open_sink(cluster, connect, **{"statistics.interval.ms": "100"})

    def lose_all_brokers() -> None:
        cluster.delay(8, 300)  # some of what is in flight will have arrived
        sink.send(make_lines(PER_SEND, 30_000))
        sink.poll(0.1)
        cluster.down()
        for _ in range(2):
            configs[0]["stats_cb"]('{"msg_cnt": 0, "brokers": {}}')
        sink.poll(0.0)
        assert (len(configs), sink.room()) == (2, 0)
        cluster.up()

    offer(sink, 20_000, {10_000: lose_all_brokers})
    sink.flush(20)
    sink.close()
    assert sink.tally.counts()["delivered"] == 21_000
    found = [message for name in TOPICS.names for message in read_topic(cluster.address, name)]
    assert len({value_of(message) for message in found}) == len(found) == 21_000

"""Reads back what a topic holds, and compares it with a sink's ledger, event for event."""

import time

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.ledger import Fingerprint
from loadgen.sink.kafka import KafkaSink
from tests.messages import key_of, value_of
from tests.sink.lines import hash_of

READ_S = 20.0


def read_topic(address: str, topic: str = "t") -> list[Message]:
    """Every message of the topic, partition by partition in order."""
    config = {"bootstrap.servers": address, "group.id": "test", "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer(config)
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    messages: list[Message] = []
    at_end: set[int] = set()
    deadline_s = time.monotonic() + READ_S
    while len(at_end) < len(partitions):
        assert time.monotonic() < deadline_s, "the topic could not be read to its end"
        for message in consumer.consume(10_000, 0.1):
            error, partition = message.error(), message.partition()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF and partition is not None:
                at_end.add(partition)
    consumer.close()
    return sorted(messages, key=lambda message: (message.partition(), message.offset()))


def n_in_topic(address: str, topic: str = "t") -> int:
    """How many messages the topic holds now."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "count", "log_level": 0})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)[1] for partition in partitions]
    consumer.close()
    return sum(ends)


def without_repeats(messages: list[Message]) -> list[Message]:
    """The first of each value.

    A broker drops a batch whose sequence number it has seen; librdkafka's mock does so for transactions only. So where
    a connection broke, the mock's log can hold a batch twice that a broker would hold once.
    """
    return list({message.value(): message for message in reversed(messages)}.values())[::-1]


def assert_ledger_equals_topic(sink: KafkaSink, messages: list[Message]) -> None:
    """The events counted as delivered are those in the topic, and none is there twice."""
    values = [value_of(message) for message in messages]
    assert len(set(values)) == len(values), "an event is in the topic twice"
    assert sink.tally.counts()["delivered"] == len(values)
    assert sink.tally.bytes_delivered == sum(map(len, values))
    assert_same_fingerprint(sink.tally.fingerprint, messages)


def assert_in_order(messages: list[Message]) -> None:
    """Each listener's events are in the topic in the order of their times."""
    last_ms: dict[bytes, int] = {}
    for message in messages:
        key, ts_ms = key_of(message), message.timestamp()[1]
        assert last_ms.get(key, 0) < ts_ms, "a listener's events are out of order"
        last_ms[key] = ts_ms


def assert_same_fingerprint(fingerprint: Fingerprint, messages: list[Message]) -> None:
    """The fingerprint is that of these messages."""
    expected = Fingerprint()
    virtual_shard = np.array([int(key_of(message)) % N_VIRTUAL_SHARDS for message in messages], np.uint16)
    expected.add(virtual_shard, np.array([hash_of(value_of(message)) for message in messages], np.uint64))
    assert (fingerprint.count == expected.count).all()
    assert (fingerprint.total == expected.total).all()

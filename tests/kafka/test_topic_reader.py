"""Partitions are read from given offsets to given ends, each message once; errors are raised, or waited out."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer

from loadgen.errors import AccessRefused, BrokerUnreachable, SinkError, TopicMissing
from loadgen.kafka import topic_reader
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_reader import TopicReader, end_offsets, reader_config
from tests.mock_cluster import MockCluster

Span = Mapping[int, int]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A broker whose topic t has 10 messages in each of two partitions."""
    with MockCluster("t", 2) as cluster:
        producer = Producer({"bootstrap.servers": cluster.address, "log_level": 0})
        for number in range(20):
            producer.produce("t", b"%d" % (number // 2), partition=number % 2)
        assert producer.flush(10) == 0
        yield cluster.address


def reader_of(address: str, **options: Any) -> TopicReader:
    settings = KafkaSettings(address, "t", reading=True)
    return TopicReader(settings, reader_config(settings, "test", **options))


def offsets(batches: Iterator[list[Message]]) -> dict[int, list[int]]:
    """Of the messages that came, by partition."""
    found: dict[int, list[int]] = {}
    for message in (message for batch in batches for message in batch):
        found.setdefault(message.partition() or 0, []).append(message.offset() or 0)
    return found


class Watch:
    """Says from a certain question on that the topic is gone."""

    def __init__(self, n_answers: int) -> None:
        self.n_answers = n_answers

    def look(self) -> bool:
        self.n_answers -= 1
        if self.n_answers < 0:
            raise TopicMissing("gone")
        return True


class Scripted(TopicReader):
    """Gets these messages and errors, then nothing."""

    def __init__(self, address: str, *polls: list[Message]) -> None:
        settings = KafkaSettings(address, "t", reading=True)
        super().__init__(settings, reader_config(settings, "test"))
        self.polls = list(polls)

    def fetch(self, n_messages: int, timeout_s: float) -> list[Message]:
        return self.polls.pop(0) if self.polls else []


def failure(code: int, offset: int = 0) -> Message:
    return Message(topic="t", partition=0, offset=offset, error=KafkaError(code))


def test_each_partition_is_read_from_its_start_to_below_its_end(address: str) -> None:
    with closing(reader_of(address)) as reader:
        assert offsets(reader.read({0: 3, 1: 0}, {0: 7, 1: 10})) == {0: [3, 4, 5, 6], 1: list(range(10))}
        assert reader.unread == set()
        assert offsets(reader.read({0: 8, 1: 10}, {0: 10, 1: 10})) == {0: [8, 9]}


def test_the_ends_are_those_of_the_brokers(address: str) -> None:
    assert end_offsets(KafkaSettings(address, "t"), 2) == {0: 10, 1: 10}
    with closing(reader_of(address)) as reader:
        assert (reader.begins([0, 1]), reader.ends([1]), reader.span(0)) == ({0: 0, 1: 0}, {1: 10}, (0, 10))


def test_a_partition_whose_last_offsets_are_no_messages_ends_where_the_broker_says(address: str) -> None:
    with closing(reader_of(address)) as reader:
        assert offsets(reader.read({0: 8}, {0: 12})) == {0: [8, 9]}


def test_a_message_that_is_gone_is_an_error_or_passed_over_as_asked(address: str) -> None:
    with closing(reader_of(address)) as reader, pytest.raises(SinkError, match="can be read no further"):
        list(reader.read({0: 500}, {0: 501}))
    with closing(reader_of(address, or_earliest=True)) as reader:
        assert offsets(reader.read({0: 500}, {0: 501})) == {0: list(range(10))}


def test_a_broker_that_refuses_ends_reading_at_once(address: str) -> None:
    refusal = failure(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with closing(Scripted(address, [refusal])) as reader, pytest.raises(AccessRefused, match="ACL"):
        list(reader.read({0: 0}, {0: 10}))


def test_until_a_deadline_errors_are_passed_over_and_what_was_not_read_is_known(address: str) -> None:
    refusal, last = failure(KafkaError.TOPIC_AUTHORIZATION_FAILED), Message(topic="t", partition=1, offset=9)
    with closing(Scripted(address, [refusal], [last])) as reader:
        assert offsets(reader.read_until({0: 0, 1: 0}, {0: 10, 1: 10}, time.monotonic() + 0.05)) == {1: [9]}
        assert reader.unread == {0}


def test_a_topic_that_is_gone_is_noticed_in_silence_and_at_the_end(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_reader, "QUIET_S", 0.0)
    with closing(Scripted(address)) as reader, pytest.raises(TopicMissing):
        list(reader.read({0: 0}, {0: 10}, Watch(2)))  # type: ignore[arg-type]
    with closing(reader_of(address)) as reader:
        batches = reader.read({0: 0}, {0: 10}, Watch(0))  # type: ignore[arg-type]
        monkeypatch.setattr(topic_reader, "QUIET_S", 60.0)
        with pytest.raises(TopicMissing):
            list(batches)


def test_a_silent_broker_is_given_up(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "SILENT_S", 0.01)
    with closing(Scripted(address)) as reader, pytest.raises(BrokerUnreachable, match="no broker answered"):
        list(reader.read({0: 0}, {0: 10}))

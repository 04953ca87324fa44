"""A topic is read from its beginning to its end, once, and what is wrong in it is named by partition and offset."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from loadgen.errors import BrokerUnreachable, UsageError
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.kafka.options import KafkaSettings
from loadgen.verifier.topic import TopicSource
from tests.messages import key_of
from tests.mock_cluster import MockCluster
from tests.verifier.runs import counts_of, ran, verified

TOPIC = "t"
FLAGS = ("--users", "300", "--events", "3000", "--rate", "max", "--workers", "2", "--topic", TOPIC)


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of a broker with an empty topic."""
    with EmbeddedBroker(TOPIC) as embedded:
        yield embedded.address


def produce(address: str, *messages: tuple[int, bytes | None, bytes | None], **more: Any) -> None:
    """Messages (partition, key, value) in their order; `more` is the same for all."""
    producer = Producer({"bootstrap.servers": address, "log_level": 0, "acks": "all"})
    for partition, key, value in messages:
        producer.produce(TOPIC, value=value, key=key, partition=partition, **more)
    assert producer.flush(10.0) == 0


def values(address: str) -> dict[int, bytes]:
    """Everything in the topic, by place."""
    source = TopicSource(KafkaSettings(address, TOPIC))
    return {
        int(place): value
        for block in source.blocks()
        if block.places is not None and isinstance(block.content, list)
        for place, value in zip(block.places, block.content, strict=True)
    }


def test_a_topic_is_proved_and_what_is_added_to_it_is_found(tmp_path: Path, broker: str) -> None:
    manifest = ran(tmp_path, "--brokers", broker, "--impair", "malform=0.05", *FLAGS)
    report = verified(manifest, brokers=broker, topic=TOPIC)
    assert report.findings.is_proved
    assert report.findings.n_found == 3000
    place, line = next((place, value) for place, value in values(broker).items() if value.startswith(b'{"ts":1'))
    partition = place >> 40
    altered = line[:-2] + b"\n" + line[-1:]
    record = orjson.loads(line)
    produce(broker, (partition, b"%d" % record["userId"], line), timestamp=record["ts"])
    produce(broker, (partition, b"7", altered), (0, b"7", b""), (1, None, None), (2, b"x", b"\n"))
    report = verified(manifest, brokers=broker, topic=TOPIC)
    assert counts_of(report) == {"repeated": 1, "foreign": 4}
    (repeated,) = [one for one in report.shown if one.kind == "repeated"]
    assert repeated.found == line
    assert repeated.where.startswith(f"partition {partition}, offset ")
    assert {one.found for one in report.shown if one.kind == "foreign"} == {altered, b"", b"\n"}


@pytest.mark.slow
def test_a_malformed_value_is_laid_to_the_listener_of_its_key(tmp_path: Path, broker: str) -> None:
    manifest = ran(tmp_path, "--brokers", broker, "--format", "listen", "--impair", "malform=0.3", *FLAGS)
    assert verified(manifest, brokers=broker, topic=TOPIC).findings.is_proved


def test_an_empty_topic_has_lost_everything(tmp_path: Path, broker: str) -> None:
    with EmbeddedBroker(TOPIC) as other:
        manifest = ran(tmp_path, "--brokers", other.address, *FLAGS)
    assert counts_of(verified(manifest, brokers=broker)) == {"lost": 3000}, "the topic is that of the run"
    other_run = tmp_path / "other.json"
    text = manifest.read_text().replace(manifest.stem, "another-run")
    other_run.write_text(text.replace(f'"topic": "{TOPIC}"', '"topic": "other"'))
    with pytest.raises(UsageError, match="runs sent to different topics, got other, t;"):
        verified(manifest, other_run, brokers=broker)


def test_events_that_the_topic_has_let_go_of_are_lost_and_that_is_said(tmp_path: Path, broker: str) -> None:
    manifest = ran(tmp_path, "--brokers", broker, *FLAGS)
    produce(broker, *((0, None, b"x" * 900_000) for _ in range(8)))  # the test broker keeps 5 MiB of a partition
    report = verified(manifest, brokers=broker, topic=TOPIC)
    assert counts_of(report)["lost"] > 100
    assert any("no longer has its beginning (partition 0 at offset" in note for note in report.notes())


def test_what_is_produced_while_it_is_read_is_not_read(broker: str) -> None:
    produce(broker, *((0, None, b"%d" % number) for number in range(5)))
    source = TopicSource(KafkaSettings(broker, TOPIC))
    blocks = source.blocks()
    first = next(blocks)
    produce(broker, *((0, None, b"later") for _ in range(5)))
    rest = [value for block in blocks for value in block.content]
    assert [*first.content, *rest] == [b"0", b"1", b"2", b"3", b"4"]
    assert source.share() == 1.0


@pytest.mark.slow
def test_an_unreachable_broker_is_said(tmp_path: Path, broker: str) -> None:
    manifest = ran(tmp_path, "--brokers", broker, *FLAGS)
    with MockCluster("other") as cluster:
        cluster.down()
        with pytest.raises(BrokerUnreachable, match="no broker answered"):
            verified(manifest, brokers=cluster.address, topic="other")


def copied(source: str, target: str, **changed: Callable[[Message], Any]) -> None:
    """Copy a topic to another broker as it is, but for what is changed: key, partition, timestamp, headers."""
    messages = [message for chunk in raw(source) for message in chunk]
    producer = Producer({"bootstrap.servers": target, "log_level": 0, "acks": "all"})
    for message in sorted(messages, key=lambda one: (one.partition(), one.offset())):
        as_it_is = {
            "key": message.key(), "partition": message.partition(), "timestamp": message.timestamp()[1],
            "headers": message.headers(), "value": message.value(),
        }  # fmt: skip
        producer.produce(TOPIC, **{**as_it_is, **{name: how(message) for name, how in changed.items()}})
    assert producer.flush(10.0) == 0


def raw(address: str) -> Iterator[list[Message]]:
    """All messages of the topic."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "raw", "log_level": 0, "enable.partition.eof": True})
    consumer.assign(
        [TopicPartition(TOPIC, number, 0) for number in consumer.list_topics(TOPIC).topics[TOPIC].partitions]
    )
    n_open = len(consumer.assignment())
    while n_open:
        found = consumer.consume(1000, 0.1)
        n_open -= sum(message.error() is not None for message in found)
        yield [message for message in found if message.error() is None]
    consumer.close()


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A run's manifest, and the address of the broker that has its events."""
    with EmbeddedBroker(TOPIC) as embedded:
        yield ran(tmp_path_factory.mktemp("sent"), "--brokers", embedded.address, *FLAGS), embedded.address


OTHERS: dict[str, Callable[[Message], Any]] = {
    "key": lambda message: b"1%s" % key_of(message),
    "partition": lambda message: ((message.partition() or 0) + (message.offset() or 0) % 2) % 3,
    "timestamp": lambda message: message.timestamp()[1] + 1,
    "headers": lambda message: [("trace", b"1")],
}


@pytest.mark.parametrize("what", OTHERS)
def test_events_with_another_envelope_are_altered(what: str, sent: tuple[Path, str], broker: str) -> None:
    manifest, address = sent
    copied(address, broker, **{what: OTHERS[what]})
    counts = counts_of(verified(manifest, brokers=broker, topic=TOPIC))
    assert counts["altered"] >= 500
    assert counts.keys() <= {"altered", "out_of_order"}


def test_a_copy_with_the_same_envelopes_is_proved(sent: tuple[Path, str], broker: str) -> None:
    copied(sent[1], broker)
    assert verified(sent[0], brokers=broker, topic=TOPIC).findings.is_proved


def test_events_that_were_repartitioned_on_purpose_are_proved_but_for_an_order_that_cannot_be_told(
    sent: tuple[Path, str], broker: str
) -> None:
    copied(sent[1], broker, partition=OTHERS["partition"])
    report = verified(sent[0], brokers=broker, topic=TOPIC, repartitioned=True)
    assert report.findings.is_proved
    assert report.findings.n_split > 100
    assert list(report.as_text())[-1].endswith("cannot be told, whose events are in several partitions")


def test_events_that_were_repartitioned_by_another_rule_are_proved_in_order(
    sent: tuple[Path, str], broker: str
) -> None:
    copied(sent[1], broker, partition=lambda message: int(key_of(message)) % 3)
    report = verified(sent[0], brokers=broker, topic=TOPIC, repartitioned=True)
    assert (report.findings.is_proved, report.findings.n_split) == (True, 0)

"""A topic is read from where it is asked for, survives its broker, and counts what is no event."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, Producer

from loadgen.dashboard import topic as topics
from loadgen.dashboard.feed import Begin
from loadgen.dashboard.rows import Normaliser
from loadgen.dashboard.topic import TopicEvents
from loadgen.decoder import Decoder, Schemas
from loadgen.errors import TopicMissing
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.registry import Registry, RegistrySettings
from loadgen.kafka.watch import TopicWatch
from tests.dashboard.reader import expected
from tests.dashboard.records import some
from tests.kafka.http_server import serving, with_status
from tests.mock_cluster import MockCluster

NORMALISER = Normaliser()
WAIT_S = 30.0


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster(partitions=2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask and try again soon."""
    for name, value in (("AGAIN_S", 0.2), ("PROBE_S", 0.3), ("ASK_S", 1.0)):
        monkeypatch.setattr(topics, name, value)


class Watched:
    """What a topic brought."""

    def __init__(
        self, address: str, begin: Begin = "beginning", topic: str = "t", decoder: Decoder | None = None
    ) -> None:
        self.events = TopicEvents(KafkaSettings(address, topic, reading=True), begin, decoder=decoder)
        self.items: Counter[int] = Counter()
        self.n_unreadable = 0

    def until(self, what: Callable[["Watched"], Any]) -> "Watched":
        """Read on until this is true."""
        deadline_s = time.monotonic() + WAIT_S
        while not what(self):
            assert time.monotonic() < deadline_s, (self.items, self.events.state)
            for content in self.events.contents():
                for piece in NORMALISER.of_lines(content):
                    self.items.update(piece.rows["item"].to_pylist())
                    self.n_unreadable += piece.n_unreadable
        return self

    @property
    def status(self) -> str:
        return self.events.state.status


def produce(address: str, *values: bytes | None, partition: int = -1) -> None:
    """Have these messages in the topic."""
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    for value in values:
        producer.produce("t", value, b"k", partition)
    assert producer.flush(20) == 0


def values_of(first: int, last: int) -> list[bytes]:
    """The records of these numbers."""
    return some(first, last).splitlines()


def test_everything_is_read_once_and_what_comes_after(cluster: MockCluster) -> None:
    produce(cluster.address, *values_of(0, 49), partition=0)
    produce(cluster.address, *values_of(50, 59), partition=1)
    watched = Watched(cluster.address)
    try:
        watched.until(lambda one: one.items == expected(0, 59) and one.status == "ok")
        produce(cluster.address, *values_of(60, 64))
        watched.until(lambda one: one.items == expected(0, 64))
    finally:
        watched.events.close()


def test_messages_with_schemas_are_read_and_waited_for_while_the_registry_is_away(cluster: MockCluster) -> None:
    values = [b"\0\0\0\0\7" + value for value in values_of(0, 9)]
    produce(cluster.address, *values, *values_of(10, 19), b"\0\0\0\0\10{}", b"\0\0", partition=0)
    answers = iter([with_status(503, {"error_code": 50301, "message": "away"})] * 3)
    known = with_status(200, {"schema": "{}", "schemaType": "JSON"})
    missing = with_status(404, {"error_code": 40403, "message": "not found"})
    found = lambda request: (known if "/ids/7" in request.path else missing)(request)  # noqa: E731
    with serving(lambda request: next(answers, found)(request)) as server:
        registry = Registry(RegistrySettings(server.url))
        watched = Watched(cluster.address, decoder=Decoder(Schemas(registry)))
        try:
            watched.until(lambda one: "away" in one.events.state.reason)
            assert watched.items == {}
            watched.until(lambda one: one.items == expected(0, 19) and one.status == "ok")
            assert watched.n_unreadable == 2
        finally:
            watched.events.close()
            registry.close()


def test_messages_that_are_not_read_yet_are_counted_while_that_is_known(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "FETCH_MESSAGES", 10)
    produce(cluster.address, *values_of(0, 99), partition=0)
    watched = Watched(cluster.address)
    unread_at_first = watched.events.unread
    assert unread_at_first is None
    try:
        watched.until(lambda one: one.items)
        assert watched.events.unread == 100 - watched.items.total() > 0
        watched.until(lambda one: one.events.unread == 0)
        assert watched.items == expected(0, 99)
        cluster.down()
        watched.until(lambda one: one.status == "stale")
        assert watched.events.unread is None
    finally:
        watched.events.close()


def test_the_end_of_a_transaction_is_no_message_that_is_not_read_yet() -> None:
    events = TopicEvents(KafkaSettings("a:1", "t", reading=True), "beginning")
    events._next, events._first, events._goal, events._ends = {0: 9}, {0: 0}, {0: 10}, {0: 10}
    events._update_state()
    assert (events.state.status, events.unread) == ("reading", 1)
    end = Mock(error=lambda: KafkaError(KafkaError._PARTITION_EOF), partition=lambda: 0, offset=lambda: 10)
    events._take_error(Mock(), end)
    assert (events.state.status, events.unread) == ("ok", 0)


def test_recent_is_the_last_messages_of_each_partition(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "N_RECENT", 10)
    produce(cluster.address, *values_of(0, 19), partition=0)
    produce(cluster.address, *values_of(20, 22), partition=1)
    watched = Watched(cluster.address, "recent")
    try:
        watched.until(lambda one: one.status == "ok")
        assert watched.items == expected(15, 22)
    finally:
        watched.events.close()


def test_end_is_what_comes_from_now_on(cluster: MockCluster) -> None:
    produce(cluster.address, *values_of(0, 9))
    watched = Watched(cluster.address, "end")
    try:
        watched.until(lambda one: one.status == "ok")
        produce(cluster.address, *values_of(10, 12))
        watched.until(lambda one: sum(one.items.values()) >= 3)
        assert watched.items == expected(10, 12)
    finally:
        watched.events.close()


def test_messages_that_are_no_events_are_counted_and_nothing_else(cluster: MockCluster) -> None:
    odd = [None, b"", b"no json", b'{"a":"\n"}', b"\n", b"[]", b"null", b"\xff", b" "]
    produce(cluster.address, *values_of(0, 1), *odd, *values_of(2, 3))
    watched = Watched(cluster.address)
    try:
        watched.until(lambda one: one.items == expected(0, 3) and one.n_unreadable == len(odd))
    finally:
        watched.events.close()


def test_line_feeds_around_and_between_fields_are_no_fault(cluster: MockCluster) -> None:
    odd = [value.replace(b",", b",\n") + b"\n" for value in values_of(2, 5)]
    produce(cluster.address, *values_of(0, 1), *odd)
    watched = Watched(cluster.address)
    try:
        watched.until(lambda one: one.items == expected(0, 5))
        assert watched.n_unreadable == 0
    finally:
        watched.events.close()


def test_a_broker_that_goes_and_comes_back_is_stale_then_ok_and_nothing_is_lost(cluster: MockCluster) -> None:
    produce(cluster.address, *values_of(0, 9))
    watched = Watched(cluster.address)
    try:
        watched.until(lambda one: one.items == expected(0, 9) and one.status == "ok")
        cluster.down()
        watched.until(lambda one: one.status == "stale")
        assert "does not answer" in watched.events.state.reason
        cluster.up()
        watched.until(lambda one: one.status == "ok")
        produce(cluster.address, *values_of(10, 19))
        watched.until(lambda one: one.items == expected(0, 19))
    finally:
        watched.events.close()


def test_a_client_that_has_lost_all_brokers_for_good_is_replaced_and_nothing_is_lost(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "AGAIN_S", 0.1)
    produce(cluster.address, *values_of(0, 9))
    watched = Watched(cluster.address)
    try:
        watched.until(lambda one: one.items == expected(0, 9) and one.status == "ok")
        former = watched.events._client
        assert former is not None
        for _ in range(2):
            former.monitor.callbacks()["stats_cb"]('{"msg_cnt": 0, "brokers": {}}')
        watched.until(lambda one: one.status == "stale")
        watched.until(lambda one: one.status == "ok")
        assert watched.events._client is not former
        produce(cluster.address, *values_of(10, 19))
        watched.until(lambda one: one.items == expected(0, 19))
    finally:
        watched.events.close()


def test_a_broker_that_is_not_there_is_waited_for() -> None:
    watched = Watched("127.0.0.1:9")
    watched.until(lambda one: one.status == "waiting")
    assert "no broker answered at 127.0.0.1:9" in watched.events.state.reason
    watched.events.close()


def test_no_message_is_shown_with_a_secret(cluster: MockCluster) -> None:
    options = {"sasl.password": "s3cret", "security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN"}
    settings = KafkaSettings(cluster.address, "t", {**options, "sasl.username": "u"}, reading=True)
    events = TopicEvents(settings, "recent")
    deadline_s = time.monotonic() + WAIT_S
    while events.state.status == "starting" and time.monotonic() < deadline_s:
        list(events.contents())
    assert (events.state.status, "s3cret" in f"{events.state}{events.name}") == ("waiting", False)
    events.close()


def test_a_topic_that_was_created_again_is_read_from_its_first_message(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic_id = ["the first"]
    watch = partial(TopicWatch, ask=lambda: topic_id[0])
    monkeypatch.setattr(topics, "TopicWatch", watch)
    produce(cluster.address, *values_of(0, 49), partition=0)
    watched = Watched(cluster.address)
    try:
        watched.until(lambda one: one.items == expected(0, 49) and one.status == "ok")
        topic_id[0] = "another"
        produce(cluster.address, *values_of(50, 59), partition=0)
        watched.until(lambda one: one.status == "stale")
        assert watched.events.state.reason == topics.CREATED_AGAIN
        assert watched.items == expected(0, 49), "offsets of the first topic were used for the second one"
        watched.until(lambda one: one.status == "ok" and one.items == expected(0, 49) + expected(0, 59))
    finally:
        watched.events.close()


def test_a_deleted_topic_is_said_to_be_deleted_and_its_offsets_are_forgotten(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_there, n_times = [True], [0]

    def ask() -> str:
        if not is_there[0]:
            raise TopicMissing("t")
        return f"id {n_times[0]}"

    monkeypatch.setattr(topics, "TopicWatch", partial(TopicWatch, ask=ask))
    monkeypatch.setattr("loadgen.kafka.watch.GONE_S", 0.0)
    produce(cluster.address, *values_of(0, 9), partition=0)
    watched = Watched(cluster.address, "end")
    try:
        watched.until(lambda one: one.status == "ok")
        is_there[0] = False
        watched.until(lambda one: one.status == "stale")
        assert "was deleted" in watched.events.state.reason
        is_there[0], n_times[0] = True, 1
        watched.until(lambda one: one.items == expected(0, 9) and one.status == "ok")
    finally:
        watched.events.close()

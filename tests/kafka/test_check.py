"""What stands in the way is found before a run, in seconds, and said with the next step."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.cimpl import NewTopic

from loadgen.errors import AccessRefused, BrokerUnreachable, LoadgenError, SinkError, TopicMissing
from loadgen.kafka import check as kafka_check
from loadgen.kafka.check import check_topic, create_topic
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.kafka.options import KafkaSettings
from tests.mock_cluster import MockCluster
from tests.sink.fake_broker import TOPIC_DENIED, FakeBroker

INVALID_REPLICATION_FACTOR, CLUSTER_DENIED, POLICY = 38, 31, 44
SASL = {
    "security.protocol": "sasl_plaintext",
    "sasl.mechanisms": "PLAIN",
    "sasl.username": "someone",
    "sasl.password": "very-secret",
}
TLS = {"security.protocol": "ssl"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_check, "ALL_DOWN_S", 0.3)
    monkeypatch.setattr(kafka_check, "ASK_S", 0.2)


@contextlib.contextmanager
def listener(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something that is not Kafka; each connection is given to `answer`, then closed."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_the_number_of_partitions_is_told() -> None:
    with MockCluster(partitions=7) as cluster:
        assert check_topic(KafkaSettings(cluster.address, "t")) == 7


def test_a_missing_topic_is_named_with_both_ways_to_make_it_and_is_not_made() -> None:
    with EmbeddedBroker("t") as broker:
        for _ in range(2):
            with pytest.raises(TopicMissing) as caught:
                check_topic(KafkaSettings(broker.address, "nowhere"))
    assert "topic 'nowhere' is not on" in str(caught.value)
    assert "--create-topic" in str(caught.value)
    assert f"kafka-topics.sh --create --topic nowhere --partitions 12 --bootstrap-server {broker.address}" in str(
        caught.value
    )


def test_a_topic_that_is_nearly_there_is_named() -> None:
    said = r"; did you mean music-streaming-events\? Otherwise add --create-topic"
    with EmbeddedBroker("music-streaming-events") as broker, pytest.raises(TopicMissing, match=said):
        check_topic(KafkaSettings(broker.address, "music-streaming-event"))


def test_a_topic_that_is_missing_is_said_though_the_cluster_does_not_list_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Secretive(FakeBroker):
        def _metadata(self, request: bytes) -> bytes:
            if b"none" not in request:  # it asks for all topics
                raise OSError  # the connection is cut
            return super()._metadata(request)

    monkeypatch.setattr(kafka_check, "ALL_DOWN_S", 0.5)
    with Secretive() as broker, pytest.raises(TopicMissing, match=r"topic 'none' is not on .*; add --create-topic"):
        check_topic(KafkaSettings(broker.address, "none"))


def test_a_name_that_collides_is_answered_with_what_has_to_differ() -> None:
    collision = KafkaError(KafkaError.TOPIC_EXCEPTION, "Topic 'my_topic.x' collides with existing topic: my.topic_x")
    said = str(kafka_check._not_created(KafkaSettings("b:1", "my_topic.x"), NewTopic("my_topic.x", 1, 1), collision))
    assert said.endswith("; choose a --topic that differs from it in more than . and _")


def test_nobody_listening_is_said_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(BrokerUnreachable, match=r"no broker answered at 127.*Connection refused.*is one listening"):
        check_topic(KafkaSettings(address, "t"))


def test_an_unknown_host_is_said() -> None:
    with pytest.raises(BrokerUnreachable, match=r"Failed to resolve 'nohost.invalid:9092'"):
        check_topic(KafkaSettings("nohost.invalid:9092", "t"))


def test_a_listener_that_says_nothing_is_given_up_in_time() -> None:
    start_s = time.monotonic()
    with listener(lambda connection: time.sleep(1.5)) as address, pytest.raises(BrokerUnreachable):
        check_topic(KafkaSettings(address, "t"), timeout_s=1.0)
    assert time.monotonic() - start_s < 4


def test_a_web_server_is_recognised() -> None:
    with listener(http) as address, pytest.raises(BrokerUnreachable, match=r"does not speak Kafka.*begins with 'HTTP'"):
        check_topic(KafkaSettings(address, "t"))


def test_tls_to_a_plain_port_is_refused_access() -> None:
    with listener(http) as address, pytest.raises(AccessRefused, match=r"\(TLS\): .*SSL.*ssl\.ca\.location"):
        check_topic(KafkaSettings(address, "t", TLS))


def test_tls_to_a_plain_broker_is_refused_access() -> None:
    with MockCluster() as cluster, pytest.raises(AccessRefused, match=r"\(TLS\): .*check security\.protocol"):
        check_topic(KafkaSettings(cluster.address, "t", TLS))


def test_a_wrong_password_is_refused_access_and_not_shown() -> None:
    with FakeBroker() as broker, pytest.raises(AccessRefused) as caught:
        check_topic(KafkaSettings(broker.address, "t", SASL))
    assert "(SASL)" in str(caught.value)
    assert "wrong user or password" in str(caught.value)
    assert "check security.protocol, sasl.mechanisms" in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_an_unknown_sasl_mechanism_is_refused_access() -> None:
    with FakeBroker(mechanisms=("GSSAPI",)) as broker, pytest.raises(AccessRefused, match=r"\(SASL\): .*GSSAPI"):
        check_topic(KafkaSettings(broker.address, "t", SASL))


def test_an_acl_that_hides_the_topic_is_refused_access() -> None:
    with FakeBroker(refuse_topic=TOPIC_DENIED) as broker, pytest.raises(AccessRefused, match=r"\(ACL\).*kafka-acls.sh"):
        check_topic(KafkaSettings(broker.address, "t"))


def test_a_topic_is_made_as_asked() -> None:
    with FakeBroker() as broker:
        create_topic(KafkaSettings(broker.address, "new"), 5, 1)
        assert broker.topics == {"new": 5}
        assert check_topic(KafkaSettings(broker.address, "new")) == 5


def test_a_new_topic_keeps_events_of_the_past_for_a_week_after_they_arrive() -> None:
    with FakeBroker() as broker:
        create_topic(KafkaSettings(broker.address, "recent"), 1, 1, behind_ms=60_000)
        create_topic(KafkaSettings(broker.address, "past"), 1, 1, behind_ms=30 * 86_400_000)
        assert "retention.ms" not in broker.configs["recent"]
        assert broker.configs["past"]["retention.ms"] == str(37 * 86_400_000)


def test_a_topic_that_is_there_with_as_many_partitions_is_fine() -> None:
    with FakeBroker(topics={"t": 5}) as broker:
        create_topic(KafkaSettings(broker.address, "t"), 5, 1)
        with pytest.raises(SinkError, match=r"is there with 5 partitions, asked for were 6; .*say --partitions 5"):
            create_topic(KafkaSettings(broker.address, "t"), 6, 1)


def test_a_topic_has_no_more_copies_than_there_are_brokers_where_fewer_will_do() -> None:
    with FakeBroker() as broker:
        assert create_topic(KafkaSettings(broker.address, "few"), 5, 3, or_fewer=True) == 1
        assert create_topic(KafkaSettings(broker.address, "asked"), 5, 3) == 3
        assert broker.copies == {"few": 1, "asked": 3}
        assert create_topic(KafkaSettings(broker.address, "few"), 5, 3, or_fewer=True) == 3, "it was there"


@pytest.mark.parametrize(
    ("error", "kind", "step"),
    [
        (INVALID_REPLICATION_FACTOR, SinkError, "say --replication-factor N"),
        (POLICY, SinkError, "ask the administrators of the brokers"),
        (CLUSTER_DENIED, AccessRefused, "kafka-acls.sh"),
    ],
)
def test_a_topic_that_cannot_be_made_is_said_with_the_reason(error: int, kind: type[LoadgenError], step: str) -> None:
    with FakeBroker(refuse_create=error) as broker, pytest.raises(kind, match=step):
        create_topic(KafkaSettings(broker.address, "new"), 5, 3)

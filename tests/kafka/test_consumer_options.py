"""What a consumer is configured with, and how a topic is told from every other one."""

import pytest

from loadgen.errors import BrokerUnreachable, UsageError
from loadgen.kafka.consumer_options import begin_of, check_consumer_options, consumer_config, identity_of
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.kafka.options import KafkaSettings


def config(**options: str) -> dict[str, str]:
    return consumer_config(KafkaSettings("b:9092", "t", {k.replace("_", "."): v for k, v in options.items()}), "g")


def test_what_exactly_once_depends_on_is_set() -> None:
    found = config()
    assert found["enable.auto.commit"] == found["enable.auto.offset.store"] == "false"
    assert found["auto.offset.reset"] == "error"
    assert found["partition.assignment.strategy"] == "cooperative-sticky"
    assert (found["bootstrap.servers"], found["group.id"]) == ("b:9092", "g")


def test_the_users_options_replace_the_defaults() -> None:
    assert config(session_timeout_ms="30000")["session.timeout.ms"] == "30000"
    assert config(max_partition_fetch_bytes="9")["fetch.message.max.bytes"] == "9"
    assert config(sasl_password="x")["sasl.password"] == "x"


def test_the_brokers_may_assign() -> None:
    found = config(group_protocol="consumer")
    assert "partition.assignment.strategy" not in found
    assert "session.timeout.ms" not in found


@pytest.mark.parametrize("option", ["enable.auto.commit", "group.id", "bootstrap.servers", "auto.commit.enable"])
def test_options_that_are_not_the_users_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match="not yours to set, got 'x'"):
        consumer_config(KafkaSettings("b:9092", "t", {option: "x"}), "g")


def test_where_to_begin_is_the_users() -> None:
    assert begin_of(KafkaSettings("b", "t")) == "earliest"
    assert begin_of(KafkaSettings("b", "t", {"auto.offset.reset": "largest"})) == "latest"
    assert config(auto_offset_reset="latest")["auto.offset.reset"] == "error"
    with pytest.raises(UsageError, match="must be earliest or latest, got 'none'"):
        config(auto_offset_reset="none")


def test_librdkafka_judges_the_rest() -> None:
    check_consumer_options(KafkaSettings("b:9092", "t"), "g")
    with pytest.raises(UsageError, match=r"`session.timeout.ms`|max.poll.interval.ms"):
        check_consumer_options(KafkaSettings("b:9092", "t", {"max.poll.interval.ms": "1"}), "g")


def test_each_embedded_broker_is_another_cluster_and_one_stays_the_same() -> None:
    found = []
    for _ in range(3):
        with EmbeddedBroker("t") as broker:
            settings = KafkaSettings(broker.address, "t")
            found.append(identity_of(settings))
            assert identity_of(settings) == found[-1]
    assert len(set(found)) == 3


def test_an_identity_is_never_guessed() -> None:
    with pytest.raises(BrokerUnreachable):
        identity_of(KafkaSettings("127.0.0.1:1", "t", reading=True), 0.5)


def test_a_password_in_front_of_an_address_is_not_shown() -> None:
    with pytest.raises(UsageError, match=r"got '\*\*\*@b:1': use --brokers"):
        consumer_config(KafkaSettings("b", "t", {"metadata.broker.list": "user:hunter2@b:1"}), "g")

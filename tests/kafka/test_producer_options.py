"""The user's Kafka options replace the producer's defaults."""

import pytest
from confluent_kafka import Producer

from loadgen.errors import UsageError
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.producer_options import DEFAULTS, check_options, counts_by_watermark, producer_config


def config(**options: str) -> dict[str, str]:
    named = {name.replace("_", "."): value for name, value in options.items()}
    return producer_config(KafkaSettings("b:9092", "t", named))


def test_the_defaults_hold_where_nothing_is_chosen() -> None:
    assert config() == {**DEFAULTS, "bootstrap.servers": "b:9092"}
    assert counts_by_watermark(config())


def test_a_choice_under_either_name_replaces_the_default() -> None:
    assert config(linger_ms="5")["linger.ms"] == "5"
    assert config(queue_buffering_max_ms="5")["linger.ms"] == "5"
    assert config(compression_codec="zstd")["compression.type"] == "zstd"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"acks": "1"},
        {"acks": "0"},
        {"request_required_acks": "1"},
        {"acks": "-1"},
        {"enable_idempotence": "false"},
        {"message_timeout_ms": "1000"},
        {"delivery_timeout_ms": "1000"},
        {"linger_ms": "0", "compression_type": "none"},
        {"partitioner": "murmur2"},
    ],
)
def test_librdkafka_takes_what_follows_from_a_choice(options: dict[str, str]) -> None:
    chosen = config(**options)
    assert Producer({**chosen, "log_level": 0})  # raises where one option contradicts another


@pytest.mark.parametrize(
    ("options", "by_watermark"),
    [
        ({"acks": "-1"}, True),
        ({"acks": "ALL"}, True),
        ({"acks": "1"}, False),
        ({"enable_idempotence": "false"}, False),
        ({"enable_idempotence": "False"}, False),
        ({"enable_gapless_guarantee": "0"}, False),
        ({"enable_gapless_guarantee": "t"}, True),
        ({"message_timeout_ms": "5"}, False),
    ],
)
def test_only_the_full_guarantee_allows_counting_by_watermarks(options: dict[str, str], by_watermark: bool) -> None:
    assert counts_by_watermark(config(**options)) == by_watermark


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compression.type": "lzx"}, 'Invalid value "lzx"'),
        ({"acks": "1", "enable.idempotence": "true"}, "`acks` must be set to `all`"),
        ({"partitioner": "random"}, "partitioner is not yours to set, got 'random'"),
        ({"bootstrap.servers": "x:1"}, "use --brokers"),
        ({"bootstrap.servers": "user:hidden@x:1"}, "got '***@x:1': use --brokers"),
        ({"transactional.id": "x"}, "add --transactional"),
        ({"ssl.key.password": "hidden", "security.protocol": "sslx"}, "security.protocol"),
    ],
)
def test_options_that_do_not_work_are_a_usage_error(options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_options(KafkaSettings("127.0.0.1:1", "t", options))
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)

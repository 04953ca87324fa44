"""What the parts are told, and what they are not."""

from pathlib import Path

import pytest

from loadgen.cli.commands import CONSUME, DASHBOARD, RUN
from loadgen.config import ConsumeSettings, KafkaOptions, PipelineSettings, resolve
from loadgen.config.layers import environment
from loadgen.pipeline.pipeline import consumer_words, dashboard_words, is_timed, producer_words

SETTINGS = PipelineSettings.model_validate(
    {"brokers": "a:1,b:2", "topic": "t", "store": "hdfs://n/x", "rate": "1.5/s", "seed": 7, "duration_min": 3}
)


def test_a_producer_takes_what_it_is_told() -> None:
    words = producer_words(SETTINGS, "a:1,b:2", 2, 61.5, 4711, Path("m.json"))
    settings = RUN.parse(words[1:]).settings
    assert (settings.brokers, settings.topic, settings.format, settings.users) == ("a:1,b:2", "t", "full", 10_000)
    assert (settings.rate, settings.seed, round(settings.duration_s or 0, 3)) == (1.5, 9, 61.5)
    assert not settings.continuous
    assert (settings.metrics_port, settings.manifest, settings.folder) == (4711, Path("m.json"), None)
    assert RUN.parse(producer_words(SETTINGS, "a:1", 0, None, 1, Path("m"))[1:]).settings.continuous


def test_events_bear_the_time_at_which_they_are_due_where_simulated_time_is_not_compressed() -> None:
    natural = SETTINGS.model_copy(update={"rate": "natural"})
    words = [producer_words(settings, "a:1", 0, None, 1, Path("m")) for settings in (SETTINGS, natural)]
    assert [RUN.parse(word[1:]).settings.timestamps for word in words] == ["simulated", "wall"]
    assert [is_timed(settings) for settings in (SETTINGS, natural)] == [False, True]


def test_each_life_of_a_producer_has_another_seed_also_at_the_end_of_all_seeds() -> None:
    settings = SETTINGS.model_copy(update={"seed": 2**64 - 1})
    words = [producer_words(settings, "a:1", incarnation, None, 1, Path("m")) for incarnation in range(2)]
    assert [RUN.parse(word[1:]).settings.seed for word in words] == [2**64 - 1, 0]


def test_a_consumer_and_a_dashboard_take_what_they_are_told() -> None:
    consumed = CONSUME.parse(consumer_words(SETTINGS, "a:1", "g", 4712)[1:]).settings
    assert (consumed.brokers, consumed.group, consumed.store, consumed.rotate_interval_s) == (
        "a:1",
        "g",
        "hdfs://n/x",
        2,
    )
    assert (consumed.continuous, consumed.metrics_port) == (True, 4712)
    shown = DASHBOARD.parse(dashboard_words(SETTINGS, Path("a/flow"))[1:]).settings
    assert (shown.store, shown.port, shown.host, shown.flow) == ("hdfs://n/x", 5001, "127.0.0.1", Path("a/flow"))


def test_kafka_options_reach_a_part_by_its_environment_and_nothing_else_of_the_parent_does() -> None:
    options = KafkaOptions({"sasl.password": "a = b", "ssl.key.pem": "-----\nx=y\n-----", "log_level": "0"})
    given = {"PATH": "/bin", "LOADGEN_USERS": "5", "LOADGEN_CACHE": "/c", "LOADGEN_KAFKA_OPTION_CLIENT_ID": "me"}
    variables = environment(given, options)
    assert {name for name in variables if name.startswith("LOADGEN_")} == {
        "LOADGEN_CACHE",
        "LOADGEN_KAFKA_OPTION",
        "LOADGEN_KAFKA_OPTION_SSL_KEY_PEM",
    }
    assert variables["PATH"] == "/bin"
    found = resolve(ConsumeSettings, {"brokers": "a:1"}, variables).settings.kafka_option
    assert found == options


def test_no_kafka_option_stands_on_a_command_line() -> None:
    settings = SETTINGS.model_copy(update={"kafka_option": KafkaOptions({"sasl.password": "sesame"})})
    lines = (
        producer_words(settings, "a:1", 0, None, 1, Path("m")),
        consumer_words(settings, "a:1", "g", 1),
        dashboard_words(settings, Path("flow")),
    )
    assert not any("sesame" in word for line in lines for word in line)


def test_encoding_and_registry_reach_the_parts_and_its_options_by_the_environment_only() -> None:
    secret = {"basic.auth.user.info": "me:sesame"}
    registry = {"schema_registry": "http://r:8081", "registry_config": "r.properties", "registry_option": secret}
    settings = PipelineSettings.model_validate({"brokers": "a:1", "encoding": "avro", "duration_min": 1, **registry})
    words = producer_words(settings, "a:1", 0, 60.0, 1, Path("m")), consumer_words(settings, "a:1", "g", 1)
    assert not any("sesame" in word for line in words for word in line)
    produced, consumed = RUN.parse(words[0][1:]).settings, CONSUME.parse(words[1][1:]).settings
    assert (produced.encoding, produced.schema_registry) == ("avro", "http://r:8081")
    assert (consumed.schema_registry, consumed.registry_config) == ("http://r:8081", Path("r.properties"))
    variables = environment({}, KafkaOptions({"log_level": "0"}), settings.registry_option)
    assert resolve(ConsumeSettings, {"brokers": "a:1"}, variables).settings.registry_option == secret


def test_an_encoding_with_a_schema_needs_a_registry() -> None:
    with pytest.raises(ValueError, match="an encoding with a schema needs a schema registry"):
        PipelineSettings.model_validate({"brokers": "a:1", "encoding": "avro", "duration_min": 1})

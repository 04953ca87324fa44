"""librdkafka's table of properties is the bundled library's, and every option is held against it."""

import csv
import re
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, libversion

from loadgen.config import RunSettings, resolve
from loadgen.config.kafka_options import VERSION, java_options, problem, properties
from loadgen.errors import UsageError

ON_WINDOWS = ("ssl.ca.certificate.stores",)
OF_PYTHON = ("delivery.report.only.error", "sasl.oauthbearer.metadata.authentication.type")
"""confluent_kafka looks at these itself, and wants another type or other options with them."""


def test_the_table_is_of_the_bundled_library() -> None:
    """Where it is not: compare librdkafka.csv with CONFIGURATION.md of that release, then raise VERSION."""
    assert libversion()[0] == VERSION


def test_every_default_is_taken_by_a_real_client() -> None:
    for client, use in ((Producer, "P"), (Consumer, "C")):
        found = [
            one for one in properties().values() if one.use in (use, "*") and one.name not in OF_PYTHON + ON_WINDOWS
        ]
        config = {one.name: one.default for one in found if one.default}
        client({**config, "group.id": "g", "sasl.mechanisms": "PLAIN", "sasl.mechanism": "PLAIN"})


def test_every_default_passes_the_check() -> None:
    wrong = [problem(name, found.default) for name, found in properties().items() if found.default]
    assert list(filter(None, wrong)) == []


def refusal(name: str, value: str) -> str:
    with pytest.raises(KafkaException) as refused:
        Producer({name: value})
    return str(refused.value.args[0].str())


def test_every_range_is_the_bundled_librarys() -> None:
    for name, found in properties().items():
        if found.type in ("integer", "float"):
            beyond = refusal(name, str(found.high + 1))
            assert re.findall(r"allowed range (-?\d+)\.\.(-?\d+)", beyond) == [(str(found.low), str(found.high))], name


def test_every_name_of_an_enumeration_is_taken_and_no_other() -> None:
    for name, found in properties().items():
        if found.names and name not in OF_PYTHON:
            for value in found.names:
                with pytest.raises(KafkaException, match=re.escape("no.such.option")):
                    Producer({name: value, "no.such.option": "1"})  # refused for the second one only
            assert 'Invalid value "no-such"' in refusal(name, "no-such")


def test_every_name_in_the_table_is_one_of_the_librarys() -> None:
    for name, found in properties().items():
        if found.type != "callback" and name not in OF_PYTHON:
            with pytest.raises(KafkaException) as refused:
                Producer({name: found.default or "x", "no.such.option": "1"})
            assert f'No such configuration property: "{name}"' not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "step"),
    [
        ("linger.ms", "2s", "write linger.ms=2000"),
        ("linger.ms", "1m30s", "write linger.ms=90000"),
        ("linger.ms", "7 # comment", "write linger.ms=7"),
        ("linger.ms", "2,5", "the default is 5"),
        ("linger.ms", "", "the default is 5"),
        ("linger.ms", "-5", "the default is 5"),
        ("socket.timeout.ms", "60s", "write socket.timeout.ms=60000"),
        ("socket.timeout.ms", "10min", "the default is 60000"),
        ("socket.timeout.ms", "0x3e8", "write socket.timeout.ms=1000"),
        ("socket.timeout.ms", "010", "write socket.timeout.ms=10"),
        ("batch.num.messages", "10k", "write batch.num.messages=10000"),
        ("batch.num.messages", "1_000", "write batch.num.messages=1000"),
        ("batch.num.messages", "10,000", "write batch.num.messages=10000"),
        ("batch.num.messages", "1.5", "the default is 10000"),
        ("batch.num.messages", "many", "the default is 10000"),
        ("batch.size", "64k", "write batch.size=65536"),
        ("message.max.bytes", "1MB", "write message.max.bytes=1048576"),
        ("queue.buffering.max.kbytes", "1G", "write queue.buffering.max.kbytes=1048576"),
        ("acks", "2000", "the default is -1"),
        ("enable.idempotence", "yes", "write enable.idempotence=true"),
        ("compression.type", "lz5", "did you mean lz4?"),
        ("compression.type", "inherit", "write for example compression.type=none"),
        ("ssl.endpoint.identification.algorithm", "", "write for example ssl.endpoint.identification.algorithm=none"),
        ("debug", "broker,mgs", "did you mean msg?"),
        ("error_cb", "x", "leave it out"),
        ("linger.mss", "3", "did you mean linger.ms?"),
        ("LINGER.MS", "3", "did you mean linger.ms?"),
        ("linger_ms", "3", "did you mean linger.ms?"),
        ("qqqqqqqq", "3", f"see CONFIGURATION.md of librdkafka {VERSION}"),
        ("buffer.memory", "33554432", "the Java client's: write queue.buffering.max.kbytes, in KiB"),
        ("bufer.memory", "33554432", "did you mean the Java client's buffer.memory? Then write queue.buffering.max"),
        ("sasl.jaas.config", "x", "write sasl.username and sasl.password"),
        ("ssl.truststore.location", "x", "write ssl.ca.location, a PEM file"),
        ("key.serializer", "x", "leave it out"),
    ],
)
def test_a_wrong_option_is_answered_with_what_was_meant(name: str, value: str, step: str) -> None:
    said = problem(name, value, "from --kafka-option")
    assert said is not None
    assert step in said
    assert name in said
    assert "from --kafka-option" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("acks", "all"),
        ("acks", "-1"),
        ("linger.ms", "2.5"),
        ("compression.type", "LZ4"),
        ("security.protocol", "SASL_SSL"),
        ("enable.idempotence", "True"),
        ("debug", "generic, broker"),
        ("sasl.password", "anything: at all"),
        ("ssl.ca.location", ""),
    ],
)
def test_what_librdkafka_takes_is_taken(name: str, value: str) -> None:
    assert problem(name, value) is None


def names_of_java_clients() -> set[str]:
    lines = Path(__file__).with_name("java_client_options.csv").read_text(encoding="utf-8").splitlines()
    return {row["name"] for row in csv.DictReader(line for line in lines if not line.startswith("#"))}


def test_every_option_of_the_java_clients_is_known() -> None:
    assert len(names_of_java_clients()) == 150
    assert names_of_java_clients() - set(properties()) - set(java_options()) == set()


def test_every_java_name_is_one_of_the_java_clients() -> None:
    assert set(java_options()) - names_of_java_clients() == set()


def test_what_is_written_instead_of_a_java_name_exists() -> None:
    for name, step in java_options().items():
        assert name not in properties()
        instead = re.match(r"write ([a-z.]+[a-z])", step)
        assert not instead or instead[1] in properties(), name


def test_every_wrong_option_of_a_command_line_is_told_at_once_with_its_origin() -> None:
    with pytest.raises(UsageError) as refused:
        resolve(
            RunSettings, {"kafka_option": ["linger.ms=2s", "acks=x"]}, {"LOADGEN_KAFKA_OPTION_BATCH_NUM_MESSAGES": "1k"}
        )
    assert str(refused.value).splitlines() == [
        "Kafka option linger.ms must be a number of milliseconds 0..900000, got '2s' (from --kafka-option); "
        "write linger.ms=2000",
        "Kafka option acks must be a whole number -1..1000, got 'x' (from --kafka-option); the default is -1",
        "Kafka option batch.num.messages must be a whole number 1..1000000, got '1k' "
        "(from LOADGEN_KAFKA_OPTION_BATCH_NUM_MESSAGES); write batch.num.messages=1000",
    ]

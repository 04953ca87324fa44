"""Every field of every event, through Kafka and a real schema registry, as readers of others read it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

import loadgen
from loadgen.config.names import EncodingName
from tests.encode.confluent import Record, reader_of
from tests.integration.local import Local, jars_of
from tests.integration.spark import submit
from tests.messages import value_of
from tests.runner.program import TRACKS
from tests.sink.topic import read_topic

N_EVENTS = 100_000
WORLD: dict[str, Any] = {"users": 5000, "seed": 9, "start": "2026-01-05", "events": N_EVENTS, "tracks": int(TRACKS)}
EVERY_FIELD = "full"


@pytest.fixture(scope="module")
def events() -> dict[bytes, Record]:
    """The events of this world by session and item, without what is null."""
    return by_name_of_lines(line for batch in loadgen.events(**WORLD).lines(EVERY_FIELD) for line in batch.to_pylist())


def by_name(records: list[Record]) -> dict[bytes, Record]:
    found = {orjson.dumps([record["sessionId"], record["itemInSession"]]): record for record in records}
    assert len(found) == len(records) == N_EVENTS
    return found


def by_name_of_lines(lines: Iterable[bytes]) -> dict[bytes, Record]:
    return by_name([{name: value for name, value in orjson.loads(line).items() if value is not None} for line in lines])


@dataclass(frozen=True)
class Topic:
    """A topic with the events of this world.

    Attributes:
        schema: of its messages.
    """

    name: str
    schema: str
    broker: Local
    registry: Local


@pytest.fixture(scope="module")
def topic_of(
    one_broker: Local, one_registry: Local, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[EncodingName], Topic]:
    """The topic of an encoding, filled once."""
    one_broker.up()
    one_registry.up()

    @cache
    def filled(encoding: EncodingName) -> Topic:
        topic = f"as-{encoding}"
        result = loadgen.run(
            **WORLD,
            format=EVERY_FIELD,
            brokers=one_broker.brokers,
            topic=topic,
            create_topic=True,
            encoding=encoding,
            schema_registry=one_registry.registry_url,
            key="session",
            key_type="avro",
            rate="max",
            workers=2,
            manifest=tmp_path_factory.mktemp("run") / "run.json",
        )
        assert result.problems == ()
        assert result.summary["delivered"] == N_EVENTS
        manifest = json.loads(result.manifest.read_text())
        assert manifest["subject"] == f"{topic}-value"
        return Topic(topic, manifest["schema_text"], one_broker, one_registry)

    return filled


@pytest.mark.parametrize("encoding", ["avro", "protobuf", "jsonschema"])
def test_confluents_deserializers_read_what_the_same_seed_gives(
    encoding: EncodingName, topic_of: Callable[[EncodingName], Topic], events: dict[bytes, Record]
) -> None:
    topic = topic_of(encoding)
    messages = read_topic(topic.broker.brokers, topic.name)
    with reader_of(encoding, topic.registry.registry_url, topic.schema, topic.name) as record_of:
        assert by_name([record_of(value_of(message)) for message in messages]) == events


@pytest.mark.parametrize(("encoding", "serde"), [("avro", "avro.Avro"), ("jsonschema", "jsonschema.JsonSchema")])
def test_javas_console_consumer_reads_it_by_apicurios_deserializers(
    encoding: EncodingName, serde: str, topic_of: Callable[[EncodingName], Topic], events: dict[bytes, Record]
) -> None:
    topic = topic_of(encoding)
    options = {
        "apicurio.registry.url": topic.registry.registry_url.replace("ccompat/v7", "registry/v2"),
        "apicurio.registry.as-confluent": "true",
        "apicurio.registry.use-id": "contentId",
    }
    properties = {"print.key": "true"}
    for part, name in (("key", "avro.Avro"), ("value", serde)):
        properties[f"{part}.deserializer"] = f"io.apicurio.registry.serde.{name}KafkaDeserializer"
        properties |= {f"{part}.deserializer.{option}": value for option, value in options.items()}
    jars = ":".join(map(str, [*jars_of("kafka"), *jars_of("serde")]))
    words = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", jars]
    words += ["org.apache.kafka.tools.consumer.ConsoleConsumer"]
    words += ["--bootstrap-server", topic.broker.brokers, "--topic", topic.name, "--from-beginning"]
    words += ["--timeout-ms", "20000", "--max-messages", str(N_EVENTS)]
    words += [word for pair in properties.items() for word in ("--formatter-property", "=".join(pair))]
    done = subprocess.run(words, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    keys, lines = zip(*(line.split(b"\t") for line in done.stdout.splitlines()), strict=True)
    assert by_name_of_lines(lines) == events
    assert [orjson.loads(line)["sessionId"] for line in lines] == list(map(int, keys))


@pytest.mark.usefixtures("needs_spark")
def test_spark_reads_avro_by_from_avro(
    topic_of: Callable[[EncodingName], Topic], events: dict[bytes, Record], tmp_path: Path
) -> None:
    topic = topic_of("avro")
    (tmp_path / "schema.avsc").write_text(topic.schema)
    words = (topic.broker.brokers, topic.name, str(tmp_path / "schema.avsc"), str(tmp_path / "read"))
    done = submit(tmp_path, Path(__file__).with_name("from_avro.py"), *words, jars=jars_of("spark"))
    assert done.returncode == 0, done.stderr
    files = (tmp_path / "read").glob("*.json")
    assert by_name_of_lines(line for file in files for line in file.read_bytes().splitlines()) == events


def test_a_topic_of_all_encodings_is_stored_and_proved(broker: Local, registry: Local, tmp_path: Path) -> None:
    where: dict[str, Any] = {"brokers": broker.brokers, "topic": "mixed"}
    encodings: dict[EncodingName, dict[str, Any]] = {
        "avro": {"subject_name": "topic-record", "key": "session", "key_type": "avro", "header": ["song={song}"]},
        "protobuf": {"subject_name": "topic", "key": "artist", "cloudevents": "binary"},
        "jsonschema": {"subject_name": "record", "key": "session", "key_type": "int64", "cloudevents": "binary"},
        "json": {"key_type": "avro", "cloudevents": "structured"},
    }
    runs = [
        loadgen.run(
            **{**WORLD, "seed": seed, "events": 5000},
            **where,
            format=EVERY_FIELD,
            create_topic=True,
            encoding=encoding,
            schema_registry=registry.registry_url,
            **more,
            rate="max",
            manifest=tmp_path / f"{encoding}.json",
        )
        for seed, (encoding, more) in enumerate(encodings.items())
    ]
    flags = ["--brokers", broker.brokers, "--topic", "mixed", "--schema-registry", registry.registry_url]
    for file_format in ("jsonl", "parquet", "avro"):
        store = str(tmp_path / file_format)
        to = ["--store", store, "--file-format", file_format, "--group", file_format, "--until-idle", "3"]
        words = [sys.executable, "-m", "loadgen", "consume", *flags, *to, "--metrics-port", "0", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        manifests = [str(run.manifest) for run in runs]
        places: list[dict[str, Any]] = [{"store": store}, where]
        for place in places:
            report = loadgen.verify(manifests, **place)
            assert report.proved, report

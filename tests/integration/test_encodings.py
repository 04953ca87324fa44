"""Every field of every event, through Kafka and a real schema registry, as Confluent's deserializers read it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

import loadgen
from loadgen.config.names import EncodingName
from tests.encode.confluent import Record, reader_of
from tests.integration.local import Local
from tests.messages import value_of
from tests.runner.program import TRACKS
from tests.sink.topic import read_topic

N_EVENTS = 100_000
WORLD: dict[str, Any] = {"users": 5000, "seed": 9, "start": "2026-01-05", "events": N_EVENTS, "tracks": int(TRACKS)}
EVERY_FIELD = "full"


@pytest.fixture(scope="module")
def events() -> dict[bytes, Record]:
    """The events of this world by session and item, without what is null."""
    lines = [line for batch in loadgen.events(**WORLD).lines(EVERY_FIELD) for line in batch.to_pylist()]
    return by_name([{name: value for name, value in orjson.loads(line).items() if value is not None} for line in lines])


def by_name(records: list[Record]) -> dict[bytes, Record]:
    found = {orjson.dumps([record["sessionId"], record["itemInSession"]]): record for record in records}
    assert len(found) == len(records) == N_EVENTS
    return found


@pytest.mark.parametrize("encoding", ["avro", "protobuf", "jsonschema"])
def test_confluents_deserializers_read_what_the_same_seed_gives(
    encoding: EncodingName, broker: Local, registry: Local, events: dict[bytes, Record], tmp_path: Path
) -> None:
    topic = f"as-{encoding}"
    result = loadgen.run(
        **WORLD,
        format=EVERY_FIELD,
        brokers=broker.brokers,
        topic=topic,
        create_topic=True,
        encoding=encoding,
        schema_registry=registry.registry_url,
        rate="max",
        workers=2,
        manifest=tmp_path / "run.json",
    )
    assert result.problems == ()
    assert result.summary["delivered"] == N_EVENTS
    manifest = json.loads(result.manifest.read_text())
    assert manifest["subject"] == f"{topic}-value"
    messages = read_topic(broker.brokers, topic)
    with reader_of(encoding, registry.registry_url, manifest["schema_text"], topic) as record_of:
        assert by_name([record_of(value_of(message)) for message in messages]) == events


def test_a_topic_of_all_encodings_is_stored_and_proved(broker: Local, registry: Local, tmp_path: Path) -> None:
    where: dict[str, Any] = {"brokers": broker.brokers, "topic": "mixed"}
    encodings: dict[EncodingName, str] = {
        "avro": "topic-record",
        "protobuf": "topic",
        "jsonschema": "record",
        "json": "topic",
    }
    runs = [
        loadgen.run(
            **{**WORLD, "seed": seed, "events": 5000},
            **where,
            format=EVERY_FIELD,
            create_topic=True,
            encoding=encoding,
            schema_registry=None if encoding == "json" else registry.registry_url,
            subject_name=strategy,
            rate="max",
            manifest=tmp_path / f"{encoding}.json",
        )
        for seed, (encoding, strategy) in enumerate(encodings.items())
    ]
    flags = ["--brokers", broker.brokers, "--topic", "mixed", "--schema-registry", registry.registry_url]
    for file_format in ("jsonl", "parquet"):
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

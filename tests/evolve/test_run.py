"""A run sends its events by a user's own schema; every reader reads them, and `verify` proves them."""

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadgen.cli import main
from loadgen.config.names import EncodingName
from loadgen.errors import ManifestError, UsageError
from loadgen.record import read
from tests.encode.confluent import reader_of
from tests.kafka.fake_registry import FakeRegistry
from tests.messages import value_of
from tests.mock_cluster import MockCluster
from tests.runner.plans import plan_of
from tests.runner.program import start
from tests.sink.topic import n_in_topic, read_topic
from tests.verifier.runs import counts_of, ran, verified
from tests.verifier.test_encodings import sent_again

SIZE = ("--users", "200", "--events", "1500", "--rate", "max", "--workers", "2", "--topic", "t")
AVRO: dict[str, Any] = {
    "type": "record",
    "name": "Play",
    "namespace": "com.example",
    "fields": [
        {"name": "user_id", "aliases": ["userId"], "type": "long"},
        {"name": "at", "aliases": ["ts"], "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "sessionId", "type": "long"},
        {"name": "itemInSession", "type": "long"},
        {"name": "page", "type": ["null", "string"], "default": None},
        {"name": "tier", "type": {"type": "enum", "name": "Tier", "symbols": ["paid", "free"]}, "aliases": ["level"]},
        {"name": "song", "type": "string", "default": "none"},
        {
            "name": "length",
            "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}],
            "default": None,
        },
        {"name": "plan", "type": "string", "default": "basic"},
        {"name": "is_test", "type": "boolean", "default": True},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "until", "type": {"type": "int", "logicalType": "date"}, "default": 20000},
    ],
}


PROTOBUF = """syntax = "proto3";
package com.example;
message Play {
  sfixed64 at = 1;  // of ts
  int64 user_id = 2;
  int64 sessionId = 3;
  uint32 itemInSession = 8;
  optional string page = 4;
  string tier = 7;
  string song = 12;
  optional double length = 13;
  bool is_test = 21;
  string plan = 20;
}
"""
JSON = json.dumps(
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Play",
        "type": "object",
        "properties": {
            "user_id": {"type": "integer", "aliases": ["userId"]},
            "at": {"type": "string", "format": "date-time", "aliases": ["ts"]},
            "sessionId": {"type": "integer"},
            "itemInSession": {"type": "integer"},
            "page": {"type": ["null", "string"], "default": None},
            "tier": {"type": "string", "enum": ["paid", "free"], "aliases": ["level"]},
            "song": {"type": "string", "default": "none"},
            "length": {"oneOf": [{"type": "null"}, {"type": "number"}]},
            "plan": {"type": "string", "default": "basic"},
            "is_test": {"type": "boolean", "default": True},
        },
        "required": ["user_id", "at", "sessionId", "itemInSession", "song", "length", "plan"],
        "additionalProperties": False,
    }
)
SCHEMAS: dict[EncodingName, str] = {"avro": json.dumps(AVRO), "protobuf": PROTOBUF, "jsonschema": JSON}


def without(text: str, *names: str) -> str:
    """A schema without these fields."""
    if text == PROTOBUF:
        return "\n".join(line for line in text.splitlines() if not any(f" {name} =" in line for name in names))
    found = json.loads(text)
    if "fields" in found:
        found["fields"] = [field for field in found["fields"] if field["name"] not in names]
    else:
        found["properties"] = {name: of for name, of in found["properties"].items() if name not in names}
    return json.dumps(found)


@pytest.fixture
def broker() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


def written(folder: Path, schema: Any) -> Path:
    path = folder / "own.schema"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return path


def flags(encoding: str, registry: FakeRegistry, broker: MockCluster, schema: Path) -> tuple[str, ...]:
    where = ("--brokers", broker.address, "--encoding", encoding, "--schema-registry", registry.url)
    return (*where, "--schema", str(schema), *SIZE)


@pytest.mark.parametrize("encoding", SCHEMAS)
def test_an_evolved_schema_is_sent_read_proved_and_stored(
    encoding: EncodingName, registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    given = ("--folder", "out", "--subject-name", "record")
    manifest = ran(tmp_path, *flags(encoding, registry, broker, written(tmp_path, SCHEMAS[encoding])), *given)
    ((subject, schema),) = registry.schemas
    assert (subject, schema["schema"]) == ({"jsonschema": "Play"}.get(encoding, "com.example.Play"), SCHEMAS[encoding])
    assert read(manifest).schema_text == SCHEMAS[encoding]
    events = {(event["sessionId"], event["itemInSession"]): event for event in _events(tmp_path / "out")}
    assert len(events) == 1500
    with reader_of(encoding, registry.url, schema["schema"], "t") as record_of:
        records = [record_of(value_of(message)) for message in read_topic(broker.address)]
    assert len(records) == 1500
    for record in records:
        _check(encoding, record, events[record["sessionId"], record["itemInSession"]])
    (tmp_path / "own.schema").unlink()
    report = verified(manifest, brokers=broker.address, topic="t")
    assert report.findings.is_proved, report.as_text()
    assert verified(manifest, files=[str(tmp_path / "out")]).findings.is_proved
    where = ("--brokers", broker.address, "--topic", "t", "--schema-registry", registry.url, "--store", "store")
    with contextlib.chdir(tmp_path):
        assert main(["consume", *where, "--until-idle", "2s", "--metrics-port", "0", "--quiet"]) == 0
        with pytest.raises(ManifestError, match=r"adds 'is_test'.*, which only the topic is compared with"):
            verified(manifest, store="store")


def _check(encoding: EncodingName, record: dict[str, Any], event: dict[str, Any]) -> None:
    """A record must have what the event has."""
    at = record["at"] if encoding == "protobuf" else datetime.fromisoformat(record["at"]).timestamp() * 1000
    assert round(at) == event["ts"]
    assert (record["user_id"], record["tier"], record["is_test"]) == (
        event["userId"],
        event["level"],
        encoding != "protobuf",
    )
    assert record["song"] == event.get("song", "" if encoding == "protobuf" else "none")
    assert (float(record["length"]) if "length" in record else None) == event.get("length")
    assert record["plan"] == ("" if encoding == "protobuf" else "basic")


@pytest.mark.parametrize("encoding", SCHEMAS)
def test_a_changed_default_is_found(
    encoding: EncodingName, registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    manifest = ran(tmp_path, *flags(encoding, registry, broker, written(tmp_path, SCHEMAS[encoding])))
    messages = read_topic(broker.address)
    values = [value_of(message) for message in messages]
    old, new = {
        "avro": (b"\x01\x00\xc0\xb8\x02", b"\x00\x00\xc0\xb8\x02"),
        "protobuf": (b"", b"\xa8\x01\x01"),
        "jsonschema": (b'"is_test":true', b'"is_test":false'),
    }[encoding]
    changed = values[7].replace(old, new) if old else values[7] + new
    assert changed != values[7]
    with MockCluster() as other:
        sent_again(other.address, messages, [*values[:7], changed, *values[8:]])
        report = verified(manifest, brokers=other.address, topic="t")
    assert sum(counts_of(report).values()) in (1, 2), report.as_text()
    assert not report.findings.is_proved


@pytest.mark.parametrize("encoding", SCHEMAS)
def test_what_the_store_keeps_of_texts_and_numbers_is_proved_there(
    encoding: EncodingName, registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    text = without(SCHEMAS[encoding], "is_test", "until").replace('"at"', '"timestamp"').replace(" at =", " ts =")
    manifest = ran(tmp_path, *flags(encoding, registry, broker, written(tmp_path, text)))
    where = ("--brokers", broker.address, "--topic", "t", "--schema-registry", registry.url, "--store", "store")
    with contextlib.chdir(tmp_path):
        assert main(["consume", *where, "--until-idle", "2s", "--metrics-port", "0", "--quiet"]) == 0
        report = verified(manifest, store="store")
    assert report.findings.is_proved, report.as_text()
    assert report.findings.n_found == 1500


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    for file in folder.rglob("*.jsonl"):
        yield from map(orjson.loads, file.read_bytes().splitlines())


def test_a_field_that_cannot_be_filled_is_named_before_registry_and_brokers_are_asked(
    registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    fields = [*AVRO["fields"], {"name": "email", "type": "string"}, {"name": "age", "type": "boolean"}]
    words = flags("avro", registry, broker, written(tmp_path, AVRO | {"fields": fields}))
    code, _, shown = start(tmp_path, *words, "--brokers", "127.0.0.1:1").end()
    assert code == 2
    assert (
        "error: --schema: format activity cannot fill field 'email' (the format has no such field, and it has no "
        "default), field 'age' (no format has values of the type boolean); correct the schema, or"
    ) in shown
    assert registry.server.requests == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is no JSON"),
        ('"string"', "an Avro schema of events must be a record"),
        (AVRO | {"fields": []}, "it has no fields"),
        (AVRO | {"fields": AVRO["fields"] * 2}, "it has the field 'user_id' twice"),
        (AVRO | {"fields": [{"name": "a b", "type": "int"}]}, "'a b' is no name of Avro"),
        (AVRO | {"fields": [{"name": "a", "type": "text"}]}, "there is no type 'text'"),
        (
            AVRO | {"fields": [{"name": "a", "type": "int", "default": "1"}]},
            "the default of field 'a' must be of its type",
        ),
    ],
)
def test_what_is_no_schema_is_said(
    text: Any, said: str, registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    where = {"brokers": broker.address, "topic": "t", "encoding": "avro", "schema_registry": registry.url}
    with pytest.raises(UsageError) as caught:
        plan_of(**where, schema=str(written(tmp_path, text)))
    assert said in str(caught.value)


def test_a_schema_file_must_be_there_and_needs_an_encoding(
    registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    where = {"brokers": broker.address, "topic": "t", "schema_registry": registry.url, "schema": str(tmp_path / "none")}
    with pytest.raises(UsageError, match=r"--schema must be a file with a schema, got .*none': No such file"):
        plan_of(**where, encoding="avro")
    with pytest.raises(ValueError, match="a schema needs an encoding that has one"):
        plan_of(**where)


def test_a_run_without_what_tells_events_apart_is_sent_and_said_to_have_no_proof(
    registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    schema = AVRO | {"fields": [field for field in AVRO["fields"] if field["name"] != "user_id"]}
    manifest = ran(tmp_path, *flags("avro", registry, broker, written(tmp_path, schema)))
    assert n_in_topic(broker.address) == 1500
    with pytest.raises(ManifestError, match="must have what tells events apart"):
        verified(manifest, brokers=broker.address, topic="t")

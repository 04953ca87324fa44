"""A run sends its events by a user's own schema; every reader reads them, and `verify` proves them."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadgen.errors import ManifestError, UsageError
from loadgen.record import read
from tests.encode.confluent import reader_of
from tests.kafka.fake_registry import FakeRegistry, running
from tests.messages import value_of
from tests.mock_cluster import MockCluster
from tests.runner.plans import plan_of
from tests.runner.program import start
from tests.sink.topic import n_in_topic, read_topic
from tests.verifier.runs import ran, verified

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


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running() as found:
        yield found


@pytest.fixture
def broker() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


def written(folder: Path, schema: Any) -> Path:
    path = folder / "own.avsc"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return path


def flags(encoding: str, registry: FakeRegistry, broker: MockCluster, schema: Path) -> tuple[str, ...]:
    where = ("--brokers", broker.address, "--encoding", encoding, "--schema-registry", registry.url)
    return (*where, "--schema", str(schema), *SIZE)


def test_an_evolved_avro_schema_is_sent_read_proved_and_stored(
    registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    given = ("--folder", "out", "--subject-name", "record")
    manifest = ran(tmp_path, *flags("avro", registry, broker, written(tmp_path, AVRO)), *given)
    ((subject, schema),) = registry.schemas
    assert (subject, json.loads(schema["schema"])) == ("com.example.Play", AVRO)
    assert read(manifest).schema_text == schema["schema"]
    events = {(event["sessionId"], event["itemInSession"]): event for event in _events(tmp_path / "out")}
    assert len(events) == 1500
    with reader_of("avro", registry.url, schema["schema"], "t") as record_of:
        records = [record_of(value_of(message)) for message in read_topic(broker.address)]
    assert len(records) == 1500
    for record in records:
        event = events[record["sessionId"], record["itemInSession"]]
        assert record.keys() <= {field["name"] for field in AVRO["fields"]}
        assert round(datetime.fromisoformat(record["at"]).timestamp() * 1000) == event["ts"]
        assert (record["user_id"], record["tier"], record["plan"]) == (event["userId"], event["level"], "basic")
        assert record["is_test"] is True
        assert record["song"] == event.get("song", "none")
        assert (float(record["length"]) if "length" in record else None) == event.get("length")
    (tmp_path / "own.avsc").unlink()
    report = verified(manifest, brokers=broker.address, topic="t")
    assert report.findings.is_proved, report.as_text()
    assert verified(manifest, files=[str(tmp_path / "out")]).findings.is_proved


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    for file in folder.rglob("*.jsonl"):
        yield from map(orjson.loads, file.read_bytes().splitlines())


def test_a_field_that_cannot_be_filled_is_named_before_the_first_event_and_the_registry_is_not_asked(
    registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    fields = [*AVRO["fields"], {"name": "email", "type": "string"}, {"name": "age", "type": "boolean"}]
    code, _, shown = start(
        tmp_path, *flags("avro", registry, broker, written(tmp_path, AVRO | {"fields": fields}))
    ).end()
    assert code == 2
    assert (
        "error: --schema: format activity cannot fill field 'email' (the format has no such field, and it has no "
        "default), field 'age' (no format has values of the type boolean); correct the schema, or"
    ) in shown
    assert registry.server.requests == []
    assert n_in_topic(broker.address) == 0


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

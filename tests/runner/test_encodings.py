"""A run sends Avro, Protobuf and JSON Schema as Confluent's readers expect, by a schema known before it begins."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from confluent_kafka.serialization import SerializationError

import loadgen
from loadgen.config.names import EncodingName
from loadgen.encode.encodings import schema_text
from loadgen.errors import LoadgenError, RegistryError, RegistryUnreachable, SchemaMissing, UsageError
from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.formats import BUILT_IN
from loadgen.ledger import Fingerprint
from loadgen.record import read
from loadgen.verifier.manifest_spec import PlaceKind, read_promises
from loadgen.verifier.names import HashedNames
from loadgen.verifier.regenerator import Regenerator, find_catalog
from tests.encode.confluent import Record, reader_of
from tests.kafka.fake_registry import FIRST_ID, FakeRegistry, running
from tests.kafka.http_server import serving, with_status
from tests.messages import value_of
from tests.mock_cluster import MockCluster
from tests.ports import free_port
from tests.runner.plans import plan_of
from tests.runner.program import TRACKS, adds_up, run_here, start, wait_until
from tests.sink.topic import n_in_topic, read_topic, without_repeats
from tests.verifier.runs import verified

ENCODINGS: tuple[EncodingName, ...] = ("avro", "protobuf", "jsonschema")
WORLD: dict[str, Any] = {"users": 300, "seed": 9, "start": "2026-01-05", "events": 3000, "tracks": int(TRACKS)}


@pytest.fixture
def broker() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


def flags(encoding: str, registry: FakeRegistry, broker: MockCluster, *more: str) -> tuple[str, ...]:
    """Of a run of this world to the broker."""
    world = [word for name, value in WORLD.items() if name != "tracks" for word in (f"--{name}", str(value))]
    where = ("--brokers", broker.address, "--topic", "t", "--encoding", encoding, "--schema-registry", registry.url)
    return (*world, *where, "--workers", "2", "--rate", "max", *more)


def events(wire_format: str = "activity") -> list[Record]:
    """The events of this world, sorted, without what is null."""
    lines = [line for batch in loadgen.events(**WORLD).lines(wire_format) for line in batch.to_pylist()]
    return ordered({name: value for name, value in orjson.loads(line).items() if value is not None} for line in lines)


def records_in(broker: MockCluster, registry: FakeRegistry, encoding: EncodingName) -> list[Record]:
    """What a deserializer reads of the topic, sorted."""
    with reader_of(encoding, registry.url, registry.schemas[0][1]["schema"], "t") as record_of:
        return ordered(record_of(value_of(message)) for message in without_repeats(read_topic(broker.address)))


def ordered(records: Any) -> list[Record]:
    return sorted(records, key=lambda record: json.dumps(record, sort_keys=True))


@pytest.mark.parametrize("wire_format", ["listen", "full"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_confluents_deserializer_reads_every_event_of_a_run(
    encoding: EncodingName, wire_format: str, registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    code, summary, shown = run_here(tmp_path, *flags(encoding, registry, broker, "--format", wire_format))
    assert code == 0, shown
    assert f"encoding   {encoding}, schema {FIRST_ID} of t-value" in shown
    assert "the first 3 events:" in shown
    assert shown.count('"device": ') == 3, "they are shown as JSON"
    values = [value_of(message) for message in read_topic(broker.address)]
    ((subject, _),) = registry.schemas
    assert subject == "t-value"
    assert len(registry.server.requests) == 1, "the registry is asked once, by the coordinator"
    assert records_in(broker, registry, encoding) == events(wire_format)
    assert summary["bytes"] == sum(map(len, values))
    record = read(tmp_path / summary["manifest"])
    text = schema_text(encoding, BUILT_IN[wire_format])
    assert (record.encoding, record.schema_id, record.subject, record.schema_text) == (
        encoding,
        FIRST_ID,
        "t-value",
        text,
    )


def test_files_beside_kafka_have_json_lines(registry: FakeRegistry, broker: MockCluster, tmp_path: Path) -> None:
    code, summary, shown = run_here(tmp_path, *flags("avro", registry, broker, "--output", "out.jsonl"))
    assert code == 0, shown
    assert ordered(map(orjson.loads, (tmp_path / "out.jsonl").read_bytes().splitlines())) == events()
    assert records_in(broker, registry, "avro") == events()
    sinks = json.loads((tmp_path / summary["manifest"]).read_text())["sinks"]
    assert sinks["kafka"]["fingerprint"] == sinks["stream"]["fingerprint"]


def test_the_events_are_those_of_json_and_have_the_same_fingerprint(
    registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    fingerprints = []
    for encoding in ("json", *ENCODINGS):
        summary = run_here(tmp_path, *flags(encoding, registry, broker))[1]
        fingerprints.append(json.loads((tmp_path / summary["manifest"]).read_text())["sinks"]["kafka"]["fingerprint"])
    assert fingerprints == [fingerprints[0]] * 4


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_malformed_events_are_read_by_no_deserializer(
    encoding: EncodingName, registry: FakeRegistry, broker: MockCluster, tmp_path: Path
) -> None:
    spoilt = flags(encoding, registry, broker, "--impair", "malform=0.1", "--folder", "out")
    code, summary, shown = run_here(tmp_path, *spoilt)
    assert code == 0, shown
    n_broken, messages = 0, read_topic(broker.address)
    with reader_of(encoding, registry.url, registry.schemas[0][1]["schema"], "t") as record_of:
        for message in messages:
            try:
                record_of(value_of(message))
            except (SerializationError, ValueError, EOFError, IndexError, TypeError):
                n_broken += 1
    assert n_broken == summary["impaired"]["malform"] > 200
    assert verified(tmp_path / summary["manifest"], brokers=broker.address, topic="t").findings.is_proved
    places: tuple[PlaceKind, ...] = ("topic", "folder")
    for place in places:
        assert_made_again(tmp_path / summary["manifest"], place)


def assert_made_again(manifest: Path, place: PlaceKind) -> None:
    """What the manifest gives is what was delivered there, broken records included."""
    (spec,) = read_promises([manifest], place)
    remake, found = Regenerator(spec, find_catalog(spec, lambda *_: None), spec.key), Fingerprint()
    for made in remake.events(np.ones(N_VIRTUAL_SHARDS, np.bool_), HashedNames(), timeless=False):
        found.add(made.virtual_shard.astype(np.uint16), made.key)
    assert spec.sink == {"topic": "kafka", "folder": "files"}[place]
    assert (found.total == spec.delivered.total).all()


@pytest.mark.parametrize(("encoding", "fault"), [("avro", None), ("protobuf", 401), ("jsonschema", 500)])
def test_a_killed_worker_is_replaced_though_the_registry_is_away_or_refuses_since_the_start(
    encoding: EncodingName, fault: int | None, broker: MockCluster, tmp_path: Path
) -> None:
    keys = ("--key", "session", "--key-type", "avro")
    with ExitStack() as stack:
        registry = stack.enter_context(running())
        program = start(tmp_path, *flags(encoding, registry, broker, *keys, "--events", "12000", "--rate", "3k/s"))
        wait_until(lambda: n_in_topic(broker.address) > 1000)
        if fault is None:
            stack.close()  # nothing listens on its port any more
        else:
            registry.fault = with_status(fault, {"error_code": fault, "message": "no"})
        program.kill_a_worker()
        _, summary, shown = program.end()
    assert "its successor goes on" in shown
    assert adds_up(summary)
    assert [subject for subject, _ in registry.schemas] == ["t-value", "t-key"]
    assert len(registry.server.requests) == 2
    with running(registry.schemas) as later:
        found = records_in(broker, later, encoding)
    assert len({(record["sessionId"], record["itemInSession"]) for record in found}) == len(found)
    assert summary["delivered"] <= len(found) <= summary["delivered"] + summary["repeated_possibly"]


@pytest.mark.parametrize(
    ("strategy", "encoding", "subject"),
    [
        ("topic", "avro", "t-value"),
        ("record", "avro", "loadgen.Activity"),
        ("topic-record", "protobuf", "t-loadgen.Activity"),
        ("record", "jsonschema", "Activity"),
    ],
)
def test_the_schema_is_registered_under_the_subject_that_is_asked_for(
    strategy: str, encoding: EncodingName, subject: str, registry: FakeRegistry, broker: MockCluster
) -> None:
    plan = planned(broker, registry.url, encoding=encoding, subject_name=strategy)
    text = schema_text(encoding, BUILT_IN["activity"])
    assert (plan.schema.id, plan.schema.subject, plan.schema.text) == (FIRST_ID, subject, text)
    kinds = {"protobuf": "PROTOBUF", "jsonschema": "JSON", "avro": "AVRO"}
    assert [(name, schema["schemaType"]) for name, schema in registry.schemas] == [(subject, kinds[encoding])]


def test_each_topic_of_a_map_has_a_subject_and_all_have_one_id(registry: FakeRegistry, broker: MockCluster) -> None:
    for topic in ("plays", "rest"):
        broker.add_topic(topic, 3)
    mapped: dict[str, Any] = {"topic": "music-streaming-events", "topic_map": "NextSong=plays,*=rest"}
    plan = planned(broker, registry.url, **mapped, subject_name="record")
    assert (plan.schema.id, plan.schema.subject) == (FIRST_ID, "loadgen.Activity")
    with pytest.raises(RegistryError, match=r"must have one id under plays-value, rest-value, got 35, 36; .* record"):
        planned(broker, registry.url, **mapped)
    assert [name for name, _ in registry.schemas] == ["loadgen.Activity", "plays-value", "rest-value"]


def planned(broker: MockCluster, url: str, **settings: Any) -> Any:
    where = {"brokers": broker.address, "topic": "t", "folder": None, "schema_registry": url, "encoding": "avro"}
    return plan_of(**where | settings)


def test_without_registering_the_schema_must_be_there(registry: FakeRegistry, broker: MockCluster) -> None:
    with pytest.raises(SchemaMissing, match=r"cannot look up a schema under 't-value': .*; register it, or"):
        planned(broker, registry.url, register=False)
    assert registry.schemas == []
    planned(broker, registry.url)
    assert planned(broker, registry.url, register=False).schema.id == FIRST_ID


@pytest.mark.parametrize(("key", "schema"), [("user", "long"), ("artist", "string"), ("drift", "double")])
def test_the_schema_of_keys_is_registered_or_looked_up(
    key: str, schema: str, registry: FakeRegistry, broker: MockCluster
) -> None:
    keyed = {"encoding": "json", "key": key, "key_type": "avro", "field": ["tests.own_fields:DRIFT"]}
    with pytest.raises(SchemaMissing, match="cannot look up a schema under 't-key': "):
        planned(broker, registry.url, **keyed, register=False)
    found = [planned(broker, registry.url, **keyed), planned(broker, registry.url, **keyed, register=False)]
    assert [(plan.key_schema.id, plan.key_schema.subject, plan.schema) for plan in found] == [
        (FIRST_ID, "t-key", None)
    ] * 2
    assert [(subject, json.loads(one["schema"])) for subject, one in registry.schemas] == [("t-key", schema)]


def test_keys_that_are_not_in_avro_need_no_schema(registry: FakeRegistry, broker: MockCluster) -> None:
    for keyed in ({"key": "none", "key_type": "avro"}, {"key": "session"}):
        assert planned(broker, registry.url, encoding="json", **keyed).key_schema is None
    assert registry.server.requests == []


def test_json_asks_no_registry(broker: MockCluster) -> None:
    assert planned(broker, f"http://127.0.0.1:{free_port()}", encoding="json").schema is None


def test_a_field_that_a_schema_cannot_name_is_said_before_the_registry_is_asked(
    registry: FakeRegistry, broker: MockCluster
) -> None:
    field = {"name": "a-b", "drawn": "choice", "values": ["x"]}
    with pytest.raises(UsageError, match=r"the name of a field must match .*, got 'a-b' in format activity"):
        planned(broker, registry.url, field=[field])
    assert registry.server.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (409, RegistryError, "incompatible with the schemas before it .*; send a compatible one"),
        (401, RegistryError, "wants a login, or does not know this one .*; give basic.auth.user.info"),
        (503, RegistryUnreachable, "fails .*; look at its log"),
    ],
)
def test_a_registry_that_refuses_ends_the_run_before_it_begins(
    status: int, kind: type[LoadgenError], said: str, broker: MockCluster
) -> None:
    with (
        serving(with_status(status, {"error_code": status, "message": "no"})) as server,
        pytest.raises(kind, match=said),
    ):
        planned(broker, server.url)
    assert n_in_topic(broker.address) == 0


def test_a_registry_that_is_away_or_hangs_is_said_within_ten_seconds_with_the_exit_code_of_a_broker(
    broker: MockCluster, tmp_path: Path
) -> None:
    began_s = time.monotonic()
    with serving(lambda request: time.sleep(30)) as server:
        code, summary, shown = run_here(
            tmp_path, "--brokers", broker.address, "--topic", "t", "--encoding", "avro", "--schema-registry", server.url
        )
    assert (code, summary) == (1, {})
    assert f"the schema registry at {server.url} does not answer within 9 s; start it, or name another" in shown
    assert time.monotonic() - began_s < 15
    assert n_in_topic(broker.address) == 0


def test_an_encoding_with_a_schema_needs_a_broker_and_a_registry() -> None:
    with pytest.raises(UsageError) as caught:
        loadgen.run(encoding="avro", output="-")
    said = str(caught.value)
    assert "encoding is of the messages in Kafka, got encoding 'avro' (argument) and brokers none (default); " in said
    assert "needs a schema registry, got encoding 'avro' (argument) and schema_registry none (default); add" in said
    with pytest.raises(
        UsageError, match=r"a key in Avro needs a schema registry, got key_type 'avro' .*; add --schema-"
    ):
        loadgen.run(brokers="localhost:1", key_type="avro")


def test_the_library_sends_it_too(registry: FakeRegistry, broker: MockCluster, tmp_path: Path) -> None:
    result = loadgen.run(
        **WORLD,
        brokers=broker.address,
        topic="t",
        encoding="avro",
        schema_registry=registry.url,
        rate="max",
        workers=1,
        manifest=tmp_path / "m.json",
    )
    assert result.problems == ()
    assert records_in(broker, registry, "avro") == events()

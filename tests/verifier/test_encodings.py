"""A topic of Avro, Protobuf or JSON Schema is proved, and what is wrong in it is found."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from loadgen.config.names import EncodingName
from loadgen.errors import RegistryUnreachable
from loadgen.kafka.embedded import EmbeddedBroker
from tests.consume.cluster import consume
from tests.encode.confluent import Record, reader_of
from tests.kafka.fake_registry import FIRST_ID, FakeRegistry
from tests.messages import key_of, value_of
from tests.ports import free_port
from tests.sink.topic import read_topic
from tests.verifier.runs import counts_of, ran, verified
from tests.verifier.test_topic import copied

TOPIC = "t"
SIZE = ("--users", "300", "--events", "2000", "--rate", "max", "--workers", "1", "--topic", TOPIC)
ENCODINGS: tuple[EncodingName, ...] = ("avro", "protobuf", "jsonschema")


@pytest.fixture
def broker() -> Iterator[str]:
    with EmbeddedBroker(TOPIC) as embedded:
        yield embedded.address


def run(folder: Path, broker: str, registry: FakeRegistry, encoding: str, *more: str) -> Path:
    """The manifest of a run."""
    return ran(folder, "--brokers", broker, "--encoding", encoding, "--schema-registry", registry.url, *SIZE, *more)


def sent_again(broker: str, messages: list[Message], values: list[bytes]) -> None:
    """Messages with other values."""
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    for message, value in zip(messages, values, strict=True):
        partition, timestamp = message.partition() or 0, message.timestamp()[1]
        producer.produce(TOPIC, value=value, key=key_of(message), partition=partition, timestamp=timestamp)
    assert producer.flush(10.0) == 0


@pytest.mark.parametrize(
    "more", [(), ("--format", "listen"), ("--impair", "malform=0.1", "--format", "full")], ids=" ".join
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_run_is_proved_by_the_schema_in_its_manifest(
    encoding: str, more: tuple[str, ...], registry: FakeRegistry, broker: str, tmp_path: Path
) -> None:
    report = verified(run(tmp_path, broker, registry, encoding, *more), brokers=broker, topic=TOPIC)
    assert report.findings.is_proved, report.as_text()
    assert report.findings.n_found == 2000


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_wrong_is_found_by_its_event(
    encoding: str, registry: FakeRegistry, broker: str, tmp_path: Path
) -> None:
    manifest = run(tmp_path, broker, registry, encoding)
    with EmbeddedBroker(TOPIC) as other:
        messages = read_topic(broker, TOPIC)
        values = [value_of(message) for message in messages]
        altered = values[3].replace(b"PUT", b"GOT").replace(b"GET", b"GOT")
        assert altered != values[3]
        no_schema = values[6][:4] + bytes([FIRST_ID + 5]) + values[6][5:]
        changed = [*values[:2], *values[2:3], altered, values[4][:-1], no_schema, *values[7:], values[0]]
        rows = [0, 1, 2, 3, 4, 6, *range(7, len(values)), 0]
        sent_again(other.address, [messages[row] for row in rows], changed)
        report = verified(manifest, brokers=other.address, topic=TOPIC)
    found = counts_of(report)
    assert found["repeated"] == 1
    assert found.get("altered", 0) + found.get("foreign", 0) == 3
    (repeated,) = [one for one in report.shown if one.kind == "repeated"]
    assert orjson.loads(repeated.found or b"")["ts"] == messages[0].timestamp()[1]
    one = next(one for one in report.shown if one.found is not None and b"GOT" in one.found)
    assert one.kind == "altered"
    assert one.expected is not None
    assert orjson.loads(one.found or b"") | {"method": "?"} == orjson.loads(one.expected) | {"method": "?"}


def test_runs_of_all_encodings_share_a_topic(registry: FakeRegistry, broker: str, tmp_path: Path) -> None:
    manifests = [
        run(tmp_path, broker, registry, encoding, "--seed", str(seed)) for seed, encoding in enumerate(ENCODINGS)
    ]
    manifests.append(ran(tmp_path, "--brokers", broker, *SIZE, "--seed", "9"))
    report = verified(*manifests, brokers=broker, topic=TOPIC)
    assert report.findings.is_proved, report.as_text()


def test_schemas_that_no_manifest_holds_are_asked_for(registry: FakeRegistry, broker: str, tmp_path: Path) -> None:
    manifest = run(tmp_path, broker, registry, "avro", "--events", "50")
    record = orjson.loads(manifest.read_bytes())
    for name in ("encoding", "schema_id", "schema_text"):
        del record[name]
    manifest.write_bytes(orjson.dumps(record))
    assert verified(manifest, brokers=broker, topic=TOPIC, schema_registry=registry.url).findings.is_proved
    report = verified(manifest, brokers=broker, topic=TOPIC)
    assert not report.findings.is_proved
    assert any(f"(ids {FIRST_ID}) were compared by their bytes" in note for note in report.notes())
    with pytest.raises(RegistryUnreachable):
        verified(manifest, brokers=broker, topic=TOPIC, schema_registry=f"http://127.0.0.1:{free_port()}")


KeyOf = Callable[[Record], Any]
slow = pytest.mark.slow
COMBINATIONS: list[Any] = [
    ("avro", "--key session --key-type avro --cloudevents binary", "long", lambda one: one["sessionId"]),
    ("protobuf", "--key artist --key-type avro", "string", lambda one: one.get("artist")),
    pytest.param("jsonschema", "--key track", None, lambda one: one.get("song"), marks=slow),
    pytest.param("json", "--key user --key-type avro", "long", lambda one: one["userId"], marks=slow),
    pytest.param(
        "protobuf",
        "--cloudevents binary --key drift --key-type avro --field tests.own_fields:DRIFT",
        "double",
        lambda one: one["drift"],
        marks=slow,
    ),
]


@pytest.mark.parametrize(("encoding", "flags", "key_schema", "key_of_record"), COMBINATIONS)
def test_keys_and_headers_of_encoded_events_are_sent_proved_and_stored(
    encoding: EncodingName,
    flags: str,
    key_schema: str | None,
    key_of_record: KeyOf,
    registry: FakeRegistry,
    broker: str,
    tmp_path: Path,
) -> None:
    manifest = run(
        tmp_path, broker, registry, encoding, *flags.split(), "--header", "trace={sessionId}-{itemInSession}"
    )
    messages, record = read_topic(broker, TOPIC), orjson.loads(manifest.read_bytes())
    with closing(SchemaRegistryClient({"url": registry.url})) as client:
        read_key, context = AvroDeserializer(client), SerializationContext(TOPIC, MessageField.KEY)
        keys = [one.key() if key_schema is None else read_key(one.key(), context) for one in messages]
    for message, key, event in zip(messages, keys, events_of(encoding, registry, record, messages), strict=True):
        expected = key_of_record(event)
        assert key == (expected.encode() if key_schema is None and expected is not None else expected)
        headers = dict(message.headers() or [])
        assert headers["trace"] == b"%d-%d" % (event["sessionId"], event["itemInSession"])
        if "--cloudevents" in flags:
            assert headers["ce_type"] == f"loadgen.{event['page']}".encode()
            assert headers["content-type"] == f"application/{encoding}".encode()
    if key_schema is not None:
        subject, schema = registry.schemas[record["key_schema_id"] - FIRST_ID]
        assert (subject, record["key_subject"], orjson.loads(schema["schema"])) == ("t-key", "t-key", key_schema)
    assert verified(manifest, brokers=broker, topic=TOPIC).findings.is_proved
    code, _, said = consume(tmp_path, broker, "--until-idle", "0.3", "--schema-registry", registry.url).end()
    assert code == 0, said
    assert verified(manifest, store=str(tmp_path / "store")).findings.is_proved


def events_of(
    encoding: EncodingName, registry: FakeRegistry, record: dict[str, Any], messages: list[Message]
) -> list[Record]:
    """The events in the values of messages of a run with this manifest."""
    if encoding == "json":
        return [orjson.loads(value_of(message)) for message in messages]
    with reader_of(encoding, registry.url, record["schema_text"], TOPIC) as record_of:
        return [record_of(value_of(message)) for message in messages]


@pytest.mark.parametrize("encoding", ["avro", "jsonschema"])
def test_another_key_or_header_of_an_encoded_event_is_an_altered_event(
    encoding: str, registry: FakeRegistry, broker: str, tmp_path: Path
) -> None:
    flags = ("--key", "session", "--key-type", "avro", "--header", "page={page}", "--impair", "malform=0.05")
    manifest = run(tmp_path, broker, registry, encoding, *flags)
    assert verified(manifest, brokers=broker, topic=TOPIC).findings.is_proved
    changes: dict[str, Callable[[Message], Any]] = {
        "key": lambda message: key_of(message)[:-1] + b"\2" if message.offset() == 3 else message.key(),
        "headers": lambda message: [("page", b"None")] if message.offset() == 3 else message.headers(),
    }
    for name, change in changes.items():
        with EmbeddedBroker(TOPIC) as other:
            copied(broker, other.address, **{name: change})
            counts = counts_of(verified(manifest, brokers=other.address, topic=TOPIC))
        assert counts.keys() == {"altered"}
        assert 1 <= counts["altered"] <= 4


def test_headers_of_fields_that_an_own_schema_lacks_are_not_compared_and_that_is_said(
    registry: FakeRegistry, broker: str, tmp_path: Path
) -> None:
    names = ("ts", "userId", "sessionId", "itemInSession")
    fields = [*({"name": name, "type": "long"} for name in names), {"name": "song", "type": "string", "default": "?"}]
    (tmp_path / "own.avsc").write_bytes(orjson.dumps({"type": "record", "name": "Own", "fields": fields}))
    flags = ("--key", "session", "--key-type", "avro", "--schema", "own.avsc")
    manifest = run(tmp_path, broker, registry, "avro", *flags, "--header", "song={song}")
    report = verified(manifest, brokers=broker, topic=TOPIC)
    assert report.findings.is_proved, report.as_text()
    assert any("made of song, which its own schema leaves out or changes" in note for note in report.notes())

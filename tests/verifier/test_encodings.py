"""A topic of Avro, Protobuf or JSON Schema is proved, and what is wrong in it is found."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Message, Producer

from loadgen.config.names import EncodingName
from loadgen.errors import RegistryUnreachable
from loadgen.kafka.embedded import EmbeddedBroker
from tests.kafka.fake_registry import FIRST_ID, FakeRegistry, running
from tests.messages import key_of, value_of
from tests.ports import free_port
from tests.sink.topic import read_topic
from tests.verifier.runs import counts_of, ran, verified

TOPIC = "t"
SIZE = ("--users", "300", "--events", "2000", "--rate", "max", "--workers", "1", "--topic", TOPIC)
ENCODINGS: tuple[EncodingName, ...] = ("avro", "protobuf", "jsonschema")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running() as found:
        yield found


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

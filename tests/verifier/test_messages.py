"""Keys and headers of every kind are sent as asked for, are proved, and another one in the topic is found."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Message

from loadgen.errors import UsageError
from loadgen.kafka.cloudevents import unwrapped
from loadgen.kafka.embedded import EmbeddedBroker
from tests.kafka.test_partition import java_murmur2
from tests.messages import value_of
from tests.verifier.runs import counts_of, ran, verified
from tests.verifier.test_topic import TOPIC, copied, raw

FLAGS = ("--users", "200", "--events", "2000", "--rate", "max", "--workers", "2", "--topic", TOPIC)

KEYS: dict[str, Callable[[dict[str, Any]], bytes | None]] = {
    "--key user": lambda record: b"%d" % record["userId"],
    "--key user --key-type int64": lambda record: record["userId"].to_bytes(8, "big"),
    "--key session": lambda record: b"%d" % record["sessionId"],
    "--key session --key-type int64 --impair malform=0.1": lambda record: record["sessionId"].to_bytes(8, "big"),
    "--key artist": lambda record: record["artist"].encode() if "artist" in record else None,
    "--key track --impair duplicate=0.1,malform=0.1,reorder=0.05": lambda record: (
        record["song"].encode() if "song" in record else None
    ),
    "--key none": lambda record: None,
    "--key location --format full": lambda record: record["location"].encode(),
    "--key ts": lambda record: b"%d" % record["ts"],
    "--key plan --field tests.own_fields:PLAN": lambda record: record["plan"].encode(),
}


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of a broker with an empty topic."""
    with EmbeddedBroker(TOPIC) as embedded:
        yield embedded.address


def messages_of(address: str) -> list[Message]:
    return [message for chunk in raw(address) for message in chunk]


def record_of(message: Message) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = orjson.loads(value_of(message))
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record.get("ts"), int) else None


@pytest.mark.parametrize("flags", KEYS)
def test_messages_have_the_key_that_is_asked_for_and_the_partition_of_it(
    flags: str, broker: str, tmp_path: Path
) -> None:
    manifest = ran(tmp_path, "--brokers", broker, *FLAGS, *flags.split())
    messages = messages_of(broker)
    n_partitions = 1 + max(message.partition() or 0 for message in messages)
    records = [(message, record) for message in messages if (record := record_of(message)) is not None]
    assert len(records) > 1500
    for message, record in records:
        key = KEYS[flags](record)
        assert message.key() == key
        routed = b"%d" % record["userId"] if key is None else key
        assert message.partition() == (java_murmur2(routed) & 0x7FFFFFFF) % n_partitions
    report = verified(manifest, brokers=broker, topic=TOPIC)
    assert report.findings.is_proved, list(report.as_text())


@pytest.mark.parametrize("key", ["session", "artist", "none"])
@pytest.mark.parametrize("what", ["key", "partition"])
def test_another_key_or_partition_is_an_altered_event(key: str, what: str, broker: str, tmp_path: Path) -> None:
    changes: dict[str, Callable[[Message], Any]] = {
        "key": lambda message: b"other" if message.offset() == 3 else message.key(),
        "partition": lambda message: ((message.partition() or 0) + (message.offset() == 3)) % 3,
    }
    with EmbeddedBroker(TOPIC) as first:
        manifest = ran(tmp_path, "--brokers", first.address, *FLAGS, "--key", key)
        copied(first.address, broker, **{what: changes[what]})
    counts = counts_of(verified(manifest, brokers=broker, topic=TOPIC))
    assert counts["altered"] >= 1
    assert counts.keys() <= {"altered", "out_of_order"}


HEADERS = ("--header", "trace={sessionId}-{itemInSession}", "--header", "app=x{{}}", "--header", "song={song}")


def test_headers_are_filled_with_fields_and_proved_and_another_one_is_found(broker: str, tmp_path: Path) -> None:
    with EmbeddedBroker(TOPIC) as first:
        manifest = ran(tmp_path, "--brokers", first.address, *FLAGS, *HEADERS, "--impair", "malform=0.05")
        for message in messages_of(first.address):
            if (record := record_of(message)) is not None:
                trace = b"%d-%d" % (record["sessionId"], record["itemInSession"])
                song = record.get("song", "").encode()
                assert message.headers() == [("trace", trace), ("app", b"x{}"), ("song", song)]
        assert verified(manifest, brokers=first.address, topic=TOPIC).findings.is_proved
        copied(first.address, broker, headers=lambda message: None if message.offset() == 5 else message.headers())
    counts = counts_of(verified(manifest, brokers=broker, topic=TOPIC))
    assert counts.keys() == {"altered"}
    assert 1 <= counts["altered"] <= 4


@pytest.mark.parametrize("wire_format", ["activity", "listen"])
def test_cloudevents_have_their_attributes_as_headers(wire_format: str, broker: str, tmp_path: Path) -> None:
    flags = ("--format", wire_format, "--cloudevents", "binary", "--header", "app=x")
    manifest = ran(tmp_path, "--brokers", broker, *FLAGS, *flags)
    ids = set()
    for message in messages_of(broker):
        record = orjson.loads(value_of(message))
        headers = dict(message.headers() or [])
        moment = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
        assert headers.pop("ce_time") == moment.isoformat(timespec="microseconds").encode()
        ids.add(headers.pop("ce_id"))
        assert headers == {
            "ce_specversion": b"1.0",
            "ce_source": b"/loadgen",
            "ce_type": f"loadgen.{record.get('page', record.get('action'))}".encode(),
            "content-type": b"application/json",
            "app": b"x",
        }
    assert len(ids) == 2000
    assert verified(manifest, brokers=broker, topic=TOPIC).findings.is_proved


STRUCTURED = ("--cloudevents", "structured", "--key", "session")


def test_structured_cloudevents_hold_the_event_and_are_proved(broker: str, tmp_path: Path) -> None:
    manifest = ran(
        tmp_path, "--brokers", broker, *FLAGS, *STRUCTURED, "--impair", "malform=0.05", "--output", "e.jsonl"
    )
    lines = (tmp_path / "e.jsonl").read_bytes().splitlines()
    messages = messages_of(broker)
    assert sorted(unwrapped(list(map(value_of, messages)))) == sorted(lines)
    assert sum(len(value_of(message)) for message in messages) == manifest_bytes(manifest)
    for message in messages:
        try:
            envelope = orjson.loads(value_of(message))
        except orjson.JSONDecodeError:
            continue
        data = envelope.pop("data")
        moment = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
        assert envelope == {
            "specversion": "1.0",
            "id": f"{data['sessionId']}-{data['itemInSession']}",
            "source": "/loadgen",
            "type": f"loadgen.{data['page']}",
            "time": moment.isoformat(timespec="microseconds"),
            "datacontenttype": "application/json",
        }
        assert message.headers() == [("content-type", b"application/cloudevents+json")]
    assert verified(manifest, brokers=broker, topic=TOPIC).findings.is_proved


def manifest_bytes(manifest: Path) -> int:
    total: int = orjson.loads(manifest.read_bytes())["sinks"]["kafka"]["bytes"]
    return total


def test_another_attribute_in_an_envelope_is_an_altered_event(broker: str, tmp_path: Path) -> None:
    with EmbeddedBroker(TOPIC) as first:
        manifest = ran(tmp_path, "--brokers", first.address, *FLAGS, *STRUCTURED)
        copied(
            first.address,
            broker,
            value=lambda message: value_of(message).replace(b'"1.0"', b'"1.1"', offset_is_5(message)),
        )
    counts = counts_of(verified(manifest, brokers=broker, topic=TOPIC))
    assert counts.keys() == {"altered"}
    assert 1 <= counts["altered"] <= 4


def offset_is_5(message: Message) -> int:
    return int(message.offset() == 5)


def test_envelopes_of_other_producers_are_opened_too() -> None:
    plain, none = b'{"ts":1}', None
    foreign = b'{"specversion":"1.0","type":"t","data":{"ts":2,"a":"\\n"},"source":"s","id":"1"}'
    broken = b'{"specversion":"1.0","data":'
    assert unwrapped([plain, none, foreign, broken]) == [plain, none, b'{"ts":2,"a":"\\n"}', broken]


def test_runs_with_different_keys_are_proved_in_one_topic(broker: str, tmp_path: Path) -> None:
    first = ran(tmp_path, "--brokers", broker, *FLAGS, "--shard", "0/2", "--key", "session")
    second = ran(tmp_path, "--brokers", broker, *FLAGS, "--shard", "1/2", *HEADERS)
    assert verified(first, second, brokers=broker, topic=TOPIC).findings.is_proved


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--key session --format listen", "got 'session' with --format listen"),
        ("--key artist --key-type int64", "an int64 key must be an integer, got text field 'artist'"),
        ("--key song", "a field that all events of the format have, got 'song'"),
        ("--header a={nothing}", "--header a must name fields of format activity, got 'nothing'"),
    ],
)
def test_what_the_format_lacks_is_said_before_the_run(flags: str, said: str, tmp_path: Path) -> None:
    from loadgen.config import RunSettings
    from loadgen.kafka.message import MessageSpec

    words = flags.replace("--", "").split()
    given: dict[str, Any] = dict(zip((word.replace("-", "_") for word in words[::2]), words[1::2], strict=True))
    settings = RunSettings.model_validate({"brokers": "localhost:1", **given})
    with pytest.raises(UsageError) as raised:
        MessageSpec.of(settings)
    assert said in str(raised.value)

"""Each record is a line to store or a dead letter, byte for byte but for line feeds, whatever it is."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import orjson
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.consume.records import LAST_MS, NoEvent, judge, time_of
from loadgen.decoder import NEEDS_REGISTRY, Decoder, Schemas
from loadgen.event import DAY_MS
from tests.schema_registry import registry_of

TS = 1_767_571_200_123
LISTEN = b'{"user":"mina","timestamp":"2025-07-03T14:30:15.123456+00:00","track":null}'


def message(value: bytes | None, offset: int = 0, key: bytes | None = b"7", timestamp: Any = None) -> Message:
    return Message(
        topic="t",
        partition=3,
        offset=offset,
        key=key,
        value=value,
        timestamp=timestamp or (TIMESTAMP_CREATE_TIME, 1_700_000_000_000),
    )


def messages(values: list[bytes | None]) -> list[Message]:
    return [message(value, 100 + 2 * row) for row, value in enumerate(values)]


def numbers() -> st.SearchStrategy[Any]:
    return st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()


def times() -> st.SearchStrategy[Any]:
    zones = st.none() | st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
    moments = st.datetimes(timezones=zones).map(datetime.isoformat)
    return st.integers(0, LAST_MS) | st.integers() | moments | st.text(max_size=20) | numbers()


def objects() -> st.SearchStrategy[bytes]:
    """JSON objects that have a time, or nearly."""
    made = st.dictionaries(st.sampled_from(["ts", "timestamp", "userId", "page"]), times(), max_size=4)
    return made.filter(_is_dumpable).map(orjson.dumps)


def _is_dumpable(record: dict[str, Any]) -> bool:
    try:
        return bool(orjson.dumps(record))
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return False


def good() -> st.SearchStrategy[bytes]:
    return st.integers(0, LAST_MS).map(lambda ts: b'{"ts":%d,"userId":1}' % ts) | st.just(LISTEN)


def cut() -> st.SearchStrategy[bytes]:
    """JSON that ends early."""
    return st.builds(lambda value, keep: value[: int(keep * len(value))], good(), st.floats(0, 1, exclude_max=True))


def values() -> st.SearchStrategy[bytes | None]:
    json = st.recursive(numbers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
    other_json = json.filter(lambda found: _is_dumpable({"x": found})).map(orjson.dumps)
    spaced = good().map(lambda value: value.replace(b",", b",\n"))
    return st.none() | st.binary(max_size=30) | objects() | other_json | cut() | spaced | good()


@settings(max_examples=200)
@given(st.lists(values(), min_size=1, max_size=12))
def test_every_record_is_a_line_or_a_dead_letter_byte_for_byte(given_values: list[bytes | None]) -> None:
    sent = messages(given_values)
    block, latest_ms = judge(sent)
    stored = dict(zip(block.offsets.tolist(), block.values, strict=True))
    dead = {letter["offset"]: letter for letter in map(orjson.loads, block.dead)}
    assert stored.keys().isdisjoint(dead)
    assert sorted([*stored, *dead]) == [sent_one.offset() for sent_one in sent]
    for sent_one in sent:
        value, offset = sent_one.value(), sent_one.offset()
        if offset in stored:
            assert value is not None
            assert stored[offset] == (value.strip().replace(b"\n", b" ") if b"\n" in value else value)
            assert isinstance(orjson.loads(stored[offset]), dict)
            assert b"\n" not in stored[offset]
        else:
            found = dead[offset]["value"]
            assert (None if found is None else base64.b64decode(found)) == value
            assert dead[offset]["reason"]
    assert (block.first, block.next_offset) == (100, (sent[-1].offset() or 0) + 1)
    assert (latest_ms == -1) == (not stored)


@settings(max_examples=150)
@given(st.lists(good() | objects(), min_size=1, max_size=8))
def test_all_at_once_and_one_by_one_judge_alike(given_values: list[bytes]) -> None:
    expected = {}
    for row, value in enumerate(given_values):
        try:
            expected[100 + 2 * row] = time_of(value)
        except NoEvent:
            continue
    block, latest_ms = judge(messages(list(given_values)))
    assert dict(zip(block.offsets.tolist(), block.days.tolist(), strict=True)) == {
        offset: time_ms // DAY_MS for offset, time_ms in expected.items()
    }
    assert latest_ms == max(expected.values(), default=-1)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the value is null"),
        (b"", "the value is empty"),
        (b"\xff\xfe", "not JSON"),
        (b'{"ts":1', "not JSON"),
        (b'{"ts":1}{"ts":2}', "not JSON"),
        (b'{"ts":1,"a":NaN}', "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b'{"ts":1,"a":"\n"}', "not JSON"),
        (b"\n", "not JSON"),
        (b"[1]", "no object"),
        (b'["ts"]', "no object"),
        (b'"ts"', "no object"),
        (b"null", "no object"),
        (b"{}", "neither ts nor timestamp"),
        (b'{"userId":1}', "neither ts nor timestamp"),
        (b'{"ts":"1767571200123"}', "ts must be an integer"),
        (b'{"ts":1767571200123.0}', "ts must be an integer"),
        (b'{"ts":true}', "ts must be an integer"),
        (b'{"ts":null,"timestamp":"2025-07-03T00:00:00Z"}', "ts must be an integer"),
        (b'{"ts":-1}', "outside the years"),
        (b'{"ts":%d}' % (LAST_MS + 1), "outside the years"),
        (b'{"ts":%d}' % 2**63, "outside the years"),
        (b'{"ts":1767571200123000}', "must be in milliseconds"),
        (
            b'{"ts":1767571200}',
            "are seconds since 1970, it seems: 2026-01-05 00:00:00+00:00; ts must be in milliseconds",
        ),
        (b'{"timestamp":1767571200123}', "ISO 8601"),
        (b'{"timestamp":"yesterday"}', "ISO 8601"),
        (b'{"timestamp":"2025-02-30T00:00:00Z"}', "ISO 8601"),
        (b'{"timestamp":"1969-12-31T23:59:59Z"}', "outside the years"),
        (b'{"timestamp":"9999-12-31T23:59:59-01:00"}', "outside the years"),
    ],
)
def test_a_record_that_is_no_event_says_why(value: bytes | None, reason: str) -> None:
    block, latest_ms = judge([message(value)])
    (letter,) = map(orjson.loads, block.dead)
    assert reason in letter["reason"]
    assert (len(block.values), len(block.offsets), len(block.days), latest_ms) == (0, 0, 0, -1)


@pytest.mark.parametrize(
    ("value", "time_ms"),
    [
        (b'{"ts":0}', 0),
        (b'{"ts":%d}' % LAST_MS, LAST_MS),
        (b'{"ts":%d,"timestamp":"yesterday"}' % TS, TS),
        (LISTEN, 1_751_553_015_123),
        (b'{"timestamp":"2025-07-03T14:30:15.123"}', 1_751_553_015_123),
        (b'{"timestamp":"2025-07-03T14:30:15.123Z"}', 1_751_553_015_123),
        (b'{"timestamp":"2025-07-04T00:30:15.123+10:00"}', 1_751_553_015_123),
        (b'{"timestamp":"9999-12-31T23:59:59.999999Z"}', LAST_MS),
        (b'{"timestamp":"1970-01-01T00:00:00Z"}', 0),
        (b' {"ts":1}\r', 1),
    ],
)
def test_the_time_of_an_event(value: bytes, time_ms: int) -> None:
    assert time_of(value) == time_ms
    block, latest_ms = judge([message(value)])
    assert (block.values, block.days.tolist(), latest_ms) == ([value], [time_ms // DAY_MS], time_ms)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (b'{"ts":1,"a":"b c"}\n', b'{"ts":1,"a":"b c"}'),
        (b'\r\n {"ts":1}\r\n', b'{"ts":1}'),
        (b'{\n  "ts": 1,\n  "a": "b\\nc"\n}\n', b'{   "ts": 1,   "a": "b\\nc" }'),
    ],
)
def test_line_feeds_around_and_between_fields_are_white_space(value: bytes, line: bytes) -> None:
    block, _ = judge(messages([value, LISTEN, value]))
    assert (block.values, block.dead) == ([line, LISTEN, line], [])
    assert orjson.loads(line) == orjson.loads(value)


@pytest.mark.parametrize("ts", [946_684_799, 4_102_444_800, 31_536_000_000])
def test_a_time_in_milliseconds_that_cannot_be_one_in_seconds_is_kept(ts: int) -> None:
    assert time_of(b'{"ts":%d}' % ts) == ts


def test_formats_may_be_mixed() -> None:
    sent: list[bytes | None] = [LISTEN, b'{"ts":%d}' % TS, b'{"timestamp":"2025-07-03T14:30:15"}', LISTEN]
    block, latest_ms = judge(messages(sent))
    assert block.values == sent
    assert block.days.tolist() == [20_272, TS // DAY_MS, 20_272, 20_272]
    assert latest_ms == TS


def test_the_event_in_a_structured_cloudevent_is_the_line() -> None:
    event = b'{"ts":%d,"artist":"\\"data\\":"}' % TS
    attributes = b'{"specversion":"1.0","id":"1-1","source":"/loadgen","type":"t",'
    around = attributes + b'"datacontenttype":"application/json","data":'
    found = judge(messages([event, around + event + b"}", around]))
    assert found.records.values == [event, event]
    assert len(found.records.dead) == 1


def test_a_dead_letter_tells_all_that_kafka_told() -> None:
    block, _ = judge([message(b"\x00\xff", 42, b"k\xff"), message(None, 43, None, (TIMESTAMP_NOT_AVAILABLE, 0))])
    assert list(map(orjson.loads, block.dead)) == [
        {
            "topic": "t",
            "partition": 3,
            "offset": 42,
            "timestamp_ms": 1_700_000_000_000,
            "key": base64.b64encode(b"k\xff").decode(),
            "value": base64.b64encode(b"\x00\xff").decode(),
            "reason": "the value is not JSON: str is not valid UTF-8: surrogates not allowed: line 1 column 1 (char 0)",
        },
        {
            "topic": "t",
            "partition": 3,
            "offset": 43,
            "timestamp_ms": None,
            "key": None,
            "value": None,
            "reason": "the value is null",
        },
    ]


def test_large_records_are_kept_whole() -> None:
    event = b'{"ts":%d,"text":"%s"}' % (TS, b"x" * 10_000_000)
    noise = np.random.default_rng(1).bytes(10_000_000)
    block, _ = judge(messages([event, noise]))
    assert block.values == [event]
    assert base64.b64decode(orjson.loads(block.dead[0])["value"]) == noise


def test_days_may_be_those_of_arrival() -> None:
    block, latest_ms = judge(messages([b'{"ts":%d}' % TS, LISTEN]), day=20_500)
    assert block.days.tolist() == [20_500, 20_500]
    assert block.days.dtype == np.int32
    assert latest_ms == TS
    assert datetime.fromtimestamp(latest_ms / 1000, UTC).year == 2026


AVRO = '{"type": "record", "name": "E", "fields": [{"name": "ts", "type": "long"}]}'
FRAMED = [b"\0\0\0\0\7\2", b'{"ts":5}', b"\0\0\0\0\7", b"\0\0\0\0\1\2", b'\0\0\0\0\2{\n"ts":6}', b"\0\0\0\0\7\4"]


def test_values_with_schemas_are_stored_as_json_and_broken_ones_are_dead_letters_byte_for_byte() -> None:
    with registry_of({7: ("AVRO", AVRO), 2: ("JSON", "{}")}) as (registry, _):
        schemas = Schemas(registry)
        for schema_id in (1, 2, 7):
            schemas.fetch(schema_id)
        block, latest_ms = judge(messages([*FRAMED]), decoder=Decoder(schemas))
        whole, _ = judge(messages([FRAMED[0], FRAMED[5]]), decoder=Decoder(schemas))
    assert block.values == [b'{"ts":1}', b'{"ts":5}', b'{ "ts":6}', b'{"ts":2}']
    assert (block.offsets.tolist(), latest_ms, block.next_offset) == ([100, 102, 108, 110], 6, 111)
    dead = [orjson.loads(line) for line in block.dead]
    assert [(letter["offset"], base64.b64decode(letter["value"]), letter["reason"]) for letter in dead] == [
        (104, FRAMED[2], "the value, Avro of schema 7, ends within ts"),
        (106, FRAMED[3], "the schema registry has no schema 1"),
    ]
    assert (whole.values, whole.dead) == ([b'{"ts":1}', b'{"ts":2}'], [])


def test_without_a_registry_a_value_with_a_schema_is_a_dead_letter_that_names_the_flag() -> None:
    block, _ = judge(messages([*FRAMED[:2]]))
    assert (block.values, orjson.loads(block.dead[0])["reason"]) == ([FRAMED[1]], NEEDS_REGISTRY)
    assert "--schema-registry" in NEEDS_REGISTRY

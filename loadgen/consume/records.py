"""From polled messages to what is stored: which records are events, of which day, and what is said of the others.

In: messages of one Kafka partition, in the order of their offsets. Out: a `RecordBatch`, in which each of them is
either a line to store or a dead letter, and the latest event's time. Both are kept byte for byte, but for line feeds
around and between the fields of an event, which are white space there.

With a decoder, values in the wire format of a schema registry become lines of JSON; without one, and where they cannot
be decoded, they are dead letters.

An event is a JSON object with a time: `ts`, an integer of milliseconds since 1970 (UTC), or else
`timestamp`, ISO 8601 text (UTC where it names no offset), in the years 1970 to 9999. orjson decides what is JSON. All
records of a call are judged at once by `map`; only where one of them is no event is each judged alone.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from operator import contains, floordiv, itemgetter, sub
from typing import Any, NamedTuple

import numpy as np
import orjson
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from loadgen.consume.batch import RecordBatch
from loadgen.decoder import NEEDS_REGISTRY, Decoder
from loadgen.event import DAY_MS, Int32s, Int64s
from loadgen.kafka.cloudevents import unwrapped
from loadgen.kafka.framing import HEADER_BYTES
from loadgen.store.json_lines import folded

LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
FIRST_S, LAST_S = 946_684_800, 4_102_444_800
"""The years 2000 to 2099 in seconds; in milliseconds these numbers are five weeks of 1970."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
_NOT_ALL = (ValueError, TypeError, KeyError, OverflowError)
"""What judging all records at once raises where one of them is no event; orjson's own error is a ValueError."""


class ClassifiedRecords(NamedTuple):
    """Records of one Kafka partition, sorted out.

    Attributes:
        records: for the partition writer.
        latest_ms: the time of the latest event, milliseconds since 1970 (UTC); -1 where there is none.
    """

    records: RecordBatch
    latest_ms: int


class NoEvent(Exception):
    """Why a record is no event."""


def judge(messages: Sequence[Message], day: int | None = None, decoder: Decoder | None = None) -> ClassifiedRecords:
    """Sort out messages without errors of one Kafka partition, at least one, in the order of their offsets.

    Args:
        messages: polled.
        day: store all events under this day (days since 1970, UTC); None for each its own.
        decoder: of values that have a schema.

    Raises:
        SchemasNeeded: the decoder lacks some of the schemas.
    """
    values: Sequence[bytes | None] = unwrapped(list(map(Message.value, messages)))
    offsets = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
    first, next_offset = int(offsets[0]), int(offsets[-1]) + 1
    dead: list[bytes] = []
    faults: dict[int, str] = {}
    times_ms = _times_of_all(values)
    if times_ms is None and decoder is not None:
        values, faults = decoder.lines(values)
        times_ms = None if faults else _times_of_all(values)
    if times_ms is None:
        times_ms, rows, dead = _one_by_one(messages, values, faults)
        values, offsets = [folded(values[row] or b"") for row in rows], offsets[rows]
    days = _days(times_ms) if day is None else np.full(len(times_ms), day, np.int32)
    lines: Any = values  # none of them is None
    latest_ms = int(times_ms.max()) if len(times_ms) else -1
    return ClassifiedRecords(RecordBatch(first, offsets, days, lines, dead, next_offset), latest_ms)


def _days(times_ms: Int64s) -> Int32s:
    return (times_ms // DAY_MS).astype(np.int32)


def _times_of_all(values: Sequence[Any]) -> Int64s | None:
    """The times of records that are all events, and all of the same kind; None elsewhere."""
    try:
        return None if b"\n" in b"\0".join(values) else _times(values)
    except _NOT_ALL:
        return None


def _times(values: Sequence[bytes]) -> Int64s:
    try:
        times = list(map(itemgetter("ts"), map(orjson.loads, values)))
    except KeyError:
        return _iso_times(values)
    if set(map(type, times)) != {int}:  # True is an int to Python
        raise TypeError
    return _within(np.array(times, np.int64))


def _iso_times(values: Sequence[bytes]) -> Int64s:
    """The times of records without `ts`."""
    records = list(map(orjson.loads, values))
    if True in map(contains, records, repeat("ts")):
        raise KeyError
    moments = list(map(datetime.fromisoformat, map(itemgetter("timestamp"), records)))
    since = map(sub, moments, repeat(EPOCH))  # a TypeError where one names no offset
    return _within(np.fromiter(map(floordiv, since, repeat(MS)), np.int64, len(moments)))


def _within(times_ms: Int64s) -> Int64s:
    if times_ms.min() < 0 or times_ms.max() > LAST_MS or bool(((times_ms >= FIRST_S) & (times_ms < LAST_S)).any()):
        raise ValueError
    return times_ms


def _one_by_one(
    messages: Sequence[Message], values: Sequence[bytes | None], faults: Mapping[int, str]
) -> tuple[Int64s, list[int], list[bytes]]:
    """The times and positions of the events, and the dead letters. Costs twice as much as all at once."""
    times, rows, dead = [], [], []
    for row, value in enumerate(values):
        try:
            if row in faults:
                raise NoEvent(faults[row])
            times.append(time_of(value))
            rows.append(row)
        except NoEvent as reason:
            dead.append(dead_letter(messages[row], str(reason)))
    return np.array(times, np.int64), rows, dead


def time_of(value: bytes | None) -> int:
    """The time of an event, milliseconds since 1970 (UTC).

    Raises:
        NoEvent: the record is none; says why.
    """
    if not value:
        raise NoEvent("the value is null" if value is None else "the value is empty")
    if value[0] == 0 and len(value) >= HEADER_BYTES:
        raise NoEvent(NEEDS_REGISTRY)
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise NoEvent(f"the value is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise NoEvent("the value is JSON, but no object")
    time_ms = _milliseconds(record)
    if FIRST_S <= time_ms < LAST_S:
        raise NoEvent(
            f"the time is {time_ms}, which are seconds since 1970, it seems: {datetime.fromtimestamp(time_ms, UTC)}; "
            "ts must be in milliseconds"
        )
    if not 0 <= time_ms <= LAST_MS:
        raise NoEvent("the time lies outside the years 1970 to 9999; ts must be in milliseconds since 1970")
    return time_ms


def _milliseconds(record: dict[str, Any]) -> int:
    if "ts" in record:
        if type(record["ts"]) is not int:
            raise NoEvent("ts must be an integer, milliseconds since 1970")
        return int(record["ts"])
    if "timestamp" not in record:
        raise NoEvent("it has no time: neither ts nor timestamp")
    try:
        moment = datetime.fromisoformat(record["timestamp"])
    except (TypeError, ValueError):
        raise NoEvent("timestamp must be text as in ISO 8601") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // MS


def dead_letter(message: Message, reason: str) -> bytes:
    """The line that keeps a record which is no event: JSON, key and value in base64."""
    kind, timestamp_ms = message.timestamp()
    return orjson.dumps(
        {
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp_ms": None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
            "key": _text(message.key()),
            "value": _text(message.value()),
            "reason": reason,
        }
    )


def _text(data: bytes | None) -> str | None:
    return None if data is None else b64encode(data).decode()

"""Recorded events as columns, made of lines of JSON, of rows of a table, and of messages.

In: what a source holds, and which fields have time and key. Out: `Records`; what has no time, or is broken, is left
out and counted, and the first few are named.

Lines are parsed by Arrow, which reads the wanted fields only; where one of them is not as expected, the lines
of that piece are parsed one by one by orjson, which decides what is JSON.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from loadgen.event import Int64s
from loadgen.replay.times import time_us, times_us
from loadgen.store.table import RAW, lines_of

TIME_FIELDS, KEY_FIELDS = ("ts", "timestamp"), ("userId", "user")
"""Where a recording says nothing else; the first that a record has counts."""
MOST_NAMED, MOST_FIELDS = 5, 12
_HEADERS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
_EXPECTED = {"ts": pa.int64(), "userId": pa.int64()}
_NEWLINE = 10
_BRACE = ord("{")
T = TypeVar("T")


@dataclass(slots=True)
class ReadCounts:
    """What was read of a recording.

    Attributes:
        read: records, of all passes.
        broken: that are not JSON, or cannot be decoded.
        without_time, without_value: that are not sent for that.
        skipped: from before --start.
        late: sent at once, because later ones had been sent before they were read.
        passes: times that the source was begun.
        named: the first few that are broken or without time, in words.
        fields: of the first record without a time.
    """

    read: int = 0
    broken: int = 0
    without_time: int = 0
    without_value: int = 0
    skipped: int = 0
    late: int = 0
    passes: int = 0
    named: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    @property
    def why(self) -> str:
        """The next step where no record has a time."""
        if self.broken > self.without_time:
            return f"they are broken, as {self.named[0]}; name JSON lines, Parquet or Avro"
        has = f" (fields are {', '.join(self.fields[:MOST_FIELDS])})" if self.fields else ""
        return f"name the field with the time by --time-field NAME{has}"

    @property
    def unsent(self) -> int:
        """Records that cannot be sent."""
        return self.broken + self.without_time + self.without_value

    def name(self, where: str) -> None:
        """Keep one of the first few."""
        if len(self.named) < MOST_NAMED:
            self.named.append(where)

    def copy(self) -> Self:
        """As it is now."""
        return replace(self, named=list(self.named))


@dataclass(slots=True)
class Records:
    """Recorded events.

    Attributes:
        time_us: int64, µs since 1970.
        value: pyarrow binary array, each ending in a newline that is not part of it.
        key: pyarrow binary array, null where there is none.
        headers: list of name and value of each; None: there are none.
    """

    time_us: Int64s
    value: pa.BinaryArray
    key: pa.BinaryArray
    headers: pa.ListArray | None = None

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def n_bytes(self) -> int:
        """Of all values."""
        return int(pc.sum(pc.binary_length(self.value)).as_py() or 0)

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> "Records":
        """The events at these positions."""
        at = pa.array(rows)
        headers = None if self.headers is None else self.headers.take(at)
        return Records(self.time_us[rows], self.value.take(at), self.key.take(at), headers)

    def __getitem__(self, part: slice) -> "Records":
        headers = None if self.headers is None else self.headers[part]
        return Records(self.time_us[part], self.value[part], self.key[part], headers)

    @classmethod
    def concat(cls, parts: Sequence["Records"]) -> "Records":
        """All of these, at least one, one after another."""
        if len(parts) == 1:
            return parts[0]
        headers = None
        if any(part.headers is not None for part in parts):
            headers = pa.concat_arrays([part.headers or no_headers(len(part)) for part in parts])
        return cls(
            np.concatenate([part.time_us for part in parts]),
            pa.concat_arrays([part.value for part in parts]),
            pa.concat_arrays([part.key for part in parts]),
            headers,
        )


def no_headers(n: int) -> pa.ListArray:
    """Of n messages without any."""
    return pa.array([[]] * n, _HEADERS)


def with_own_header(headers: pa.ListArray, name: str, values: pa.Array) -> pa.ListArray:
    """These headers with one more, in place of recorded ones of its name; a loop, as headers of messages are."""
    pairs = zip(headers.to_pylist(), values.to_pylist(), strict=True)
    kept = [[*(one for one in own if one["name"] != name), {"name": name, "value": value}] for own, value in pairs]
    return pa.array(kept, _HEADERS)


@dataclass(slots=True)
class FieldReader:
    """Finds time and key in records, and counts those without a time.

    Attributes:
        times, keys: the fields that may have them, the first that is there counts.
        counts: what was read.
        types: of those fields, as the last lines had them.
    """

    times: Sequence[str]
    keys: Sequence[str]
    counts: ReadCounts
    types: dict[str, pa.DataType] = field(default_factory=dict)

    @classmethod
    def of(cls, time_field: str | None, key_field: str | None, counts: ReadCounts) -> Self:
        """What the user asked for, or the usual fields."""
        return cls(
            (time_field,) if time_field else TIME_FIELDS,
            (key_field,) if key_field else KEY_FIELDS,
            counts,
        )

    def lines(self, data: bytes, name: str, first: int) -> Records:
        """The events of some lines.

        Args:
            data: whole lines, each with its newline.
            name: of the file; first: the number of the first line, from 1.
        """
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE) + 1
        lines, numbers = _without_blank(data, ends, first)
        self.counts.read += len(lines)
        if len(lines) == 0:
            return self._kept(lines, pa.nulls(0, pa.int64()), pa.nulls(0, pa.binary()), lambda row: "", {})
        found = self._parsed(lines)
        faults: dict[int, str] = {}
        times, keys = self._one_by_one(lines, faults) if found is None else found
        return self._kept(lines, times, keys, lambda row: f"{name}:{numbers[row]}", faults)

    def rows(self, table: pa.Table, name: str, first: int) -> Records:
        """The events of some rows, as JSON; a column of texts of records gives those as they are."""
        table = table.combine_chunks()
        self.counts.read += len(table)
        lines = pa.array([line + b"\n" for line in json_lines(table)], pa.binary())
        faults: dict[int, str] = {}
        if RAW in table.column_names and table[RAW].null_count < len(table):  # fields of such a record are in its text
            times, keys = self._one_by_one(lines, faults)
        else:
            times, keys = _first_of(table, self.times, times_us), _first_of(table, self.keys, _as_keys)
            times, keys = times.cast(pa.int64()), keys.cast(pa.binary())
            self.counts.fields = self.counts.fields or table.column_names
            self.counts.fields = self.counts.fields or table.column_names
        return self._kept(lines, times, keys, lambda row: f"{name}: row {first + row}", faults)

    def messages(self, messages: Sequence[Message]) -> Records:
        """The events of some messages, with their own timestamps and keys where no field is asked for."""
        self.counts.read += len(messages)
        some = [message for message in messages if message.value() is not None]
        self.counts.without_value += len(messages) - len(some)
        lines = pa.array([(message.value() or b"") + b"\n" for message in some], pa.binary())
        faults: dict[int, str] = {}
        times: Any = None
        keys: Any = None
        if self.times or self.keys:
            times, keys = self._one_by_one(lines, faults)
        if not self.times:
            times, faults = pa.array([_timestamp_us(message) for message in some], pa.int64()), {}
        if not self.keys:
            keys = pa.array([message.key() for message in some], pa.binary())
        headers = [message.headers() for message in some]
        records = self._kept(lines, times, keys, lambda row: _place(some[row]), faults)
        if any(headers):
            kept = [one for one, is_good in zip(headers, times.is_valid().to_pylist(), strict=True) if is_good]
            records.headers = pa.array([_named(one) for one in kept], _HEADERS)
        return records

    def _kept(
        self, lines: pa.Array, times: pa.Array, keys: pa.Array, place: Callable[[int], str], faults: dict[int, str]
    ) -> Records:
        """Those with a time; the others are counted."""
        for row in times.is_null().to_numpy(zero_copy_only=False).nonzero()[0].tolist():
            fault = faults.get(row)
            self.counts.broken += fault is not None
            self.counts.without_time += fault is None
            if len(self.counts.named) < MOST_NAMED:
                self.counts.name(f"{place(row)}: {fault or 'no time in ' + ' or '.join(self.times)}")
        if times.null_count:
            is_good = times.is_valid()
            lines, keys, times = lines.filter(is_good), keys.filter(is_good), times.filter(is_good)
        return Records(times.to_numpy(zero_copy_only=False).astype(np.int64), lines, keys)

    def _parsed(self, lines: pa.BinaryArray) -> tuple[pa.Array, pa.Array] | None:
        """Times and keys by Arrow's reader; None where a line is not as expected."""
        names = dict.fromkeys((*self.times, *self.keys))
        wanted = pa.schema([(name, self.types.get(name, _EXPECTED.get(name, pa.string()))) for name in names])
        data = _joined(lines)
        starts = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines)] - _start(lines)
        if (np.frombuffer(data, np.uint8)[starts] != _BRACE).any():  # then each line has at least one record
            return None
        read = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
        parse = pj.ParseOptions(explicit_schema=wanted, unexpected_field_behavior="ignore")
        try:
            lines.cast(pa.string())  # looks whether it is UTF-8
            table = pj.read_json(pa.BufferReader(data), read, parse)
        except pa.ArrowException:
            return None
        if len(table) != len(lines):
            return None
        times, keys = _first_of(table, self.times, times_us), _first_of(table, self.keys, _as_keys)
        return None if times.null_count else (times, keys.cast(pa.binary()))

    def _one_by_one(self, lines: pa.BinaryArray, faults: dict[int, str]) -> tuple[pa.Array, pa.Array]:
        """Times and keys of lines of any kind; `faults` takes what is wrong with those that are broken."""
        times: list[int | None] = []
        keys: list[bytes | None] = []
        for row, line in enumerate(lines.to_pylist()):
            record = _object(line, row, faults)
            times.append(_first(time_us(record.get(name)) for name in self.times))
            keys.append(_first(_key(record.get(name)) for name in self.keys))
            if times[-1] is None and not self.counts.fields:
                self.counts.fields = list(record)
            for name in (*self.times, *self.keys) if record else ():
                if type(record.get(name)) in (int, str):
                    self.types[name] = pa.int64() if type(record[name]) is int else pa.string()
        return pa.array(times, pa.int64()), pa.array(keys, pa.binary())


def _timestamp_us(message: Message) -> int | None:
    kind, timestamp_ms = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE or timestamp_ms < 0 else timestamp_ms * 1000


def _place(message: Message) -> str:
    return f"{message.topic()}: partition {message.partition()}, offset {message.offset()}"


def _named(headers: Any) -> list[dict[str, Any]]:
    """Headers as Arrow takes them; messages have None, a list, or a dict of them."""
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return [{"name": name, "value": value.encode() if isinstance(value, str) else value} for name, value in pairs]


def json_lines(table: pa.Table) -> list[bytes]:
    """Each row as an object of its columns that are not null; one of `raw` text is that text."""
    if all(map(_is_plain, table.schema.types)):
        return lines_of(table)
    rows = ({name: value for name, value in row.items() if value is not None} for row in table.to_pylist())
    return [orjson.dumps(row, default=_as_text) for row in rows]


def _is_plain(kind: pa.DataType) -> bool:
    """Whether columns of this type are made JSON without Python."""
    return bool(pa.types.is_integer(kind) or kind in (pa.float64(), pa.string(), pa.bool_(), pa.binary()))


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _column(table: pa.Table, name: str) -> pa.Array:
    found = table[name].combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def _as_keys(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type) or pa.types.is_integer(values.type):
        return values.cast(pa.string()).cast(pa.binary())
    if pa.types.is_binary(values.type):
        return values
    return pa.array([_key(value) for value in values.to_pylist()], pa.binary())


def _key(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else orjson.dumps(value, default=_as_text)


def _first_of(table: pa.Table, names: Sequence[str], read: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """What `read` makes of the first of these columns in which a row has something; of the type null for nothing."""
    found = pa.nulls(len(table))
    for name in names:
        if found.null_count and name in table.column_names and table[name].null_count < len(table):
            more = read(_column(table, name))
            found = more if found.null_count == len(table) else pc.coalesce(found, more)
    return found


def _first(found: Iterable[T | None]) -> T | None:
    return next((one for one in found if one is not None), None)


def _object(line: bytes, row: int, faults: dict[int, str]) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        faults[row] = f"not JSON: {error}"
        return {}
    if not isinstance(record, dict):
        faults[row] = "not an object"
        return {}
    return record


def _start(lines: pa.BinaryArray) -> int:
    return int(np.frombuffer(lines.buffers()[1], np.int32)[lines.offset])


def _joined(lines: pa.BinaryArray) -> pa.Buffer:
    """The bytes of all lines, without copying."""
    ends = np.frombuffer(lines.buffers()[1], np.int32)
    first, last = int(ends[lines.offset]), int(ends[lines.offset + len(lines)])
    return lines.buffers()[2].slice(first, last - first)


def _without_blank(data: bytes, ends: Int64s, first: int) -> tuple[pa.BinaryArray, Int64s]:
    """The lines that are not blank, and the number of each."""
    offsets = np.concatenate([np.zeros(1, np.int32), ends.astype(np.int32)])
    lines = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    numbers = first + np.arange(len(ends))
    lengths = np.diff(offsets)
    if (lengths > 2).all():
        return lines, numbers
    (rows,) = np.nonzero(lengths > 1)
    rows = rows[[line.strip() != b"" for line in lines.take(pa.array(rows)).to_pylist()]] if len(rows) else rows
    return lines.take(pa.array(rows)), numbers[rows]

"""Lines as they were found to the hash, the listener and the identity of each event.

In: whole lines of JSON, single values, or tables of a store's Parquet files. Out: `ObservedEvents`, with the same
hashes that the encoder gave the same events. Lines as the encoder writes them are read in place (canonical.py), a block
of others by Arrow, single ones by orjson; what is no record counts by its bytes, as encode/malform.py has it.

A field that is null where its format has none counts as absent: Parquet does not know the difference.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from loadgen.drawn import FieldType
from loadgen.event import SESSIONS_PER_LISTENER, Int64s, UInt64s
from loadgen.fingerprint import NO_KEY, hash_strings, mix
from loadgen.formats import OWN, KnownFormats, Source
from loadgen.kafka.topics import hash_of_topic
from loadgen.store.table import RAW
from loadgen.verifier.canonical import MOST_BYTES, hash_canonical
from loadgen.verifier.columns import Hashed, hash_columns, schema
from loadgen.verifier.names import NO_LISTENER, NameLookup
from loadgen.verifier.source import SourceBlock

UNKNOWN = -1
"""The session and item of a line that does not tell them."""
SHAPELESS = np.uint64(0x5AFE)
"""The key of every line that is no record, where events are compared without their times."""
_OTHER = np.uint64(0xE17E10FE)
MOST_OTHERS = 4
"""Where more than one line in this many is not as the encoder writes it, Arrow reads the block."""
Bools = npt.NDArray[np.bool_]
Keys = Callable[[int], bytes | None]
"""The Kafka key of each value, by its position."""
_NEWLINE, _OPEN, _CLOSE = b"\n"[0], b"{"[0], b"}"[0]
_NULL = type(None)
_TYPES: dict[FieldType, tuple[type, ...]] = {
    "integer": (int, _NULL),
    "float": (float, int, _NULL),
    "text": (str, _NULL),
}
_MOST = (1 << 63) - 1
"""orjson reads larger integers than Arrow; smaller ones are floats for it."""
_KEY_END = re.compile(rb'"\s*:')
_NUMBER = rb"""["'](?:%s)["']:\s*(\d{1,18})(?=\D)"""
_PATTERNS = {
    Source.USER_ID: _NUMBER,
    Source.SESSION_ID: _NUMBER,
    Source.ITEM: _NUMBER,
    Source.TIME_MS: _NUMBER,
    Source.USER_NAME: rb"""["'](?:%s)["']:\s*["'](?:\xff\xfe)?([a-z.\d-]{1,200})["']""",
    Source.TIME_ISO: rb"""["'](?:%s)["']:\s*["'](?:\xff\xfe)?([-\d]{10}T[\d:]{8}\.\d{6})""",
}
"""How the fields that tell which event a line is are found in one that is no record."""


@lru_cache
def _searches(known: KnownFormats) -> "dict[Source, re.Pattern[bytes]]":
    """By source: what finds its value in a line of these formats, whatever the field's name."""
    names: dict[Source, list[bytes]] = {source: [] for source in _PATTERNS}
    for field in known.by_name.values():
        if isinstance(field.source, Source) and field.source in names:
            names[field.source].append(re.escape(field.name.encode()))
    return {source: re.compile(_PATTERNS[source] % b"|".join(found)) for source, found in names.items()}


def _search(source: Source, line: bytes, known: KnownFormats) -> bytes | None:
    """The text of a value of this source in a line, if there is one."""
    found = _searches(known)[source].search(line)
    return found[1] if found else None


@dataclass(slots=True)
class ObservedEvents:
    """Events as they were found, in order.

    Attributes:
        hash: uint64, what the fingerprint adds up.
        key: uint64, equal for equal events: the hash, or that of all fields but the time.
        user_id: int64, the listener; NO_LISTENER where the line does not tell.
        major, minor: int64, which event of the listener it is: session id and item; in `listen`, which has neither, the
            listener * SESSIONS_PER_LISTENER and the time in ms. UNKNOWN where the line does not tell.
        time_ms: int64, the event's own time, milliseconds since 1970; UNKNOWN where the line does not tell.
    """

    hash: UInt64s
    key: UInt64s
    user_id: Int64s
    major: Int64s
    minor: Int64s
    time_ms: Int64s

    def __len__(self) -> int:
        return len(self.hash)

    def put(self, rows: Int64s, others: "ObservedEvents") -> None:
        """Replace these rows."""
        for name in self.__slots__:
            getattr(self, name)[rows] = getattr(others, name)

    def alter(self, is_wrong: Bools) -> None:
        """Make these events other ones than any that was sent, though their values may be the same."""
        self.hash[is_wrong] = mix(self.hash[is_wrong] ^ _OTHER)
        self.key[is_wrong] = mix(self.key[is_wrong] ^ _OTHER)

    def put_in(self, topic: str) -> None:
        """Make these events other ones than those that were sent to another topic, see `Topics.hashes`."""
        term = hash_of_topic(topic)
        self.hash, self.key = mix(self.hash ^ term), np.where(self.key == SHAPELESS, SHAPELESS, mix(self.key ^ term))

    @classmethod
    def empty(cls, n: int) -> "ObservedEvents":
        """Room for n events."""
        return cls(np.empty(n, np.uint64), np.empty(n, np.uint64), *(np.empty((4, n), np.int64)))


class Reader:
    """Makes `ObservedEvents` of whatever a source gives."""

    def __init__(
        self, names: NameLookup, timeless: bool = False, key: np.uint64 = NO_KEY, known: KnownFormats = OWN
    ) -> None:
        """Prepare to read.

        Args:
            names: tells listeners by their user names.
            timeless: keys leave the time out.
            key: of the hashes, see fingerprint.run_key.
            known: the formats of the records.
        """
        self._names, self._timeless, self._key, self._known = names, timeless, key, known

    def of_block(self, block: SourceBlock) -> ObservedEvents:
        """Whatever a source gives."""
        if isinstance(block.content, bytes):
            return self.of_lines(block.content)
        if isinstance(block.content, pa.Table):
            return self.of_table(block.content)
        return self.of_values(block.content, block.keys, block.raw)

    def of_lines(self, data: bytes) -> ObservedEvents:
        """Whole lines, each ending in a newline."""
        return self._read(data, lambda: data.split(b"\n")[:-1], None, None)

    def of_values(
        self, values: Sequence[bytes], keys: Keys | None = None, raw: Sequence[bytes] | None = None
    ) -> ObservedEvents:
        """Single values, with their Kafka keys where they have some; raw: see SourceBlock."""
        data = b"\n".join(values) + b"\n"
        has_newlines = data.count(b"\n") > len(values)
        return self._read(None if has_newlines else data, lambda: values, keys, raw)

    def _read(
        self,
        data: bytes | None,
        values: Callable[[], Sequence[bytes]],
        keys: Keys | None,
        raw: Sequence[bytes] | None,
    ) -> ObservedEvents:
        """What the encoder could have written at once, the others together or one by one."""
        if not data:
            return self._one_by_one(values(), keys, raw)
        found = hash_canonical(data, self._key, self._known)
        others = found.others.tolist()
        if len(others) * MOST_OTHERS > len(found.hashed.total):
            return self._by_arrow(data, values, keys, raw)
        seen = self._identified(found.hashed)
        if others:
            some_keys: Keys | None = None if keys is None else lambda at: keys(others[at])
            some = [data[start:end] for start, end in found.bounds.T.tolist()]
            some_raw = None if raw is None else [raw[at] for at in others]
            seen.put(found.others, self._one_by_one(some, some_keys, some_raw))
        return seen

    def _by_arrow(
        self, data: bytes, values: Callable[[], Sequence[bytes]], keys: Keys | None, raw: Sequence[bytes] | None
    ) -> ObservedEvents:
        """Records that somebody else has written, all at once if they are plain."""
        table = parsed(data, self._known)
        found = None if table is None else hash_columns(table, self._key, self._known)
        if found is None:
            return self._one_by_one(values(), keys, raw)
        seen = self._identified(found)
        self._put_shapeless(seen, found.odd, values if raw is None else lambda: raw, keys)
        return seen

    def _one_by_one(
        self, values: Sequence[bytes], keys: Keys | None, raw: Sequence[bytes] | None = None
    ) -> ObservedEvents:
        """Sort out those that are no records, and read the others at once."""
        plain = [_plain(value, self._known) for value in values]
        is_plain = np.array([text is not None for text in plain], np.bool_)
        (rows,) = np.nonzero(is_plain)
        seen = ObservedEvents.empty(len(values))
        if len(rows):
            table = parsed(b"\n".join(filter(None, plain)) + b"\n", self._known)
            found = None if table is None else hash_columns(table, self._key, self._known)
            if found is None:
                raise ValueError("records that orjson has written must be plain")
            seen.put(rows, self._identified(found))
            is_plain[rows[found.odd]] = False
        self._put_shapeless(seen, np.flatnonzero(~is_plain), lambda: values if raw is None else raw, keys)
        return seen

    def _put_shapeless(
        self, seen: ObservedEvents, rows: Int64s, values: Callable[[], Sequence[bytes]], keys: Keys | None
    ) -> None:
        if len(rows):
            every, chosen = values(), rows.tolist()
            some_keys = None if keys is None else [keys(row) for row in chosen]
            seen.put(rows, self._shapeless([every[row] for row in chosen], some_keys))

    def of_table(self, table: pa.Table) -> ObservedEvents:
        """Rows of a Parquet file of a store, see store/table.py, or of a topic."""
        wanted, names = schema(self._known), set(self._known.by_name)
        known = [one.name for one in table.schema if one.name in names and one.type == wanted.field(one.name).type]
        found = hash_columns(table.select(known), self._key, self._known)
        if found is None:
            raise ValueError("a table of a Parquet file has texts that are not UTF-8")
        seen = self._identified(found)
        for name in set(table.column_names) - {RAW, *known}:
            seen.alter(table[name].is_valid().to_numpy())  # fields that no run has
        if RAW in table.column_names and table[RAW].null_count < len(table):
            rows = np.flatnonzero(table[RAW].is_valid().to_numpy())
            texts = table[RAW].take(pa.array(rows)).to_pylist()
            seen.put(rows, self.of_values([text.encode() for text in texts]))
        return seen

    def _identified(self, found: Hashed) -> ObservedEvents:
        user_id, major, minor = found.user_id, found.session_id, found.item
        if len(found.named):
            rows = found.named
            named = self._names.ids(found.name_hashes)
            user_id[rows] = named
            major[rows] = np.where(named == NO_LISTENER, UNKNOWN, named * SESSIONS_PER_LISTENER)
            minor[rows] = found.time_ms[rows]
        user_id[user_id < 0] = NO_LISTENER
        return ObservedEvents(found.hash(), found.hash(timeless=self._timeless), user_id, major, minor, found.time_ms)

    def _shapeless(self, lines: list[bytes], keys: Sequence[bytes | None] | None) -> ObservedEvents:
        """Lines that are no records: by their bytes; listener and identity as far as they can still be read."""
        hashes = hash_strings(pa.array([_shortened(line) for line in lines], pa.binary()))
        sources = (Source.USER_ID, Source.SESSION_ID, Source.ITEM)
        user_id, major, minor = (
            np.array([_number(source, line, self._known) for line in lines], np.int64) for source in sources
        )
        self._read_names(lines, user_id, major, minor)
        if keys is not None:
            of_keys = np.array([int(key) if key and key.isdigit() and len(key) < 19 else NO_LISTENER for key in keys])
            user_id = np.where(of_keys == NO_LISTENER, user_id, of_keys)
        key = np.full(len(lines), SHAPELESS) if self._timeless else hashes
        return ObservedEvents(
            hashes, key, user_id, major, minor, np.array([_time_ms(line, self._known) for line in lines], np.int64)
        )

    def _read_names(self, lines: list[bytes], user_id: Int64s, major: Int64s, minor: Int64s) -> None:
        """Fill in what lines tell that name their listener."""
        found = {
            row: name.decode()
            for row, line in enumerate(lines)
            if user_id[row] == NO_LISTENER and (name := _search(Source.USER_NAME, line, self._known))
        }
        if not found:
            return
        rows, texts = list(found), list(found.values())
        named = self._names.ids_of(pa.array(texts, pa.string()))
        user_id[rows] = named
        major[rows] = np.where(named == NO_LISTENER, UNKNOWN, named * SESSIONS_PER_LISTENER)
        minor[rows] = [_moment(lines[row], self._known) for row in rows]


def parsed(data: bytes, known: KnownFormats) -> pa.Table | None:
    """The records of these lines as columns; None where one of them is anything but a plain record on a line."""
    n_lines = _n_record_lines(data)
    if n_lines == 0:
        return None
    try:
        table = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema(known), unexpected_field_behavior="error"),
        )
    except pa.ArrowInvalid:
        return None
    return table.combine_chunks() if len(table) == n_lines and _is_finite(table) else None


def _is_finite(table: pa.Table) -> bool:
    """Whether no number is NaN or Infinity, which Arrow reads though JSON has no such thing."""
    return all(
        pc.all(pc.is_finite(column)).as_py() is not False
        for column in table.columns
        if pa.types.is_floating(column.type)
    )


def _n_record_lines(data: bytes) -> int:
    """How many lines there are; 0 unless each begins and ends as a record does."""
    characters = np.frombuffer(data, np.uint8)
    (ends,) = np.nonzero(characters == _NEWLINE)
    starts = np.append(0, ends[:-1] + 1)
    is_plain = (characters[ends - 1] == _CLOSE) & (characters[starts] == _OPEN) & (ends - starts <= MOST_BYTES)
    return len(ends) if is_plain.all() else 0


def _plain(line: bytes, known: KnownFormats) -> bytes | None:
    """The record as orjson writes it; None where it is no record of known fields with fitting types."""
    if len(line) > MOST_BYTES:
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if type(record) is not dict or not _fits(tuple(record), tuple(map(type, record.values())), known):
        return None
    if not _has_each_key_once(line, len(record)):
        return None
    fields = known.by_name
    if any(type(value) is int and value > _MOST and fields[name].type == "integer" for name, value in record.items()):
        return None
    return orjson.dumps(record)


def _has_each_key_once(line: bytes, n_keys: int) -> bool:
    """Whether a record that was read with n_keys different keys has no more of them: readers take the last of two."""
    if len(_KEY_END.findall(line)) == n_keys:  # each key has one, and texts may have more
        return True
    keys: list[str] = json.loads(line, object_pairs_hook=lambda pairs: [key for key, _ in pairs])
    return len(keys) == n_keys


@lru_cache(1 << 12)
def _fits(names: tuple[str, ...], types: tuple[type, ...], known: KnownFormats) -> bool:
    """Whether these are names of fields, and values that they may have."""
    fields = known.by_name
    return all(name in fields and kind in _TYPES[fields[name].type] for name, kind in zip(names, types, strict=True))


def _shortened(line: bytes) -> bytes:
    """The line; of one that is too long to be an event of ours, something that stands for it."""
    return line if len(line) <= MOST_BYTES else blake2b(line).digest()


def _number(source: Source, line: bytes, known: KnownFormats) -> int:
    found = _search(source, line, known)
    return int(found) if found else UNKNOWN


def _time_ms(line: bytes, known: KnownFormats) -> int:
    """The event's own time, in whichever format; UNKNOWN where it cannot be read."""
    ms = _number(Source.TIME_MS, line, known)
    return _moment(line, known) if ms == UNKNOWN else ms


def _moment(line: bytes, known: KnownFormats) -> int:
    found = _search(Source.TIME_ISO, line, known)
    try:
        return int(np.datetime64(found.decode(), "ms").astype(np.int64)) if found else UNKNOWN
    except ValueError:  # the 30th of February
        return UNKNOWN

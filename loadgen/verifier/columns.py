"""Columns of records to hashes, field by field, as the encoder has them.

In: a table with columns of the wire formats, as Arrow reads them from JSON or Parquet. Out: `Hashed`: the sum of
the terms of each record's fields, and the fields that say whose event it is.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.drawn import Drawn
from loadgen.event import DAY_MS, Int64s, UInt64s
from loadgen.fingerprint import NO_KEY, hash_floats, hash_integers, hash_null, hash_strings, hash_texts, mix, mix_field
from loadgen.formats import OWN, Field, KnownFormats, Source, marked, marks
from loadgen.store.table import schema_of

ID_OF: dict[Source | Drawn, str] = {Source.USER_ID: "user_id", Source.SESSION_ID: "session_id", Source.ITEM: "item"}
"""By source: the attribute of `Hashed` that keeps its values."""
_EPOCH = date(1970, 1, 1).toordinal()
_ISO = np.frombuffer(b"0000-00-00T00:00:00.000000+00:00", np.uint8)
ISO_BYTES = len(_ISO)
_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 22])
_FIXED = np.setdiff1d(np.arange(ISO_BYTES), _DIGITS)
_WEIGHTS = np.zeros((len(_DIGITS), 2))
_WEIGHTS[:8, 0] = (10_000_000, 1_000_000, 100_000, 10_000, 1000, 100, 10, 1)
_WEIGHTS[8:, 1] = (36_000_000, 3_600_000, 600_000, 60_000, 10_000, 1000, 100, 10, 1)
"""From the digits to the date as a number (20260131) and to the milliseconds of the day."""
_HIGHEST = {10: 5, 12: 5}
"""Position in _DIGITS of the tens of minutes and of seconds."""


@dataclass(slots=True)
class Hashed:
    """Records, hashed.

    Attributes:
        total: uint64[n], the sum of the terms of a record's fields, its time among them.
        time_ms, time_term: int64[n] and uint64[n], the time and its term, 0 where there is none.
        user_id, session_id, item: int64[n], -1 where the record has none.
        named: int64, rows that tell the listener by the user name only, and the time as text.
        name_hashes: uint64[len(named)], the hashes of their user names.
        odd: int64, rows that are no records after all: their time is not written as loadgen writes it.
    """

    total: UInt64s
    time_ms: Int64s
    time_term: UInt64s
    user_id: Int64s
    session_id: Int64s
    item: Int64s
    named: Int64s
    name_hashes: UInt64s
    odd: Int64s

    @classmethod
    def empty(cls, n: int) -> "Hashed":
        """n records without a field."""
        total, time_term = np.zeros((2, n), np.uint64)
        user_id, session_id, item = np.full((3, n), -1, np.int64)
        none, no_terms = np.zeros(0, np.int64), np.zeros(0, np.uint64)
        return cls(total, np.zeros(n, np.int64), time_term, user_id, session_id, item, none, no_terms, none)

    def hash(self, timeless: bool = False) -> UInt64s:
        """The hash of each event; `timeless`: of its fields but the time."""
        return mix(self.total - self.time_term if timeless else self.total)


def hash_columns(table: pa.Table, key: np.uint64 = NO_KEY, known: KnownFormats = OWN) -> Hashed | None:
    """Hash every record; None where a text is not UTF-8.

    Args:
        table: columns of `schema`, any of them may be missing.
        key: see fingerprint.run_key.
        known: the formats of the records.
    """
    n = len(table)
    found = Hashed.empty(n)
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    columns = {name: column for name, column in columns.items() if column.null_count < n}
    names = np.zeros(n, np.uint64)
    try:
        for name, column in columns.items():
            _add(found, known.by_name[name], column, key, names)
    except pa.ArrowInvalid:
        return None
    found.named = found.named[found.user_id[found.named] < 0]
    found.name_hashes = names[found.named]
    _add_nulls(found, columns, known)
    return found


@lru_cache
def schema(known: KnownFormats) -> pa.Schema:
    """Every field of these formats, with its type."""
    return schema_of(known.by_name.values())


def _add(found: Hashed, field: Field, column: pa.Array, key: np.uint64, names: UInt64s) -> None:
    """Add the terms of a field; names: filled in with the hashes of user names."""
    if field.source is Source.TIME_ISO:
        _add_timestamps(found, field, column, key)
        return
    if field.source is Source.USER_NAME:
        column.validate(full=True)
        names[:] = hash_strings(column)
        terms = mix_field(field.name, names)
    elif field.type == "text":
        terms = _text_terms(field.name, column)
    elif field.type == "float":
        terms = hash_floats(field.name, _filled(column).astype(np.float64, copy=False))
    else:
        values = _filled(column).astype(np.int64, copy=False)
        terms = hash_integers(field.name, values, key if field.is_keyed else NO_KEY)
        _keep(found, field, column, values, terms)
    if column.null_count:
        terms[column.is_null().to_numpy(zero_copy_only=False)] = 0
    found.total += terms


def _keep(found: Hashed, field: Field, column: pa.Array, values: Int64s, terms: UInt64s) -> None:
    """Keep what says whose event it is, and when."""
    place = ID_OF.get(field.source)
    if place:
        there = ~column.is_null().to_numpy(zero_copy_only=False) if column.null_count else slice(None)
        getattr(found, place)[there] = values[there]
    elif field.source is Source.TIME_MS:
        found.time_ms += values
        there = column.is_valid().to_numpy(zero_copy_only=False)
        found.time_term += terms * there


def _filled(column: pa.Array) -> npt.NDArray[np.number[Any]]:
    filled: npt.NDArray[np.number[Any]] = (column.fill_null(0) if column.null_count else column).to_numpy()
    return filled


def _text_terms(name: str, column: pa.Array) -> UInt64s:
    """The terms of texts; raises ArrowInvalid where one is not UTF-8."""
    coded = column.dictionary_encode()
    coded.dictionary.validate(full=True)
    terms = np.append(hash_texts(name, coded.dictionary), np.uint64(0))
    codes = coded.indices.fill_null(len(coded.dictionary)) if column.null_count else coded.indices
    gathered: UInt64s = terms[codes.to_numpy()]
    return gathered


def _add_timestamps(found: Hashed, field: Field, column: pa.Array, key: np.uint64) -> None:
    """Times as text, which are written in one way only."""
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    texts = column.drop_null() if column.null_count else column
    times, is_good = iso_ms(texts)
    terms = hash_integers(field.name, times, key)
    found.named, found.odd = np.append(found.named, rows), np.append(found.odd, rows[~is_good])
    found.time_ms[rows], found.time_term[rows] = times, terms
    found.total[rows] += terms


def _add_nulls(found: Hashed, columns: dict[str, pa.Array], known: KnownFormats) -> None:
    """The terms of the fields that are null, not absent: those of the format whose other fields are there."""
    shapes, names = _nullable_shapes(known)
    there = np.zeros(len(found.total), np.int64)
    for bit, name in enumerate(names):
        if name in columns:
            there += columns[name].is_valid().to_numpy(zero_copy_only=False).astype(np.int64) << bit
    for bits, nullable in shapes:
        rows = np.flatnonzero(there == bits)
        for name in nullable if len(rows) else ():
            is_null = columns[name].is_null().to_numpy(zero_copy_only=False)[rows] if name in columns else True
            found.total[rows] += np.where(is_null, hash_null(name), np.uint64(0))


@lru_cache
def _nullable_shapes(known: KnownFormats) -> tuple[list[tuple[int, list[str]]], tuple[str, ...]]:
    """Of each kind of record that has fields that may be null: its marks, and these fields; and the marks' names."""
    shapes = list(dict.fromkeys(shape for wire_format in known.formats for shape in wire_format.shapes))
    names = marks(shapes)
    nullable = [(marked(shape, names), [field.name for field in shape if field.is_nullable]) for shape in shapes]
    return [(bits, fields) for bits, fields in nullable if fields], names


def iso_ms(texts: pa.Array) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """Times such as 2025-07-03T14:30:15.123000+00:00 to ms since 1970, and which of the texts are just so."""
    times = np.zeros(len(texts), np.int64)
    is_good = pc.equal(pc.binary_length(texts), ISO_BYTES).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(is_good)
    same = texts.take(pa.array(rows)) if len(rows) < len(texts) else texts
    times[rows], is_good[rows] = iso_times(_matrix(same))
    return times, is_good


def iso_times(characters: npt.NDArray[np.uint8]) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """As `iso_ms`, of texts of the right length: uint8[n, ISO_BYTES]."""
    digits = characters[:, _DIGITS] - np.uint8(ord("0"))
    is_good = (digits <= 9).all(axis=1) & (characters[:, _FIXED] == _ISO[_FIXED]).all(axis=1)
    is_good &= digits[:, 8] * 10 + digits[:, 9] < 24
    for place, highest in _HIGHEST.items():
        is_good &= digits[:, place] <= highest
    dates, clock_ms = (digits.astype(np.float64) @ _WEIGHTS).astype(np.int64).T
    first, row_of = np.unique(dates, return_inverse=True)
    days = np.array([_day(number) for number in first.tolist()], np.int64)
    is_good &= days[row_of] >= 0
    return days[row_of] * DAY_MS + clock_ms, is_good


def _matrix(texts: pa.Array) -> npt.NDArray[np.uint8]:
    """The bytes of texts that all have the length of _ISO: uint8[n, 32]."""
    if len(texts) == 0:
        return np.zeros((0, ISO_BYTES), np.uint8)
    _, offsets, data = texts.buffers()
    start = int(np.frombuffer(offsets, np.int32)[texts.offset])
    return np.frombuffer(data, np.uint8)[start : start + len(texts) * ISO_BYTES].reshape(-1, ISO_BYTES)


def _day(number: int) -> int:
    """Days since 1970 of a date such as 20260131; -1 where there is no such day."""
    try:
        return date(number // 10_000, number // 100 % 100, number % 100).toordinal() - _EPOCH
    except ValueError:
        return -1

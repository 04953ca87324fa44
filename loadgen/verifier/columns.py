"""Columns of records to hashes, field by field, as the encoder has them.

In: a table with columns of the three wire formats, as Arrow reads them from JSON or Parquet. Out: `Hashed`: the sum of
the terms of each record's fields, and the fields that say whose event it is.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.event import DAY_MS, Int64s, UInt64s
from loadgen.fingerprint import NO_KEY, hash_floats, hash_integers, hash_null, hash_texts, mix
from loadgen.store.table import RAW
from loadgen.store.table import SCHEMA as STORED

SCHEMA = pa.schema([field for field in STORED if field.name != RAW])
"""Every field of the three wire formats, with its type."""
_NULL_IN_LISTEN = ("artist", "track", "genre", "duration")
_UNLIKE = ("timestamp", "user")
"""Texts that hardly repeat within a block: not worth a dictionary."""
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
        listens: int64, rows of the format `listen`.
        user_terms: uint64[len(listens)], the terms of their user names.
        odd: int64, rows that are no records after all: their time is not written as loadgen writes it.
    """

    total: UInt64s
    time_ms: Int64s
    time_term: UInt64s
    user_id: Int64s
    session_id: Int64s
    item: Int64s
    listens: Int64s
    user_terms: UInt64s
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


def hash_columns(table: pa.Table, key: np.uint64 = NO_KEY) -> Hashed | None:
    """Hash every record; None where a text is not UTF-8.

    Args:
        table: columns of SCHEMA, any of them may be missing.
        key: see fingerprint.run_key.
    """
    n = len(table)
    found = Hashed.empty(n)
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    columns = {name: column for name, column in columns.items() if column.null_count < n}
    try:
        for name, column in columns.items():
            _add(found, name, column, key)
    except pa.ArrowInvalid:
        return None
    _add_nulls(found, columns)
    return found


def _add(found: Hashed, name: str, column: pa.Array, key: np.uint64) -> None:
    """Add the terms of a field."""
    if name == "timestamp":
        _add_timestamps(found, column, key)
        return
    if pa.types.is_string(column.type):
        terms = _text_terms(name, column)
        if name == "user":
            found.user_terms = terms
    elif pa.types.is_floating(column.type):
        terms = hash_floats(name, _filled(column).astype(np.float64, copy=False))
    else:
        values = _filled(column).astype(np.int64, copy=False)
        terms = hash_integers(name, values, key)
        _keep(found, name, column, values, terms)
    if column.null_count:
        terms[column.is_null().to_numpy(zero_copy_only=False)] = 0
    found.total += terms


def _keep(found: Hashed, name: str, column: pa.Array, values: Int64s, terms: UInt64s) -> None:
    """Keep what says whose event it is, and when."""
    place = {"userId": "user_id", "sessionId": "session_id", "itemInSession": "item"}.get(name)
    if place:
        there = ~column.is_null().to_numpy(zero_copy_only=False) if column.null_count else slice(None)
        getattr(found, place)[there] = values[there]
    elif name == "ts":
        found.time_ms += values
        there = column.is_valid().to_numpy(zero_copy_only=False)
        found.time_term += terms * there


def _filled(column: pa.Array) -> npt.NDArray[np.number[Any]]:
    filled: npt.NDArray[np.number[Any]] = (column.fill_null(0) if column.null_count else column).to_numpy()
    return filled


def _text_terms(name: str, column: pa.Array) -> UInt64s:
    """The terms of texts; raises ArrowInvalid where one is not UTF-8."""
    if name in _UNLIKE:
        column.validate(full=True)
        return hash_texts(name, column)
    coded = column.dictionary_encode()
    coded.dictionary.validate(full=True)
    terms = np.append(hash_texts(name, coded.dictionary), np.uint64(0))
    codes = coded.indices.fill_null(len(coded.dictionary)) if column.null_count else coded.indices
    gathered: UInt64s = terms[codes.to_numpy()]
    return gathered


def _add_timestamps(found: Hashed, column: pa.Array, key: np.uint64) -> None:
    """The times of the format `listen`, which are written in one way only."""
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    texts = column.drop_null() if column.null_count else column
    times, is_good = iso_ms(texts)
    terms = hash_integers("timestamp", times, key)
    found.listens, found.odd = rows, rows[~is_good]
    found.time_ms[rows], found.time_term[rows] = times, terms
    found.total[rows] += terms


def _add_nulls(found: Hashed, columns: dict[str, pa.Array]) -> None:
    """The terms of the fields that are null, not absent, in their format."""
    n = len(found.total)
    _add_null(found, columns, _NULL_IN_LISTEN, found.listens)
    if "user" in columns and len(found.listens) < n:
        is_full = columns["user"].is_valid().to_numpy(zero_copy_only=False)
        is_full[found.listens] = False
        _add_null(found, columns, ("genre",), np.flatnonzero(is_full))
    found.user_terms = (
        found.user_terms[found.listens] if len(found.user_terms) else np.zeros(len(found.listens), np.uint64)
    )


def _add_null(found: Hashed, columns: dict[str, pa.Array], names: tuple[str, ...], rows: Int64s) -> None:
    if len(rows) == 0:
        return
    for name in names:
        is_null = columns[name].is_null().to_numpy(zero_copy_only=False)[rows] if name in columns else True
        found.total[rows] += np.where(is_null, hash_null(name), np.uint64(0))


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

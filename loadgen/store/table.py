"""Events as the rows of a table, and back: what Parquet files hold.

In: lines of JSON. Out: an Arrow table with a column for each field that is known, and `raw`: the text of a record that
is not exactly one of the known formats (another field, another type, another order, other spaces). So nothing is
lost: `lines_of(table_of(lines))` gives the same bytes. A `raw` row has no other column but its time.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from loadgen import json_text
from loadgen.drawn import FieldType
from loadgen.event import UInt64s
from loadgen.fingerprint import field_key
from loadgen.formats import FULL, OWN, Field, KnownFormats, fields_by_name

RAW = "raw"
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_TYPES: dict[FieldType, type] = {"integer": int, "float": float, "text": str}
_ARROW: dict[FieldType, pa.DataType] = {"integer": pa.int64(), "float": pa.float64(), "text": pa.string()}
Values = tuple[Any, ...]


class _Layout:
    """The names of the columns that some rows fill, in the order of their records."""

    def __init__(self, *names: str) -> None:
        self.names = names


_RAW_LAYOUT = _Layout(RAW, "ts", "timestamp")
_Fit = tuple[_Layout, Callable[[Values], Any]]
"""The layout of a record, and its integers, which must fit into 64 bits with a sign; JSON may have greater ones."""


class _Records:
    """The records of known formats."""

    def __init__(self, known: KnownFormats) -> None:
        self._known = known
        self._fields = fields_by_name((FULL, *known.formats)) | {field.name: field for field in known.fields}
        self.schema = schema_of(self._fields.values()).append(pa.field(RAW, pa.string()))
        shapes = dict.fromkeys(shape for wire_format in known.formats for shape in wire_format.shapes)
        self._shapes = [
            (tuple(one.name for one in shape), frozenset(one.name for one in shape if not one.is_nullable))
            for shape in sorted(shapes, key=len, reverse=True)
        ]
        self._layouts: dict[tuple[str, ...], _Layout] = {}
        self.fit = lru_cache(1 << 12)(self._fit)

    def order_of(self, present: frozenset[str]) -> tuple[str, ...] | None:
        """The fields of a record in which those present are not null; None: there is no such record."""
        further = {field.name for field in self._known.fields}
        for names, needed in self._shapes:
            added = present.difference(names)
            if needed <= present and added <= further:
                return (*names, *sorted(added))
        return None

    def _fit(self, names: tuple[str, ...], types: tuple[type, ...]) -> _Fit | None:
        """The layout of records with these names and types; None where they are kept as text."""
        present = frozenset(name for name, kind in zip(names, types, strict=True) if kind is not type(None))
        if self.order_of(present) != names:
            return None
        for name, kind in zip(names, types, strict=True):
            if kind not in (_TYPES[self._fields[name].type], type(None)):
                return None
        places = [at for at, kind in enumerate(types) if kind is int]
        integers: Callable[[Values], Any] = itemgetter(*places, places[0]) if places else lambda values: (0,)
        return self._layouts.setdefault(names, _Layout(*names)), integers

    def row(self, line: bytes) -> tuple[_Layout, Values]:
        """The record's layout, and its values in the order of the layout's columns."""
        record: dict[str, Any] = orjson.loads(line)
        values = tuple(record.values())
        found = self.fit(tuple(record), tuple(map(type, values)))
        if found is not None and orjson.dumps(record) == line and max(found[1](values)) <= _MOST:
            return found[0], values
        return _RAW_LAYOUT, (line.decode(), *_time_of(record))

    def table(self, layout: _Layout, rows: list[Values]) -> pa.Table:
        """Rows of one layout, with all columns."""
        filled = dict(zip(layout.names, zip(*rows, strict=True), strict=True))
        columns = [
            pa.array(filled[field.name], field.type) if field.name in filled else pa.nulls(len(rows), field.type)
            for field in self.schema
        ]
        return pa.table(columns, self.schema)


_records = lru_cache(_Records)


def schema_of(fields: Iterable[Field]) -> pa.Schema:
    """The columns for these fields. Times are as on the wire: `timestamp` is text."""
    return pa.schema([(field.name, _ARROW[field.type]) for field in fields])


def record_schema(known: KnownFormats = OWN) -> pa.Schema:
    """The columns of `table_of`."""
    return _records(known).schema


def table_of(lines: list[bytes], known: KnownFormats = OWN) -> pa.Table:
    """A row for each line, in order.

    Args:
        lines: JSON objects, without newlines.
        known: what has columns.
    """
    records = _records(known)
    groups: dict[_Layout, tuple[list[Values], list[int]]] = {}
    for position, line in enumerate(lines):
        layout, values = records.row(line)
        if layout not in groups:
            groups[layout] = ([], [])
        rows, positions = groups[layout]
        rows.append(values)
        positions.append(position)
    if not groups:
        return records.schema.empty_table()
    table = pa.concat_tables([records.table(layout, rows) for layout, (rows, _) in groups.items()])
    if len(groups) == 1:
        return table
    order = np.concatenate([np.array(positions) for _, positions in groups.values()])
    return table.take(pa.array(np.argsort(order)))


def lines_of(table: pa.Table, known: KnownFormats = OWN, *, has_raw: bool = True) -> list[bytes]:
    """The line of each row, in order: what `table_of` was given; has_raw: whether a column `raw` is texts of records.

    A row that no known format has, written by a reader that knew more, gives all that it has.
    """
    records, lines = _records(known), np.empty(len(table), object)
    kinds = _kinds_of_rows(table)
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        some = table if len(rows) == len(table) else table.take(pa.array(rows))
        present = frozenset(name for name in some.column_names if some[name][0].is_valid)
        if has_raw and RAW in present:
            found = list(map(str.encode, some[RAW].to_pylist()))
        else:
            names = records.order_of(present) or tuple(name for name in some.column_names if name in present)
            found = json_text.records(names, [_column(some, name) for name in names]) if names else [b"{}"] * len(rows)
        lines[rows] = np.fromiter(found, object, len(rows))
    return list(lines)


def _column(table: pa.Table, name: str) -> pa.Array:
    found = table[name].combine_chunks() if name in table.column_names else pa.nulls(len(table))
    return found if found.null_count < len(found) else pa.nulls(len(found))


def _kinds_of_rows(table: pa.Table) -> UInt64s:
    """Equal for rows that fill the same columns."""
    found = np.zeros(len(table), np.uint64)
    for name in table.column_names:
        if table[name].null_count < len(table):
            found += pc.is_valid(table[name]).to_numpy() * field_key(name)
    return found


def _time_of(record: dict[str, Any]) -> tuple[int | None, str | None]:
    """`ts` and `timestamp` of a record that is kept as text: readers can leave out what is not of their time."""
    ts, timestamp = record.get("ts"), record.get("timestamp")
    if type(ts) is int and _LEAST <= ts <= _MOST:
        return ts, None
    return None, timestamp if type(timestamp) is str else None

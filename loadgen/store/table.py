"""Events as the rows of a table, and back: what Parquet files hold.

In: lines of JSON. Out: an Arrow table with a column for each field of the three wire formats, and `raw`: the text of
a record that is not exactly one of them (another field, another type, another order, other spaces). So nothing is
lost: `lines_of(table_of(lines))` gives the same bytes. A `raw` row has no other column but its time.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.event import ACTIVITY_FIELDS, FULL_FIELDS, LISTEN_FIELDS, SONG_FIELDS

RAW = "raw"
_INTEGERS = {"ts", "userId", "sessionId", "status", "itemInSession", "age", "song_popularity"}
_FLOATS = {"length", "duration"}
_SHAPES = (
    ACTIVITY_FIELDS,
    ACTIVITY_FIELDS + SONG_FIELDS,
    ACTIVITY_FIELDS + FULL_FIELDS,
    ACTIVITY_FIELDS + SONG_FIELDS + FULL_FIELDS,
    LISTEN_FIELDS,
)
_RAW_SHAPE = len(_SHAPES)
"""The fields that records have, in order: each position is a shape's number in `_shape_of_rows`."""

_NULLABLE = {2: {"genre"}, 3: {"genre"}, 4: {"artist", "track", "genre", "duration"}}
"""By shape: the fields that may be null."""

_COLUMNS = tuple(dict.fromkeys((*_SHAPES[3], *LISTEN_FIELDS, RAW)))


def _type_of(name: str) -> type:
    return int if name in _INTEGERS else float if name in _FLOATS else str


SCHEMA = pa.schema(
    [(name, {int: pa.int64(), float: pa.float64(), str: pa.string()}[_type_of(name)]) for name in _COLUMNS]
)


def _signatures() -> set[tuple[tuple[str, ...], tuple[type, ...]]]:
    """The names and types of every record that fits."""
    fitting: set[tuple[tuple[str, ...], tuple[type, ...]]] = set()
    for number, shape in enumerate(_SHAPES):
        nullable = _NULLABLE.get(number, set())
        choices = [(_type_of(name), type(None)) if name in nullable else (_type_of(name),) for name in shape]
        fitting.update((shape, types) for types in product(*choices))
    return fitting


_SIGNATURES = _signatures()
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def table_of(lines: list[bytes]) -> pa.Table:
    """A row for each line, in order.

    Args:
        lines: JSON objects, without newlines.
    """
    rows = [_row(line) for line in lines]
    return pa.table([pa.array([row.get(name) for row in rows], kind) for name, kind in _kinds()], SCHEMA)


def lines_of(table: pa.Table) -> list[bytes]:
    """The line of each row, in order: what `table_of` was given."""
    shapes = _shape_of_rows(table)
    lines = np.empty(len(shapes), object)
    for number, shape in enumerate((*_SHAPES, (RAW,))):
        (rows,) = np.nonzero(shapes == number)
        values = [column.to_pylist() for column in table.select(shape).take(pa.array(rows)).columns]
        found: Iterator[bytes] = map(str.encode, values[0]) if number == _RAW_SHAPE else _dumped(shape, values)
        lines[rows] = np.fromiter(found, object, len(rows))
    return list(lines)


def _kinds() -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in SCHEMA]


def _row(line: bytes) -> dict[str, Any]:
    """The record as it is, or as text."""
    record: dict[str, Any] = orjson.loads(line)
    known = (tuple(record), tuple(map(type, record.values()))) in _SIGNATURES
    if known and orjson.dumps(record) == line and _is_in_range(record):
        return record
    return {RAW: line.decode(), **_time_of(record)}


def _is_in_range(record: dict[str, Any]) -> bool:
    """Whether the integers fit into 64 bits with a sign: JSON may have greater ones."""
    return "ts" not in record or max(map(record.__getitem__, _INTEGERS & record.keys())) <= _MOST


def _time_of(record: dict[str, Any]) -> dict[str, Any]:
    """The one column that a `raw` row has beside it, so that readers can leave out what is not of their time."""
    ts, timestamp = record.get("ts"), record.get("timestamp")
    if type(ts) is int and _LEAST <= ts <= _MOST:
        return {"ts": ts}
    return {"timestamp": timestamp} if type(timestamp) is str else {}


def _shape_of_rows(table: pa.Table) -> Any:
    """Of each row: the position of its fields in _SHAPES; int64."""
    there = {name: pc.is_valid(table[name]).to_numpy() for name in ("song", "user", "timestamp", RAW)}
    shape = np.where(there["timestamp"], 4, there["song"] + 2 * there["user"])
    return np.where(there[RAW], _RAW_SHAPE, shape)


def _dumped(shape: tuple[str, ...], columns: list[list[Any]]) -> Iterator[bytes]:
    return map(orjson.dumps, (dict(zip(shape, values, strict=True)) for values in zip(*columns, strict=True)))

"""Events as the rows of a table, and back: what Parquet files hold.

In: lines of JSON. Out: an Arrow table with a column for each field of the three wire formats, and `raw`: the text of
a record that is not exactly one of them (another field, another type, another order, other spaces). So nothing is
lost: `lines_of(table_of(lines))` gives the same bytes. A `raw` row has no other column but its time.
"""

from collections.abc import Callable, Iterator
from itertools import product
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
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
    (RAW, "ts", "timestamp"),
)
"""The columns that rows fill, in the order of their records' fields; the last is for the text of all other records."""

_RAW_SHAPE = len(_SHAPES) - 1
_NULLABLE = {2: {"genre"}, 3: {"genre"}, 4: {"artist", "track", "genre", "duration"}}
"""By shape: the fields that may be null."""

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
Signature = tuple[tuple[str, ...], tuple[type, ...]]


def _type_of(name: str) -> type:
    return int if name in _INTEGERS else float if name in _FLOATS else str


def _signatures() -> dict[Signature, int]:
    """The names and types of the fields of every record that fits, and its shape."""
    fitting: dict[Signature, int] = {}
    for number, shape in enumerate(_SHAPES[:_RAW_SHAPE]):
        nullable = _NULLABLE.get(number, set())
        choices = [(_type_of(name), type(None)) if name in nullable else (_type_of(name),) for name in shape]
        fitting.update(((shape, types), number) for types in product(*choices))
    return fitting


_SIGNATURES = _signatures()
_INTEGERS_OF: list[Callable[[tuple[Any, ...]], tuple[int, ...]]] = [
    *(itemgetter(*(shape.index(name) for name in shape if name in _INTEGERS)) for shape in _SHAPES[:4]),
    lambda values: (0,),
]
"""By shape: the values that must fit into 64 bits with a sign; JSON may have greater ones."""

_ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string()}
SCHEMA = pa.schema([(name, _ARROW[_type_of(name)]) for name in dict.fromkeys((*_SHAPES[3], *LISTEN_FIELDS, RAW))])
"""Times are as on the wire: `ts` in milliseconds since 1970, `timestamp` as text."""


def table_of(lines: list[bytes]) -> pa.Table:
    """A row for each line, in order.

    Args:
        lines: JSON objects, without newlines.
    """
    rows: list[list[tuple[Any, ...]]] = [[] for _ in _SHAPES]
    shapes = np.empty(len(lines), np.int64)
    for position, line in enumerate(lines):
        shapes[position], values = _row(line)
        rows[shapes[position]].append(values)
    found = [_columns(number, values) for number, values in enumerate(rows) if values]
    table = pa.concat_tables(found) if found else SCHEMA.empty_table()
    return table if len(found) < 2 else table.take(pa.array(np.argsort(np.argsort(shapes, kind="stable"))))


def lines_of(table: pa.Table) -> list[bytes]:
    """The line of each row, in order: what `table_of` was given."""
    shapes = _shape_of_rows(table)
    lines = np.empty(len(shapes), object)
    for number, shape in enumerate(_SHAPES):
        (rows,) = np.nonzero(shapes == number)
        values = [column.to_pylist() for column in table.select(shape).take(pa.array(rows)).columns]
        found: Iterator[bytes] = map(str.encode, values[0]) if number == _RAW_SHAPE else _dumped(shape, values)
        lines[rows] = np.fromiter(found, object, len(rows))
    return list(lines)


def _row(line: bytes) -> tuple[int, tuple[Any, ...]]:
    """The record's shape, and its values in the order of the shape's columns."""
    record: dict[str, Any] = orjson.loads(line)
    values = tuple(record.values())
    shape = _SIGNATURES.get((tuple(record), tuple(map(type, values))))
    if shape is not None and orjson.dumps(record) == line and max(_INTEGERS_OF[shape](values)) <= _MOST:
        return shape, values
    return _RAW_SHAPE, (line.decode(), *_time_of(record))


def _time_of(record: dict[str, Any]) -> tuple[int | None, str | None]:
    """`ts` and `timestamp` of a record that is kept as text: readers can leave out what is not of their time."""
    ts, timestamp = record.get("ts"), record.get("timestamp")
    if type(ts) is int and _LEAST <= ts <= _MOST:
        return ts, None
    return None, timestamp if type(timestamp) is str else None


def _columns(number: int, rows: list[tuple[Any, ...]]) -> pa.Table:
    """Rows of one shape, with all columns."""
    filled = dict(zip(_SHAPES[number], zip(*rows, strict=True), strict=True))
    columns = [
        pa.array(filled[field.name], field.type) if field.name in filled else pa.nulls(len(rows), field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, SCHEMA)


def _shape_of_rows(table: pa.Table) -> npt.NDArray[np.int64]:
    """Of each row: its position in _SHAPES."""
    there = {name: pc.is_valid(table[name]).to_numpy() for name in ("song", "user", "timestamp", RAW)}
    shapes = np.where(there["timestamp"], 4, there["song"] + 2 * there["user"])
    return np.where(there[RAW], _RAW_SHAPE, shapes)


def _dumped(shape: tuple[str, ...], columns: list[list[Any]]) -> Iterator[bytes]:
    return map(orjson.dumps, (dict(zip(shape, values, strict=True)) for values in zip(*columns, strict=True)))

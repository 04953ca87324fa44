"""Events as the rows of a table, and back: what Parquet files hold.

In: lines of JSON. Out: an Arrow table with a column for each field of the three wire formats, and `raw`: the text of
a record that is not exactly one of them (another field, another type, another order, other spaces). So nothing is
lost: `lines_of(table_of(lines))` gives the same bytes. A `raw` row has no other column but its time.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.formats import BUILT_IN, FULL, Field, FieldType, Format, fields_by_name, marked, marks

RAW = "raw"
_SHAPES = tuple(shape for wire_format in BUILT_IN.values() for shape in wire_format.shapes)
_MARKS = marks(_SHAPES)
_COLUMNS = (*(tuple(field.name for field in shape) for shape in _SHAPES), (RAW, "ts", "timestamp"))
"""The columns that rows fill, in the order of their records' fields; the last is for the text of all other records."""

_RAW_SHAPE = len(_SHAPES)
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
Signature = tuple[tuple[str, ...], tuple[type, ...]]
_TYPES: dict[FieldType, type] = {"integer": int, "float": float, "text": str}


def _signatures() -> dict[Signature, int]:
    """The names and types of the fields of every record that fits, and its shape."""
    fitting: dict[Signature, int] = {}
    for number, shape in enumerate(_SHAPES):
        choices = [(_TYPES[field.type], type(None)) if field.is_nullable else (_TYPES[field.type],) for field in shape]
        fitting.update(((_COLUMNS[number], types), number) for types in product(*choices))
    return fitting


_SIGNATURES = _signatures()


def _integers_of(shape: tuple[Field, ...]) -> Callable[[tuple[Any, ...]], tuple[int, ...]]:
    """The values that must fit into 64 bits with a sign; JSON may have greater ones."""
    places = [at for at, field in enumerate(shape) if field.type == "integer" and not field.is_nullable]
    if not places:
        return lambda values: (0,)
    return itemgetter(*places) if len(places) > 1 else lambda values: (values[places[0]],)


_INTEGERS_OF = [_integers_of(shape) for shape in _SHAPES]
_ARROW: dict[FieldType, pa.DataType] = {"integer": pa.int64(), "float": pa.float64(), "text": pa.string()}


def schema_of(formats: Iterable[Format]) -> pa.Schema:
    """The columns for the records of these formats. Times are as on the wire: `timestamp` is text."""
    return pa.schema([(name, _ARROW[field.type]) for name, field in fields_by_name(formats).items()])


SCHEMA = schema_of((FULL, *BUILT_IN.values())).append(pa.field(RAW, pa.string()))


def table_of(lines: list[bytes]) -> pa.Table:
    """A row for each line, in order.

    Args:
        lines: JSON objects, without newlines.
    """
    rows: list[list[tuple[Any, ...]]] = [[] for _ in _COLUMNS]
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
    for number, shape in enumerate(_COLUMNS):
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
    filled = dict(zip(_COLUMNS[number], zip(*rows, strict=True), strict=True))
    columns = [
        pa.array(filled[field.name], field.type) if field.name in filled else pa.nulls(len(rows), field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, SCHEMA)


def _shape_of_rows(table: pa.Table) -> npt.NDArray[np.int64]:
    """Of each row: its position in _COLUMNS."""
    shape_of_marks = np.full(1 << len(_MARKS), _RAW_SHAPE)
    for number, shape in enumerate(_SHAPES):
        shape_of_marks[marked(shape, _MARKS)] = number
    found = np.zeros(len(table), np.int64)
    for bit, name in enumerate(_MARKS):
        found += pc.is_valid(table[name]).to_numpy().astype(np.int64) << bit
    return np.where(pc.is_valid(table[RAW]).to_numpy(), _RAW_SHAPE, shape_of_marks[found])


def _dumped(shape: tuple[str, ...], columns: list[list[Any]]) -> Iterator[bytes]:
    return map(orjson.dumps, (dict(zip(shape, values, strict=True)) for values in zip(*columns, strict=True)))

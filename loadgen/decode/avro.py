"""Avro records to columns.

In: records without a schema, and the schema that wrote them: a record of fields that have one value each, or null.
Out: a table: integers as int64, floats as float64, texts and enums as string, bytes and fixed as binary, times as
timestamps, decimals as int64 or float64 where these keep their digits, else as string.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.cursor import ALL, Bools, Cursor, Rows
from loadgen.decode.columns import UTC_MS, UTC_US, Decoded, mask_of, rows_where, scattered, strings
from loadgen.event import Int64s
from loadgen.json_text import MOST_DECIMAL, decimal_texts, decimal_type

_TIMES = {"timestamp-millis": UTC_MS, "timestamp-micros": UTC_US}
_NUMBERS: dict[str, Callable[[Cursor, Rows, str], npt.NDArray[Any]]] = {
    "int": Cursor.integers,
    "long": Cursor.integers,
    "enum": Cursor.integers,
    "float": Cursor.floats,
    "double": Cursor.doubles,
    "boolean": Cursor.bytes,
}
SPANS = {"string", "bytes", "fixed"}
_DECIMAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class AvroColumn:
    """A field of a writer's schema.

    Attributes:
        name: of the field.
        type: of its values: a primitive type of Avro, enum or fixed; "null" where it has none.
        time: the Arrow type of a time; None for other values.
        decimal: precision and scale of a decimal; None for other values.
        symbols: of an enum; size: of a fixed, in bytes.
        branches: of its union, the types in order; empty where it has no union.
    """

    name: str
    type: str
    time: pa.DataType | None = None
    symbols: tuple[str, ...] = ()
    size: int = 0
    branches: tuple[str, ...] = ()
    decimal: tuple[int, int] | None = None


def columns_of(schema: str) -> tuple[AvroColumn, ...]:
    """The fields of a schema.

    Args:
        schema: JSON text.

    Raises:
        ValueError: it is none, or has fields with several values.
    """
    found = json.loads(schema)
    if not isinstance(found, dict) or found.get("type") != "record":
        raise ValueError(f"an Avro schema of events must be a record, got {str(found)[:80]}")
    named: dict[str, dict[str, Any]] = {}
    return tuple(_column(field["name"], field["type"], named) for field in found["fields"])


def _column(name: str, of_type: Any, named: dict[str, dict[str, Any]]) -> AvroColumn:
    branches = of_type if isinstance(of_type, list) else []
    values = [one for one in branches or [of_type] if one != "null"]
    if len(values) > 1:
        raise ValueError(f"field {name} must have values of one type and null, got {of_type}")
    found: Any = values[0] if values else "null"
    found = named.get(found, {"type": found}) if isinstance(found, str) else found
    if "name" in found:
        named[found["name"]] = found
    kind = found["type"]
    if kind not in {*_NUMBERS, *SPANS, "null"}:
        raise ValueError(f"field {name} must have a single value, got the type {kind}")
    time = _TIMES.get(found.get("logicalType", "")) if kind == "long" else None
    order = tuple("null" if one == "null" else kind for one in branches)
    return AvroColumn(
        name, kind, time, tuple(found.get("symbols", ())), found.get("size", 0), order, _decimal_of(kind, found)
    )


def _decimal_of(kind: str, of: dict[str, Any]) -> tuple[int, int] | None:
    """Precision and scale; None where values are plain bytes, as Avro has it where they make no sense."""
    precision, scale = of.get("precision"), of.get("scale", 0)
    if of.get("logicalType") != "decimal" or kind not in ("bytes", "fixed"):
        return None
    if type(precision) is int and type(scale) is int and 0 <= scale <= precision and 0 < precision <= MOST_DECIMAL:
        return precision, scale
    return None


def decode(records: pa.Array, columns: tuple[AvroColumn, ...], skip: int | Int64s = 0) -> Decoded:
    """Decode records.

    Args:
        records: binary or large binary, none null.
        columns: of the schema that wrote them.
        skip: how many bytes at the start of each are no part of it: one number, or int64[n].
    """
    cursor = Cursor(records, skip)
    found = {column.name: _read(cursor, column) for column in columns}
    cursor.finish()
    return Decoded.of(found, cursor)


def _read(cursor: Cursor, column: AvroColumn) -> pa.Array:
    n, rows = len(cursor.at), _rows_with_value(cursor, column)
    if column.type == "null":
        return pa.nulls(n)
    is_there = mask_of(rows, n)
    if column.type in SPANS:
        starts, lengths = cursor.spans(rows, _lengths(cursor, column, rows), column.name)
        spans = scattered(starts, rows, n), scattered(lengths, rows, n)
        if column.type == "string":
            return strings(cursor, spans, is_there, column.name)
        found = cursor.binary(*spans, is_there)
        return found if column.decimal is None else _decimals(cursor, found, column.decimal, column.name)
    values = scattered(_NUMBERS[column.type](cursor, rows, column.name), rows, n)
    return _typed(cursor, column, values, is_there)


def _decimals(cursor: Cursor, data: pa.BinaryArray, decimal: tuple[int, int], what: str) -> pa.Array:
    """Integers of two's complement, big-endian, as numbers, or as texts where they have more digits; null as null."""
    precision, scale = decimal
    offsets = np.frombuffer(data.buffers()[1], np.int32)[: len(data) + 1].astype(np.int64)
    octets = np.append(np.frombuffer(data.buffers()[2], np.uint8), np.uint8(0))
    lengths, words = np.diff(offsets), np.zeros((2, len(data)), np.uint64)
    sign = np.where((octets[offsets[:-1]] > 127) & (lengths > 0), np.uint64(255), np.uint64(0))
    for at in range(_DECIMAL_BYTES):
        octet = octets[np.maximum(offsets[1:] - 1 - at, 0)].astype(np.uint64)
        words[at // 8] |= np.where(at < lengths, octet, sign) << np.uint64(8 * (at % 8))
    low, high = words.view(np.int64)
    kind = decimal_type(precision, scale)
    is_long = (lengths > _DECIMAL_BYTES) | ((kind != "text") & (high != low >> 63))
    cursor.fail(ALL, is_long, f"has more digits than its schema allows in {what}")
    mask = data.is_null().to_numpy(zero_copy_only=False) if data.null_count else None
    if kind == "text":
        texts = decimal_texts(low, high, scale)
        return texts if mask is None else texts.take(pa.array(np.arange(len(texts)), mask=mask))
    return pa.array(low if kind == "integer" else low / 10**scale, mask=mask)


def _rows_with_value(cursor: Cursor, column: AvroColumn) -> Rows:
    """The records whose union has a value, not null."""
    if not column.branches:
        return ALL
    branch = cursor.integers(ALL, column.name)
    is_wrong = (branch < 0) | (branch >= len(column.branches))
    cursor.fail(ALL, is_wrong, f"has a branch that its schema lacks in {column.name}")
    values = np.array([kind != "null" for kind in column.branches])
    return rows_where(values[np.where(is_wrong, 0, branch)] & ~is_wrong)


def _lengths(cursor: Cursor, column: AvroColumn, rows: Rows) -> Int64s:
    if column.type == "fixed":
        return np.full(len(cursor.at[rows]), column.size)
    return cursor.integers(rows, column.name)


def _typed(cursor: Cursor, column: AvroColumn, values: npt.NDArray[Any], is_there: Bools) -> pa.Array:
    mask = None if is_there.all() else ~is_there
    if column.time is not None:
        return pa.array(values, mask=mask).cast(column.time)
    if column.type == "boolean":
        cursor.fail(ALL, values > 1, f"has a boolean that is neither true nor false as {column.name}")
        return pa.array(values == 1, mask=mask)
    if column.type != "enum":
        return pa.array(values, mask=mask)
    is_wrong = is_there & ((values < 0) | (values >= len(column.symbols)))
    cursor.fail(ALL, is_wrong, f"has a symbol that its schema lacks as {column.name}")
    return pa.array(column.symbols, pa.string()).take(pa.array(np.where(is_wrong, 0, values), mask=mask))

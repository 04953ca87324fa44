"""Protobuf messages to columns.

In: messages, and the .proto text of the schema that wrote them: a message of fields that have one value each. Out: a
table: integers as int64, floats as float64, texts as string, bytes as binary. A field without `optional` that is not
there is zero or empty, one with it is null; fields that the schema lacks are passed over, in any order.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.cursor import ALL, Bools, Cursor, Rows
from loadgen.decode.columns import Decoded, strings
from loadgen.event import Int64s, UInt64s

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_WIRE_TYPES = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool"), _VARINT),
    **dict.fromkeys(("double", "fixed64", "sfixed64"), _FIXED_64),
    **dict.fromkeys(("float", "fixed32", "sfixed32"), _FIXED_32),
    **dict.fromkeys(("string", "bytes"), _LENGTH),
}
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
MESSAGE = re.compile(r"message\s+(\w+)\s*\{([^{}]*)\}")
_FIELD = re.compile(r"(optional\s+)?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[[^\]]*\])?")


@dataclass(frozen=True, slots=True)
class ProtobufColumn:
    """A field of a message: its name, its type in .proto, its number, and whether it is null where it is not there."""

    name: str
    type: str
    number: int
    is_optional: bool

    @property
    def tag(self) -> int:
        """Number and wire type, as they stand in front of a value."""
        return self.number << 3 | _WIRE_TYPES[self.type]


def columns_of(schema: str) -> tuple[ProtobufColumn, ...]:
    """The fields of the first message of a .proto text.

    Raises:
        ValueError: it has no message without others inside, or fields with several values.
    """
    found = MESSAGE.search(COMMENT.sub("", schema))
    if found is None:
        raise ValueError("a Protobuf schema of events must have a message without others inside; got another")
    statements = [one.strip() for one in found[2].split(";")]
    return tuple(_column(one) for one in statements if one and not one.startswith(("reserved", "option ")))


def _column(statement: str) -> ProtobufColumn:
    found = _FIELD.fullmatch(statement)
    if found is None or found[2] not in _WIRE_TYPES:
        raise ValueError(f"a field of a Protobuf schema of events must have a single value, got {statement!r}")
    return ProtobufColumn(found[3], found[2], int(found[4]), bool(found[1]))


class _Filled:
    """The values of a column, filled in as they are found."""

    def __init__(self, column: ProtobufColumn, n: int) -> None:
        self.column = column
        self.values: npt.NDArray[Any] = np.zeros(n, np.float64 if column.type in ("double", "float") else np.int64)
        self.lengths = np.zeros(n, np.int64)
        self.is_there = np.zeros(n, np.bool_)

    def read(self, cursor: Cursor, rows: Rows) -> None:
        """The value behind the tag; a later one replaces an earlier one."""
        name = self.column.name
        self.is_there[rows] = True
        if self.column.type in ("string", "bytes"):
            self.values[rows], self.lengths[rows] = cursor.spans(rows, _signed(cursor, rows, name), name)
        else:
            self.values[rows] = _READ[self.column.type](cursor, rows, name)

    def to_arrow(self, cursor: Cursor) -> pa.Array:
        """As a column."""
        is_there = self.is_there if self.column.is_optional else np.ones(len(self.values), np.bool_)
        if self.column.type == "string":
            return strings(cursor, (self.values, self.lengths), is_there, self.column.name)
        if self.column.type == "bytes":
            return cursor.binary(self.values, self.lengths, is_there)
        values = self.values != 0 if self.column.type == "bool" else self.values
        return pa.array(values, mask=None if is_there.all() else ~is_there)


def decode(records: pa.Array, columns: tuple[ProtobufColumn, ...], skip: int | Int64s = 0) -> Decoded:
    """Decode messages.

    Args:
        records: binary or large binary, none null.
        columns: of the schema that wrote them.
        skip: how many bytes at the start of each are no part of it: one number, or int64[n].
    """
    cursor = Cursor(records, skip)
    found = [_Filled(column, len(records)) for column in columns]
    tags = np.array([column.tag for column in columns], np.uint64)
    left = _unfinished(cursor, ALL)
    while len(cursor.at[left]):  # once, unless fields are out of order, repeated or unknown
        for one in found:
            rows = _with_tag(cursor, one.column.tag, left)
            if len(cursor.at[rows]):
                one.read(cursor, rows)
        left = _unfinished(cursor, left)
        _pass_over(cursor, left, tags)
        left = _unfinished(cursor, left)
    return Decoded.of({one.column.name: one.to_arrow(cursor) for one in found}, cursor)


def _unfinished(cursor: Cursor, rows: Rows) -> Rows:
    return _chosen(rows, cursor.at[rows] < cursor.ends[rows])


def _chosen(rows: Rows, mask: Bools) -> Rows:
    """Those of these rows that the mask picks."""
    if mask.all():
        return rows
    return np.flatnonzero(mask) if isinstance(rows, slice) else rows[mask]


def _with_tag(cursor: Cursor, tag: int, left: Rows) -> Rows:
    """Those of these rows where the next field has this tag; they move on behind it."""
    written = _tag_bytes(tag)
    mask = np.uint64((1 << 8 * len(written)) - 1)
    is_next = (cursor.words(left) & mask) == np.uint64(int.from_bytes(written, "little"))
    rows = _chosen(left, is_next & (cursor.at[left] < cursor.ends[left]))
    cursor.skip(rows, len(written), "a tag")
    return rows


def _tag_bytes(tag: int) -> bytes:
    written = b""
    while tag >= 0x80:
        written, tag = written + bytes([tag & 0x7F | 0x80]), tag >> 7
    return written + bytes([tag])


def _pass_over(cursor: Cursor, left: Rows, tags: UInt64s) -> None:
    """Move these rows behind their next field, unless it is one of the schema's."""
    rows = np.arange(len(cursor.at))[left]
    before = cursor.at[rows]
    found = cursor.varints(rows, "a tag")
    is_known = np.isin(found, tags)
    n_bytes = 1 + np.sum([found >= 1 << bits for bits in (7, 14, 21, 28)], axis=0)
    cursor.fail(rows, is_known & (cursor.at[rows] != before + n_bytes), "has a tag in too many bytes")
    is_known &= cursor.is_good[rows]
    cursor.at[rows[is_known]] = before[is_known]
    rows, found = rows[~is_known], found[~is_known]
    wire_types = (found & np.uint64(7)).astype(np.int64)
    is_odd = (found < 8) | (found >> np.uint64(32) > 0) | ~np.isin(wire_types, list(_SKIP))
    cursor.fail(rows, is_odd, "has a tag that Protobuf lacks")
    for wire_type, skip in _SKIP.items():
        chosen = rows[(wire_types == wire_type) & ~is_odd]
        if len(chosen):
            skip(cursor, chosen, "a field that its schema lacks")


def _signed(cursor: Cursor, rows: Rows, what: str) -> Int64s:
    return cursor.varints(rows, what).view(np.int64)


def _signed_32(cursor: Cursor, rows: Rows, what: str) -> Int64s:
    return cursor.varints(rows, what).view(np.int64) << 32 >> 32


def _unsigned_32(cursor: Cursor, rows: Rows, what: str) -> Int64s:
    return cursor.varints(rows, what).view(np.int64) & 0xFFFFFFFF


def _zigzag_32(cursor: Cursor, rows: Rows, what: str) -> Int64s:
    found = _unsigned_32(cursor, rows, what)  # cut to 32 bits before the sign is taken off, as protobuf does
    return (found >> 1) ^ -(found & 1)


def _fixed_64(cursor: Cursor, rows: Rows, what: str) -> Int64s:
    found = cursor.words(rows).view(np.int64)
    cursor.skip(rows, 8, what)
    return found


def _fixed_32(cursor: Cursor, rows: Rows, what: str) -> Int64s:
    found = cursor.words(rows).view(np.int64) & 0xFFFFFFFF
    cursor.skip(rows, 4, what)
    return found


def _signed_fixed_32(cursor: Cursor, rows: Rows, what: str) -> Int64s:
    return _fixed_32(cursor, rows, what) << 32 >> 32


def _skip_bytes(cursor: Cursor, rows: Rows, what: str) -> None:
    cursor.spans(rows, _signed(cursor, rows, what), what)


_READ: dict[str, Callable[[Cursor, Rows, str], npt.NDArray[Any]]] = {
    "int32": _signed_32,
    "int64": _signed,
    "uint32": _unsigned_32,
    "uint64": _signed,
    "sint32": _zigzag_32,
    "sint64": Cursor.integers,
    "bool": _signed,
    "double": Cursor.doubles,
    "float": Cursor.floats,
    "fixed64": _fixed_64,
    "sfixed64": _fixed_64,
    "fixed32": _fixed_32,
    "sfixed32": _signed_fixed_32,
}
_SKIP: dict[int, Callable[[Cursor, Rows, str], object]] = {
    _VARINT: Cursor.varints,
    _FIXED_64: _fixed_64,
    _LENGTH: _skip_bytes,
    _FIXED_32: _fixed_32,
}

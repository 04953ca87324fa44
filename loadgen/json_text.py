"""Columns of values to JSON, byte for byte as orjson writes each value, and to whole records.

Columns of pyarrow go in, pyarrow binary arrays come out.
"""

from base64 import b64encode
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.drawn import FieldType

MOST_DIGITS, MOST_EXACT, MOST_DECIMAL = 18, 15, 38
"""Of a decimal: digits that fit into 64 bits, that a float64 keeps, and that Arrow has."""
_NEEDS_ESCAPE = r'["\\\x00-\x1f]'
_QUOTE, _NOTHING = pa.scalar(b'"', pa.binary()), pa.scalar(b"", pa.binary())


def strings(values: pa.Array | pa.ChunkedArray) -> pa.BinaryArray:
    """Quoted JSON strings of a string array; only those that hold a quote, backslash or control go through orjson."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    plain = pc.binary_join_element_wise(_QUOTE, values.cast(pa.string()).cast(pa.binary()), _QUOTE, _NOTHING)
    special = pc.match_substring_regex(values, _NEEDS_ESCAPE)
    if not pc.any(special).as_py():
        return plain
    escaped = [orjson.dumps(text) for text in values.filter(special).to_pylist()]
    return pc.replace_with_mask(plain, special, pa.array(escaped, pa.binary()))


def quoted(text: str) -> bytes:
    """A text as JSON."""
    return orjson.dumps(text)


def decimal_type(precision: int, scale: int) -> FieldType:
    """What decimals are in JSON: numbers where every reader keeps all of their digits, else texts."""
    if precision > (MOST_EXACT if scale else MOST_DIGITS):
        return "text"
    return "float" if scale else "integer"


def decimal_texts(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], scale: int) -> pa.StringArray:
    """Integers of 128 bits over a power of ten, with all digits: 215300 over 10 ** 3 is 215.300."""
    words = np.stack([low, high], axis=1)
    kind = pa.decimal128(MOST_DECIMAL, scale)
    return pa.Array.from_buffers(kind, len(low), [None, pa.py_buffer(words)]).cast(pa.string())


def floats(values: pa.Array) -> pa.BinaryArray:
    """The shortest decimals; null for what is no number."""
    text = orjson.dumps(values.to_numpy(), option=orjson.OPT_SERIALIZE_NUMPY)
    return pa.array(text[1:-1].split(b",") if len(values) else [], pa.binary())


def records(names: Sequence[str], columns: Sequence[pa.Array]) -> list[bytes]:
    """The objects with these columns, at least one; each has a value in every row, or in none.

    Args:
        names: of the fields, in order.
        columns: integers, floats, booleans, texts, or bytes, which become base64; of the type null for null.
    """
    pieces = []
    for at, (name, column) in enumerate(zip(names, columns, strict=True)):
        key = (b"," if at else b"{") + orjson.dumps(name) + b":"
        if pa.types.is_null(column.type):
            pieces.append(pa.scalar(key + b"null", pa.binary()))
        else:
            pieces += [pa.scalar(key, pa.binary()), _encoded(column)]
    joined = pc.binary_join_element_wise(*pieces, pa.scalar(b"}", pa.binary()), _NOTHING)
    found: list[bytes] = joined.to_pylist() if isinstance(joined, pa.Array) else [joined.as_py()] * len(columns[0])
    return found


def _encoded(column: pa.Array) -> pa.BinaryArray:
    if pa.types.is_string(column.type):
        return strings(column)
    if pa.types.is_floating(column.type):
        return floats(column)
    if pa.types.is_binary(column.type):
        return strings(pa.array([b64encode(value).decode() for value in column.to_pylist()], pa.string()))
    return column.cast(pa.string()).cast(pa.binary())

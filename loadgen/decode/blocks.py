"""Blocks of Avro records to records: nothing but its fields says where a record ends.

In: blocks, in which records follow one another. Out: a binary array with a record in each row. The blocks are read side
by side, a record of each at a time, so many blocks of few records cost less than few of many.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from loadgen.cursor import Bools
from loadgen.decode.avro import SPANS, AvroColumn
from loadgen.event import Int64s, UInt8s, UInt64s
from loadgen.fingerprint import words_of

_PADDING = 24
"""Zeros behind the data, so that whatever begins in it can be looked at."""
_HIGH_BITS = np.uint64(0x8080808080808080)
_LENGTH_BYTES = 5
"""Of the varint of a length at most: a block is shorter than 2 GiB."""
_FIXED = {"float": 4, "double": 8, "boolean": 1, "null": 0}
_Skip = Callable[[Int64s], None]


def split(blocks: pa.Array, counts: Int64s, columns: tuple[AvroColumn, ...]) -> pa.LargeBinaryArray:
    """The records of blocks, in order.

    Nothing is checked: where a block is damaged, one of its records is not as long as its fields, which `decode` finds.

    Args:
        blocks: large binary, not sliced, none null or empty.
        counts: int64, how many records each has, 1 at least.
        columns: of the schema that wrote them.
    """
    _, edges, content = blocks.buffers()
    offsets = np.frombuffer(edges, np.int64)[: len(blocks) + 1]
    data = np.zeros(content.size + _PADDING, np.uint8)
    data[: content.size] = np.frombuffer(content, np.uint8)
    skips = [_skip_of(column, data, words_of(data)) for column in columns]
    order = np.argsort(-counts, kind="stable")  # those that have a record left are the first ones
    at, ends = offsets[:-1][order], offsets[1:][order]
    starts = []
    for n_left in np.searchsorted(-counts[order], -np.arange(counts.max())).tolist():
        starts.append(at[:n_left].copy())
        for skip in skips:
            skip(at[:n_left])
            np.minimum(at[:n_left], ends[:n_left], out=at[:n_left])
    found = np.sort(np.concatenate([*starts, offsets[-1:]]))
    return pa.Array.from_buffers(pa.large_binary(), len(found) - 1, [None, pa.py_buffer(found), content])


def _skip_of(column: AvroColumn, data: UInt8s, words: UInt64s) -> _Skip:
    """What moves positions behind a field."""
    skip = _value_skip_of(column, data, words)
    has_value = np.zeros(256, np.bool_)
    has_value[[2 * branch for branch, kind in enumerate(column.branches) if kind != "null"]] = True

    def skip_union(at: Int64s) -> None:
        is_there = has_value[data[at]]
        at += 1
        if is_there.all():
            skip(at)
        elif is_there.any():
            some = at[is_there]
            skip(some)
            at[is_there] = some

    return skip_union if column.branches else skip


def _value_skip_of(column: AvroColumn, data: UInt8s, words: UInt64s) -> _Skip:
    """What moves positions behind a value."""

    def skip_fixed(at: Int64s) -> None:
        at += n_bytes

    def skip_number(at: Int64s) -> None:
        stops = ~words[at] & _HIGH_BITS
        is_long = stops == 0
        at += np.bitwise_count(stops ^ (stops - np.uint64(1))) >> 3
        if is_long.any():
            at[is_long] += np.where(data[at[is_long]] >= 0x80, 2, 1)

    def skip_span(at: Int64s) -> None:
        n_bytes = data[at].astype(np.int64)
        if int(n_bytes.max()) >= 0x80:
            goes_on: Bools = n_bytes >= 0x80
            n_bytes &= 0x7F
            for place in range(1, _LENGTH_BYTES):
                at += goes_on
                byte = np.where(goes_on, data[at], 0).astype(np.int64)
                n_bytes |= (byte & 0x7F) << 7 * place
                goes_on = byte >= 0x80
        at += (n_bytes >> 1) + 1

    n_bytes = column.size or _FIXED.get(column.type, 0)
    if column.type == "fixed" or column.type in _FIXED:
        return skip_fixed
    return skip_span if column.type in SPANS else skip_number

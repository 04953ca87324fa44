"""Prepares a send for the producer: sorted by partition, as columns of Python values.

In: lines, and the lane (partition) of each. Out: what `produce` takes per event, and what has to be remembered.
Each step works on the whole send: the producer wants Python objects, but nothing else happens per event.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import orjson
import pyarrow as pa

from loadgen.event import Int64s, UInt16s
from loadgen.sink import EncodedBatch
from loadgen.sink.deliver import Sent, line_lengths
from loadgen.sink.in_flight import Batch, Group

FIRST_BYTES = int.from_bytes(b'{"ts', "little")
"""Of a view; never looked at here, since nothing compares views."""


def sorted_groups(lines: EncodedBatch, lane_of_event: UInt16s, order: Int64s) -> list[Group]:
    """What to remember of the lines (at least one): one group per lane that they touch, all of one batch.

    Args:
        lines: the events, sent now.
        lane_of_event: uint16, the lane of each.
        order: int64, positions that sort the events by lane and keep each lane's order.
    """
    end_bytes = np.cumsum(line_lengths(lines)[order] - 1)  # the newline is no part of a message
    sent = Sent.of(lines, 0).take(order, int(end_bytes[-1]))
    batch = Batch(sent, lines.user_id[order], lines.ts_ms[order], end_bytes, lines.lines, order)
    return [Group(lane, batch, start, stop) for lane, start, stop in runs(lane_of_event[order])]


def runs(lanes: UInt16s) -> Iterator[tuple[int, int, int]]:
    """The runs of equal lanes in a sorted array: (lane, start, stop)."""
    if len(lanes) == 0:
        return
    cuts = [0, *(np.flatnonzero(np.diff(lanes)) + 1).tolist(), len(lanes)]
    for start, stop in pairwise(cuts):
        yield int(lanes[start]), start, stop


def values_of(lines: pa.BinaryArray, order: Int64s) -> list[bytes]:
    """The lines at these positions, without their newlines.

    Arrow's views (length, first four bytes, buffer, offset) name pieces of the lines' memory in any order, so that
    nothing is copied before Python's own bytes are made: two thirds of the time of take, cut and convert. Views are of
    this form for more than 12 bytes, which every event has.
    """
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)[lines.offset :]
    views = np.empty((len(order), 4), np.int32)
    views[:, 3] = ends[order]
    views[:, 0] = ends[order + 1] - views[:, 3] - 1
    views[:, 1] = FIRST_BYTES
    views[:, 2] = 0
    values: list[bytes] = pa.Array.from_buffers(
        pa.binary_view(), len(order), [None, pa.py_buffer(views), data]
    ).to_pylist()
    return values


def keys_of(user_ids: Int64s) -> list[bytes]:
    """The decimal digits of each id; orjson prints a whole array in a tenth of the time that str takes."""
    return orjson.dumps(user_ids, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")

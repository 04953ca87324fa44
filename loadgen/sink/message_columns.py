"""Batches to the arguments of `Producer.produce`: one list per argument, one value per event.

In: sorted batches, and which of their events are meant. Out: topics, values, keys, partitions, timestamps and headers
as Python has them.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise, repeat
from operator import length_hint
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, Message

from loadgen.event import Int64s, UInt16s
from loadgen.kafka.topics import Topics
from loadgen.sink import EncodedBatch
from loadgen.sink.in_flight import SentBatch

FIRST_BYTES = int.from_bytes(b'{"ts', "little")
"""Of an Arrow view; never looked at here, since views are not compared."""
MOST_IN_VIEW = 12
"""Bytes that an Arrow view holds in itself."""

Report = Callable[[KafkaError | None, Message], None]


def produce_all(
    produce: Callable[..., None],
    columns: Sequence[Sequence[Any]],
    refused: Callable[[int, BufferError | KafkaException], bool],
) -> None:
    """One call per event without a Python loop.

    Args:
        produce: a producer's.
        columns: its arguments, each one value per event.
        refused: called with the position of an event that the producer does not take, and why; whether to go on behind.
    """
    n_events, left = len(columns[0]), iter(columns[0])
    calls = map(produce, left, *columns[1:])
    while True:
        try:
            deque(calls, maxlen=0)
            return
        except (BufferError, KafkaException) as error:
            if not refused(n_events - length_hint(left) - 1, error):
                return


def message_columns(
    topics: Topics, batch: SentBatch, positions: Int64s, partitions: UInt16s, callbacks: Sequence[Report | None]
) -> list[Sequence[Any]]:
    """The arguments of `produce`, each one value per event.

    Args:
        topics: of the run.
        batch: one that was sorted.
        positions: int64[n], of the events in the batch.
        partitions: uint16[n], of each, counted through all topics.
        callbacks: n of them.
    """
    events, order = batch.in_order(positions)
    names, numbers = topics.addresses(partitions)
    nothing = [None] * len(positions)
    columns = [names, values_of(events.lines, order), _keys_of(events, order), numbers, callbacks, nothing]
    headers = [] if events.headers is None else [_headers_of(events.headers.take(pa.array(order)))]
    return [*columns, batch.ts_ms[positions].tolist(), *headers]


def values_of(lines: pa.BinaryArray, order: Int64s) -> list[bytes]:
    """The lines at these positions, without their newlines; in another encoding, the records.

    Arrow's views (length, first four bytes, buffer, offset) name pieces of the lines' memory in any order, so that
    nothing is copied before Python's own bytes are made: two thirds of the time of take, cut and convert. Views are of
    this form for more than 12 bytes, which all but the smallest records of Avro and Protobuf have.
    """
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)[lines.offset :]
    views = np.empty((len(order), 4), np.int32)
    views[:, 3] = ends[order]
    views[:, 0] = ends[order + 1] - views[:, 3] - 1
    if views[:, 0].min(initial=MOST_IN_VIEW + 1) <= MOST_IN_VIEW:
        return [line[:-1] for line in lines.take(pa.array(order)).to_pylist()]
    views[:, 1] = FIRST_BYTES
    views[:, 2] = 0
    values: list[bytes] = pa.Array.from_buffers(
        pa.binary_view(), len(order), [None, pa.py_buffer(views), data]
    ).to_pylist()
    return values


def _keys_of(events: EncodedBatch, order: Int64s) -> list[bytes | None]:
    """The keys; orjson prints a whole array of ids in a tenth of the time that str takes."""
    if events.key is not None:
        keys: list[bytes | None] = events.key.take(pa.array(order)).to_pylist()
        return keys
    return [*orjson.dumps(events.user_id[order], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")]


def _headers_of(headers: pa.StructArray | pa.ListArray) -> list[list[tuple[str, bytes]]]:
    """A list of (name, value) for each event, made without a Python loop where all have the same names."""
    if pa.types.is_list(headers.type):
        names, values = (column.to_pylist() for column in headers.flatten().flatten())
        pairs_of_all = list(zip(names, values, strict=True))
        ends = np.append(0, np.cumsum(headers.value_lengths().to_numpy())).tolist()
        return [pairs_of_all[start:end] for start, end in pairwise(ends)]
    columns = zip(headers.type, headers.flatten(), strict=True)
    pairs = [zip(repeat(field.name), values.to_pylist()) for field, values in columns]
    return list(map(list, zip(*pairs, strict=True)))


def value_hashes(batch: SentBatch, positions: Int64s) -> Int64s:
    """Python's own hash of each value, which is the same in all of a process."""
    events, order = batch.in_order(positions)
    return np.fromiter(map(hash, values_of(events.lines, order)), np.int64, len(positions))

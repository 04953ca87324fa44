"""Where events go: one small interface, several places.

`kafka` produces to a topic, `files` writes JSON lines by date, `stream` hands lines to the coordinator (one output file
or stdout for all workers), `simple` is the base of sinks of others and finds them, its `NullSink` counts only.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.event import Int64s, UInt8s, UInt16s, UInt32s, UInt64s
from loadgen.ledger import Tally
from loadgen.progress import Progress


@dataclass(slots=True)
class EncodedBatch:
    """Encoded events, in the order in which they are to be sent.

    Attributes:
        lines: pyarrow binary array, one JSON object per event, each ending in a newline; where Kafka alone is written,
            the records in its encoding, ending in a newline, too.
        user_id: int64.
        ts_ms: int64, the event's own time: the Kafka timestamp, and the day of the date folder (UTC).
        page: uint8, a code of the run's `Pages`.
        virtual_shard: uint16, the virtual shard of the listener.
        hash: uint64, the fingerprint's hash of the whole event.
        due_ns: int64, time.monotonic_ns() at which the schedule asks for the event.
        key_hash: uint32, what the partition of the Kafka key follows from, see kafka/partition.py.
        key: pyarrow binary array, the Kafka keys, null where an event has none; None: each is the user id in digits.
        headers: pyarrow struct array, a binary field for each header of the Kafka messages; or list array of structs of
            name and value, where each message has its own; None: they have none.
        value, value_hash: lines and hash for Kafka, where they are others.
        crowd: uint8, the number of the crowd of the listener; None where all are one.
    """

    lines: pa.BinaryArray
    user_id: Int64s
    ts_ms: Int64s
    page: UInt8s
    virtual_shard: UInt16s
    hash: UInt64s
    due_ns: Int64s
    key_hash: UInt32s
    key: pa.BinaryArray | None = None
    headers: pa.StructArray | pa.ListArray | None = None
    value: pa.BinaryArray | None = None
    value_hash: UInt64s | None = None
    crowd: UInt8s | None = None

    def __len__(self) -> int:
        return len(self.ts_ms)

    def __getitem__(self, part: slice) -> Self:
        """A run of events, without copying."""
        return self._each(lambda column: column[part])

    def take(self, positions: npt.NDArray[np.integer[Any]]) -> Self:
        """The events at these positions, in that order."""
        rows = pa.array(positions)
        return self._each(lambda column: column[positions] if isinstance(column, np.ndarray) else column.take(rows))

    def _each(self, part_of: Callable[[Any], Any]) -> Self:
        columns = (getattr(self, field.name) for field in fields(self))
        parts: list[Any] = [None if column is None else part_of(column) for column in columns]
        return type(self)(*parts)

    def for_kafka(self) -> Self:
        """The same events with the lines and hashes of Kafka's messages."""
        if self.value is None or self.value_hash is None:
            return self
        return replace(self, lines=self.value, hash=self.value_hash, value=None, value_hash=None)

    def buffer(self) -> memoryview:
        """All lines as one piece of memory, without copying."""
        _, offsets, data = self.lines.buffers()
        if data is None or len(self.lines) == 0:
            return memoryview(b"")
        ends = np.frombuffer(offsets, np.int32)[self.lines.offset : self.lines.offset + len(self.lines) + 1]
        return memoryview(data)[int(ends[0]) : int(ends[-1])]

    def line_bytes(self) -> Int64s:
        """The bytes of each line, its newline included: int64[n]."""
        if len(self.lines) == 0:
            return np.zeros(0, np.int64)
        ends = np.frombuffer(self.lines.buffers()[1], np.int32)
        return np.diff(ends[self.lines.offset : self.lines.offset + len(self.lines) + 1]).astype(np.int64)


class Sink(Protocol):
    """A place to which events are sent, in order.

    A sink has partitions, in each of which events are completed in the order of sending (a Kafka topic has its own; a
    file has one). So `completed` tells the successor of a worker that died where to go on.
    """

    @property
    def name(self) -> str:
        """Under which its figures stand in the summary and the manifest: "kafka", "files", "stream", "null", …"""

    @property
    def tally(self) -> Tally:
        """The outcomes so far; cumulative."""

    @property
    def completed(self) -> Int64s:
        """int64[number of partitions], events of each that ended, in order: a prefix of what was sent."""

    @property
    def progress(self) -> Progress:
        """The same by virtual shard, and which events did not arrive: the sink's part of the manifest."""

    def partitions(self, key_hash: UInt32s, page: UInt8s) -> UInt16s:
        """The partition of each of some events: uint16[n]; key_hash, page: see `EncodedBatch`."""

    def room(self) -> int:
        """How many events `send` takes now without dropping any; 0 while the place is full."""

    def send(self, batch: EncodedBatch) -> None:
        """Accept all events in order; those beyond `room` are dropped.

        Raises SinkError when the place is gone for good; then every event of the call has an outcome all the same."""

    def drop(self, batch: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up; they keep their place in the order."""

    def poll(self, timeout_s: float) -> None:
        """Take in delivery reports, waiting at most timeout_s for the first; raises as `send` does."""

    def flush(self, timeout_s: float) -> None:
        """Wait at most timeout_s for everything in flight; raises as `send` does."""

    def close(self) -> None:
        """Give up what is still in flight (it becomes unfinished) and free the place. Closing twice is allowed."""

    def marks(self) -> dict[str, int]:
        """For files: the length in bytes of each, belonging to `completed` of the same moment; else empty."""

    def round_trip_s(self) -> float:
        """The slowest broker round trip (p99) of the last second; nan where there is none."""

"""Where events go: one small interface, several places.

`kafka` produces to a topic, `files` writes JSON lines by date, `stream` hands lines to the coordinator (one output file
or stdout for all workers), `null` counts only, `embedded` starts librdkafka's in-process test broker.
"""

from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.event import Int32s, Int64s, UInt8s, UInt16s, UInt64s
from loadgen.ledger import Tally
from loadgen.progress import Progress


@dataclass(slots=True)
class EncodedBatch:
    """Encoded events, in the order in which they are to be sent.

    Attributes:
        lines: pyarrow binary array, one JSON object per event, each ending in a newline.
        row: int32, position of the listener in the shard's arrays.
        user_id: int64.
        ts_ms: int64, the event's own time: the Kafka timestamp, and the day of the date folder (UTC).
        page: uint8, a `Page`.
        virtual_shard: uint16, the virtual shard of the listener.
        hash: uint64, the fingerprint's hash of the whole event.
        due_ns: int64, time.monotonic_ns() at which the schedule asks for the event.
    """

    lines: pa.BinaryArray
    row: Int32s
    user_id: Int64s
    ts_ms: Int64s
    page: UInt8s
    virtual_shard: UInt16s
    hash: UInt64s
    due_ns: Int64s

    def __len__(self) -> int:
        return len(self.ts_ms)

    def __getitem__(self, part: slice) -> Self:
        """A run of events, without copying."""
        return type(self)(*(getattr(self, field.name)[part] for field in fields(self)))

    def take(self, positions: npt.NDArray[np.integer[Any]]) -> Self:
        """The events at these positions, in that order."""
        columns = [getattr(self, field.name) for field in fields(self)]
        return type(self)(columns[0].take(pa.array(positions)), *(column[positions] for column in columns[1:]))

    def buffer(self) -> memoryview:
        """All lines as one piece of memory, without copying."""
        _, offsets, data = self.lines.buffers()
        if data is None or len(self.lines) == 0:
            return memoryview(b"")
        ends = np.frombuffer(offsets, np.int32)[self.lines.offset : self.lines.offset + len(self.lines) + 1]
        return memoryview(data)[int(ends[0]) : int(ends[-1])]


class Sink(Protocol):
    """A place that events are offered to, in order.

    A sink cuts its events into lanes, in each of which events are settled in the order of sending (Kafka: one lane per
    partition; a file: one lane). So `settled` is all that a worker which died leaves behind for its successor to go on.

    Attributes:
        name: "kafka", "files", "stream" or "null".
        tally: what became of the events so far; cumulative.
        lane_of_row: uint16[number of listeners], the lane of each listener of the shard.
        settled: int64[number of lanes], events of each lane that ended, in order: a prefix of what was sent.
        progress: the same by virtual shard, and which of them did not arrive: what the manifest says of the sink.
    """

    name: str
    tally: Tally
    lane_of_row: UInt16s
    settled: Int64s

    @property
    def progress(self) -> Progress: ...

    def room(self) -> int:
        """How many events `send` takes now without dropping any; 0 while the place is full."""

    def send(self, lines: EncodedBatch) -> None:
        """Accept all events in order; those beyond `room` are dropped.

        Raises SinkError when the place is gone for good; then every event of the call has an outcome all the same."""

    def drop(self, lines: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up; they keep their place in the order."""

    def poll(self, timeout_s: float) -> None:
        """Take in delivery reports, waiting at most so long for the first; raises as `send` does."""

    def flush(self, timeout_s: float) -> None:
        """Wait at most so long for everything in flight; raises as `send` does."""

    def close(self) -> None:
        """Give up what is still in flight (it becomes unfinished) and free the place. Closing twice is allowed."""

    def marks(self) -> dict[str, int]:
        """For files: the length in bytes of each, belonging to `settled` of the same moment; else empty."""

    def round_trip_s(self) -> float:
        """The slowest broker round trip (p99) of the last second; nan where there is none."""

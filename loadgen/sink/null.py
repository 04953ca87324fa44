"""A sink that counts and forgets: it measures the generator alone.

In: lines. Out: a tally in which every event is delivered the moment it is sent.
"""

import numpy as np

from loadgen.event import Int64s
from loadgen.ledger import Outcome, Tally
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch
from loadgen.sink.in_flight import SentColumns, count_delivered

MAX_SEND = 65_536
"""Events taken at a time."""


class NullSink:
    """Accepts everything at once and keeps nothing."""

    name = "null"

    def __init__(self, n_rows: int, settled: Int64s | None = None, before: Progress | None = None) -> None:
        """Begin empty.

        Args:
            n_rows: the number of the shard's listeners.
            settled: int64[1], what a predecessor had settled; None for a fresh start.
            before: `progress` of the same snapshot.
        """
        self.tally = Tally()
        self.partition_of_row = np.zeros(n_rows, np.uint16)
        self.settled = np.zeros(1, np.int64) if settled is None else settled.copy()
        self._progress = Progress.start(1, before)

    @property
    def progress(self) -> Progress:
        """See `Sink`."""
        return self._progress.settle()

    def room(self) -> int:
        """There is always room."""
        return MAX_SEND

    def send(self, lines: EncodedBatch) -> None:
        """Count all events as delivered."""
        count_delivered(self.tally, SentColumns.of(lines, len(lines.buffer())))
        self.settled[0] += len(lines)
        self._progress.advance(0, lines.virtual_shard)

    def drop(self, lines: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up."""
        self.tally.settle(Outcome.DROPPED, lines.page)
        self.settled[0] += len(lines)
        self._progress.advance(0, lines.virtual_shard, np.full(len(lines), Outcome.DROPPED, np.uint8))

    def poll(self, timeout_s: float) -> None:
        """Nothing is ever in flight."""

    def flush(self, timeout_s: float) -> None:
        """Nothing is ever in flight."""

    def close(self) -> None:
        """Nothing is held."""

    def marks(self) -> dict[str, int]:
        """There are no files."""
        return {}

    def round_trip_s(self) -> float:
        """There is no broker."""
        return float("nan")

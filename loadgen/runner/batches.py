"""The batches of one worker, one of them made ahead.

A paced worker's next batch is made by a thread of its own while the present one is sent, because making it takes longer
than an event may be late. NumPy and Arrow leave the interpreter to the other thread most of the time.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from loadgen.runner.messages import Go, Seconds
from loadgen.runner.outputs import ResumeFilter
from loadgen.runner.send_loop import Batch
from loadgen.simulate.schedule import Schedule
from loadgen.stream import ShardStream

N_WARM = 4
"""Batches that a paced worker has in memory at times; before that memory was first used, making one takes long."""


class Batches:
    """Reads a stream, one batch ahead where there is a schedule: a `BatchSource`.

    Attributes:
        is_over: the stream has ended.
    """

    def __init__(self, stream: ShardStream, filters: Sequence[ResumeFilter], seconds: Seconds) -> None:
        """Make none yet.

        Args:
            stream: the worker's events.
            filters: one for each sink: what need not be made again.
            seconds: where the time that the worker waits for a batch is counted.
        """
        self._stream, self._filters, self._seconds = stream, filters, seconds
        self._thread = ThreadPoolExecutor(1, "batches")
        self._ahead: Future[Batch | None] | None = None
        self.is_over = False

    def warm_up(self, paced: bool) -> None:
        """Make the first batch: after the start it would make the first events late."""
        self._stream.warm_up(N_WARM if paced else 1)

    def start(self, schedule: Schedule, go: Go) -> None:
        """From now on it is known when events are due: the first batch is made."""
        self._stream.start(schedule, go.t0_ns, go.t0_wall_ms)
        self._is_paced = schedule.paced
        self._make_ahead()

    def next(self, limit_ns: int) -> Batch | None:
        """The batch that was made ahead, or one that is made now; None at the end."""
        with self._seconds.spent_on("generate"):
            batch = self._ahead.result() if self._ahead else self._make()
        self.is_over = batch is None
        self._make_ahead()
        return batch

    def end(self) -> None:
        """There will be no more; one that is being made is not wanted."""
        self._thread.shutdown()

    def _make_ahead(self) -> None:
        """Begin the next one; not while a predecessor has settled some: which, is known once this one is sent."""
        is_wanted = self._is_paced and not any(filter.left.any() for filter in self._filters)
        self._ahead = self._thread.submit(self._make) if is_wanted else None

    def _make(self) -> Batch | None:
        outgoing = self._stream.next()
        if outgoing is None:
            return None
        is_settled = all(filter.is_done(outgoing.events) for filter in self._filters)
        return outgoing, None if is_settled else self._stream.encode(outgoing)

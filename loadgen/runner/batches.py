"""The batches of one worker, in order: simulated, given their due times, encoded.

    feed.next_batch → schedule.due → wall-clock times, where asked for → encoder.encode → spoilt lines, where asked for

A worker's task and what it simulates go in; what leaves, with its lines, comes out. A paced worker's next batch is made
by a thread of its own while the present one is sent: making it takes longer than an event may be late. NumPy and Arrow
leave the interpreter to the other thread most of the time.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from loadgen.encode.lines import make_encoder
from loadgen.encode.malform import malform
from loadgen.encode.tracks import KIND_OF, open_track_parts
from loadgen.event import N_VIRTUAL_SHARDS, Int64s, UInt16s
from loadgen.fingerprint import run_key
from loadgen.runner.assignment import ShardAssignment, Unthrottled, make_feed
from loadgen.runner.messages import Go, Seconds
from loadgen.runner.outputs import ResumeFilter
from loadgen.simulate.catalog import Catalog
from loadgen.simulate.impair import Impairer, OutgoingBatch
from loadgen.simulate.population import user_names
from loadgen.simulate.schedule import Schedule, due_of, wall_times
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import labels
from loadgen.sink import EncodedBatch

N_WARM = 4
"""A paced worker has so many batches in memory at times; before that memory was first used, making one takes long."""

Batch = tuple[OutgoingBatch, EncodedBatch | None]
"""What leaves, and its lines; None where a predecessor that died has settled all of it."""


class Batches:
    """Makes batches, one ahead of its time where they are paced."""

    def __init__(
        self,
        task: ShardAssignment,
        catalog: Catalog,
        shard: Shard,
        impairer: Impairer | None,
        replays: Sequence[ResumeFilter],
        seconds: Seconds,
    ) -> None:
        """Make none yet.

        Args:
            task: which part of the run it is.
            catalog: what the events' tracks are rows of.
            shard: what is simulated.
            impairer: what spoils some of it.
            replays: one for each sink: what must not be made again.
            seconds: where the time that the worker waits for a batch is counted.
        """
        self._settings = settings = task.plan.settings
        words = labels(catalog, task.plan.simulation.behaviour)
        parts = open_track_parts(catalog, KIND_OF[settings.format], is_checked=True)
        self._encoder = make_encoder(
            settings.format,
            parts,
            words,
            shard.listeners,
            lambda ids: user_names(ids, settings.seed, words),
            run_key(settings.seed, settings.timeless),
        )
        self._feed = make_feed(task, shard, impairer)
        self._replays, self._seconds = replays, seconds
        self._schedule: Schedule = Unthrottled()  # until the start is known
        self._first: OutgoingBatch | None = None
        self._thread = ThreadPoolExecutor(1, "batches")
        self._ahead: Future[Batch | None] | None = None

    def warm_up(self) -> None:
        """Simulate the first batch: after the start it would make the first events late."""
        self._first = self._feed.next_batch()
        if self._first:
            n_times = 1 if self._settings.unpaced else N_WARM
            _ = [self._encoder.encode(self._first.events) for _ in range(n_times)]  # for nothing but to have run

    def start(self, schedule: Schedule, go: Go) -> None:
        """From now on it is known when events are due: the first batch is made."""
        self._schedule, self._go = schedule, go
        self._make_ahead()

    def next(self) -> Batch | None:
        """The batch that was made ahead, or one that is made now; None at the end."""
        with self._seconds.spent_on("generate"):
            batch = self._ahead.result() if self._ahead else self._make()
        self._make_ahead()
        return batch

    def end(self) -> None:
        """There will be no more; one that is being made is not wanted."""
        self._thread.shutdown()

    def _make_ahead(self) -> None:
        """Begin the next one; not while a predecessor has settled some: which, is known once this one is sent."""
        is_wanted = self._schedule.paced and not any(replay.left.any() for replay in self._replays)
        self._ahead = self._thread.submit(self._make) if is_wanted else None

    def _make(self) -> Batch | None:
        leaving, self._first = self._first if self._first is not None else self._feed.next_batch(), None
        if leaving is None:
            return None
        due_ns = due_of(self._schedule, leaving)  # also where all are settled, since it counts them
        if all(replay.covers(leaving.events) for replay in self._replays):
            return leaving, None
        return leaving, self._encode(leaving, due_ns)

    def _encode(self, leaving: OutgoingBatch, due_ns: Int64s) -> EncodedBatch:
        batch = leaving.events
        if self._settings.timestamps == "wall":
            batch.ts_ms = wall_times(leaving, due_ns - self._go.t0_ns, self._go.t0_wall_ms, self._settings.speed)
        encoded, hashes = malform(*self._encoder.encode(batch), leaving.marked("malform"))
        return EncodedBatch(
            encoded, batch.row, batch.user_id, batch.ts_ms, batch.page, virtual_shards_of(leaving), hashes, due_ns
        )


def virtual_shards_of(leaving: OutgoingBatch) -> UInt16s:
    """The virtual shard of each event's listener."""
    return (leaving.events.user_id % N_VIRTUAL_SHARDS).astype(np.uint16)

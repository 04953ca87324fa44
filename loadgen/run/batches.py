"""The batches of one worker, in order: simulated, given their due times, encoded.

    feed.next_batch → schedule.due → wall-clock times, where asked for → encoder.encode → spoilt lines, where asked for

A worker's task and what it simulates go in; what leaves, with its lines, comes out.
"""

import time
from collections.abc import Sequence

import numpy as np

from loadgen.encode.lines import make_encoder
from loadgen.encode.malform import malform
from loadgen.encode.tracks import KIND_OF, open_track_parts
from loadgen.event import N_SLICES, Int64s, UInt16s
from loadgen.run.messages import Go, Seconds
from loadgen.run.outputs import Replay
from loadgen.run.schedule import Unpaced
from loadgen.run.share import Task, make_feed
from loadgen.simulate.catalog import Catalog
from loadgen.simulate.impair import Impairer, Leaving
from loadgen.simulate.population import user_names
from loadgen.simulate.schedule import NS_PER_S, Schedule, due_of, wall_times
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import labels
from loadgen.sink import Lines

AHEAD_S = 0.05
"""So long before it is wanted, a paced worker that has time makes the next batch."""

Batch = tuple[Leaving, Lines | None]
"""What leaves, and its lines; None where a predecessor that died has settled all of it."""


class Batches:
    """Makes batches, one ahead of its time where the worker has time for it."""

    def __init__(
        self,
        task: Task,
        catalog: Catalog,
        shard: Shard,
        impairer: Impairer | None,
        replays: Sequence[Replay],
        seconds: Seconds,
    ) -> None:
        """Make none yet.

        Args:
            task: which part of the run it is.
            catalog: what the events' tracks are rows of.
            shard: what is simulated.
            impairer: what spoils some of it.
            replays: one for each sink: what must not be made again.
            seconds: where the time that it takes is counted.
        """
        self._settings = settings = task.plan.settings
        words = labels(catalog, task.plan.simulation.behaviour)
        parts = open_track_parts(catalog, KIND_OF[settings.format])
        self._encoder = make_encoder(
            settings.format, parts, words, shard.listeners, lambda ids: user_names(ids, settings.seed, words)
        )
        self._feed = make_feed(task, shard, impairer)
        self._replays, self._seconds = replays, seconds
        self._schedule: Schedule = Unpaced()  # until the start is known
        self._first: Leaving | None = None
        self._ahead: Batch | None = None

    def warm_up(self) -> None:
        """Simulate the first batch: after the start it would make the first events late."""
        self._first = self._feed.next_batch()
        if self._first:
            self._encoder.encode(self._first.events)  # for nothing but to have run once

    def start(self, schedule: Schedule, go: Go) -> None:
        """From now on it is known when events are due."""
        self._schedule, self._go = schedule, go

    def next(self) -> Batch | None:
        """The batch that was made ahead, or one that is made now; None at the end."""
        ready, self._ahead = self._ahead, None
        return ready or self._make()

    def make_ahead(self, last_due_ns: int) -> bool:
        """Make the next batch in place of a wait, if it will be wanted soon: made when it is due, it would be late.

        Args:
            last_due_ns: when the last event of the present batch is due, by the monotonic clock.

        Returns:
            Whether there is one now that was not there before.
        """
        if self._ahead is not None or last_due_ns - time.monotonic_ns() >= AHEAD_S * NS_PER_S:
            return False
        if any(replay.left.any() for replay in self._replays):
            return False  # what a predecessor had settled of the next batch is known only once this one is sent
        self._ahead = self._make()
        return self._ahead is not None

    def _make(self) -> Batch | None:
        with self._seconds.spent_on("generate"):
            leaving, self._first = self._first if self._first is not None else self._feed.next_batch(), None
            if leaving is None:
                return None
            due_ns = due_of(self._schedule, leaving)  # also where all are settled, since it counts them
            if all(replay.covers(leaving.events) for replay in self._replays):
                return leaving, None
            return leaving, self._encode(leaving, due_ns)

    def _encode(self, leaving: Leaving, due_ns: Int64s) -> Lines:
        batch = leaving.events
        if self._settings.timestamps == "wall":
            batch.ts_ms = wall_times(leaving, due_ns - self._go.t0_ns, self._go.t0_wall_ms, self._settings.speed)
        encoded, hashes = malform(*self._encoder.encode(batch), leaving.marked("malform"))
        return Lines(encoded, batch.row, batch.user_id, batch.ts_ms, batch.page, slices_of(leaving), hashes, due_ns)


def slices_of(leaving: Leaving) -> UInt16s:
    """The slice of each event's listener."""
    return (leaving.events.user_id % N_SLICES).astype(np.uint16)

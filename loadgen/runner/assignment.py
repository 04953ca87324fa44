"""The part of a run that one worker has: its virtual shards, its schedule, and how it catches up after a delay.

A `ShardAssignment` depends on the plan alone, so the successor of a worker that died has the same. The schedules are in
simulate/schedule.py; without one (`--rate max`) each event is due at once. The loop is open: a worker that is late
sends at up to CATCH_UP times the schedule's speed, and records its lag. Times are time.monotonic_ns().
"""

import time
from dataclasses import dataclass, field

import numpy as np

from loadgen.config import RunSettings
from loadgen.event import Int64s
from loadgen.runner.messages import Checkpoint, Plan
from loadgen.simulate.feed import Owned, owned_virtual_shards, paced_schedule
from loadgen.simulate.schedule import Schedule

CATCH_UP = 2.0


@dataclass(slots=True)
class Unthrottled:
    """No schedule: every event is due when it is asked for."""

    paced: bool = False

    def due_ns(self, emit_ms: Int64s) -> Int64s:
        """Now, for all of them."""
        return np.full(len(emit_ms), time.monotonic_ns())

    def scheduled(self, until_ns: int) -> float:
        """There is no target."""
        return float("nan")


@dataclass(slots=True)
class CatchUpLimit:
    """How far along the schedule a worker may send: up to now, but no faster than CATCH_UP after a delay.

    Attributes:
        at_ns: events due before this have been allowed.
        seen_ns: the wall clock when at_ns was last moved.
    """

    at_ns: int
    seen_ns: int = field(default=-1)

    def advance(self, now_ns: int) -> int:
        """Move with the clock and return the new limit."""
        elapsed_ns = max(0, now_ns - self.seen_ns) if self.seen_ns >= 0 else 0
        self.seen_ns = now_ns
        self.at_ns = min(now_ns, self.at_ns + int(CATCH_UP * elapsed_ns))
        return self.at_ns

    def jump(self, to_ns: int) -> None:
        """Skip what was due before, because it has been dropped, or a predecessor has completed it."""
        self.at_ns = max(self.at_ns, to_ns)


@dataclass(frozen=True, slots=True)
class ShardAssignment:
    """Which part of the run a worker has: it is number `index` of this machine's workers."""

    plan: Plan
    index: int
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    def owned(self) -> Owned:
        """The virtual shards of this worker: bool[N_VIRTUAL_SHARDS]."""
        settings = self.plan.settings
        return owned_virtual_shards(settings.shard.index, settings.shard.count, self.index, settings.workers)


def make_schedule(settings: RunSettings, owned: Owned, t0_ns: int) -> Schedule:
    """When the events of these virtual shards are due, for a worker of a run and for a process of Locust."""
    return Unthrottled() if settings.unpaced else paced_schedule(settings, owned, t0_ns)

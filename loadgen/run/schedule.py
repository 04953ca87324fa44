"""When each event is due: an absolute schedule, so that a late event never moves the ones after it.

    natural   due = t0 + (time - simulated t0) / speed      the listeners' own rhythm, compressed by a constant
    rate R    due = t0 + k / R                             event k of this worker; simulated time is compressed to fit
    max       due = now                                    no schedule: as fast as the sinks take it

     offered |        ....----natural (what these listeners do)
     events  |   _,-''________ rate R (a straight line)
             |_-'____________ wall clock

Times are time.monotonic_ns(); nothing here reads a clock but `Unpaced`. The schedule never waits for
completions (open loop): a worker that is late sends at once, at up to CATCH_UP times the schedule's speed, and records
its lag.
"""

import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from loadgen.event import Int64s

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
CATCH_UP = 2.0


class Schedule(Protocol):
    """Says when the events of a worker are due, batch after batch."""

    paced: bool

    def due_ns(self, leave_ms: Int64s) -> Int64s:
        """Due times of the next events, by the simulated times at which they leave: int64, monotonic, ascending."""


@dataclass(slots=True)
class NaturalSchedule:
    """Simulated time runs `speed` times as fast as the wall clock."""

    t0_ns: int
    simulated_t0_ms: int
    speed: float
    paced: bool = True

    def due_ns(self, leave_ms: Int64s) -> Int64s:
        """Due times of the next events."""
        elapsed_ms = (leave_ms - self.simulated_t0_ms) / self.speed
        return self.t0_ns + (elapsed_ms * NS_PER_MS).astype(np.int64)


@dataclass(slots=True)
class RateSchedule:
    """A constant number of events a second, whatever their simulated times."""

    t0_ns: int
    rate_per_s: float
    n_before: int = 0
    paced: bool = True

    def due_ns(self, leave_ms: Int64s) -> Int64s:
        """Due times of the next events."""
        position = np.arange(self.n_before, self.n_before + len(leave_ms))
        self.n_before += len(leave_ms)
        return self.t0_ns + (position * (NS_PER_S / self.rate_per_s)).astype(np.int64)


@dataclass(slots=True)
class Unpaced:
    """Every event is due when it is asked for."""

    paced: bool = False

    def due_ns(self, leave_ms: Int64s) -> Int64s:
        """Now, for all of them."""
        return np.full(len(leave_ms), time.monotonic_ns())


@dataclass(slots=True)
class Cursor:
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
        """Give up what was due before (it has been dropped, or was settled by a predecessor)."""
        self.at_ns = max(self.at_ns, to_ns)

"""How a worker follows its schedule: by the clock, and what is due at once where there is no schedule.

    max       due = now                                    no schedule: as fast as the sinks take it

The schedules themselves are in simulate/schedule.py. Times are time.monotonic_ns(); nothing here reads a clock but
`Unpaced`. The schedule never waits for completions (open loop): a worker that is late sends at once, at up to CATCH_UP
times the schedule's speed, and records its lag.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from loadgen.event import Int64s

CATCH_UP = 2.0


@dataclass(slots=True)
class Unpaced:
    """Every event is due when it is asked for."""

    paced: bool = False

    def due_ns(self, leave_ms: Int64s) -> Int64s:
        """Now, for all of them."""
        return np.full(len(leave_ms), time.monotonic_ns())

    def scheduled(self, until_ns: int) -> float:
        """Nothing is asked for."""
        return float("nan")


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

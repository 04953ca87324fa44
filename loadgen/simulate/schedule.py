"""When each event is due: an absolute schedule, so that a late event never moves the ones after it.

    natural   due = t0 + (time - simulated t0) / speed      the listeners' own rhythm, compressed by a constant
    rate R    due = t0 + k / R                             event k of this worker; simulated time is compressed to fit
    shape F   due = t0 + F⁻¹(k)                            F: events that the shape offers until then, see shapes.py

     offered |        ....----natural (what these listeners do)
     events  |   _,-''________ rate R (F is a straight line)
             |_-'____________ wall clock

Simulated times go in, due times in nanoseconds come out. No clock is read here, so the same events are
always due at the same times after t0.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from loadgen.event import Int64s
from loadgen.simulate.crowd_load import CrowdLoad, TotalLoad
from loadgen.simulate.impair import OutgoingBatch
from loadgen.simulate.pacers import PacerShape
from loadgen.simulate.shapes import Shape

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NEVER_NS = 1 << 61
"""After the end of every run."""


class Schedule(Protocol):
    """Says when the events of a worker are due, batch after batch."""

    paced: bool

    def due_ns(self, emit_ms: Int64s) -> Int64s:
        """Due times of the next events, by the simulated times at which they leave: int64, monotonic, ascending."""

    def scheduled(self, until_ns: int) -> float:
        """Events due before this moment; nan where only the simulation can tell."""


@dataclass(slots=True)
class NaturalSchedule:
    """Simulated time runs `speed` times as fast as the wall clock."""

    t0_ns: int
    simulated_t0_ms: int
    speed: float
    paced: bool = True

    def due_ns(self, emit_ms: Int64s) -> Int64s:
        """Due times of the next events."""
        elapsed_ms = (emit_ms - self.simulated_t0_ms) / self.speed
        return self.t0_ns + (elapsed_ms * NS_PER_MS).astype(np.int64)

    def scheduled(self, until_ns: int) -> float:
        """The listeners decide."""
        return float("nan")


@dataclass(slots=True)
class RateSchedule:
    """As many events a second as a shape or a pacer offers, whatever their simulated times.

    Attributes:
        t0_ns: the shape's zero.
        shape: this worker's part of the load.
        n_before: events that were asked for until now.
    """

    t0_ns: int
    shape: Shape | PacerShape | CrowdLoad | TotalLoad
    n_before: int = 0
    paced: bool = True

    def due_ns(self, emit_ms: Int64s) -> Int64s:
        """Due times of the next events; NEVER_NS after t0 where the shape ends in silence before them."""
        position = np.arange(self.n_before, self.n_before + len(emit_ms))
        self.n_before += len(emit_ms)
        if self.shape.constant_per_s:
            at_ns = position.astype(np.float64) * (NS_PER_S / self.shape.constant_per_s)
        else:
            at_ns = np.rint(self.shape.invert(position) * NS_PER_S)
        return np.fmin(at_ns, NEVER_NS).astype(np.int64) + self.t0_ns

    def scheduled(self, until_ns: int) -> float:
        """Events due before this moment."""
        return float(self.shape.integral(max(0, until_ns - self.t0_ns) / NS_PER_S))


def due_of(schedule: Schedule, leaving: OutgoingBatch) -> Int64s:
    """When each of the next events is due: int64, nanoseconds; a copy with its original, so that they stay equal."""
    due_ns = schedule.due_ns(leaving.emit_ms)
    (copies,) = np.nonzero(leaving.marked("duplicate"))
    due_ns[copies] = due_ns[copies - 1]
    return due_ns


def wall_times(leaving: OutgoingBatch, since_t0_ns: Int64s, t0_wall_ms: int, speed: float) -> Int64s:
    """What `ts` says under --timestamps wall: int64, ms since 1970.

    Args:
        leaving: the events.
        since_t0_ns: int64, when they are due, after the schedule's zero.
        t0_wall_ms: the schedule's zero, ms since 1970.
        speed: simulated seconds per second; a late event happened that much earlier than it leaves.
    """
    late_ms = ((leaving.emit_ms - leaving.events.ts_ms) / speed).astype(np.int64)
    times: Int64s = t0_wall_ms + since_t0_ns // NS_PER_MS - late_ms
    return times

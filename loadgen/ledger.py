"""What became of the events: counts that add up, and the fingerprint of those delivered.

Each event that was due is, in the end, exactly one of delivered, aborted, failed, dropped or unfinished; until then it
may be in flight. A sink keeps one `Tally`; a worker's snapshot carries the tallies of its sinks; the coordinator adds
them up.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from loadgen.event import MAX_PAGES, N_VIRTUAL_SHARDS, Int64s, UInt8s, UInt16s, UInt64s
from loadgen.histogram import Histogram, Histograms


class Outcome(IntEnum):
    """How an event ended: the row of Tally.by_page."""

    DELIVERED = 0
    FAILED = 1
    DROPPED = 2
    UNFINISHED = 3
    ABORTED = 4
    """On purpose: acknowledged, in a transaction that was aborted; read_uncommitted readers alone see it."""


@dataclass(slots=True)
class Fingerprint:
    """An order-independent fingerprint of a set of events, one row per virtual shard of the listeners.

    Attributes:
        count: int64[N_VIRTUAL_SHARDS], the number of events.
        total: uint64[N_VIRTUAL_SHARDS], the sum of the events' 64-bit hashes, modulo 2**64.
    """

    count: Int64s = field(default_factory=lambda: np.zeros(N_VIRTUAL_SHARDS, np.int64))
    total: UInt64s = field(default_factory=lambda: np.zeros(N_VIRTUAL_SHARDS, np.uint64))

    def add(self, virtual_shard: UInt16s, hashes: UInt64s) -> None:
        """Add events (their virtual shards and hashes, equal length)."""
        self.count += np.bincount(virtual_shard, minlength=N_VIRTUAL_SHARDS)
        np.add.at(self.total, virtual_shard, hashes)

    def merge(self, other: "Fingerprint") -> None:
        """Add the other's events to this one."""
        self.count += other.count
        self.total += other.total


@dataclass(slots=True)
class CrowdTally:
    """What became of the events of each crowd, row or column = number of the crowd.

    Attributes:
        planned: int64[n_crowds], events that the sink was given.
        by_outcome: int64[4, n_crowds], row = `Outcome`; the others of `planned` are in flight.
        ack_s, intended_to_ack_s: see `Tally`.
    """

    planned: Int64s
    by_outcome: npt.NDArray[np.int64]
    ack_s: Histograms
    intended_to_ack_s: Histograms

    @classmethod
    def of(cls, n_crowds: int) -> "CrowdTally":
        """Nothing counted yet."""
        by_outcome = np.zeros((len(Outcome), n_crowds), np.int64)
        return cls(np.zeros(n_crowds, np.int64), by_outcome, Histograms(n_crowds), Histograms(n_crowds))

    def plan(self, crowd: UInt8s) -> None:
        """The sink is given events of these crowds."""
        self.planned += np.bincount(crowd, minlength=len(self.planned))

    def complete(self, outcome: Outcome, crowd: UInt8s) -> None:
        """Count events (their crowds) as ended this way."""
        self.by_outcome[outcome] += np.bincount(crowd, minlength=len(self.planned))

    def counts(self, number: int) -> dict[str, int]:
        """Of one crowd: planned, delivered, failed, dropped, unfinished (in flight counts as unfinished)."""
        ended = {outcome.name.lower(): int(self.by_outcome[outcome, number]) for outcome in Outcome}
        ended["unfinished"] += int(self.planned[number]) - sum(ended.values())
        return {"planned": int(self.planned[number]), **ended}

    def forget_in_flight(self) -> None:
        """Only what has ended counts."""
        self.planned = self.by_outcome.sum(axis=0)

    def merge(self, other: "CrowdTally") -> None:
        """Add the other's counts to this one."""
        self.planned = self.planned + other.planned
        self.by_outcome = self.by_outcome + other.by_outcome
        self.ack_s.merge(other.ack_s)
        self.intended_to_ack_s.merge(other.intended_to_ack_s)


@dataclass(slots=True)
class Tally:
    """What became of the events that one sink was given.

    Attributes:
        by_page: int64[5, MAX_PAGES], row = `Outcome`, column = page.
        bytes_delivered: value bytes of the delivered events (uncompressed).
        in_flight: accepted, no delivery report yet.
        fingerprint, aborted: of the delivered events, and of the aborted ones.
        ack_s: from the send to the delivery report.
        intended_to_ack_s: from the moment the schedule asked for the event to its delivery report.
        crowds: the same by crowd; None where all listeners are one.
    """

    by_page: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(Outcome), MAX_PAGES), np.int64))
    bytes_delivered: int = 0
    in_flight: int = 0
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    aborted: Fingerprint = field(default_factory=Fingerprint)
    ack_s: Histogram = field(default_factory=Histogram)
    intended_to_ack_s: Histogram = field(default_factory=Histogram)
    crowds: CrowdTally | None = None

    def count(self, outcome: Outcome) -> int:
        """The number of events that ended this way."""
        return int(self.by_page[outcome].sum())

    @property
    def n_acknowledged(self) -> int:
        """Events that ended as they were meant to: delivered, or aborted on purpose."""
        return self.count(Outcome.DELIVERED) + self.count(Outcome.ABORTED)

    @property
    def planned(self) -> int:
        """All events that were due: completed or in flight."""
        return int(self.by_page.sum()) + self.in_flight

    def complete(self, outcome: Outcome, pages: UInt8s, crowd: UInt8s | None = None) -> None:
        """Count events (their pages, and their crowds where there are any) as ended this way."""
        self.by_page[outcome] += np.bincount(pages, minlength=MAX_PAGES)
        if self.crowds is not None and crowd is not None:
            self.crowds.complete(outcome, crowd)

    def merge(self, other: "Tally") -> None:
        """Add the other's counts to this one."""
        self.by_page += other.by_page
        self.bytes_delivered += other.bytes_delivered
        self.in_flight += other.in_flight
        self.fingerprint.merge(other.fingerprint)
        self.aborted.merge(other.aborted)
        self.ack_s.merge(other.ack_s)
        self.intended_to_ack_s.merge(other.intended_to_ack_s)
        if other.crowds is not None:
            self.crowds = self.crowds or CrowdTally.of(len(other.crowds.planned))
            self.crowds.merge(other.crowds)

    def counts(self) -> dict[str, Any]:
        """planned, delivered, failed, dropped, unfinished, aborted (in flight counts as unfinished)."""
        ended = {outcome.name.lower(): self.count(outcome) for outcome in Outcome}
        ended["unfinished"] += self.in_flight
        return {"planned": self.planned, **ended}


MANY, BUSY = 10_000, 0.25
"""The cost of an event is reported from this many events on, if each worker was busy for this share of the time: a
worker that starts, and then mostly waits for its schedule, spends its CPU time on that."""


def cost_us(cpu_s: float, n_planned: int, elapsed_s: float, n_workers: int) -> float | None:
    """Microseconds of CPU time for an event; None where there was too little load to tell.

    Args:
        cpu_s: of all workers.
        n_planned: events.
        elapsed_s: of the run.
        n_workers: how many workers there were.
    """
    is_load = n_planned >= MANY and cpu_s >= BUSY * elapsed_s * n_workers
    return cpu_s / n_planned * 1e6 if is_load else None

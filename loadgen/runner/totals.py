"""The whole run in numbers: the sum of the workers' snapshots.

Snapshots go in; the ledger of every sink, rates, and where the workers' time went come out. What it means: judge/
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadgen.histogram import Histogram
from loadgen.ledger import Outcome, Tally
from loadgen.runner.messages import Activity, Seconds, Snapshot
from loadgen.simulate.schedule import NS_PER_S


@dataclass(slots=True)
class Totals:
    """Sums over workers, those that died included.

    Attributes:
        tallies: sink name → tally.
        schedule_lag_s: histogram over all events sent.
        active: listeners in a session, last known.
        simulated_ms: the latest event's time.
        cpu_s: of all workers.
        seconds, slow_s: where the workers' wall-clock time went, see `Snapshot`.
        repeated_possibly: events that may have reached a sink twice, because a worker died after it had sent them and
            before it could say so; an upper bound.
        restarts: workers started again.
        offered_per_s, delivered_per_s, target_per_s: what was planned, delivered and asked for by the schedule between
            the last two snapshots of each worker, summed over the workers; the target is nan without a schedule.
        scheduled: see `Snapshot`; the sum over the workers.
        taken_ns, ended_ns: when the latest snapshot of each worker that goes on was taken, and the last of the others.
        scheduled_ns: until when the schedule of each worker counts.
        pulses: when each worker saw deliveries.
        impaired: events impaired on purpose, by kind.
        round_trip_s: the slowest broker round trip of the last second; nan where unknown.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    schedule_lag_s: Histogram = field(default_factory=Histogram)
    active: int = 0
    simulated_ms: int = 0
    cpu_s: float = 0.0
    seconds: Seconds = field(default_factory=Seconds)
    slow_s: float = 0.0
    repeated_possibly: int = 0
    restarts: int = 0
    offered_per_s: float = 0.0
    delivered_per_s: float = 0.0
    target_per_s: float = 0.0
    scheduled: float = 0.0
    taken_ns: list[int] = field(default_factory=list)
    ended_ns: list[int] = field(default_factory=list)
    scheduled_ns: list[int] = field(default_factory=list)
    pulses: list[Activity] = field(default_factory=list)
    impaired: dict[str, int] = field(default_factory=dict)
    round_trip_s: float = float("nan")

    def add(self, snapshot: Snapshot) -> None:
        """Add a worker's totals."""
        for name, tally in snapshot.tallies.items():
            self.tallies.setdefault(name, Tally()).merge(tally)
        self.schedule_lag_s.merge(snapshot.schedule_lag_s)
        self.active += snapshot.active
        self.simulated_ms = max(self.simulated_ms, snapshot.simulated_ms)
        self.cpu_s += snapshot.cpu_s
        self.seconds.merge(snapshot.seconds)
        self.slow_s += snapshot.slow_s
        self.round_trip_s = float(np.fmax(self.round_trip_s, snapshot.round_trip_s))

    def add_worker(self, incarnations: Sequence[Snapshot], before: Snapshot | None = None) -> None:
        """Add all of a worker: its latest snapshot is the last.

        Args:
            incarnations: the last snapshot of each, oldest first; none of a worker that has not reported.
            before: the snapshot before the latest.
        """
        for snapshot in incarnations:
            self.add(snapshot)
        for latest in incarnations[-1:]:
            self.add_impaired(latest.impaired)  # it has counted those of the former ones again
            self.add_schedule(latest)
            if before and not latest.done:
                self.add_rates(before, latest)

    def tell_of(self, going_on: Sequence[Snapshot]) -> None:
        """Make these snapshots the moment of the totals, where workers leave early; without any, the last moment."""
        self.taken_ns = [one.at_ns for one in going_on] or sorted(self.taken_ns)[-1:]
        self.scheduled_ns = [one.scheduled_ns for one in going_on] or sorted(self.scheduled_ns)[-1:]

    def add_rates(self, before: Snapshot, now: Snapshot) -> None:
        """Add what a worker did between two of its snapshots."""
        elapsed_s = (now.at_ns - before.at_ns) / NS_PER_S
        if elapsed_s > 0:
            self.offered_per_s += (_primary(now).planned - _primary(before).planned) / elapsed_s
            delivered = _primary(now).count(Outcome.DELIVERED) - _primary(before).count(Outcome.DELIVERED)
            self.delivered_per_s += delivered / elapsed_s
            self.target_per_s += (now.scheduled - before.scheduled) / elapsed_s

    def add_schedule(self, latest: Snapshot) -> None:
        """Add what the schedule has asked of a worker until its latest snapshot; not of one that never ran."""
        if latest.at_ns == 0:
            return
        self.scheduled += latest.scheduled
        (self.ended_ns if latest.done else self.taken_ns).append(latest.at_ns)
        self.scheduled_ns.append(latest.scheduled_ns)
        self.pulses.append(latest.pulse)

    def at_s(self, t0_ns: int) -> float:
        """The moment that these totals tell of, seconds after the schedule's zero: the mean over those that go on."""
        if not self.taken_ns:
            return (max(self.ended_ns) - t0_ns) / NS_PER_S if self.ended_ns else 0.0
        return (sum(self.taken_ns) / len(self.taken_ns) - t0_ns) / NS_PER_S

    @property
    def spread_s(self) -> float:
        """How far apart the moments are that the workers tell of, seconds: little once all have been heard."""
        return (max(self.taken_ns) - min(self.taken_ns)) / NS_PER_S if self.taken_ns else 0.0

    def offered_s(self, t0_ns: int) -> float:
        """For how long events were offered, seconds: the mean over the workers; after that they are waited for."""
        return sum(at_ns - t0_ns for at_ns in self.scheduled_ns) / max(1, len(self.scheduled_ns)) / NS_PER_S

    def add_impaired(self, counts: dict[str, int]) -> None:
        """Add a worker's counts of impaired events."""
        for kind, n_events in counts.items():
            self.impaired[kind] = self.impaired.get(kind, 0) + n_events

    @property
    def primary_sink(self) -> Tally:
        """The tally of the first sink (Kafka before files)."""
        return _primary(self)

    @property
    def perfect(self) -> bool:
        """Whether every planned event was delivered to every sink."""
        return all(tally.count(Outcome.DELIVERED) == tally.planned for tally in self.tallies.values())


def _primary(counted: Totals | Snapshot) -> Tally:
    return next(iter(counted.tallies.values()), Tally())


def sum_of(snapshots: Iterable[Snapshot]) -> Totals:
    """The totals of these snapshots."""
    totals = Totals()
    for snapshot in snapshots:
        totals.add(snapshot)
    return totals


def settled_only(snapshot: Snapshot) -> Snapshot:
    """What counts of a worker that died: its settled events; those in flight are its successor's to plan again."""
    for tally in snapshot.tallies.values():
        tally.in_flight = 0
    snapshot.active = 0
    return snapshot

"""The whole run in numbers: the sum of the workers' snapshots, for the coordinator and for Locust's master.

In: what each worker has reported. Out: the ledger of every sink, rates, and where the workers' time went.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from loadgen.histogram import Histogram
from loadgen.kafka.far_end import FarEndReport
from loadgen.ledger import Outcome, Tally
from loadgen.replay.records import ReadCounts
from loadgen.runner.messages import Activity, Seconds, Snapshot
from loadgen.simulate.schedule import NS_PER_S


@dataclass(slots=True, kw_only=True)
class WorkerReports:
    """What a worker has reported.

    Attributes:
        last, before: its latest snapshot, and the one before that.
        finalized: the last snapshot of each former incarnation, oldest first, see `without_in_flight`.
        repeated_possibly: events of former incarnations that may be sent again.
    """

    last: Snapshot | None = None
    before: Snapshot | None = None
    finalized: list[Snapshot] = field(default_factory=list)
    repeated_possibly: int = 0

    @property
    def done(self) -> bool:
        """Whether its last snapshot was the final one."""
        return self.last is not None and self.last.done

    def incarnations(self) -> list[Snapshot]:
        """The last snapshot of each of its incarnations, oldest first."""
        return [*self.finalized, *([self.last] if self.last else [])]


@dataclass(slots=True)
class Rates:
    """Events per second between the last two snapshots of each worker, summed over the workers.

    Attributes:
        offered_per_s, delivered_per_s: planned, and delivered.
        target_per_s: asked for by the schedule; nan without one.
    """

    offered_per_s: float = 0.0
    delivered_per_s: float = 0.0
    target_per_s: float = 0.0

    def add(self, before: Snapshot, now: Snapshot) -> None:
        """Add what a worker did between two of its snapshots."""
        elapsed_s = (now.at_ns - before.at_ns) / NS_PER_S
        if elapsed_s > 0:
            self.offered_per_s += (_primary(now).planned - _primary(before).planned) / elapsed_s
            delivered = _primary(now).count(Outcome.DELIVERED) - _primary(before).count(Outcome.DELIVERED)
            self.delivered_per_s += delivered / elapsed_s
            self.target_per_s += (now.scheduled - before.scheduled) / elapsed_s


@dataclass(slots=True)
class Moments:
    """When the snapshots were taken that totals are the sum of: time.monotonic_ns(), one for each worker.

    Attributes:
        taken_ns, ended_ns: the latest snapshot of workers that are running, and of those that have ended.
        scheduled_ns: until when the schedule of each worker counts.
    """

    taken_ns: list[int] = field(default_factory=list)
    ended_ns: list[int] = field(default_factory=list)
    scheduled_ns: list[int] = field(default_factory=list)

    def at_s(self, t0_ns: int) -> float:
        """Seconds from the schedule's zero to the mean over the workers that are running, or to the last end."""
        if not self.taken_ns:
            return (max(self.ended_ns) - t0_ns) / NS_PER_S if self.ended_ns else 0.0
        return (sum(self.taken_ns) / len(self.taken_ns) - t0_ns) / NS_PER_S

    @property
    def spread_s(self) -> float:
        """Seconds between the first and the last of them: little once all workers have reported."""
        return (max(self.taken_ns) - min(self.taken_ns)) / NS_PER_S if self.taken_ns else 0.0

    def offered_s(self, t0_ns: int) -> float:
        """For how long events were offered, seconds: the mean over the workers."""
        return sum(at_ns - t0_ns for at_ns in self.scheduled_ns) / max(1, len(self.scheduled_ns)) / NS_PER_S


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
        scheduled: see `Snapshot`; the sum over the workers.
        rates, moments: see there.
        activities: when each worker saw deliveries.
        impaired: events impaired on purpose, by kind.
        round_trip_s: the slowest broker round trip of the last second; nan where unknown.
        far_end: what was seen behind the system under test; None where that is not watched, or not known any more.
        read: what was read of a recording; None where events are simulated.
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
    scheduled: float = 0.0
    rates: Rates = field(default_factory=Rates)
    moments: Moments = field(default_factory=Moments)
    activities: list[Activity] = field(default_factory=list)
    impaired: dict[str, int] = field(default_factory=dict)
    round_trip_s: float = float("nan")
    far_end: FarEndReport | None = None
    read: ReadCounts | None = None

    @classmethod
    def of(cls, workers: Iterable[WorkerReports], is_elastic: bool = False) -> Self:
        """The sum over all incarnations of these workers.

        Args:
            workers: those that have ended too.
            is_elastic: workers come and go, so only those that are running say until when events were offered.
        """
        totals, running_ns = cls(), []
        for worker in workers:
            incarnations = worker.incarnations()
            for snapshot in incarnations:
                totals._add(snapshot)
            for latest in incarnations[-1:]:
                totals._add_latest(latest, worker.done)
                running_ns += [] if worker.done else [latest.scheduled_ns]
            if worker.last and worker.before and not worker.done:
                totals.rates.add(worker.before, worker.last)
            totals.repeated_possibly += worker.repeated_possibly
            totals.restarts += len(worker.finalized)
        if is_elastic:
            totals.moments.scheduled_ns = running_ns or sorted(totals.moments.scheduled_ns)[-1:]
        return totals

    def _add(self, snapshot: Snapshot) -> None:
        for name, tally in snapshot.tallies.items():
            self.tallies.setdefault(name, Tally()).merge(tally)
        self.schedule_lag_s.merge(snapshot.schedule_lag_s)
        self.active += snapshot.active
        self.simulated_ms = max(self.simulated_ms, snapshot.simulated_ms)
        self.cpu_s += snapshot.cpu_s
        self.seconds.merge(snapshot.seconds)
        self.slow_s += snapshot.slow_s
        self.round_trip_s = float(np.fmax(self.round_trip_s, snapshot.round_trip_s))
        self.read = snapshot.read or self.read  # one worker reads a recording

    def _add_latest(self, latest: Snapshot, is_done: bool) -> None:
        """Add what a worker's latest incarnation counts from the beginning of the run on."""
        for kind, n_events in latest.impaired.items():
            self.impaired[kind] = self.impaired.get(kind, 0) + n_events
        if latest.at_ns:  # else it never ran
            self.scheduled += latest.scheduled
            (self.moments.ended_ns if is_done else self.moments.taken_ns).append(latest.at_ns)
            self.moments.scheduled_ns.append(latest.scheduled_ns)
            self.activities.append(latest.activity)

    @property
    def primary_sink(self) -> Tally:
        """The tally of the first sink (Kafka before files)."""
        return _primary(self)

    @property
    def perfect(self) -> bool:
        """Whether every planned event was delivered to every sink, or aborted on purpose."""
        return all(tally.n_acknowledged == tally.planned for tally in self.tallies.values())


def _primary(counted: Totals | Snapshot) -> Tally:
    return next(iter(counted.tallies.values()), Tally())


def without_in_flight(snapshot: Snapshot) -> Snapshot:
    """What counts of a worker that died: its completed events; its successor plans those in flight again."""
    for tally in snapshot.tallies.values():
        tally.in_flight = 0
        if tally.crowds is not None:
            tally.crowds.forget_in_flight()
    snapshot.active = 0
    return snapshot

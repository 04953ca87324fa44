"""The whole run in numbers: the sum of the workers' snapshots, and what follows from it.

Snapshots go in; the ledger of every sink, the achieved rate, what limited the run and the JSON summary come out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loadgen.histogram import Histogram
from loadgen.ledger import Outcome, Tally
from loadgen.run.messages import Seconds, Snapshot
from loadgen.simulate.schedule import NS_PER_S

KEPT_SHARE = 0.99
KEPT_LAG_S = 1.0
"""A run kept its schedule when it achieved this share of its target, or when nearly no event was later than this."""
SLOW_ROUND_TRIP_S = 0.5


@dataclass(slots=True)
class Totals:
    """Sums over workers, those that died included.

    Attributes:
        tallies: sink name → tally.
        schedule_lag_s: histogram over all events sent.
        active: listeners in a session, last known.
        simulated_ms: the latest event's time.
        cpu_s: of all workers.
        seconds: where the workers' wall-clock time went.
        repeated_possibly: events that may have reached a sink twice, because a worker died after it had sent them and
            before it could say so; an upper bound.
        restarts: workers started again.
        offered_per_s, delivered_per_s, target_per_s: what was planned, delivered and asked for by the schedule between
            the last two snapshots of each worker, summed over the workers; the target is nan without a schedule.
        scheduled: see `Snapshot`; the sum over the workers.
        taken_ns, scheduled_ns: int64, when each worker's latest snapshot was taken, and until when its schedule counts.
        impaired: events spoilt on purpose, by kind.
        round_trip_s: the slowest broker round trip of the last second; nan where unknown.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    schedule_lag_s: Histogram = field(default_factory=Histogram)
    active: int = 0
    simulated_ms: int = 0
    cpu_s: float = 0.0
    seconds: Seconds = field(default_factory=Seconds)
    repeated_possibly: int = 0
    restarts: int = 0
    offered_per_s: float = 0.0
    delivered_per_s: float = 0.0
    target_per_s: float = 0.0
    scheduled: float = 0.0
    taken_ns: list[int] = field(default_factory=list)
    scheduled_ns: list[int] = field(default_factory=list)
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
        self.round_trip_s = float(np.fmax(self.round_trip_s, snapshot.round_trip_s))

    def add_rates(self, before: Snapshot, now: Snapshot) -> None:
        """Add what a worker did between two of its snapshots."""
        elapsed_s = (now.at_ns - before.at_ns) / NS_PER_S
        if elapsed_s > 0:
            self.offered_per_s += (_headline(now).planned - _headline(before).planned) / elapsed_s
            delivered = _headline(now).count(Outcome.DELIVERED) - _headline(before).count(Outcome.DELIVERED)
            self.delivered_per_s += delivered / elapsed_s
            self.target_per_s += (now.scheduled - before.scheduled) / elapsed_s

    def add_schedule(self, latest: Snapshot) -> None:
        """Add what the schedule has asked of a worker until its latest snapshot; not of one that never ran."""
        if latest.at_ns == 0:
            return
        self.scheduled += latest.scheduled
        self.taken_ns.append(latest.at_ns)
        self.scheduled_ns.append(latest.scheduled_ns)

    def at_s(self, t0_ns: int) -> float:
        """The moment that these totals tell of, seconds after the schedule's zero: the mean over the workers."""
        return (sum(self.taken_ns) / len(self.taken_ns) - t0_ns) / NS_PER_S if self.taken_ns else 0.0

    def mean_target_per_s(self, t0_ns: int) -> float:
        """Events per second that the schedule asked for so far; nan without a schedule."""
        asked_s = sum(at_ns - t0_ns for at_ns in self.scheduled_ns) / max(1, len(self.scheduled_ns)) / NS_PER_S
        return self.scheduled / asked_s if asked_s > 0 else 0.0

    def add_impaired(self, counts: dict[str, int]) -> None:
        """Add a worker's counts of spoilt events."""
        for kind, n_events in counts.items():
            self.impaired[kind] = self.impaired.get(kind, 0) + n_events

    @property
    def headline(self) -> Tally:
        """The tally of the first sink (Kafka before files)."""
        return _headline(self)

    @property
    def perfect(self) -> bool:
        """Whether every planned event was delivered to every sink."""
        return all(tally.count(Outcome.DELIVERED) == tally.planned for tally in self.tallies.values())


def _headline(counted: Totals | Snapshot) -> Tally:
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the run went.

    Attributes:
        elapsed_s: from the schedule's zero to the last delivery.
        target_per_s: what the schedule demanded; None where there was none (`--rate max`, backfill).
        achieved_per_s: events delivered per second.
        limited_by: "schedule" when the target was kept, else "generator CPU", "full queue", "broker round trip" or
            "disk".
        exit_reason: why it ended: "duration", "events", "end", "interrupted", "terminated", or an error.
    """

    elapsed_s: float
    target_per_s: float | None
    achieved_per_s: float
    limited_by: str
    exit_reason: str


def judge(totals: Totals, elapsed_s: float, target_per_s: float | None, exit_reason: str) -> Verdict:
    """What the totals say about the run."""
    achieved = totals.headline.count(Outcome.DELIVERED) / max(elapsed_s, 1e-9)
    on_time = totals.headline.planned == 0 or totals.schedule_lag_s.quantile_s(0.99) <= KEPT_LAG_S
    kept = target_per_s is not None and (on_time or achieved >= KEPT_SHARE * target_per_s)
    return Verdict(elapsed_s, target_per_s, achieved, "schedule" if kept else _bottleneck(totals), exit_reason)


def _bottleneck(totals: Totals) -> str:
    """What the workers spent most of their busy time on."""
    spent = totals.seconds
    waiting = "broker round trip" if totals.round_trip_s > SLOW_ROUND_TRIP_S else "full queue"
    if "kafka" in totals.tallies:
        share = {"generator CPU": spent.generate + spent.send, waiting: spent.full}
    else:
        share = {"generator CPU": spent.generate, "disk": spent.send + spent.full}
    return max(share, key=lambda cause: share[cause])


def summary(totals: Totals, verdict: Verdict, seed: int, manifest: str) -> dict[str, Any]:
    """The object that --json prints."""
    headline = totals.headline
    return {
        **headline.counts(),
        "repeated_possibly": totals.repeated_possibly,
        "bytes": headline.bytes_delivered,
        "elapsed_s": round(verdict.elapsed_s, 3),
        "cpu_s": round(totals.cpu_s, 3),
        "target_per_s": None if verdict.target_per_s is None else round(verdict.target_per_s, 3),
        "achieved_per_s": round(verdict.achieved_per_s, 3),
        "schedule_lag_ms": totals.schedule_lag_s.summary_ms(),
        "ack_ms": headline.ack_s.summary_ms(),
        "intended_to_ack_ms": headline.intended_to_ack_s.summary_ms(),
        "limited_by": verdict.limited_by,
        "seed": seed,
        "manifest": manifest,
        "exit_reason": verdict.exit_reason,
        "restarts": totals.restarts,
        "impaired": totals.impaired,
        "sinks": {name: tally.counts() for name, tally in totals.tallies.items()},
    }

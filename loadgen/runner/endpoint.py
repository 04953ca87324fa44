"""The Prometheus endpoint of a run: the latest totals, exposed when they are asked for.

The coordinator hands over `Totals` a few times a second; a scrape turns the latest into metric families. Workers know
nothing of it, and no event costs a metric operation. All that is read of the team is read when the totals come, in the
coordinator's thread: a scrape comes in another one, at any moment.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen import __version__, metrics
from loadgen.config import ReplaySettings
from loadgen.ledger import Outcome
from loadgen.metrics_endpoint import family, histogram
from loadgen.runner.far_end import n_missing
from loadgen.runner.totals import Totals
from loadgen.simulate.impair import KINDS

if TYPE_CHECKING:
    from loadgen.kafka.group_lag import GroupLag
    from loadgen.runner.messages import Plan
    from loadgen.runner.team import Team

FAR_END_KINDS = ("seen", "late", "repeated", "unrecognised")


def info_of(plan: "Plan") -> tuple[str, ...]:
    """The labels of `metrics.RUN_INFO`, in order; nothing of it is ever secret."""
    settings = plan.settings
    rate = settings.rate if isinstance(settings.rate, str) else f"{settings.rate:g}"
    is_replay = isinstance(settings, ReplaySettings)
    told = (plan.run_id, __version__, "recorded" if is_replay else settings.format, settings.seed, settings.shard)
    shape = "recorded" if is_replay else settings.curve or "none"
    return tuple(map(str, (*told, 0 if is_replay else settings.users, settings.workers, rate, shape)))


@dataclass(slots=True, eq=False)  # the registry wants to hash it
class RunCollector:
    """Exposes the latest totals.

    Attributes:
        team: for the state of each worker.
        info: see `info_of`.
        pages: the names of the run's pages.
        broken: threshold, as it was written → whether it is broken by now.
        groups: how far consumer groups are behind.
        crowds: the names of the run's crowds: at most 16, so that there are not too many series.
        totals, elapsed_s: the latest that the coordinator handed over.
        start_s: the schedule's zero, seconds since 1970; nan before.
        workers: number → whether it makes events, restarts, and CPU seconds, as they were when the totals came.
    """

    team: "Team"
    info: tuple[str, ...]
    pages: tuple[str, ...]
    broken: Callable[[], Mapping[str, bool]]
    groups: "Callable[[], Mapping[str, GroupLag]]" = dict
    crowds: tuple[str, ...] = ()
    totals: Totals = field(default_factory=Totals)
    elapsed_s: float = 0.0
    start_s: float = math.nan
    workers: dict[tuple[str], tuple[float, int, float]] = field(default_factory=dict)
    _most: dict[tuple[str, ...], float] = field(default_factory=dict)

    def watch(self, totals: Totals, elapsed_s: float) -> None:
        """Take the latest totals."""
        self.totals, self.elapsed_s = totals, elapsed_s
        self.workers = {
            (str(member.index),): (
                float(member.ready and not member.done),
                len(member.finalized),
                sum(incarnation.cpu_s for incarnation in member.incarnations()),
            )
            for member in self.team.members
        }
        if math.isnan(self.start_s) and elapsed_s > 0:
            self.start_s = time.time() - elapsed_s

    def collect(self) -> Iterator[Any]:
        """Metric families, as prometheus_client asks for them."""
        totals = self.totals
        yield from self._of_run(totals)
        yield from self._of_sinks(totals)
        yield from self._of_workers(totals)
        yield from self._of_groups()
        yield from _of_far_end(totals)
        yield from self._of_crowds(totals)
        for metric, value in (
            (metrics.ACTIVE_USERS, totals.active),
            (metrics.TARGET_RATE, totals.rates.target_per_s),
            (metrics.ACHIEVED_RATE, totals.rates.delivered_per_s),
            (metrics.ROUND_TRIP, totals.round_trip_s),
            (metrics.SIMULATED_TIME, totals.simulated_ms / 1000),
        ):
            yield family(metric, {(): value})

    def _of_run(self, totals: Totals) -> Iterator[Any]:
        yield family(metrics.RUN_INFO, {self.info: 1})
        yield family(metrics.RUN_START, {(): self.start_s})
        yield family(metrics.ELAPSED, {(): self.elapsed_s})
        yield family(metrics.THRESHOLD_BROKEN, {(text,): float(is_so) for text, is_so in self.broken().items()})
        scheduled: dict[tuple[str, ...], float] = {} if math.isnan(totals.scheduled) else {(): totals.scheduled}
        yield self._never_less(metrics.EVENTS_SCHEDULED, scheduled)
        counts = dict.fromkeys(KINDS, 0) | totals.impaired
        yield self._never_less(metrics.IMPAIRED, {(kind,): count for kind, count in counts.items()})
        yield self._never_less(metrics.REPEATED, {(): totals.repeated_possibly})

    def _of_sinks(self, totals: Totals) -> Iterator[Any]:
        tallies = totals.tallies
        yield self._never_less(metrics.EVENTS_PLANNED, {(name,): tally.planned for name, tally in tallies.items()})
        yield family(
            metrics.EVENTS,
            {
                (name, outcome.name.lower(), page): int(tally.by_page[outcome, row])
                for name, tally in tallies.items()
                for outcome in Outcome
                for row, page in enumerate(self.pages)
            },
        )
        yield family(metrics.BYTES, {(name,): tally.bytes_delivered for name, tally in tallies.items()})
        yield family(metrics.IN_FLIGHT, {(name,): tally.in_flight for name, tally in tallies.items()})
        yield histogram(metrics.ACK, {(name,): tally.ack_s for name, tally in tallies.items()})
        yield histogram(metrics.INTENDED_TO_ACK, {(name,): tally.intended_to_ack_s for name, tally in tallies.items()})
        yield histogram(metrics.SCHEDULE_LAG, {(): totals.schedule_lag_s})

    def _of_workers(self, totals: Totals) -> Iterator[Any]:
        for place, metric in enumerate((metrics.WORKER_UP, metrics.WORKER_RESTARTS, metrics.WORKER_CPU)):
            yield family(metric, {labels: state[place] for labels, state in self.workers.items()})
        spent = totals.seconds
        yield family(metrics.WORKER_TIME, {(name,): getattr(spent, name) for name in spent.__slots__})

    def _of_groups(self) -> Iterator[Any]:
        parts = {
            (name, str(number)): part
            for name, group in self.groups().items()
            for number, part in group.partitions.items()
        }
        yield family(metrics.GROUP_LAG, {labels: part.messages for labels, part in parts.items()})
        yield family(metrics.GROUP_BEHIND, {labels: part.seconds for labels, part in parts.items()})

    def _of_crowds(self, totals: Totals) -> Iterator[Any]:
        counted = totals.primary_sink.crowds
        labels: dict[int, tuple[str, ...]] = {number: (name,) for number, name in enumerate(self.crowds)}
        if counted is None:
            return
        planned = {label: int(counted.planned[number]) for number, label in labels.items()}
        yield self._never_less(metrics.CROWD_PLANNED, planned)
        ended = {
            (*label, outcome.name.lower()): int(counted.by_outcome[outcome, number])
            for number, label in labels.items()
            for outcome in Outcome
        }
        yield family(metrics.CROWD_EVENTS, ended)
        latencies = {label: counted.intended_to_ack_s.one(number) for number, label in labels.items()}
        yield histogram(metrics.CROWD_LATENCY, latencies)

    def _never_less(self, metric: metrics.Metric, values: Mapping[tuple[str, ...], float]) -> Any:
        """A counter whose totals fall for a moment where a worker died: Prometheus would take that for a new start, and
        count everything once more."""
        for labels, value in values.items():
            key = (metric.name, *labels)
            self._most[key] = max(self._most.get(key, 0.0), value)
        return family(metric, {labels: self._most[metric.name, *labels] for labels in values})


def _of_far_end(totals: Totals) -> Iterator[Any]:
    report = totals.far_end
    names = () if report is None else FAR_END_KINDS
    counts: dict[tuple[str, ...], float] = {(name,): getattr(report, name) for name in names}
    yield family(metrics.FAR_END, counts)
    yield family(metrics.FAR_END_MISSING, {} if report is None else {(): n_missing(report, totals)})
    yield histogram(metrics.END_TO_END, {} if report is None else {(): report.latency_s})

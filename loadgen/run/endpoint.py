"""The Prometheus endpoint of a run: the latest totals, exposed when they are asked for.

The coordinator hands over `Totals` a few times a second; a scrape turns the latest into metric families. Workers know
nothing of it, and no event costs a metric operation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen import metrics
from loadgen.event import PAGE_NAMES
from loadgen.ledger import Outcome
from loadgen.metrics_endpoint import family, histogram
from loadgen.run.totals import Totals

if TYPE_CHECKING:
    from loadgen.run.team import Team


@dataclass(slots=True, eq=False)  # the registry wants to hash it
class RunCollector:
    """Exposes the latest totals.

    Attributes:
        team: for the state of each worker.
        target_per_s: the schedule's offered load, events per second; nan where there is none.
        totals, elapsed_s: the latest that the coordinator handed over.
    """

    team: "Team"
    target_per_s: float
    totals: Totals = field(default_factory=Totals)
    elapsed_s: float = 0.0

    def watch(self, totals: Totals, elapsed_s: float) -> None:
        """Take the latest totals."""
        self.totals, self.elapsed_s = totals, elapsed_s

    def collect(self) -> Iterator[Any]:
        """Metric families, as prometheus_client asks for them."""
        totals, elapsed_s = self.totals, max(self.elapsed_s, 1e-9)
        yield from self._of_sinks(totals)
        yield histogram(metrics.SCHEDULE_LAG, {(): totals.schedule_lag_s})
        delivered = totals.headline.count(Outcome.DELIVERED)
        for metric, value in (
            (metrics.ACTIVE_USERS, totals.active),
            (metrics.TARGET_RATE, self.target_per_s),
            (metrics.ACHIEVED_RATE, delivered / elapsed_s),
            (metrics.ROUND_TRIP, totals.round_trip_s),
            (metrics.CPU, totals.cpu_s),
            (metrics.SIMULATED_TIME, totals.simulated_ms / 1000),
            (metrics.ELAPSED, self.elapsed_s),
        ):
            yield family(metric, {(): value})
        members = self.team.members
        yield family(metrics.WORKER_UP, {(str(m.index),): float(m.process.is_alive()) for m in members})
        yield family(metrics.WORKER_RESTARTS, {(str(m.index),): len(m.buried) for m in members})

    def _of_sinks(self, totals: Totals) -> Iterator[Any]:
        tallies = totals.tallies
        yield family(metrics.EVENTS_PLANNED, {(name,): tally.planned for name, tally in tallies.items()})
        yield family(
            metrics.EVENTS,
            {
                (name, outcome.name.lower(), page): int(tally.by_page[outcome, row])
                for name, tally in tallies.items()
                for outcome in Outcome
                for row, page in enumerate(PAGE_NAMES)
            },
        )
        yield family(metrics.BYTES, {(name,): tally.bytes_delivered for name, tally in tallies.items()})
        yield family(metrics.IN_FLIGHT, {(name,): tally.in_flight for name, tally in tallies.items()})
        yield histogram(metrics.ACK, {(name,): tally.ack_s for name, tally in tallies.items()})
        yield histogram(metrics.INTENDED_TO_ACK, {(name,): tally.intended_to_ack_s for name, tally in tallies.items()})

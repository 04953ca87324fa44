"""When nothing was delivered although events waited: a broker or a disk that stood still, seen by all workers together.

In: the totals, as they come in. Out: the stretches of at least LEAST_S, exact to how often workers look (some
milliseconds), in which no worker saw a delivery, at least one had events in flight, and something was due.
"""

from dataclasses import dataclass, replace

import numpy as np

from loadgen.record import StallRecord
from loadgen.runner.totals import Totals
from loadgen.simulate.schedule import NS_PER_S

LEAST_S = 1.0
MOST = 20
"""Of a run that stalls more often the longest are kept."""


@dataclass(frozen=True, slots=True)
class Stall:
    """A stretch of the run, seconds after the schedule's zero.

    Attributes:
        start_s, end_s: of the stretch.
        n_due: events due and not completed at its end; where there is no schedule, those in flight.
    """

    start_s: float
    end_s: float
    n_due: int

    @property
    def length_s(self) -> float:
        """Seconds."""
        return self.end_s - self.start_s

    def record(self) -> StallRecord:
        """For the summary."""
        return StallRecord(from_s=round(self.start_s, 3), to_s=round(self.end_s, 3), due=self.n_due)


@dataclass(slots=True)
class _Seen:
    """What was known when something was last delivered."""

    n_delivered: int = 0
    delivered_ns: int = 0
    at_s: float = 0.0
    scheduled: float = 0.0
    n_completed: int = 0
    in_flight: int = 0


class Stalls:
    """Finds the stalls of a run.

    Attributes:
        found: oldest first.
    """

    def __init__(self) -> None:
        """Nothing is delivered yet."""
        self.found: list[Stall] = []
        self._seen = _Seen()

    def watch(self, totals: Totals, t0_ns: int) -> None:
        """Take the latest totals; a stall is known when it is over."""
        self._clip(totals, t0_ns)
        tally, before = totals.primary_sink, self._seen
        if tally.n_acknowledged <= before.n_delivered:
            before.in_flight = max(before.in_flight, tally.in_flight)
            return
        resumed = [activity for activity in totals.activities if activity.resumed_ns > before.delivered_ns]
        if resumed:
            end_ns = min(activity.resumed_ns for activity in resumed)
            waited_ns = [p.waited_ns if p in resumed else p.waiting_ns for p in totals.activities]
            self._add(totals, t0_ns, waited_ns, end_ns)
        latest_ns = max((activity.delivered_ns for activity in totals.activities), default=0)
        self._seen = _Seen(
            n_delivered=tally.n_acknowledged,
            delivered_ns=max(before.delivered_ns, latest_ns),
            at_s=totals.moments.at_s(t0_ns),
            scheduled=totals.scheduled,
            n_completed=tally.planned - tally.in_flight,
            in_flight=tally.in_flight,
        )

    def end(self, totals: Totals, t0_ns: int, end_ns: int) -> None:
        """Take the last totals: what still waits will wait for ever."""
        self.watch(totals, t0_ns)
        self._add(totals, t0_ns, [activity.waiting_ns for activity in totals.activities], end_ns)

    def _add(self, totals: Totals, t0_ns: int, waited_ns: list[int], end_ns: int) -> None:
        """Note a stall, if it was one: since the last delivery, or since events began to wait, until here."""
        since_ns = min((at_ns for at_ns in waited_ns if at_ns), default=end_ns)
        start_s = (max(self._seen.delivered_ns, since_ns, t0_ns) - t0_ns) / NS_PER_S
        end_s = (end_ns - t0_ns) / NS_PER_S
        n_due = self._n_due(totals, t0_ns, end_s)
        if n_due and end_s - start_s >= LEAST_S:
            self.found.append(Stall(start_s, end_s, n_due))
        if len(self.found) > MOST:
            self.found.remove(min(self.found, key=lambda stall: stall.length_s))

    def _n_due(self, totals: Totals, t0_ns: int, at_s: float) -> int:
        """Events due by then and not completed when the stall began; those in flight where nothing is scheduled."""
        seen = self._seen
        if np.isnan(totals.scheduled):
            return max(seen.in_flight, totals.primary_sink.in_flight)
        moments = [seen.at_s, max(totals.moments.at_s(t0_ns), seen.at_s + 1e-9)]
        return max(0, round(float(np.interp(at_s, moments, [seen.scheduled, totals.scheduled]))) - seen.n_completed)

    def _clip(self, totals: Totals, t0_ns: int) -> None:
        """A worker that was heard late may have delivered in what was taken for a stall."""
        if not self.found:
            return
        last = self.found[-1]
        for activity in totals.activities:
            resumed_s = (activity.resumed_ns - t0_ns) / NS_PER_S
            if last.start_s < resumed_s < last.end_s:
                last = replace(last, end_s=resumed_s)
        self.found[-1:] = [last] if last.length_s >= LEAST_S else []

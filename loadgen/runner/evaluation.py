"""The evaluation of a run while it goes on and at its end, for the coordinator and for Locust's master.

snapshots → totals → history → thresholds
                   ↘ stalls             ↘ verdict
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loadgen.config import RunSettings
from loadgen.config.thresholds import OF_FAR_END
from loadgen.record import GroupRecord
from loadgen.runner.crowds import Crowds
from loadgen.runner.far_end import WAIT_S, FarEnd, far_end_record, n_missing
from loadgen.runner.history import WINDOW_S, History
from loadgen.runner.stalls import Stalls
from loadgen.runner.thresholds import Thresholds
from loadgen.runner.totals import Totals, WorkerReports
from loadgen.runner.verdict import Verdict, judge
from loadgen.simulate.schedule import NS_PER_S

if TYPE_CHECKING:
    from loadgen.kafka.group_lag import GroupWatch

AWAIT_S = 0.05


class RunEvaluation:
    """All that is known of a run over time.

    Attributes:
        thresholds, history: see there.
        t0_ns, t0_wall_ms: the schedule's zero as time.monotonic_ns() and in ms since 1970; 0 before it is known.
    """

    def __init__(
        self,
        settings: RunSettings,
        workers: Iterable[WorkerReports],
        stop: Callable[[], None],
        is_elastic: bool = False,
        groups: "GroupWatch | None" = None,
        far_end: FarEnd | None = None,
    ) -> None:
        """Evaluate nothing yet.

        Args:
            settings: of the run.
            workers: a live view, iterated for each sum.
            stop: called when a threshold that says `abort` is broken.
            is_elastic: see `Totals.of`.
            groups: the consumer groups that are watched.
            far_end: what comes out of the system under test.
        """
        self._workers, self._is_elastic, self._is_paced = workers, is_elastic, not settings.unpaced
        self.thresholds = Thresholds(settings.threshold, settings.warm_up_s, stop)
        self._crowds = Crowds(settings) if settings.crowd else None
        lags = groups.latest if groups else dict
        self.history = History(settings.warm_up_s, [self.thresholds.watch], lags, self._crowds)
        self._groups, self._wait_s = groups, settings.wait_caught_up_s
        self._far_end, self._is_awaited = far_end, False
        self._stalls = Stalls()
        self.t0_ns = self.t0_wall_ms = 0

    def start(self, t0_ns: int, t0_wall_ms: int) -> None:
        """The schedule's zero is known."""
        self.t0_ns, self.t0_wall_ms = t0_ns, t0_wall_ms

    def totals(self) -> Totals:
        """The sum of the latest snapshots."""
        totals = Totals.of(self._workers, self._is_elastic)
        totals.far_end = None if self._far_end is None else self._far_end.latest()
        return totals

    def watch(self, totals: Totals) -> None:
        """Take the latest totals; a threshold may break."""
        if self.t0_ns:
            self.history.watch(totals, self.t0_ns)
            self._stalls.watch(totals, self.t0_ns)

    def end(self, totals: Totals, ended_s: float) -> None:
        """Take the last totals; the last delivery report came at ended_s."""
        if self.t0_ns:
            self.history.end(totals, self.t0_ns)
            self._stalls.end(totals, self.t0_ns, self.t0_ns + int(ended_s * NS_PER_S))

    @property
    def wait_s(self) -> float | None:
        """How long the system under test is waited for after the load; None where it is not."""
        is_default = self._wait_s is None and self._far_end is not None
        return WAIT_S if is_default else self._wait_s

    @property
    def reader_error(self) -> str:
        """Why nothing more is known of what comes out of the system; empty where that is known, or not watched."""
        return "" if self._far_end is None else self._far_end.error

    def await_system(self, is_enough: Callable[[], bool]) -> None:
        """Wait until all groups have caught up and all that was delivered has come out of the system, or the time for
        it is over; asks now and then whether it is enough."""
        if self.wait_s is None:
            return
        if self._groups is not None and self._wait_s is not None:
            self._groups.await_catch_up()
        deadline_s = window_s = time.monotonic()
        deadline_s += self.wait_s
        while time.monotonic() < deadline_s and not self._is_through():
            if is_enough():
                return
            if time.monotonic() - window_s >= WINDOW_S:
                window_s = time.monotonic()
                self._add_window()
            time.sleep(AWAIT_S)
        self._is_awaited = True
        self._add_window()

    def _add_window(self) -> None:
        """A window of the time in which the system is waited for."""
        if self._far_end is not None:
            self.history.wait(self.totals(), (time.monotonic_ns() - self.t0_ns) / NS_PER_S)

    def _is_through(self) -> bool:
        """Whether there is nothing left to wait for."""
        groups = None if self._wait_s is None else self._groups
        if groups is not None and len(groups.caught_up_s()) < len(groups.groups):
            return False
        if self._far_end is None or self._far_end.error:
            return True
        return n_missing(self._far_end.last(), self.totals()) == 0

    def verdict(self, totals: Totals, ended_s: float, exit_reason: str, cut_short: str) -> Verdict:
        """The verdict, if the run ended now.

        Args:
            totals: the latest.
            ended_s: seconds from the schedule's zero to the last delivery report.
            exit_reason, cut_short: see `Verdict`.
        """
        measured = self.history.measured(totals, self.t0_ns)
        groups = [] if self._groups is None else group_records(self._groups)
        if groups and self._wait_s is not None:
            slowest_s = max(math.inf if one.catch_up_s is None else one.catch_up_s for one in groups)
            measured = replace(measured, catch_up_s=slowest_s)
        far_end = None if self._far_end is None else far_end_record(self._far_end, totals, self._is_awaited)
        if far_end is not None:
            counts = {name: getattr(far_end, name) for name in OF_FAR_END}
            known: dict[str, Any] = {name: float(count) for name, count in counts.items() if count is not None}
            measured = replace(measured, **known)
        return judge(
            totals,
            measured,
            ended_s,
            exit_reason,
            paced=bool(self.t0_ns) and self._is_paced,
            stalls=self._stalls.found,
            thresholds=self.thresholds,
            cut_short=cut_short,
            groups=groups,
            far_end=far_end,
            crowds=self._crowds,
        )


def group_records(watch: "GroupWatch") -> list[GroupRecord]:
    """What is known of each group that is watched."""
    is_known, caught_up_s, found = watch.latest(), watch.caught_up_s(), []
    for name, lag in watch.last().items():
        most_lag, most_behind_s = watch.most(name)
        catch_up_s = None if name not in caught_up_s else round(caught_up_s[name], 3)
        error = None if name in is_known else watch.error or "the brokers do not tell"
        found.append(
            GroupRecord(
                name=name,
                lag=lag.messages,
                behind_s=round(lag.seconds, 3),
                most_lag=most_lag,
                most_behind_s=round(most_behind_s, 3),
                catch_up_s=catch_up_s,
                error=error,
            )
        )
    return found

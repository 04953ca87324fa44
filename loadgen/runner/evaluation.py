"""The evaluation of a run while it goes on and at its end, for the coordinator and for Locust's master.

snapshots → totals → history → thresholds
                   ↘ stalls             ↘ verdict
"""

from collections.abc import Callable, Iterable

from loadgen.config import RunSettings
from loadgen.runner.history import History
from loadgen.runner.stalls import Stalls
from loadgen.runner.thresholds import Thresholds
from loadgen.runner.totals import Totals, WorkerReports
from loadgen.runner.verdict import Verdict, judge
from loadgen.simulate.schedule import NS_PER_S


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
    ) -> None:
        """Evaluate nothing yet.

        Args:
            settings: of the run.
            workers: a live view, iterated for each sum.
            stop: called when a threshold that says `abort` is broken.
            is_elastic: see `Totals.of`.
        """
        self._workers, self._is_elastic, self._is_paced = workers, is_elastic, not settings.unpaced
        self.thresholds = Thresholds(settings.threshold, settings.warm_up_s, stop)
        self.history = History(settings.warm_up_s, [self.thresholds.watch])
        self._stalls = Stalls()
        self.t0_ns = self.t0_wall_ms = 0

    def start(self, t0_ns: int, t0_wall_ms: int) -> None:
        """The schedule's zero is known."""
        self.t0_ns, self.t0_wall_ms = t0_ns, t0_wall_ms

    def totals(self) -> Totals:
        """The sum of the latest snapshots."""
        return Totals.of(self._workers, self._is_elastic)

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

    def verdict(self, totals: Totals, ended_s: float, exit_reason: str, cut_short: str) -> Verdict:
        """The verdict, if the run ended now.

        Args:
            totals: the latest.
            ended_s: seconds from the schedule's zero to the last delivery report.
            exit_reason, cut_short: see `Verdict`.
        """
        return judge(
            totals,
            self.history.measured(totals, self.t0_ns),
            ended_s,
            exit_reason,
            paced=bool(self.t0_ns) and self._is_paced,
            stalls=self._stalls.found,
            thresholds=self.thresholds,
            cut_short=cut_short,
        )

"""`loadgen run --find-max-rate`: the highest rate that keeps every threshold, by trials one after another.

    grow      R, 2R, 4R … until a trial fails
    bisect    the geometric mean of the highest that passed and the lowest that failed, until they are within 5 %
    confirm   the highest that passed once more; where it fails now, it counts as failed, and the search goes on below

In: settings. Out: a line for each trial and a verdict on stderr, or one object on stdout with --json. Each trial is a
whole run with a manifest of its own. All have the same listeners, seed and start, and so the same events: what differs
is how fast they come. A single Prometheus endpoint shows them one after another.
"""

import signal
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadgen.config import RunSettings
from loadgen.config.thresholds import Threshold, threshold
from loadgen.errors import LoadgenError
from loadgen.metrics_endpoint import MetricCollector, expose
from loadgen.runner import Ended
from loadgen.runner.console import RunConsole
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import Verdict
from loadgen.signals import number_in, reason_of
from loadgen.terminal import say_json

GROWTH = 2.0
CLOSE = 1.05
N_PASSES = 2
MOST_PER_S = 1e9
LOWEST_PER_S = 1000.0
"""Where the search begins, unless --rate says where."""
KEPT = (threshold("rate >= 0.99 * target"), threshold("p99(schedule_lag) < 200ms"))
"""The thresholds where none are given: the schedule is kept."""
OWN_PLACES = ("manifest", "percentile_log", "report")
EXIT_FOUND, EXIT_NOT_FOUND = 0, 1
Expose = Callable[[MetricCollector], bool]
RunToEnd = Callable[[RunSettings, RunConsole, Expose], Ended]


@dataclass(slots=True)
class Search:
    """A search from a lowest rate upwards: which rate is tried next.

    Attributes:
        lowest_per_s: the first rate that is tried.
        passes: rate → trials that passed, of rates that no trial failed.
        failed_per_s: the lowest that failed; inf where none did.
    """

    lowest_per_s: float
    passes: Counter[float] = field(default_factory=Counter)
    failed_per_s: float = float("inf")

    @property
    def best_per_s(self) -> float | None:
        """The highest rate that passed, and did not fail another time; None where there is none."""
        return max(self.passes, default=None)

    @property
    def is_confirmed(self) -> bool:
        """Whether that rate passed twice."""
        return self.best_per_s is not None and self.passes[self.best_per_s] >= N_PASSES

    def record(self, rate_per_s: float, passed: bool) -> None:
        """Take the outcome of a trial at this rate."""
        if passed:
            self.passes[rate_per_s] += 1
            return
        self.failed_per_s = min(self.failed_per_s, rate_per_s)
        for other in [other for other in self.passes if other >= self.failed_per_s]:
            del self.passes[other]

    def next_per_s(self) -> float | None:
        """The rate to try next; None where nothing is left to find out."""
        best_per_s = self.best_per_s
        if best_per_s is None:
            return self.lowest_per_s if self.failed_per_s > self.lowest_per_s else None
        if self.failed_per_s == float("inf") and best_per_s < MOST_PER_S:
            return min(GROWTH * best_per_s, MOST_PER_S)
        if self.failed_per_s > CLOSE * best_per_s and best_per_s < MOST_PER_S:
            return float(f"{(best_per_s * self.failed_per_s) ** 0.5:.4g}")  # a number that can be typed
        return None if self.is_confirmed else best_per_s


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one trial.

    Attributes:
        rate_per_s: that was asked for.
        broken: why it did not pass, a sentence each; empty where it did.
        verdict, manifest: of the run.
    """

    rate_per_s: float
    broken: list[str]
    verdict: Verdict
    manifest: str

    def as_json(self) -> dict[str, Any]:
        """Its figures, as `loadgen run --json` names them."""
        measured = self.verdict.measured
        return {
            "rate_per_s": self.rate_per_s,
            "passed": not self.broken,
            "broken": self.broken,
            "achieved_per_s": round(self.verdict.achieved_per_s, 3),
            "schedule_lag_ms": measured.schedule_lag.summary_ms(),
            "ack_ms": measured.ack.summary_ms(),
            "intended_to_ack_ms": measured.intended_to_ack.summary_ms(),
            "limited_by": self.verdict.limited_by,
            "end_to_end_ms": measured.end_to_end.summary_ms(),
            "far_end": self.verdict.far_end and self.verdict.far_end.model_dump(),
            "groups": [group.model_dump() for group in self.verdict.groups],
            "manifest": self.manifest,
        }

    def line(self, number: int) -> str:
        """What a person reads."""
        measured = self.verdict.measured
        p99s = {"lag": measured.schedule_lag.summary_ms()["p99"], "ack": measured.ack.summary_ms()["p99"]}
        figures = ", ".join(f"{name} {p99:,.1f} ms" for name, p99 in p99s.items() if p99 is not None)
        outcome = "  ".join(["FAILED", *self.broken]) if self.broken else "passed"
        return (
            f"trial {number:>2}  {self.rate_per_s:>11,.0f}/s  achieved {self.verdict.achieved_per_s:>11,.0f}/s  "
            f"p99: {figures or 'no events'}  {outcome}"
        )


class TrialConsole(RunConsole):
    """Shows only how far a trial is, and only on a terminal."""

    def __init__(self, settings: RunSettings, title: str) -> None:
        super().__init__(settings.duration_s, None, quiet=True)
        self._title = title
        self.quiet = settings.quiet or not self.is_terminal

    def settings(self, rows: Iterable[tuple[str, str]]) -> None:
        """Print nothing: they are the same for all trials."""

    def note(self, message: str) -> None:
        """Print nothing: the line of the trial says why it failed."""

    def line(self, text: str) -> None:
        """Show how far the trial is."""
        super().line(f"{self._title}  {text}")

    def closing(self, totals: Totals, verdict: Verdict, manifest: str) -> None:
        """Remove the live line."""
        self.end_line()


def kept_of(settings: RunSettings) -> tuple[Threshold, ...]:
    """The thresholds that a trial must keep."""
    return settings.threshold or KEPT


def trial_settings(settings: RunSettings, rate_per_s: float, number: int) -> RunSettings:
    """The settings of a trial: a whole run at this rate, whose files do not meet those of other trials."""
    changes: dict[str, Any] = {
        "rate": rate_per_s,
        "threshold": kept_of(settings),
        "find_max_rate": False,
        "json_summary": False,
    }
    for name in OWN_PLACES:
        path: Path | None = getattr(settings, name, None)
        if path is not None:
            changes[name] = path.with_stem(f"{path.stem}-{number:02}")
    if settings.folder is not None:
        changes["folder"] = settings.folder / f"trial-{number:02}"
    return settings.model_copy(update=changes)


def broken(ended: Ended) -> list[str]:
    """Why a trial did not pass, a sentence each; empty where it did."""
    if ended.kept:
        return []
    verdict = ended.result.verdict
    sentences = [judged.sentence() for judged in verdict.thresholds if not judged.passed]
    if not ended.result.totals.perfect:
        sentences.append("not every event was delivered")
    if verdict.missed_target:
        sentences.append(f"the generator missed its own target (limited by {verdict.limited_by})")
    return sentences + [f"error: {problem}" for problem in ended.problems] or ["it failed"]


@dataclass(eq=False)  # the registry wants to hash it
class Relay:
    """One endpoint for all trials: it shows the latest.

    Attributes:
        open: starts the endpoint; returns whether it runs.
        is_open: what that returned; None before.
        latest: the trial's collector.
    """

    open: Callable[["Relay"], bool]
    is_open: bool | None = None
    latest: MetricCollector | None = None

    def show(self, collector: MetricCollector) -> bool:
        """Show this one from now on; returns whether the endpoint runs."""
        self.latest = collector
        if self.is_open is None:
            self.is_open = self.open(self)
        return self.is_open

    def collect(self) -> Iterable[Any]:
        """Metric families, as prometheus_client asks for them."""
        return self.latest.collect() if self.latest is not None else ()


@dataclass(slots=True)
class Finder:
    """Makes trials until the highest rate is known.

    Attributes:
        settings: what the user asked for.
        run_to_end: makes a run.
        console: for the user.
        search: which rate is next.
        trials: those that are over.
        exit_reason: "found", "lowest failed", "interrupted", "terminated", "hung up" or "error".
    """

    settings: RunSettings
    run_to_end: RunToEnd
    console: RunConsole
    search: Search
    trials: list[Trial] = field(default_factory=list)
    exit_reason: str = ""

    def run(self) -> None:
        """Search to the end, or until it is stopped."""
        host, port = self.settings.metrics_host, self.settings.metrics_port
        relay = Relay(lambda relay: expose(relay, host, port, self.console.note))
        try:
            while not self.exit_reason and (rate_per_s := self.search.next_per_s()) is not None:
                self._try(rate_per_s, relay.show)
        except KeyboardInterrupt as stopped:
            self.exit_reason = reason_of(getattr(stopped, "number", signal.SIGINT), is_early=False)
        self.exit_reason = self.exit_reason or ("found" if self.search.best_per_s else "lowest failed")

    def _try(self, rate_per_s: float, show: Expose) -> None:
        number = len(self.trials) + 1
        settings = trial_settings(self.settings, rate_per_s, number)
        try:
            console = TrialConsole(settings, f"trial {number:>2}  {rate_per_s:>11,.0f}/s")
            ended = self.run_to_end(settings, console, show)
        except LoadgenError as error:
            if not self.trials:
                raise
            self.console.note(f"error: {error}")
            self.exit_reason = "error"
            return
        verdict = ended.result.verdict
        stopped_by = number_in(verdict.exit_reason.removesuffix(" twice"))
        if stopped_by is not None:
            self.exit_reason = reason_of(stopped_by, is_early=False)
            return
        trial = Trial(rate_per_s, broken(ended), verdict, str(ended.path))
        self.trials.append(trial)
        self.console.note(trial.line(number))
        self.search.record(rate_per_s, not trial.broken)
        if verdict.exit_reason == "error":
            self.exit_reason = "error"
        elif slow := verdict.behind_groups:
            self.console.note(
                f"error: {', '.join(slow)} did not catch up within {settings.wait_caught_up_s:g} s, and the next trial "
                "would begin with what this one left; raise --wait-caught-up"
            )
            self.exit_reason = "error"

    def as_json(self) -> dict[str, Any]:
        """The object that --json prints."""
        return {
            "max_rate_per_s": self.search.best_per_s,
            "confirmed": self.search.is_confirmed,
            "exit_reason": self.exit_reason,
            "thresholds": [str(kept) for kept in kept_of(self.settings)],
            "trials": [trial.as_json() for trial in self.trials],
        }

    def verdict(self) -> str:
        """The result as a person reads it."""
        kept, best_per_s = " and ".join(map(str, kept_of(self.settings))), self.search.best_per_s
        if best_per_s is None and self.exit_reason != "lowest failed":
            return f"{self.exit_reason} before any trial had passed"
        if best_per_s is None:
            return (
                f"no rate was found that keeps {kept}; begin lower, such as --rate {self.search.lowest_per_s / 10:g}/s"
            )
        failed = "" if self.search.failed_per_s == float("inf") else f"; {self.search.failed_per_s:,.0f}/s did not"
        found = "highest rate" if self.exit_reason == "found" else f"{self.exit_reason}; the highest rate so far"
        doubt = "passed twice" if self.search.is_confirmed else "NOT confirmed by a second trial"
        return f"{found} that keeps {kept}: {best_per_s:,.0f}/s, {doubt}{failed}"

    def exit_code(self) -> int:
        """0 where a rate was found, 128 + its number where a signal ended the search, else 1."""
        number = number_in(self.exit_reason)
        if number is not None:
            return 128 + number
        return EXIT_FOUND if self.exit_reason == "found" else EXIT_NOT_FOUND


def main(settings: RunSettings, run_to_end: RunToEnd) -> int:
    """Search, and print what was found; for the exit code see `Finder.exit_code`.

    Raises:
        LoadgenError: the first trial could not start.
    """
    console = RunConsole(None, None, settings.quiet)
    lowest_per_s = LOWEST_PER_S if isinstance(settings.rate, str) else settings.rate
    finder = Finder(settings, run_to_end, console, Search(lowest_per_s))
    console.note(
        f"searching the highest rate that keeps {' and '.join(map(str, kept_of(settings)))}: trials of "
        f"{settings.duration_s:g} s from {lowest_per_s:,g}/s upwards, until what passed and what failed are within "
        f"{CLOSE - 1:.0%}"
    )
    finder.run()
    console.note(finder.verdict())
    if settings.json_summary:
        say_json(finder.as_json())
    return finder.exit_code()

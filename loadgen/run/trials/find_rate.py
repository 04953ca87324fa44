"""`loadgen run --find-max-rate`: the highest rate that keeps every threshold, by trials one after another.

In: settings. Out: a line for each trial and a verdict on stderr, or one object on stdout with --json; each trial is a
whole run with a manifest of its own. All trials have the same listeners, seed and start, and so the same events: what
differs is how fast they come. Where there is one, a single Prometheus endpoint shows them one after another.
"""

import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from loadgen.config import RunSettings
from loadgen.errors import LoadgenError
from loadgen.metrics_endpoint import MetricCollector, expose
from loadgen.run.screen import Screen
from loadgen.run.trials.search import CLOSE, Search
from loadgen.run.trials.trial import Trial, TrialScreen, broken, kept_of, trial_settings
from loadgen.signals import number_in, reason_of
from loadgen.stdout import say_json

LOWEST_PER_S = 1000.0
"""Where the search begins, unless --rate says where."""
EXIT_FOUND, EXIT_NOT_FOUND = 0, 1
Expose = Callable[[MetricCollector], bool]
RunOnce = Callable[[RunSettings, Screen, Expose], int]
"""Makes a run; returns its exit code."""


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
        """Show this one from now on; returns whether anybody can see it."""
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
        run_once: makes a run.
        screen: where a person is told.
        search: which rate is next.
        trials: those that are over.
        exit_reason: "found", "lowest failed", "interrupted", "terminated", "hung up" or "error".
    """

    settings: RunSettings
    run_once: RunOnce
    screen: Screen
    search: Search
    trials: list[Trial] = field(default_factory=list)
    exit_reason: str = ""

    def run(self) -> None:
        """Search to the end, or until it is stopped."""
        host, port = self.settings.metrics_host, self.settings.metrics_port
        relay = Relay(lambda relay: expose(relay, host, port, self.screen.note))
        try:
            while not self.exit_reason and (rate_per_s := self.search.next_per_s()) is not None:
                self._try(rate_per_s, relay.show)
        except KeyboardInterrupt as stopped:
            self.exit_reason = reason_of(getattr(stopped, "number", signal.SIGINT), is_early=False)
        self.exit_reason = self.exit_reason or ("found" if self.search.best_per_s else "lowest failed")

    def _try(self, rate_per_s: float, show: Expose) -> None:
        number = len(self.trials) + 1
        settings = trial_settings(self.settings, rate_per_s, number)
        screen = TrialScreen(settings, f"trial {number:>2}  {rate_per_s:>11,.0f}/s", self.settings.quiet)
        try:
            code = self.run_once(settings, screen, show)
        except LoadgenError as error:
            if not self.trials:
                raise
            self.screen.note(f"error: {error}")
            self.exit_reason = "error"
            return
        assert screen.ended is not None
        totals, verdict, manifest = screen.ended
        stopped_by = number_in(verdict.exit_reason.removesuffix(" twice"))
        if stopped_by is not None:
            self.exit_reason = reason_of(stopped_by, is_early=False)
            return
        trial = Trial(rate_per_s, broken(code == EXIT_FOUND, totals, verdict, screen.problems), verdict, manifest)
        self.trials.append(trial)
        self.screen.note(trial.line(number))
        self.search.tell(rate_per_s, not trial.broken)
        if verdict.exit_reason == "error":
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
        """What a person is told at the end."""
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


def main(settings: RunSettings, run_once: RunOnce) -> int:
    """Search, and say what was found; for the exit code see `Finder.exit_code`.

    Raises:
        LoadgenError: the first trial could not start.
    """
    screen = Screen(None, None, settings.quiet)
    lowest_per_s = LOWEST_PER_S if isinstance(settings.rate, str) else settings.rate
    finder = Finder(settings, run_once, screen, Search(lowest_per_s))
    screen.note(
        f"searching the highest rate that keeps {' and '.join(map(str, kept_of(settings)))}: trials of "
        f"{settings.duration_s:g} s from {lowest_per_s:,g}/s upwards, until what passed and what failed are within "
        f"{CLOSE - 1:.0%}"
    )
    finder.run()
    screen.note(finder.verdict())
    if settings.json_summary:
        say_json(finder.as_json())
    return finder.exit_code()

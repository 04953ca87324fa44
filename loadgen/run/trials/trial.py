"""One trial of --find-max-rate: a whole run at one rate, and what came of it.

In: the settings of the search, a rate. Out: settings of a run whose files do not meet those of other trials; a screen
that keeps to itself what the run shows; and, of the run's totals and verdict, why it did not pass.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadgen.config import RunSettings
from loadgen.config.threshold import Threshold, threshold
from loadgen.run.judge.verdict import Verdict
from loadgen.run.screen import Screen
from loadgen.run.totals import Totals

KEPT = (threshold("rate >= 0.99 * target"), threshold("p99(schedule_lag) < 200ms"))
"""What must be kept where nothing else is asked for: the schedule."""
OWN_PLACES = ("manifest", "percentile_log", "report")


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one trial.

    Attributes:
        rate_per_s: that was asked for.
        broken: why it did not pass, a sentence each; empty where it did.
        verdict: of the run.
        manifest: of the run.
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
            "manifest": self.manifest,
        }

    def line(self, number: int) -> str:
        """What a person is told."""
        measured = self.verdict.measured
        figures = [
            f"{name} {shown['p99']:,.1f} ms"
            for name, shown in (("lag", measured.schedule_lag.summary_ms()), ("ack", measured.ack.summary_ms()))
            if shown["p99"] is not None
        ]
        outcome = "  ".join(["FAILED", *self.broken]) if self.broken else "passed"
        return (
            f"trial {number:>2}  {self.rate_per_s:>11,.0f}/s  achieved {self.verdict.achieved_per_s:>11,.0f}/s  "
            f"p99: {', '.join(figures) or 'no events'}  {outcome}"
        )


class TrialScreen(Screen):
    """Keeps to itself what a run shows at its end, and shows how far it is on a terminal only.

    Attributes:
        ended: totals, verdict and manifest of the run; None before its end.
        problems: what it had to say besides.
    """

    def __init__(self, settings: RunSettings, title: str, is_quiet: bool) -> None:
        super().__init__(settings.duration_s, None, quiet=True)
        self._title = title
        self.quiet = is_quiet or not self.is_terminal
        self._samples_shown = True
        self.ended: tuple[Totals, Verdict, str] | None = None
        self.problems: list[str] = []

    def settings(self, rows: Iterable[tuple[str, str]]) -> None:
        """Say nothing: it is the same for all trials."""

    def note(self, message: str) -> None:
        """Remember a line."""
        self.problems.append(message)

    def line(self, text: str) -> None:
        """Show how far the trial is."""
        super().line(f"{self._title}  {text}")

    def closing(self, totals: Totals, verdict: Verdict, manifest: str) -> None:
        """Remember how the run ended."""
        self.end_line()
        self.ended = (totals, verdict, manifest)


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


def broken(is_kept: bool, totals: Totals, verdict: Verdict, problems: list[str]) -> list[str]:
    """Why a trial did not pass, a sentence each.

    Args:
        is_kept: whether it did.
        totals, verdict: of the run.
        problems: what it said.
    """
    if is_kept:
        return []
    sentences = [judged.sentence() for judged in verdict.thresholds if not judged.passed]
    if not totals.perfect:
        sentences.append("not every event was delivered")
    if verdict.missed_target:
        sentences.append(f"the generator missed its own target (limited by {verdict.limited_by})")
    return sentences + [problem for problem in problems if problem.startswith("error")] or ["it failed"]

"""`loadgen compare`: two runs side by side.

Settings go in; a table (or one object) on stdout, and a page where one is wanted, come out. The exit code is 1 where
--fail-if says so, else 0 whatever the runs were: files that cannot be used raise a ManifestError, whose exit code is 2.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadgen.config import CompareSettings
from loadgen.config.thresholds import Regression
from loadgen.record import RunRecord, read
from loadgen.report import may_replace, text, write_page
from loadgen.report.figures import FIGURES, TOLERANCE, Difference, differences
from loadgen.report.parts import differing
from loadgen.report.verdict import outcome, passed
from loadgen.terminal import Terminal, say, say_json

EXIT_DONE, EXIT_FAILED = 0, 1
WIDTH = 132
"""Of a table that goes to no terminal."""
MOST_CHARACTERS = 80
"""The longest value of a setting that is shown whole."""
COLOURS = {"better": "green", "worse": "red"}


def main(settings: CompareSettings) -> int:
    """Compare two runs, and say how they differ; returns the exit code.

    Raises:
        ManifestError: a file cannot be used.
        OutputUnwritable: the page cannot be written.
    """
    a, b = (read(path) for path in settings.runs)
    terminal = Terminal()
    if settings.report is not None:
        may_replace(settings.report, terminal.note)
        write_page(settings.report, [a, b])
    if settings.json_summary:
        say_json(as_json(a, b))
    else:
        say(as_text(a, b, None if sys.stdout.isatty() else WIDTH))
    for note in notes(a, b):
        terminal.note(note)
    if settings.report is not None:
        terminal.note(f"report: {settings.report}")
    broken = list(failures(a, b, settings.fail_if))
    for line in broken:
        terminal.note(f"failed: {line}")
    return EXIT_FAILED if broken else EXIT_DONE


def failures(a: RunRecord, b: RunRecord, regressions: Sequence[Regression]) -> Iterator[str]:
    """A line for each regression that there is, or that cannot be ruled out."""
    figures = {figure.key: figure for figure in FIGURES}
    for one in regressions:
        figure = figures[one.key]
        found = Difference(figure, figure.of(a), figure.of(b))
        if found.a is None or found.b is None:
            yield f"{one} cannot be judged: not both runs say it"
        elif one.is_met(math.inf if found.change is None else found.change):
            yield f"{one}: {figure.shown(found.a)} became {figure.shown(found.b)} ({found.change_words})"


def as_json(a: RunRecord, b: RunRecord) -> dict[str, Any]:
    """The object that --json prints."""
    return {
        "a": _about(a),
        "b": _about(b),
        "figures": {
            one.figure.key: {"a": one.a, "b": one.b, "change": one.change, "judgement": one.judgement}
            for one in differences(a, b)
        },
        "settings": {name: {"a": ours, "b": theirs} for name, ours, theirs in differing(a, b)},
    }


def _about(run: RunRecord) -> dict[str, Any]:
    return {
        "file": text.plain(run.path),
        "run_id": run.name,
        "passed": passed(run),
        "limited_by": run.summary.limited_by,
        "exit_reason": run.summary.exit_reason,
        "thresholds": [{"expr": one.expr, "passed": one.passed} for one in run.summary.thresholds],
        "missing": missing(run),
    }


def missing(run: RunRecord) -> list[str]:
    """What the file does not say: a summary has no settings, an older manifest no history."""
    found = {
        "settings": run.settings,
        "history": run.history,
        "workers": run.workers,
        "by_page": run.primary_sink and run.primary_sink.by_page,
        "histograms": run.spread("intended_to_ack") and run.spread("schedule_lag"),
        "versions": run.versions,
        "machine": run.machine,
    }
    return [name for name, value in found.items() if not value]


def notes(a: RunRecord, b: RunRecord) -> Iterator[str]:
    """What to bear in mind."""
    for run in (a, b):
        if run.is_summary:
            named = f" {run.summary.manifest}" if run.summary.manifest else ""
            step = f"compare the manifest{named} for its settings and how it went over time"
            yield text.plain(f"{run.path} is what run --json printed: {step}")
        elif missing(run):
            yield text.plain(f"{run.path} does not say: {', '.join(missing(run))}")
    yield f"differences up to {TOLERANCE:.0%} count as noise: repeat both runs before you believe a small one"


def as_text(a: RunRecord, b: RunRecord, width: int | None) -> str:
    """The tables that a person reads, this many characters wide; None is as wide as the terminal."""
    console = Console(file=sys.stdout, highlight=False, width=width)
    with console.capture() as captured:
        console.print(_figures(a, b))
        if not (a.is_summary or b.is_summary):
            console.print(_settings(a, b))
    return captured.get()


def _figures(a: RunRecord, b: RunRecord) -> Table:
    table = Table(title="Figures", title_justify="left")
    table.add_column("")
    for side, run in (("A", a), ("B", b)):
        table.add_column(Text(f"{side} {text.plain(run.name)}"), justify="right", overflow="fold")
    table.add_column("B against A", justify="right")
    table.add_column("")
    table.add_row("verdict", *(Text(outcome(run)) for run in (a, b)), "", "")
    table.add_row("limited by", *(Text(_short(run.summary.limited_by or text.NONE)) for run in (a, b)), "", "")
    table.add_section()
    for one in differences(a, b):
        mark = Text(one.mark, COLOURS.get(one.judgement, ""))
        figure = one.figure
        table.add_row(figure.label, figure.shown(one.a), figure.shown(one.b), one.change_words, mark)
    return table


def _settings(a: RunRecord, b: RunRecord) -> Table | Text:
    rows = differing(a, b)
    if not rows:
        return Text("settings, versions and machine are alike")
    table = Table(title="Settings that differ", title_justify="left")
    for name in ("", "A", "B"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_short(cell)) for cell in row))
    return table


def _short(words: str) -> str:
    words = text.plain(words)
    return words if len(words) <= MOST_CHARACTERS else f"{words[: MOST_CHARACTERS - 1]}…"

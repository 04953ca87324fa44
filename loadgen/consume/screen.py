"""What the user of `loadgen consume` sees, all of it on stderr: settings, progress, notes, the closing table.

On a terminal the progress is one live line; elsewhere it is a log line, at most every ten seconds.
"""

import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadgen.consume.totals import Totals

LOG_EVERY_S = 10.0
RATE_OVER_S = 5.0
"""Rates are of about the last so many seconds: files are published in bursts."""


class Screen:
    """Shows a consumer to a person."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Begin.

        Args:
            quiet: no settings and no progress; notes and the closing table remain.
            stream: where to write; stderr when None.
        """
        self._console = Console(file=stream or sys.stderr, highlight=False)
        self._console.soft_wrap = not self._console.is_terminal  # a log line stays one line
        self._quiet = quiet
        self._live: Live | None = None
        self._logged_s = 0.0
        self._logged = ""
        self._marks: list[tuple[float, int]] = [(0.0, 0)]
        self._troubled: set[int] = set()

    def note(self, message: str) -> None:
        """A line that a person should read."""
        self._console.print(Text(message))

    def trouble(self, partition: int, problem: str) -> None:
        """Say once that partitions cannot be stored, however often and however many; and once that all can again.

        Args:
            partition: Kafka's.
            problem: of this partition; empty when something of it was stored, or it is another consumer's now.
        """
        if problem and not self._troubled:
            self.note(f"{problem}\nNothing is lost: what is not stored is read again until it is.")
        if not problem and self._troubled == {partition}:
            self.note("everything can be stored again")
        (self._troubled.add if problem else self._troubled.discard)(partition)

    def settings(self, rows: Iterable[tuple[str, str]]) -> None:
        """The resolved settings, one line each."""
        if self._quiet:
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, Text(value))
        self._console.print(table)

    def progress(self, totals: Totals, elapsed_s: float) -> None:
        """Show how far the consumer is, if it is time to."""
        if self._quiet:
            return
        self._marks.append((elapsed_s, totals.n_events))
        while len(self._marks) > 2 and self._marks[1][0] <= elapsed_s - RATE_OVER_S:
            self._marks.pop(0)
        figures = self._figures(totals, elapsed_s)
        if self._console.is_terminal:
            self._show_live(f"{_clock(elapsed_s)}  {figures}")
        elif figures != self._logged and elapsed_s - self._logged_s >= LOG_EVERY_S:
            self._logged, self._logged_s = figures, elapsed_s
            self.note(f"{_clock(elapsed_s)}  {figures}")

    def closing(self, totals: Totals, elapsed_s: float, reason: str) -> None:
        """The closing table."""
        if self._live is not None:
            self._live.stop()
        table = Table(title="Result", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right", overflow="fold")
        for name, value in (
            ("events stored", f"{totals.n_events:,}"),
            ("dead letters", f"{totals.n_dead:,}"),
            ("files", f"{totals.n_files:,}"),
            ("bytes", f"{totals.n_bytes:,}"),
            ("publishing p50 / p99 / max", _percentiles(totals)),
            ("rebalances / retries", f"{totals.n_rebalances:,} / {totals.n_retries:,}"),
        ):
            table.add_row(name, value)
        self._console.print(table)
        per_s = totals.n_events / max(elapsed_s, 1e-9)
        self.note(f"{per_s:,.1f} events/s over {elapsed_s:,.1f} s; ended: {reason}")

    def _figures(self, totals: Totals, elapsed_s: float) -> str:
        since_s, before = self._marks[0]
        per_s = (totals.n_events - before) / max(elapsed_s - since_s, 1e-9)
        return (
            f"{totals.n_events:,} events stored  {per_s:,.0f}/s  consumer lag {totals.lag:,}  "
            f"{totals.n_files:,} files  {totals.n_dead:,} dead letters"
        )

    def _show_live(self, line: str) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(line), refresh=True)


def _percentiles(totals: Totals) -> str:
    found = totals.publish_s.summary_ms()
    return "–" if found["p50"] is None else f"{found['p50']:,.1f} / {found['p99']:,.1f} / {found['max']:,.1f} ms"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"

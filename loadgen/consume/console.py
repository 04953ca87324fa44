"""What the user of `loadgen consume` sees, all of it on stderr: settings, progress, notes, the closing table.

On a terminal the progress is one live line; elsewhere it is a log line, at most every ten seconds.
"""

from typing import TextIO

from rich.table import Table

from loadgen.consume.totals import Totals
from loadgen.terminal import Terminal, clock, percentiles

LOG_EVERY_S = 10.0
RATE_OVER_S = 5.0
"""Rates are of about the last so many seconds: files are published in bursts."""


class ConsumeConsole(Terminal):
    """Shows a consumer to a person."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Begin.

        Args:
            quiet: no settings and no progress; notes and the closing table remain.
            stream: where to write; stderr when None.
        """
        super().__init__(quiet, stream)
        self._logged_s = 0.0
        self._logged = ""
        self._marks: list[tuple[float, int]] = [(0.0, 0)]
        self._troubled: set[int] = set()

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

    def progress(self, totals: Totals, elapsed_s: float) -> None:
        """Show how far the consumer is, if it is time to."""
        if self.quiet:
            return
        self._marks.append((elapsed_s, totals.n_events))
        while len(self._marks) > 2 and self._marks[1][0] <= elapsed_s - RATE_OVER_S:
            self._marks.pop(0)
        figures = self._figures(totals, elapsed_s)
        if self.is_terminal:
            self.line(f"{clock(elapsed_s)}  {figures}")
        elif figures != self._logged and elapsed_s - self._logged_s >= LOG_EVERY_S:
            self._logged, self._logged_s = figures, elapsed_s
            self.line(f"{clock(elapsed_s)}  {figures}")

    def closing(self, totals: Totals, elapsed_s: float, reason: str) -> None:
        """The closing table."""
        self.end_line()
        table = Table(title="Result", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right", overflow="fold")
        for name, value in (
            ("events stored", f"{totals.n_events:,}"),
            ("dead letters", f"{totals.n_dead:,}"),
            ("files", f"{totals.n_files:,}"),
            ("bytes", f"{totals.n_bytes:,}"),
            ("publishing p50 / p99 / max", percentiles(totals.publish_s)),
            ("rebalances / retries", f"{totals.n_rebalances:,} / {totals.n_retries:,}"),
        ):
            table.add_row(name, value)
        self.console.print(table)
        per_s = totals.n_events / max(elapsed_s, 1e-9)
        self.note(f"{per_s:,.1f} events/s over {elapsed_s:,.1f} s; ended: {reason}")

    def _figures(self, totals: Totals, elapsed_s: float) -> str:
        since_s, before = self._marks[0]
        per_s = (totals.n_events - before) / max(elapsed_s - since_s, 1e-9)
        return (
            f"{totals.n_events:,} events stored  {per_s:,.0f}/s  consumer lag {totals.lag:,}  "
            f"{totals.n_files:,} files  {totals.n_dead:,} dead letters"
        )

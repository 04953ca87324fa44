"""What the user sees, all of it on stderr: settings, the first three events, progress, the closing table.

On a terminal the progress is one live line; elsewhere it is a log line every 500 events, at most twice a second.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from rich.json import JSON
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from loadgen.ledger import Outcome, Tally
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import Verdict, verdict_lines
from loadgen.terminal import Terminal, clock, percentiles, utc

if TYPE_CHECKING:
    from loadgen.kafka.group_lag import GroupLag

EVERY_EVENTS = 500
EVERY_S = 0.5
N_SAMPLES = 3
SAMPLES_WAIT_S = 1.0
"""After the first worker's samples, how long to wait for those of others, which may be earlier."""


class RunConsole(Terminal):
    """Shows a run to a person.

    Attributes:
        endless: what is said in place of the time left where neither a duration nor a number ends the run.
        groups: how far consumer groups are behind; none before it is set.
    """

    def __init__(
        self,
        duration_s: float | None,
        n_events: int | None,
        quiet: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        """Begin.

        Args:
            duration_s, n_events: what ends the run, for "time left"; None where it is something else.
            quiet: no settings, samples and progress; problems and the closing table remain.
            stream: where to write; stderr when None.
        """
        super().__init__(quiet, stream)
        self._duration_s, self._n_events = duration_s, n_events
        self._bar: Progress | None = None
        self._samples: list[tuple[int, bytes]] = []
        self._samples_since = float("inf")
        self._samples_shown = quiet
        self._last_shown_s = 0.0
        self._last_shown_events = 0
        self.endless = "until stopped"
        self.groups: Callable[[], Mapping[str, GroupLag]] = dict

    def preparing(self, share: float, what: str) -> None:
        """Progress of something that comes before the run, such as building the catalogue."""
        if self.quiet:
            return
        if not self.is_terminal:
            self.console.print(Text(f"catalogue: {what} ({share:.0%})"))
            return
        if self._bar is None:
            self._bar = Progress(console=self.console, transient=True)
            self._bar.add_task("catalogue", total=1.0)
            self._bar.start()
        self._bar.update(TaskID(0), completed=share, description=f"catalogue: {what}")
        if share >= 1.0:
            self._bar.stop()

    def samples(self, lines: list[tuple[int, bytes]]) -> None:
        """First events of a worker: the earliest of all are shown once they are known."""
        if not self._samples:
            self._samples_since = time.monotonic()
        self._samples += lines

    def progress(self, totals: Totals, elapsed_s: float) -> None:
        """Show how far the run is, if it is time to."""
        if not self._samples_shown and time.monotonic() - self._samples_since > SAMPLES_WAIT_S:
            self._show_samples()
        if self.quiet:
            return
        planned = totals.primary_sink.planned
        since_s = elapsed_s - self._last_shown_s
        if since_s < EVERY_S or (planned - self._last_shown_events < EVERY_EVENTS and not self.is_terminal):
            return
        self._last_shown_s, self._last_shown_events = elapsed_s, planned
        self.line(self._progress_line(totals, elapsed_s))

    def _progress_line(self, totals: Totals, elapsed_s: float) -> str:
        tally = totals.primary_sink
        failures = tally.count(Outcome.FAILED) + tally.count(Outcome.DROPPED)
        lag_ms = totals.schedule_lag_s.summary_ms()["p99"] or 0.0
        groups = "".join(f"lag {name} {lag.messages:,}  " for name, lag in self.groups().items())
        who = f"{totals.active:,} active users"
        if totals.read is not None:
            who = f"at {utc(totals.simulated_ms)}" + (f"  {n:,} unreadable" if (n := totals.read.unsent) else "")
        return (
            f"{clock(elapsed_s)}  {tally.planned:,} events  offered {totals.rates.offered_per_s:,.0f}/s  "
            f"achieved {totals.rates.delivered_per_s:,.0f}/s  {who}  "
            f"schedule lag p99 {lag_ms:,.1f} ms  "
            f"{tally.in_flight:,} in flight  {failures:,} failed or dropped  "
            f"{groups}{_far_end(totals)}{self._left(tally.planned, elapsed_s)}"
        )

    def _left(self, planned: int, elapsed_s: float) -> str:
        if self._n_events is not None:
            return f"{max(0, self._n_events - planned):,} events left"
        if self._duration_s is not None:
            return f"{clock(max(0.0, self._duration_s - elapsed_s))} left"
        return self.endless

    def _show_samples(self) -> None:
        self._samples_shown = True
        earliest = sorted(self._samples)[:N_SAMPLES]
        self.console.print(Text("the first event:" if len(earliest) == 1 else f"the first {len(earliest)} events:"))
        for _, line in earliest:
            self.console.print(_pretty(line, self.is_terminal))

    def closing(self, totals: Totals, verdict: Verdict, manifest: str) -> None:
        """The closing table and verdict."""
        self.end_line()
        if not self._samples_shown and self._samples:
            self._show_samples()
        table = Table(title="Result", title_justify="left")
        for column in ("", *totals.tallies):
            table.add_column(column, justify="right" if column else "left", overflow="fold")  # no digit is cut off
        tallies = list(totals.tallies.values())
        aborted = ("aborted",) if any(tally.count(Outcome.ABORTED) for tally in tallies) else ()
        for name in ("planned", "delivered", *aborted, "failed", "dropped", "unfinished"):
            table.add_row(name, *(f"{tally.counts()[name]:,}" for tally in tallies))
        table.add_row("bytes", *(f"{tally.bytes_delivered:,}" for tally in tallies))
        table.add_row("latency p50 / p99 / max", *_latencies(tallies, verdict, "intended_to_ack"))
        table.add_row("send to ack", *_latencies(tallies, verdict, "ack"))
        if verdict.far_end is not None:
            table.add_row("end to end", percentiles(verdict.measured.end_to_end))
        self.console.print(table)
        for line in verdict_lines(totals, verdict):
            self.note(line)
        self.note(f"manifest: {manifest}")


def _far_end(totals: Totals) -> str:
    """How far the system under test is."""
    if totals.far_end is None:
        return ""
    p99_ms = totals.far_end.latency_s.summary_ms()["p99"]
    latency = "" if p99_ms is None else f", end to end p99 {p99_ms:,.1f} ms"
    return f"{totals.far_end.seen:,} came out{latency}  "


def _pretty(line: bytes, in_colour: bool) -> JSON | Text:
    """An event over several lines; one that was broken on purpose as it is."""
    try:
        return JSON(line.decode(), indent=2, highlight=in_colour, ensure_ascii=False)
    except ValueError:
        return Text(line.decode(errors="backslashreplace").rstrip())


def _latencies(tallies: list[Tally], verdict: Verdict, name: str) -> Iterator[str]:
    """Percentiles of each sink; after a warm-up those of the first are known."""
    for place, tally in enumerate(tallies):
        if place == 0:
            yield percentiles(getattr(verdict.measured, name))
        else:
            yield percentiles(getattr(tally, f"{name}_s")) if verdict.measured.start_s == 0 else "–"

"""What the user of `loadgen pipeline` sees, all of it on stderr: where things are, a live line, the result.

On a terminal the progress is one live line; elsewhere it is a log line, at most every ten seconds.
"""

import os
import time

from loadgen.config import PipelineSettings
from loadgen.config.names import url
from loadgen.config.values import say_duration
from loadgen.pipeline.figures import Figures
from loadgen.pipeline.prepare import PipelineContext
from loadgen.terminal import Terminal, clock
from loadgen.verifier.report import VerifyReport

LOG_EVERY_S = 10.0
LIVE_EVERY_S = 0.5


class Screen:
    """Shows a pipeline to a person."""

    def __init__(self, settings: PipelineSettings) -> None:
        """Begin."""
        self._terminal = Terminal(settings.quiet)
        self._settings = settings
        self._shown_s = time.monotonic()
        self._first_s: float | None = None
        self._ended_s: float | None = None
        self.note = self._terminal.note

    @property
    def url(self) -> str:
        """Where the page is, for a browser on this machine."""
        return url(self._settings.host, self._settings.port)

    def ground(self, ground: PipelineContext) -> None:
        """Where everything is."""
        settings = self._settings
        kafka = f"{ground.kafka.brokers}, topic {ground.kafka.topic} ({ground.n_partitions} partitions)"
        if settings.embedded:
            kafka += ", a test broker in memory that keeps the last 5 MiB of each"
        until = "until Ctrl-C" if settings.duration_s is None else say_duration(settings.duration_s)
        rate = f"{settings.rate:,g} events/s" if isinstance(settings.rate, float) else f"{settings.rate} rate"
        self._terminal.settings(
            [
                ("dashboard", self.url),
                ("producer", f"{settings.users:,} listeners, {rate}, {until}"),
                ("through", kafka),
                ("into", f"{ground.store.url}, published every {settings.rotate_interval_s:g} s"),
                ("logs", f"{ground.folder}{os.sep}"),
            ]
        )

    def progress(self, figures: Figures, doing: str) -> None:
        """Show how far it is, if it is time to."""
        now_s = time.monotonic()
        if figures.sent.total and self._first_s is None:
            self._first_s = now_s
        if doing and self._ended_s is None:
            self._ended_s = now_s
        every_s = LIVE_EVERY_S if self._terminal.is_terminal else LOG_EVERY_S
        if self._terminal.quiet or now_s - self._shown_s < every_s:
            return
        self._shown_s = now_s
        lag = "–" if figures.lag is None else f"{figures.lag:,}"
        self._terminal.line(
            f"{self._clock(now_s)}  {figures.sent.total:,} events sent  {figures.stored.total:,} stored  "
            f"consumer lag {lag}  {doing or self.url}"
        )

    def _clock(self, now_s: float) -> str:
        """The time since the first event was sent, and of how much; it stands still once the pipeline is ending."""
        end_s = now_s if self._ended_s is None else self._ended_s
        passed_s = 0.0 if self._first_s is None else max(0.0, end_s - self._first_s)
        if self._settings.duration_s is None:
            return clock(passed_s)
        return f"{clock(min(passed_s, self._settings.duration_s))} of {clock(self._settings.duration_s)}"

    def checking(self, what: str, n_events: int, share: float) -> None:
        """Show how far the comparison is."""
        if not self._terminal.quiet and time.monotonic() - self._shown_s >= LIVE_EVERY_S * 4:
            self._shown_s = time.monotonic()
            self._terminal.line(f"verifying, {what}: {n_events:,} events, {share:.0%}")

    def end_line(self) -> None:
        """Take the live line away; the next one comes when there is something to wait for."""
        self._terminal.end_line()
        self._shown_s = time.monotonic()

    def result(self, report: VerifyReport, ground: PipelineContext) -> None:
        """What is stored, against what was sent."""
        self.end_line()
        for line in report.as_text():
            self.note(line)
        if not self._terminal.quiet:
            self.note(f"manifests and logs: {ground.folder}{os.sep}")
            self.note(f"go on with: loadgen analyze {self._settings.store}")

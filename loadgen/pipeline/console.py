"""The progress of a pipeline, and how the user sees it on stderr.

In: the ports of the metrics endpoints of producer and consumer. Out: `PipelineMetrics`, summed over restarts; a part
that does not answer keeps its last values. `PipelineConsole` shows addresses, progress and the result: on a terminal
progress is one live line, elsewhere a log line at most every ten seconds.
"""

import http.client
import os
import re
import socket
import time
from dataclasses import dataclass, field

from loadgen.config import PipelineSettings
from loadgen.config.names import url
from loadgen.config.values import say_duration
from loadgen.dashboard.answers import Flow
from loadgen.metrics import CONSUMER_LAG, EVENTS, PUBLISHED_EVENTS
from loadgen.pipeline.prepare import PipelineContext
from loadgen.terminal import Terminal, clock
from loadgen.verifier.report import VerifyReport

SCRAPE_S = 0.5
HOST = "127.0.0.1"
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_SENT = (f"{EVENTS.name}_total", 'outcome="delivered"')
_STORED = (f"{PUBLISHED_EVENTS.name}_total", "")
_LAG = (CONSUMER_LAG.name, "")


def reserve_port(wanted: int) -> socket.socket:
    """Reserve a port for a child process: the wanted one if it is free, else any.

    The open socket reserves the port; a child that sets SO_REUSEADDR, as servers do, can still listen on it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind((HOST, wanted))
    except OSError:
        reserved.bind((HOST, 0))
    return reserved


def scrape(port: int) -> str:
    """The text of the metrics endpoint on this port; empty if it does not answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=SCRAPE_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return ""
    finally:
        connection.close()


def total(text: str, wanted: tuple[str, str]) -> int | None:
    """The sum of a metric's samples with this label; None without samples."""
    name, label = wanted
    values = [float(value) for found, labels, value in _SAMPLE.findall(text) if found == name and label in labels]
    return int(sum(values)) if values else None


@dataclass(slots=True)
class RestartCounter:
    """A counter that starts at 0 with each incarnation of a part.

    Attributes:
        before: the sum of the earlier incarnations.
        is_known: whether any value was read.
    """

    incarnation: int = 0
    latest: int = 0
    before: int = 0
    is_known: bool = False

    def take(self, incarnation: int, value: int | None) -> None:
        """Take the latest value of an incarnation; None if it is unknown."""
        if incarnation != self.incarnation:
            self.incarnation, self.latest, self.before = incarnation, 0, self.before + self.latest
        if value is not None:
            self.latest, self.is_known = value, True

    def reach(self, total: int) -> None:
        """Know from elsewhere that the sum is no less than this."""
        self.latest = max(self.latest, total - self.before)

    def settle(self, total: int) -> None:
        """Set the final value."""
        self.latest, self.before, self.is_known = total, 0, True

    @property
    def total(self) -> int:
        """The sum over all incarnations, 0 if unknown."""
        return self.before + self.latest

    @property
    def known(self) -> int | None:
        """The sum over all incarnations, None if unknown."""
        return self.total if self.is_known else None


@dataclass(slots=True)
class PipelineMetrics:
    """The progress of a pipeline.

    Attributes:
        is_alone: whether the topic has no events but this pipeline's, so that each that is stored has been sent.
        lag: consumer lag, messages; None if unknown.
    """

    is_alone: bool = False
    sent: RestartCounter = field(default_factory=RestartCounter)
    stored: RestartCounter = field(default_factory=RestartCounter)
    lag: int | None = None

    def scrape(self, producer: tuple[int, int], consumer: tuple[int, int]) -> None:
        """Read both endpoints, each given as (port, incarnation).

        The consumer's is read first; the producer's counts are still up to a second older than it.
        """
        text = scrape(consumer[0])
        self.stored.take(consumer[1], total(text, _STORED))
        self.lag = total(text, _LAG)
        self.sent.take(producer[1], total(scrape(producer[0]), _SENT))
        if self.is_alone:
            self.sent.reach(self.stored.total)

    def flow(self, is_timed: bool, is_over: bool) -> Flow:
        """The progress for the dashboard; after the end there is no lag."""
        lag = None if is_over else self.lag
        return Flow(self.sent.known, self.stored.known, lag, is_timed, is_over, time.time())


LOG_EVERY_S = 10.0
LIVE_EVERY_S = 0.5


class PipelineConsole:
    """Prints the progress of a pipeline."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._terminal = Terminal(settings.quiet)
        self._settings = settings
        self._shown_s = time.monotonic()
        self._first_s: float | None = None
        self._ended_s: float | None = None
        self.note = self._terminal.note

    @property
    def url(self) -> str:
        """The address of the page, for a browser on this machine."""
        return url(self._settings.host, self._settings.port)

    def start(self, context: PipelineContext) -> None:
        """Print what runs and where."""
        settings = self._settings
        kafka = f"{context.kafka.brokers}, topic {context.kafka.topic} ({context.n_partitions} partitions)"
        if settings.embedded:
            kafka += ", a test broker in memory that keeps the last 5 MiB of each"
        until = "until Ctrl-C" if settings.duration_s is None else say_duration(settings.duration_s)
        rate = f"{settings.rate:,g} events/s" if isinstance(settings.rate, float) else f"{settings.rate} rate"
        self._terminal.settings(
            [
                ("dashboard", self.url),
                ("producer", f"{settings.users:,} listeners, {rate}, {until}"),
                ("through", kafka),
                ("into", f"{context.store.url}, published every {settings.rotate_interval_s:g} s"),
                ("logs", f"{context.folder}{os.sep}"),
            ]
        )

    def progress(self, metrics: PipelineMetrics, doing: str) -> None:
        """Print the progress, if a line is due."""
        now_s = time.monotonic()
        if metrics.sent.total and self._first_s is None:
            self._first_s = now_s
        if doing and self._ended_s is None:
            self._ended_s = now_s
        every_s = LIVE_EVERY_S if self._terminal.is_terminal else LOG_EVERY_S
        if self._terminal.quiet or now_s - self._shown_s < every_s:
            return
        self._shown_s = now_s
        lag = "–" if metrics.lag is None else f"{metrics.lag:,}"
        self._terminal.line(
            f"{self._clock(now_s)}  {metrics.sent.total:,} events sent  {metrics.stored.total:,} stored  "
            f"consumer lag {lag}  {doing or self.url}"
        )

    def _clock(self, now_s: float) -> str:
        """The time since the first event, and the duration; stops when the pipeline is ending."""
        end_s = now_s if self._ended_s is None else self._ended_s
        passed_s = 0.0 if self._first_s is None else max(0.0, end_s - self._first_s)
        if self._settings.duration_s is None:
            return clock(passed_s)
        return f"{clock(min(passed_s, self._settings.duration_s))} of {clock(self._settings.duration_s)}"

    def verifying(self, part: str, n_events: int, share: float) -> None:
        """Print the progress of the verification."""
        if not self._terminal.quiet and time.monotonic() - self._shown_s >= LIVE_EVERY_S * 4:
            self._shown_s = time.monotonic()
            self._terminal.line(f"verifying, {part}: {n_events:,} events, {share:.0%}")

    def end_line(self) -> None:
        """Remove the live line; the next one comes after the usual interval."""
        self._terminal.end_line()
        self._shown_s = time.monotonic()

    def result(self, report: VerifyReport, context: PipelineContext) -> None:
        """Print the result of the verification."""
        self.end_line()
        for line in report.as_text():
            self.note(line)
        if not self._terminal.quiet:
            self.note(f"manifests and logs: {context.folder}{os.sep}")
            self.note(f"go on with: loadgen analyze {self._settings.store}")

"""Counts of a consumer, summed over its partitions, and how they are reported.

In: counts of partition writers. Out: progress, notes and the closing table on stderr; Prometheus metrics; the summary.

On a terminal the progress is one live line; elsewhere it is a log line, at most every ten seconds.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.table import Table

from loadgen import __version__, metrics
from loadgen.consume.partition import Partition
from loadgen.consume.partition_writer import Published
from loadgen.histogram import Histogram
from loadgen.terminal import Terminal, clock, percentiles


@dataclass(slots=True)
class ConsumeTotals:
    """Sums since the start.

    Attributes:
        n_read: messages read, those included that were read again.
        n_events, n_dead, n_files, n_bytes: stored: events, dead letters, files, their bytes.
        publish_s: how long each publication took.
        n_rebalances: how often the group has assigned its partitions.
        n_retries: how often a partition was recovered, because the store failed or another writer had it.
        latest_ms: the time of the latest event read, milliseconds since 1970; -1 before the first.
        lags: partition → messages that are in Kafka and not read yet; only of partitions that this consumer has.
        unstored: partition → messages that are in Kafka and not stored yet; of the same.
        next_offsets: partition → everything below is stored, as far as this consumer knows.
        reading_s: from the first message read to the latest.
        first_read_s: when the first was read (time.monotonic); inf before.
    """

    n_read: int = 0
    n_events: int = 0
    n_dead: int = 0
    n_files: int = 0
    n_bytes: int = 0
    publish_s: Histogram = field(default_factory=Histogram)
    n_rebalances: int = 0
    n_retries: int = 0
    latest_ms: int = -1
    lags: dict[int, int] = field(default_factory=dict)
    unstored: dict[int, int] = field(default_factory=dict)
    next_offsets: dict[int, int] = field(default_factory=dict)
    reading_s: float = 0.0
    first_read_s: float = float("inf")

    def read(self, n_messages: int, now_s: float) -> None:
        """Count messages that were read at this moment (time.monotonic)."""
        self.n_read += n_messages
        self.first_read_s = min(self.first_read_s, now_s)
        self.reading_s = now_s - self.first_read_s

    def add(self, partition: Partition) -> None:
        """Add what a partition has done."""
        self._add_published(partition.writer.published)
        self.n_retries += partition.n_retries
        self.latest_ms = max(self.latest_ms, partition.latest_ms)
        if partition.writer.next_offset is not None:
            self.next_offsets[partition.number] = partition.writer.next_offset

    def with_partitions(self, partitions: Iterable[Partition]) -> "ConsumeTotals":
        """These sums and those of the partitions that the consumer has now."""
        total = ConsumeTotals(n_read=self.n_read, n_rebalances=self.n_rebalances, reading_s=self.reading_s)
        total.merge(self)
        for partition in partitions:
            total.add(partition)
            total.lags[partition.number] = partition.lag
            total.unstored[partition.number] = partition.n_unstored
        return total

    def merge(self, other: "ConsumeTotals") -> None:
        """Add what the partitions of the other have done."""
        for name in ("n_events", "n_dead", "n_files", "n_bytes", "n_retries"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.publish_s.merge(other.publish_s)
        self.latest_ms = max(self.latest_ms, other.latest_ms)
        self.next_offsets |= other.next_offsets

    @property
    def lag(self) -> int:
        """Consumer lag: messages that are in Kafka and not read yet."""
        return sum(self.lags.values())

    def _add_published(self, published: Published) -> None:
        self.n_events += published.n_events
        self.n_dead += published.n_dead
        self.n_files += published.n_files
        self.n_bytes += published.n_bytes
        self.publish_s.merge(published.publish_s)


def summary(totals: ConsumeTotals, elapsed_s: float, exit_reason: str) -> dict[str, Any]:
    """The object that --json prints."""
    return {
        "events": totals.n_events,
        "dead_letters": totals.n_dead,
        "files": totals.n_files,
        "bytes": totals.n_bytes,
        "elapsed_s": round(elapsed_s, 3),
        "reading_s": round(totals.reading_s, 3),
        "events_per_s": round(totals.n_events / max(elapsed_s, 1e-9), 3),
        "partitions": {str(number): offset for number, offset in sorted(totals.next_offsets.items())},
        "publish_ms": totals.publish_s.summary_ms(),
        "rebalances": totals.n_rebalances,
        "retries": totals.n_retries,
        "exit_reason": exit_reason,
    }


LOG_EVERY_S = 10.0
RATE_OVER_S = 5.0
"""Rates are over about this many seconds, because files are published in bursts."""


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

    def progress(self, totals: ConsumeTotals, elapsed_s: float) -> None:
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

    def closing(self, totals: ConsumeTotals, elapsed_s: float, reason: str) -> None:
        """The closing table."""
        self.end_line()
        table = Table(title="ConsumeResult", title_justify="left", show_header=False)
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

    def _figures(self, totals: ConsumeTotals, elapsed_s: float) -> str:
        since_s, before = self._marks[0]
        per_s = (totals.n_events - before) / max(elapsed_s - since_s, 1e-9)
        return (
            f"{totals.n_events:,} events stored  {per_s:,.0f}/s  consumer lag {totals.lag:,}  "
            f"{totals.n_files:,} files  {totals.n_dead:,} dead letters"
        )


@dataclass(slots=True, eq=False)  # the registry wants to hash it
class ConsumeCollector:
    """Exposes the latest totals.

    Attributes:
        topic, group: what is consumed, and as whom.
        totals, elapsed_s: the latest that the consumer handed over.
    """

    topic: str
    group: str
    totals: ConsumeTotals = field(default_factory=ConsumeTotals)
    elapsed_s: float = 0.0

    def watch(self, totals: ConsumeTotals, elapsed_s: float) -> None:
        """Take the latest totals."""
        self.totals, self.elapsed_s = totals, elapsed_s

    def collect(self) -> Iterator[Any]:
        """Metric families, as prometheus_client asks for them."""
        from loadgen.metrics_endpoint import family, histogram  # a consumer without metrics needs none

        totals = self.totals
        yield family(metrics.CONSUMER_INFO, {(__version__, self.topic, self.group): 1})
        yield family(metrics.CONSUMER_LAG, {(str(number),): lag for number, lag in totals.lags.items()})
        yield family(metrics.UNSTORED, {(str(number),): count for number, count in totals.unstored.items()})
        yield histogram(metrics.PUBLISH, {(): totals.publish_s})
        for metric, value in (
            (metrics.CONSUMED, totals.n_read),
            (metrics.PUBLISHED_EVENTS, totals.n_events),
            (metrics.PUBLISHED_FILES, totals.n_files),
            (metrics.PUBLISHED_BYTES, totals.n_bytes),
            (metrics.DEAD_LETTERS, totals.n_dead),
            (metrics.REBALANCES, totals.n_rebalances),
            (metrics.STORE_RETRIES, totals.n_retries),
            (metrics.LAST_EVENT, totals.latest_ms / 1000 if totals.latest_ms >= 0 else math.nan),
            (metrics.CONSUMER_ELAPSED, self.elapsed_s),
        ):
            yield family(metric, {(): value})

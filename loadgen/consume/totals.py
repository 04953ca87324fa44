"""What a consumer has done so far, added up over its partitions, those that it has given back included.

In: lanes' counts. Out: `Totals`, for the screen, the metrics and the summary.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from loadgen.consume.partition import Partition
from loadgen.consume.partition_writer import Published
from loadgen.histogram import Histogram


@dataclass(slots=True)
class Totals:
    """Sums since the start.

    Attributes:
        n_read: messages read, those included that were read again.
        n_events, n_dead, n_files, n_bytes: stored: events, dead letters, files, their bytes.
        publish_s: how long each publication took.
        n_rebalances: how often the group has given out its partitions anew.
        n_retries: how often a partition had to be begun anew, because the store failed or another writer had it.
        latest_ms: the time of the latest event read, milliseconds since 1970; -1 before the first.
        lags: partition → messages that are in Kafka and not read yet; only of partitions that this consumer has.
        unstored: partition → messages that are in Kafka and not stored yet; of the same.
        next_offsets: partition → everything below is stored, as far as this consumer knows.
        reading_s: from the first message read to the latest.
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

    def add(self, partition: Partition) -> None:
        """Add what a partition has done."""
        self._add_published(partition.lane.published)
        self.n_retries += partition.n_retries
        self.latest_ms = max(self.latest_ms, partition.latest_ms)
        if partition.lane.next_offset is not None:
            self.next_offsets[partition.number] = partition.lane.next_offset

    def with_partitions(self, partitions: Iterable[Partition]) -> "Totals":
        """These sums and those of the partitions that the consumer has now."""
        total = Totals(n_read=self.n_read, n_rebalances=self.n_rebalances, reading_s=self.reading_s)
        total.merge(self)
        for partition in partitions:
            total.add(partition)
            total.lags[partition.number] = partition.lag
            total.unstored[partition.number] = partition.n_unstored
        return total

    def merge(self, other: "Totals") -> None:
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


def summary(totals: Totals, elapsed_s: float, exit_reason: str) -> dict[str, Any]:
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

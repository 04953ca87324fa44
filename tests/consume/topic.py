"""A partition of a topic for tests: records with gaps, dead letters, several days; and what of it is in a store.

In: a seed. Out: blocks from any offset on, and assertions that each record is stored exactly once.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from loadgen.consume.batch import RecordBatch
from loadgen.consume.commits import TopicIdentity
from loadgen.consume.partition_writer import PartitionWriter, WriterContext
from loadgen.consume.temporary_file import RollingPolicy
from loadgen.store.layout import DEAD, day_of, published
from loadgen.store.read import read_lines
from tests.consume.failing_store import Disk, FailingStore, Inline

DAY = 20_000
PARTITION = 3
SOURCE = TopicIdentity("cluster", "songs", "id")
ROLLING = RollingPolicy(batch_size=20, max_bytes=1 << 20, interval_s=60.0)


@dataclass(frozen=True)
class TopicRecord:
    """A Kafka record; `day` is None for a dead letter."""

    offset: int
    day: int | None

    @property
    def line(self) -> bytes:
        return orjson.dumps({"offset": self.offset, "text": "x" * (self.offset % 7)})


class Topic:
    """One partition's records."""

    def __init__(self, n_records: int, seed: int = 1, n_days: int = 3, first: int = 100) -> None:
        rng = np.random.default_rng(seed)
        offsets = first + np.cumsum(rng.choice([1, 1, 1, 5], n_records))
        days = [
            None if dead else DAY + int(day)
            for dead, day in zip(rng.random(n_records) < 0.1, rng.integers(0, n_days, n_records), strict=True)
        ]
        self.records = [TopicRecord(int(offset), day) for offset, day in zip(offsets, days, strict=True)]

    def blocks(self, position: int | None, size: int) -> Iterator[RecordBatch]:
        """Everything from an offset on, so many records at a time."""
        rest = [record for record in self.records if record.offset >= (position or 0)]
        for start in range(0, len(rest), size):
            yield block_of(rest[start : start + size])


def block_of(records: list[TopicRecord]) -> RecordBatch:
    """Records as a partition writer takes them."""
    events = [record for record in records if record.day is not None]
    return RecordBatch(
        records[0].offset,
        np.array([record.offset for record in events], np.int64),
        np.array([record.day for record in events], np.int32),
        [record.line for record in events],
        [record.line for record in records if record.day is None],
        records[-1].offset + 1,
    )


_ids = itertools.count()


def writer_of(store: FailingStore, rolling: RollingPolicy = ROLLING) -> PartitionWriter:
    """A writer that carries out everything at once."""
    return PartitionWriter(
        WriterContext(store, SOURCE, rolling, f"w{next(_ids)}", Inline(), store.disk.clock), PARTITION
    )


def drive(writer: PartitionWriter, topic: Topic, size: int = 8) -> None:
    """Publish everything from the writer's position on; raises what the writer raises."""
    for block in topic.blocks(writer.position, size):
        writer.add(block)
        writer.wait(0.0)
    writer.publish_now()
    assert writer.wait(30.0)


def stored(disk: Disk) -> Counter[tuple[int, int | None]]:
    """How often each (offset, day) is in the store for a reader; None is the dead letters."""
    store = FailingStore(disk)
    found: Counter[tuple[int, int | None]] = Counter()
    for file in published(store):
        assert file.batch is not None
        assert file.batch.partition == PARTITION
        for chunk in read_lines(store, file):
            offsets = [orjson.loads(line)["offset"] for line in chunk.splitlines()]
            assert file.batch.first <= min(offsets)
            assert max(offsets) <= file.batch.last
            found.update((offset, file.day) for offset in offsets)
    for path in disk.paths(f"{DEAD}/"):
        found.update((orjson.loads(line)["offset"], None) for line in store.read(path).splitlines())
    return found


def assert_stored_once(disk: Disk, topic: Topic) -> None:
    """Each record is in its day's folder, or among the dead letters, once."""
    assert stored(disk) == Counter((record.offset, record.day) for record in topic.records)


def days_in(disk: Disk) -> set[int | None]:
    """The days that have a folder."""
    return {day_of(path) for path in disk.paths("year=")}

"""A partition writer with a disk, a clock and a pool of its own, for tests of when it does what."""

from concurrent.futures import Executor

import numpy as np

from loadgen.consume.batch import Confirm, RecordBatch
from loadgen.consume.partition_writer import PartitionWriter, WriterContext
from loadgen.consume.temporary_file import Budget, RollingPolicy
from loadgen.store.layout import published
from loadgen.store.read import read_lines
from tests.consume.failing_store import Disk, FailingStore, Inline
from tests.consume.topic import DAY, PARTITION, SOURCE, TopicRecord, block_of


def events(first: int, n_events: int, n_days: int = 1) -> RecordBatch:
    return block_of([TopicRecord(first + i, DAY + i % n_days) for i in range(n_events)])


def wide_events(first: int, n_events: int, n_bytes: int, n_days: int = 1) -> RecordBatch:
    offsets = np.arange(first, first + n_events)
    days = (DAY + offsets % n_days).astype(np.int32)
    values = [b'{"offset":%d,"text":"%s"}' % (offset, b"x" * n_bytes) for offset in offsets]
    return RecordBatch(first, offsets, days, values, [], first + n_events)


class Scene:
    """A partition writer with a disk, a clock and a pool of its own."""

    def __init__(
        self,
        pool: Executor | None = None,
        budget: Budget | None = None,
        confirm: Confirm = lambda _: None,
        **rolling: object,
    ) -> None:
        self.disk = Disk()
        self.pool = pool or Inline()
        bounds = {"batch_size": 1000, "max_bytes": 1 << 30, "interval_s": 60.0, **rolling}
        policy = RollingPolicy(**bounds)  # type: ignore[arg-type]  # given by name
        store, clock = FailingStore(self.disk), self.disk.clock
        context = WriterContext(store, SOURCE, policy, "w", self.pool, clock, budget or Budget(), confirm)
        self.writer = PartitionWriter(context, PARTITION)
        self.writer.recover()

    def tick(self, later_s: float = 0.0) -> None:
        self.disk.clock.now_s += later_s
        self.writer.tick(self.disk.clock())

    def is_full(self) -> bool:
        return self.writer.full

    def lengths(self) -> list[int]:
        """The number of events in each published file."""
        store = FailingStore(self.disk)
        return [sum(chunk.count(b"\n") for chunk in read_lines(store, file)) for file in published(store)]

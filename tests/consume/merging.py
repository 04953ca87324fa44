"""A store of many small files, and a compactor for it."""

from loadgen.consume.compact import Compacted, compact
from loadgen.consume.temporary_file import RollingPolicy
from tests.consume.failing_store import Disk, FailingStore, Inline
from tests.consume.topic import DAY, Topic, drive, writer_of

GRACE_S = 60.0
TOPIC = Topic(60)
SMALL = RollingPolicy(batch_size=7, max_bytes=1 << 20, interval_s=60.0)


def filled(rolling: RollingPolicy = SMALL, topic: Topic = TOPIC) -> Disk:
    """A store of many small files."""
    disk = Disk()
    writer = writer_of(FailingStore(disk), rolling)
    writer.recover()
    drive(writer, topic, 10)
    return disk


def merge(
    disk: Disk, store: FailingStore | None = None, target_bytes: int = 1 << 30, until_day: int = DAY + 9
) -> Compacted:
    return compact(store or FailingStore(disk), until_day, GRACE_S, disk.clock, target_bytes, Inline())


def n_files(disk: Disk) -> int:
    return len(disk.paths("year="))


def after_grace(disk: Disk) -> None:
    disk.clock.now_s += GRACE_S

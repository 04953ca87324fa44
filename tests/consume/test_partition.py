"""What a partition says of itself: what is in Kafka and not read yet, or not stored yet."""

import time

from loadgen.consume.partition import Partition, Policy
from loadgen.consume.partition_writer import PartitionWriter, RollingPolicy, WriterContext
from tests.consume.failing_store import Disk, FailingStore
from tests.consume.fake_client import FakeClient, run
from tests.consume.test_loop import AtOnce
from tests.consume.topic import SOURCE


def a_partition(disk: Disk, *, low: int = 0, high: int = 20) -> Partition:
    """Partition 0, recovered; it publishes every ten events."""
    pool, client = AtOnce(), FakeClient((), {0: (low, high)})
    writer = PartitionWriter(
        WriterContext(FailingStore(disk), SOURCE, RollingPolicy(10, 1 << 30, 3600.0), "w", pool, time.time), 0
    )
    policy = Policy("t", "earliest", "continue", lambda: None, lambda note: None, lambda number, problem: None)
    partition = Partition(0, writer, client, pool, policy)
    partition.end = high
    partition.turn(time.time())
    return partition


def test_what_is_read_is_not_stored_before_it_is_published() -> None:
    partition = a_partition(Disk())
    partition.take(run(0, 0, 7))
    partition.turn(time.time())
    assert (partition.lag, partition.n_unstored) == (13, 20)
    partition.take(run(0, 7, 3))
    for _ in range(3):  # one turn writes, one publishes
        partition.turn(time.time())
    assert (partition.lag, partition.n_unstored) == (10, 10)


def test_what_was_read_after_the_end_was_asked_for_counts_too() -> None:
    partition = a_partition(Disk(), high=4)
    partition.take(run(0, 0, 9))
    assert (partition.lag, partition.n_unstored) == (0, 9)


def test_the_next_reader_goes_on_from_what_is_stored() -> None:
    disk = Disk()
    first = a_partition(disk)
    first.take(run(0, 0, 15))
    for _ in range(3):
        first.turn(time.time())
    assert a_partition(disk, high=21).n_unstored == first.n_unstored + 1


def test_what_kafka_has_lost_is_not_waited_for() -> None:
    assert a_partition(Disk(), low=15).n_unstored == 5

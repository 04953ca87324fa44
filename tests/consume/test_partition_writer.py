"""What a partition writer holds back, how it fails, and what it says of itself."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import orjson
import pytest

from loadgen.consume.batch import RecordBatch
from loadgen.consume.partition_writer import PartitionWriter, WriterContext
from loadgen.consume.temporary_file import MIB, Budget, RollingPolicy
from loadgen.errors import StoreFull, TopicRecreated
from loadgen.store.layout import DEAD, published
from loadgen.store.local import LocalStore
from loadgen.store.read import read_lines
from tests.consume.failing_store import Disk, FailingStore, Held, Inline
from tests.consume.scene import Scene, events, wide_events
from tests.consume.topic import PARTITION, SOURCE, Topic, assert_stored_once, drive, stored


def test_adding_and_ticking_never_touch_the_store_themselves() -> None:
    scene = Scene(Held(), batch_size=4)
    scene.writer.add(events(0, 10))
    scene.tick()
    assert scene.disk.paths() == []
    assert isinstance(scene.pool, Held)
    scene.pool.run()
    scene.tick()
    assert scene.lengths() == [4, 4]


def test_a_writer_is_full_while_a_second_publication_is_due_before_the_first_is_done() -> None:
    pool = Held()
    scene = Scene(pool, batch_size=4)
    scene.writer.add(events(0, 4))
    scene.tick()
    assert not scene.is_full()
    scene.writer.add(events(4, 3))
    assert not scene.is_full()
    scene.writer.add(events(7, 1))
    assert scene.is_full()
    pool.run()
    scene.tick()
    assert not scene.is_full()
    pool.run()
    scene.tick()
    assert scene.lengths() == [4, 4]
    assert scene.writer.idle


def test_age_alone_does_not_make_a_writer_full() -> None:
    scene = Scene(Held(), interval_s=0.0)
    scene.writer.add(events(0, 4))
    scene.tick()
    scene.writer.add(events(4, 4))
    scene.tick()
    assert not scene.is_full()


def test_writers_that_hold_more_than_the_budget_are_full_and_write_out_what_they_hold() -> None:
    pool, budget = Held(), Budget(200_000)
    scene = Scene(pool, budget)
    scene.writer.add(wide_events(0, 100, 1000))
    assert not scene.is_full()
    scene.writer.add(wide_events(100, 150, 1000))
    assert scene.is_full()
    pool.run()
    assert budget.held_bytes == 0
    assert not scene.is_full()
    assert scene.lengths() == []


def test_a_writer_writes_out_what_it_holds_when_another_one_has_used_up_the_budget() -> None:
    budget = Budget(200_000)
    scene = Scene(Inline(), budget)
    scene.writer.add(wide_events(0, 100, 1000))
    assert budget.held_bytes > 100_000
    budget.hold(150_000)
    scene.tick()
    assert budget.held_bytes == 150_000


@pytest.mark.parametrize("compress", ["none", "gz", "zst"])
@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "avro"])
def test_what_a_writer_holds_in_memory_does_not_grow_with_the_batch(compress: str, file_format: str) -> None:
    budget = Budget()
    scene = Scene(Inline(), budget, batch_size=1 << 40, compress=compress, file_format=file_format)
    for first in range(0, 12_000, 1000):
        scene.writer.add(wide_events(first, 1000, 2000, n_days=2))
        assert budget.held_bytes < 2 * 4 * MIB + 4 * MIB
    scene.writer.publish_now()
    assert scene.writer.wait(1.0)
    assert budget.held_bytes == 0
    assert scene.writer.published.n_events == 12_000


def test_a_discarded_writer_gives_back_its_memory_and_publishes_nothing() -> None:
    pool, budget = Held(), Budget()
    scene = Scene(pool, budget, batch_size=1000)
    scene.writer.add(wide_events(0, 1500, 2000))
    scene.tick()
    scene.writer.add(wide_events(1500, 10, 2000))
    scene.writer.discard()
    pool.run()
    scene.tick()
    assert budget.held_bytes == 0
    assert scene.writer.idle
    assert stored(scene.disk) == {}
    assert scene.disk.paths("_commits") == []
    assert scene.writer.recover() is None


def test_a_dropped_file_is_removed() -> None:
    scene = Scene(Inline(), batch_size=900)
    scene.writer.add(wide_events(0, 1800, 2000))  # one file is closed, one is not, of one nothing is written
    scene.writer.add(wide_events(1800, 1, 2000))
    assert len(scene.disk.paths("_tmp")) == 2
    scene.writer.discard()
    assert scene.disk.paths() == []


def test_a_writer_that_failed_says_so_at_the_next_tick_and_takes_nothing_until_it_is_recovered() -> None:
    scene = Scene()

    def full(when: str, step: str, path: str) -> None:
        if step == "write":
            raise StoreFull("no room")

    store = FailingStore(scene.disk, full)
    writer = PartitionWriter(
        WriterContext(store, SOURCE, RollingPolicy(1000, MIB, 60.0), "w", Inline(), scene.disk.clock), PARTITION
    )
    writer.recover()
    writer.add(wide_events(0, 900, 2000))
    with pytest.raises(StoreFull):
        writer.tick(0.0)
    writer.add(events(5000, 1))
    assert writer.idle
    assert not writer.full
    with pytest.raises(StoreFull):
        writer.wait(1.0)
    assert writer.recover() is None
    writer.add(events(0, 1))
    assert not writer.idle


def test_an_error_that_is_none_of_the_store_reaches_the_consumer_too() -> None:
    scene = Scene(file_format="parquet")
    scene.writer.add(RecordBatch(0, np.zeros(1, np.int64), np.zeros(1, np.int32), [b"no JSON"], [], 1))
    scene.writer.publish_now()
    with pytest.raises(ValueError, match="line 1 column 1"):
        scene.writer.wait(1.0)


def test_a_pool_that_is_closed_ends_the_publication_with_an_error() -> None:
    pool = ThreadPoolExecutor(1)
    disk = Disk()
    writer = PartitionWriter(
        WriterContext(FailingStore(disk), SOURCE, RollingPolicy(10, MIB, 60.0), "w", pool, disk.clock), PARTITION
    )
    writer.recover()
    pool.shutdown()
    writer.add(RecordBatch(7, np.zeros(0, np.int64), np.zeros(0, np.int32), [], [], 9))
    writer.publish_now()
    with pytest.raises(RuntimeError, match="shutdown"):
        writer.wait(1.0)


def test_offsets_before_the_position_are_a_mistake_of_the_caller() -> None:
    scene = Scene()
    scene.writer.add(events(10, 5))
    with pytest.raises(ValueError, match="goes on at 15"):
        scene.writer.add(events(14, 1))


def test_a_writer_that_was_never_recovered_takes_nothing() -> None:
    writer = PartitionWriter(
        WriterContext(FailingStore(Disk()), SOURCE, RollingPolicy(10, 10, 60.0), "w", Inline(), Disk().clock), PARTITION
    )
    with pytest.raises(ValueError, match="is to be recovered"):
        writer.add(events(0, 1))
    with pytest.raises(ValueError, match="writer id"):
        PartitionWriter(
            WriterContext(FailingStore(Disk()), SOURCE, RollingPolicy(10, 10, 60.0), "a/b", Inline(), Disk().clock),
            PARTITION,
        )


def test_waiting_ends_in_time_when_the_store_does_not() -> None:
    scene = Scene(Held())
    scene.writer.add(events(0, 1))
    scene.writer.publish_now()
    assert not scene.writer.wait(0.01)
    assert not scene.writer.idle


def test_a_pool_of_one_thread_is_enough_for_many_writers_with_many_files(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        writers = [
            PartitionWriter(WriterContext(store, SOURCE, RollingPolicy(50, MIB, 60.0), "w", pool, lambda: 0.0), p)
            for p in range(4)
        ]
        for writer in writers:
            writer.recover()
            for first in range(0, 200, 40):
                writer.add(events(first, 40, n_days=10))
                writer.tick(0.0)
            writer.publish_now()
        assert all(writer.wait(20.0) for writer in writers)
    assert [writer.next_offset for writer in writers] == [200] * 4
    names = [orjson.loads(line)["offset"] for file in published(store) for line in read_all(store, file).splitlines()]
    assert sorted(names) == sorted(list(range(200)) * 4)


def read_all(store: LocalStore, file: object) -> bytes:
    return b"".join(read_lines(store, file))  # type: ignore[arg-type]  # a PublishedFile


def test_many_threads_store_everything_once(tmp_path: Path) -> None:
    topic = Topic(400, n_days=7)
    store = LocalStore(tmp_path)
    with ThreadPoolExecutor(6) as pool:
        writer = PartitionWriter(
            WriterContext(store, SOURCE, RollingPolicy(37, MIB, 0.0, compress="zst"), "w", pool, lambda: 1e9), PARTITION
        )
        writer.recover()
        drive(writer, topic, 50)
        assert writer.published.n_events + writer.published.n_dead == len(topic.records)
    found = [orjson.loads(line)["offset"] for file in published(store) for line in read_all(store, file).splitlines()]
    assert sorted(found) == [record.offset for record in topic.records if record.day is not None]
    assert threading.active_count() < 5


def test_counts_are_of_what_is_published_and_go_on_after_a_recovery() -> None:
    scene = Scene()
    topic = Topic(40)
    drive(scene.writer, topic)
    first = scene.writer.published
    files = [path for path in scene.disk.paths() if path.startswith(("year=", DEAD))]
    assert first.n_files == len(files)
    assert first.n_bytes == sum(len(scene.disk.entries[path].data) for path in files)
    assert first.n_events == sum(record.day is not None for record in topic.records)
    assert len(first.publish_s) == first.n_publications == 1
    scene.writer.recover()
    assert scene.writer.published is first
    assert_stored_once(scene.disk, topic)


def test_file_names_say_time_partition_offsets_and_source() -> None:
    scene = Scene()
    scene.writer.add(events(12, 3))
    scene.writer.publish_now()
    assert scene.writer.wait(1.0)
    name = f"batch_20251009_085320_p003_{12:020}_{14:020}_{SOURCE.tag}.jsonl"
    assert scene.disk.paths("year=") == [f"year=2024/month=10/day=04/{name}"]


def test_nothing_is_published_while_the_source_is_in_doubt() -> None:
    asked: list[float] = []

    def confirm(read_s: float) -> None:
        asked.append(read_s)
        raise TopicRecreated("another topic has its name now")

    since_s = time.monotonic()
    scene = Scene(confirm=confirm, batch_size=4)
    scene.writer.add(events(0, 4))
    with pytest.raises(TopicRecreated):
        scene.writer.wait(1.0)
    assert scene.lengths() == []
    assert since_s < asked[0] < time.monotonic(), "it must be told when the last event was read"

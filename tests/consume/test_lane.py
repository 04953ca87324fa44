"""When a lane publishes, what it holds back, and what it says of itself."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import orjson
import pytest

from loadgen.consume.batch import Block, pieces
from loadgen.consume.lane import Lane
from loadgen.consume.rotation import MIB, Budget, Rotation
from loadgen.errors import StoreFull
from loadgen.store.layout import DEAD, day_folder, published
from loadgen.store.local import LocalStore
from loadgen.store.read import read_lines
from tests.consume.failing_store import Disk, FailingStore, Held, Inline
from tests.consume.topic import (
    DAY,
    PARTITION,
    SOURCE,
    Record,
    Topic,
    assert_stored_once,
    block_of,
    drive,
    stored,
)


def events(first: int, n_events: int, n_days: int = 1) -> Block:
    return block_of([Record(first + i, DAY + i % n_days) for i in range(n_events)])


def wide_events(first: int, n_events: int, n_bytes: int, n_days: int = 1) -> Block:
    offsets = np.arange(first, first + n_events)
    days = (DAY + offsets % n_days).astype(np.int32)
    values = [b'{"offset":%d,"text":"%s"}' % (offset, b"x" * n_bytes) for offset in offsets]
    return Block(first, offsets, days, values, [], first + n_events)


class Scene:
    """A lane with a disk, a clock and a pool of its own."""

    def __init__(self, pool: Inline | Held | None = None, budget: Budget | None = None, **rotation: object) -> None:
        self.disk = Disk()
        self.pool = pool or Inline()
        bounds = {"batch_size": 1000, "max_bytes": 1 << 30, "interval_s": 60.0, **rotation}
        self.lane = Lane(
            FailingStore(self.disk),
            SOURCE,
            PARTITION,
            Rotation(**bounds),  # type: ignore[arg-type]  # given by name
            "w",
            self.pool,
            self.disk.clock,
            budget,
        )
        self.lane.recover()

    def tick(self, later_s: float = 0.0) -> None:
        self.disk.clock.now_s += later_s
        self.lane.tick(self.disk.clock())

    def lengths(self) -> list[int]:
        """The number of events in each published file."""
        store = FailingStore(self.disk)
        return [sum(chunk.count(b"\n") for chunk in read_lines(store, file)) for file in published(store)]


def test_a_batch_is_published_when_it_has_as_many_records_as_asked() -> None:
    scene = Scene(batch_size=10)
    scene.lane.add(events(0, 9))
    scene.tick()
    assert scene.lengths() == []
    scene.lane.add(events(9, 1))
    scene.tick()
    assert scene.lengths() == [10]


def test_files_have_just_the_batch_size_however_many_records_come_at_a_time() -> None:
    scene = Scene(batch_size=5)
    scene.lane.add(events(0, 3))
    scene.lane.add(events(3, 29))
    scene.tick()
    assert scene.lengths() == [5] * 6
    scene.lane.publish_now()
    assert scene.lane.wait(1.0)
    assert scene.lengths() == [5] * 6 + [2]
    assert sorted(stored(scene.disk)) == [(offset, DAY) for offset in range(32)]


def test_a_batch_is_published_when_a_file_has_grown_to_its_bound() -> None:
    scene = Scene(max_bytes=3000)
    for first in range(0, 20, 10):
        scene.lane.add(wide_events(first, 10, 100))
        scene.tick()
    assert scene.lengths() == []
    scene.lane.add(wide_events(20, 10, 100))
    scene.tick()
    assert scene.lengths() == [30]


def test_a_batch_is_published_when_it_is_old_though_nothing_more_arrives() -> None:
    scene = Scene(interval_s=60.0)
    scene.tick(1000.0)
    scene.lane.add(events(0, 1))
    scene.tick(59.0)
    assert scene.lengths() == []
    scene.tick(1.0)
    assert scene.lengths() == [1]


def test_the_age_counts_from_the_first_record_of_a_batch_not_from_the_last() -> None:
    scene = Scene(interval_s=60.0)
    for first in range(3):
        scene.lane.add(events(first, 1))
        scene.tick(20.0)
    assert scene.lengths() == [3]


def test_a_clock_that_is_set_back_holds_no_batch_longer_than_the_interval() -> None:
    scene = Scene(interval_s=60.0)
    scene.lane.add(events(0, 1))
    scene.tick(-86_400.0)
    scene.tick(60.0)
    assert scene.lengths() == [1]


def test_realtime_publishes_at_each_tick_whatever_there_is() -> None:
    scene = Scene(interval_s=0.0)
    for first in range(3):
        scene.lane.add(events(first, 1))
        scene.tick()
    assert scene.lengths() == [1, 1, 1]


def test_events_of_many_days_are_published_before_too_many_files_are_open() -> None:
    scene = Scene(max_open_files=4)
    scene.lane.add(events(0, 3, n_days=3))
    scene.tick()
    assert scene.lengths() == []
    scene.lane.add(events(3, 4, n_days=4))
    scene.tick()
    assert scene.lengths() == [2, 2, 2, 1]
    assert scene.disk.paths("year=")[0].startswith(day_folder(DAY))


def test_only_dead_letters_are_published_too_and_move_the_lane_on() -> None:
    scene = Scene()
    scene.lane.add(block_of([Record(5, None), Record(9, None)]))
    scene.lane.publish_now()
    assert scene.lane.wait(1.0)
    (path,) = scene.disk.paths(DEAD)
    lines = scene.disk.entries[path].data.splitlines()
    assert [orjson.loads(line)["offset"] for line in lines] == [5, 9]
    assert scene.lane.next_offset == 10
    assert (scene.lane.published.n_dead, scene.lane.published.n_events) == (2, 0)
    assert scene.lane.recover() == 10


def test_dead_letters_count_towards_the_batch_size() -> None:
    scene = Scene(batch_size=3)
    scene.lane.add(block_of([Record(offset, None) for offset in range(3)]))
    scene.tick()
    assert len(scene.disk.paths(DEAD)) == 1


def test_dead_letters_are_plain_lines_whatever_the_events_are() -> None:
    scene = Scene(file_format="parquet", compress="zst")
    scene.lane.add(block_of([Record(5, None), Record(6, DAY)]))
    scene.lane.publish_now()
    assert scene.lane.wait(1.0)
    assert scene.disk.entries[scene.disk.paths(DEAD)[0]].data == Record(5, None).line + b"\n"


def test_a_block_without_any_record_moves_the_lane_on_when_the_interval_is_over() -> None:
    scene = Scene(interval_s=60.0)
    scene.lane.add(Block(7, np.zeros(0, np.int64), np.zeros(0, np.int32), [], [], 9))
    scene.tick(60.0)
    scene.tick()
    assert scene.lane.next_offset == 9
    assert scene.lengths() == []


def test_an_idle_lane_publishes_nothing() -> None:
    scene = Scene(interval_s=0.0)
    scene.tick(100.0)
    scene.lane.publish_now()
    assert scene.lane.wait(1.0)
    assert scene.disk.paths() == []
    assert scene.lane.next_offset is None
    assert scene.lane.idle


def test_adding_and_ticking_never_touch_the_store_themselves() -> None:
    scene = Scene(Held(), batch_size=4)
    scene.lane.add(events(0, 10))
    scene.tick()
    assert scene.disk.paths() == []
    assert isinstance(scene.pool, Held)
    scene.pool.run()
    scene.tick()
    assert scene.lengths() == [4, 4]


def test_a_lane_is_full_while_a_second_publication_is_due_before_the_first_is_done() -> None:
    pool = Held()
    scene = Scene(pool, batch_size=4)
    scene.lane.add(events(0, 4))
    scene.tick()
    assert not scene.lane.full
    scene.lane.add(events(4, 3))
    assert not scene.lane.full
    scene.lane.add(events(7, 1))
    assert scene.lane.full
    pool.run()
    scene.tick()
    assert not scene.lane.full
    pool.run()
    scene.tick()
    assert scene.lengths() == [4, 4]
    assert scene.lane.idle


def test_age_alone_does_not_make_a_lane_full() -> None:
    scene = Scene(Held(), interval_s=0.0)
    scene.lane.add(events(0, 4))
    scene.tick()
    scene.lane.add(events(4, 4))
    scene.tick()
    assert not scene.lane.full


def test_lanes_that_hold_more_than_the_budget_are_full_and_write_out_what_they_hold() -> None:
    pool, budget = Held(), Budget(200_000)
    scene = Scene(pool, budget)
    scene.lane.add(wide_events(0, 100, 1000))
    assert not scene.lane.full
    scene.lane.add(wide_events(100, 150, 1000))
    assert scene.lane.full
    pool.run()
    assert budget.held_bytes == 0
    assert not scene.lane.full
    assert scene.lengths() == []


def test_a_lane_writes_out_what_it_holds_when_another_one_has_used_up_the_budget() -> None:
    budget = Budget(200_000)
    scene = Scene(Inline(), budget)
    scene.lane.add(wide_events(0, 100, 1000))
    assert budget.held_bytes > 100_000
    budget.hold(150_000)
    scene.tick()
    assert budget.held_bytes == 150_000


@pytest.mark.parametrize("compress", ["none", "gz", "zst"])
@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_what_a_lane_holds_in_memory_does_not_grow_with_the_batch(compress: str, file_format: str) -> None:
    budget = Budget()
    scene = Scene(Inline(), budget, batch_size=1 << 40, compress=compress, file_format=file_format)
    for first in range(0, 12_000, 1000):
        scene.lane.add(wide_events(first, 1000, 2000, n_days=2))
        assert budget.held_bytes < 2 * 4 * MIB + 4 * MIB
    scene.lane.publish_now()
    assert scene.lane.wait(1.0)
    assert budget.held_bytes == 0
    assert scene.lane.published.n_events == 12_000


def test_a_discarded_lane_gives_back_its_memory_and_publishes_nothing() -> None:
    pool, budget = Held(), Budget()
    scene = Scene(pool, budget, batch_size=1000)
    scene.lane.add(wide_events(0, 1500, 2000))
    scene.tick()
    scene.lane.add(wide_events(1500, 10, 2000))
    scene.lane.discard()
    pool.run()
    scene.tick()
    assert budget.held_bytes == 0
    assert scene.lane.idle
    assert stored(scene.disk) == {}
    assert scene.disk.paths("_commits") == []
    assert scene.lane.recover() is None


def test_a_dropped_file_is_removed() -> None:
    scene = Scene(Inline(), batch_size=900)
    scene.lane.add(wide_events(0, 1800, 2000))  # one file is closed, one is not, of one nothing is written
    scene.lane.add(wide_events(1800, 1, 2000))
    assert len(scene.disk.paths("_tmp")) == 2
    scene.lane.discard()
    assert scene.disk.paths() == []


def test_a_lane_that_failed_says_so_at_the_next_tick_and_takes_nothing_until_it_is_recovered() -> None:
    scene = Scene()

    def full(when: str, step: str, path: str) -> None:
        if step == "write":
            raise StoreFull("no room")

    store = FailingStore(scene.disk, full)
    lane = Lane(store, SOURCE, PARTITION, Rotation(1000, MIB, 60.0), "w", Inline(), scene.disk.clock)
    lane.recover()
    lane.add(wide_events(0, 900, 2000))
    with pytest.raises(StoreFull):
        lane.tick(0.0)
    lane.add(events(5000, 1))
    assert lane.idle
    assert not lane.full
    with pytest.raises(StoreFull):
        lane.wait(1.0)
    assert lane.recover() is None
    lane.add(events(0, 1))
    assert not lane.idle


def test_an_error_that_is_none_of_the_store_reaches_the_consumer_too() -> None:
    scene = Scene(file_format="parquet")
    scene.lane.add(Block(0, np.zeros(1, np.int64), np.zeros(1, np.int32), [b"no JSON"], [], 1))
    scene.lane.publish_now()
    with pytest.raises(ValueError, match="line 1 column 1"):
        scene.lane.wait(1.0)


def test_a_pool_that_is_closed_ends_the_publication_with_an_error() -> None:
    pool = ThreadPoolExecutor(1)
    disk = Disk()
    lane = Lane(FailingStore(disk), SOURCE, PARTITION, Rotation(10, MIB, 60.0), "w", pool, disk.clock)
    lane.recover()
    pool.shutdown()
    lane.add(Block(7, np.zeros(0, np.int64), np.zeros(0, np.int32), [], [], 9))
    lane.publish_now()
    with pytest.raises(RuntimeError, match="shutdown"):
        lane.wait(1.0)


def test_offsets_before_the_position_are_a_mistake_of_the_caller() -> None:
    scene = Scene()
    scene.lane.add(events(10, 5))
    with pytest.raises(ValueError, match="goes on at 15"):
        scene.lane.add(events(14, 1))


def test_a_lane_that_was_never_recovered_takes_nothing() -> None:
    lane = Lane(FailingStore(Disk()), SOURCE, PARTITION, Rotation(10, 10, 60.0), "w", Inline(), Disk().clock)
    with pytest.raises(ValueError, match="is to be recovered"):
        lane.add(events(0, 1))
    with pytest.raises(ValueError, match="writer id"):
        Lane(FailingStore(Disk()), SOURCE, PARTITION, Rotation(10, 10, 60.0), "a/b", Inline(), Disk().clock)


def test_waiting_ends_in_time_when_the_store_does_not() -> None:
    scene = Scene(Held())
    scene.lane.add(events(0, 1))
    scene.lane.publish_now()
    assert not scene.lane.wait(0.01)
    assert not scene.lane.idle


def test_a_pool_of_one_thread_is_enough_for_many_lanes_with_many_files(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        lanes = [Lane(store, SOURCE, p, Rotation(50, MIB, 60.0), "w", pool, lambda: 0.0) for p in range(4)]
        for lane in lanes:
            lane.recover()
            for first in range(0, 200, 40):
                lane.add(events(first, 40, n_days=10))
                lane.tick(0.0)
            lane.publish_now()
        assert all(lane.wait(20.0) for lane in lanes)
    assert [lane.next_offset for lane in lanes] == [200] * 4
    names = [orjson.loads(line)["offset"] for file in published(store) for line in read_all(store, file).splitlines()]
    assert sorted(names) == sorted(list(range(200)) * 4)


def read_all(store: LocalStore, file: object) -> bytes:
    return b"".join(read_lines(store, file))  # type: ignore[arg-type]  # a PublishedFile


def test_many_threads_store_everything_once(tmp_path: Path) -> None:
    topic = Topic(400, n_days=7)
    store = LocalStore(tmp_path)
    with ThreadPoolExecutor(6) as pool:
        lane = Lane(store, SOURCE, PARTITION, Rotation(37, MIB, 0.0, compress="zst"), "w", pool, lambda: 1e9)
        lane.recover()
        drive(lane, topic, 50)
        assert lane.published.n_events + lane.published.n_dead == len(topic.records)
    found = [orjson.loads(line)["offset"] for file in published(store) for line in read_all(store, file).splitlines()]
    assert sorted(found) == [record.offset for record in topic.records if record.day is not None]
    assert threading.active_count() < 5


def test_counts_are_of_what_is_published_and_go_on_after_a_recovery() -> None:
    scene = Scene()
    topic = Topic(40)
    drive(scene.lane, topic)
    first = scene.lane.published
    files = [path for path in scene.disk.paths() if path.startswith(("year=", DEAD))]
    assert first.n_files == len(files)
    assert first.n_bytes == sum(len(scene.disk.entries[path].data) for path in files)
    assert first.n_events == sum(record.day is not None for record in topic.records)
    assert len(first.publish_s) == first.n_publications == 1
    scene.lane.recover()
    assert scene.lane.published is first
    assert_stored_once(scene.disk, topic)


def test_file_names_say_time_partition_offsets_and_source() -> None:
    scene = Scene()
    scene.lane.add(events(12, 3))
    scene.lane.publish_now()
    assert scene.lane.wait(1.0)
    name = f"batch_20251009_085320_p003_{12:020}_{14:020}_{SOURCE.tag}.jsonl"
    assert scene.disk.paths("year=") == [f"year=2024/month=10/day=04/{name}"]


@pytest.mark.parametrize("bounds", [{"batch_size": 0}, {"max_bytes": 0}, {"interval_s": -1.0}, {"max_open_files": 0}])
def test_bounds_that_make_no_sense_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="bounds"):
        Rotation(**{"batch_size": 1, "max_bytes": 1, "interval_s": 0.0, **bounds})  # type: ignore[arg-type]


@pytest.mark.parametrize("room", [1, 4, 7, 100])
def test_pieces_of_a_block_are_the_block(room: int) -> None:
    topic = Topic(40)
    (block,) = topic.blocks(None, 40)
    parts = list(pieces(block, room, 5))
    assert [part.first for part in parts[1:]] == [part.next_offset for part in parts[:-1]]
    assert (parts[0].first, parts[-1].next_offset) == (block.first, block.next_offset)
    assert [value for part in parts for value in part.values] == block.values
    assert [line for part in parts for line in part.dead] == block.dead
    assert all(len(part.values) == len(part.offsets) == len(part.days) for part in parts)
    for part in parts:
        offsets = [*part.offsets.tolist(), *(orjson.loads(line)["offset"] for line in part.dead)]
        assert all(part.first <= offset < part.next_offset for offset in offsets)
    sizes = [len(part.values) for part in parts]
    assert sizes[0] == min(room, len(block.values))
    assert all(size == 5 for size in sizes[1:-1])

"""When a batch ends, and when it is published."""

import numpy as np
import orjson
import pytest

from loadgen.consume.batch import RecordBatch, pieces
from loadgen.consume.temporary_file import RollingPolicy
from loadgen.store.layout import DEAD, day_folder
from tests.consume.scene import Scene, events, wide_events
from tests.consume.topic import DAY, Topic, TopicRecord, block_of, stored


def test_a_batch_is_published_when_it_has_as_many_records_as_asked() -> None:
    scene = Scene(batch_size=10)
    scene.writer.add(events(0, 9))
    scene.tick()
    assert scene.lengths() == []
    scene.writer.add(events(9, 1))
    scene.tick()
    assert scene.lengths() == [10]


def test_files_have_just_the_batch_size_however_many_records_come_at_a_time() -> None:
    scene = Scene(batch_size=5)
    scene.writer.add(events(0, 3))
    scene.writer.add(events(3, 29))
    scene.tick()
    assert scene.lengths() == [5] * 6
    scene.writer.publish_now()
    assert scene.writer.wait(1.0)
    assert scene.lengths() == [5] * 6 + [2]
    assert sorted(stored(scene.disk)) == [(offset, DAY) for offset in range(32)]


def test_a_batch_is_published_when_a_file_has_grown_to_its_bound() -> None:
    scene = Scene(max_bytes=3000)
    for first in range(0, 20, 10):
        scene.writer.add(wide_events(first, 10, 100))
        scene.tick()
    assert scene.lengths() == []
    scene.writer.add(wide_events(20, 10, 100))
    scene.tick()
    assert scene.lengths() == [30]


def test_a_batch_is_published_when_it_is_old_though_nothing_more_arrives() -> None:
    scene = Scene(interval_s=60.0)
    scene.tick(1000.0)
    scene.writer.add(events(0, 1))
    scene.tick(59.0)
    assert scene.lengths() == []
    scene.tick(1.0)
    assert scene.lengths() == [1]


def test_the_age_counts_from_the_first_record_of_a_batch_not_from_the_last() -> None:
    scene = Scene(interval_s=60.0)
    for first in range(3):
        scene.writer.add(events(first, 1))
        scene.tick(20.0)
    assert scene.lengths() == [3]


def test_a_clock_that_is_set_back_holds_no_batch_longer_than_the_interval() -> None:
    scene = Scene(interval_s=60.0)
    scene.writer.add(events(0, 1))
    scene.tick(-86_400.0)
    scene.tick(60.0)
    assert scene.lengths() == [1]


def test_realtime_publishes_at_each_tick_whatever_there_is() -> None:
    scene = Scene(interval_s=0.0)
    for first in range(3):
        scene.writer.add(events(first, 1))
        scene.tick()
    assert scene.lengths() == [1, 1, 1]


def test_events_of_many_days_are_published_before_too_many_files_are_open() -> None:
    scene = Scene(max_open_files=4)
    scene.writer.add(events(0, 3, n_days=3))
    scene.tick()
    assert scene.lengths() == []
    scene.writer.add(events(3, 4, n_days=4))
    scene.tick()
    assert scene.lengths() == [2, 2, 2, 1]
    assert scene.disk.paths("year=")[0].startswith(day_folder(DAY))


def test_only_dead_letters_are_published_too_and_move_the_writer_on() -> None:
    scene = Scene()
    scene.writer.add(block_of([TopicRecord(5, None), TopicRecord(9, None)]))
    scene.writer.publish_now()
    assert scene.writer.wait(1.0)
    (path,) = scene.disk.paths(DEAD)
    lines = scene.disk.entries[path].data.splitlines()
    assert [orjson.loads(line)["offset"] for line in lines] == [5, 9]
    assert scene.writer.next_offset == 10
    assert (scene.writer.published.n_dead, scene.writer.published.n_events) == (2, 0)
    assert scene.writer.recover() == 10


def test_dead_letters_count_towards_the_batch_size() -> None:
    scene = Scene(batch_size=3)
    scene.writer.add(block_of([TopicRecord(offset, None) for offset in range(3)]))
    scene.tick()
    assert len(scene.disk.paths(DEAD)) == 1


def test_dead_letters_are_plain_lines_whatever_the_events_are() -> None:
    scene = Scene(file_format="parquet", compress="zst")
    scene.writer.add(block_of([TopicRecord(5, None), TopicRecord(6, DAY)]))
    scene.writer.publish_now()
    assert scene.writer.wait(1.0)
    assert scene.disk.entries[scene.disk.paths(DEAD)[0]].data == TopicRecord(5, None).line + b"\n"


def test_a_block_without_any_record_moves_the_writer_on_when_the_interval_is_over() -> None:
    scene = Scene(interval_s=60.0)
    scene.writer.add(RecordBatch(7, np.zeros(0, np.int64), np.zeros(0, np.int32), [], [], 9))
    scene.tick(60.0)
    scene.tick()
    assert scene.writer.next_offset == 9
    assert scene.lengths() == []


def test_an_idle_writer_publishes_nothing() -> None:
    scene = Scene(interval_s=0.0)
    scene.tick(100.0)
    scene.writer.publish_now()
    assert scene.writer.wait(1.0)
    assert scene.disk.paths() == []
    assert scene.writer.next_offset is None
    assert scene.writer.idle


@pytest.mark.parametrize("bounds", [{"batch_size": 0}, {"max_bytes": 0}, {"interval_s": -1.0}, {"max_open_files": 0}])
def test_bounds_that_make_no_sense_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="bounds"):
        RollingPolicy(**{"batch_size": 1, "max_bytes": 1, "interval_s": 0.0, **bounds})  # type: ignore[arg-type]


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

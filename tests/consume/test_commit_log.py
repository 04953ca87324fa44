"""The cases of the argument in loadgen/consume/commits.py that need a scene of their own."""

import json

import pytest

from loadgen.consume.commits import (
    KEEP_LAST,
    KEEP_MOST,
    KEEP_S,
    CommitLog,
    CommitRecord,
    Fenced,
    Rename,
    TopicIdentity,
    name_of,
)
from loadgen.consume.partition_writer import PartitionWriter
from loadgen.errors import StoreError, StoreUnreachable
from loadgen.store.layout import BatchName, day_folder
from tests.consume.failing_store import Disk, Entry, FailingStore, When
from tests.consume.topic import DAY, PARTITION, SOURCE, Topic, assert_stored_once, block_of, drive, lane_of, stored
from tests.consume.topic import CommitRecord as TopicRecord

TOPIC = Topic(60)
RECORDS = SOURCE.records(PARTITION)
TEMPORARIES = SOURCE.temporaries(PARTITION)


def chain_of(disk: Disk) -> CommitLog:
    return CommitLog(FailingStore(disk), RECORDS, TEMPORARIES)


def record_at(first: int, writer: str = "w", files: tuple[Rename, ...] = ()) -> CommitRecord:
    return CommitRecord(writer, SOURCE.tag, PARTITION, first, first + 10, "2025-01-01T00:00:00+00:00", files, 0)


def commit(chain: CommitLog, record: CommitRecord) -> None:
    chain.commit(record, f"{TEMPORARIES}/{record.first:020}_record_{record.writer}")


def moves(disk: Disk) -> list[Rename]:
    """What the last record publishes."""
    path = disk.paths(RECORDS)[-1]
    return list(CommitRecord.from_json(path, disk.entries[path].data).files)


def unreachable(step_wanted: str, when_wanted: When, path_wanted: str = "") -> "Failing":
    return Failing(step_wanted, when_wanted, path_wanted)


class Failing:
    """A watch that fails at every step of a kind until told to stop."""

    def __init__(self, step: str, when: When, path: str) -> None:
        self.step, self.when, self.path, self.active, self.n_failed = step, when, path, True, 0

    def __call__(self, when: When, step: str, path: str) -> None:
        if self.active and (when, step) == (self.when, self.step) and self.path in path:
            self.n_failed += 1
            raise StoreUnreachable("no reply")


def started(disk: Disk, watch: Failing | None = None) -> PartitionWriter:
    """A writer that holds the first records."""
    lane = lane_of(FailingStore(disk, watch) if watch else FailingStore(disk))
    lane.recover()
    lane.add(next(TOPIC.blocks(lane.position, 10)))
    return lane


def publish(lane: PartitionWriter) -> None:
    lane.publish_now()
    assert lane.wait(1.0)


def test_a_record_is_what_sink_readers_expect() -> None:
    disk = Disk()
    publish(started(disk))
    path = f"{RECORDS}/{name_of(0)}"
    record = json.loads(disk.entries[path].data)
    assert disk.paths("_commits/") == [path]
    assert {key: record[key] for key in ("version", "source", "partition", "first", "next", "at")} == {
        "version": 1,
        "source": SOURCE.tag,
        "partition": PARTITION,
        "first": 0,
        "next": TOPIC.records[9].offset + 1,
        "at": "2025-10-09T08:53:20+00:00",
    }
    assert sum(file["events"] for file in record["files"]) == 10
    assert all(len(disk.entries[file["final"]].data) == file["bytes"] for file in record["files"])


def test_records_follow_each_other_without_gaps_though_offsets_have_them() -> None:
    disk = Disk()
    drive(lane_recovered(disk), TOPIC)
    chain = [json.loads(disk.entries[path].data) for path in disk.paths(RECORDS)]
    assert [record["first"] for record in chain] == [0, *(record["next"] for record in chain[:-1])]
    assert all(path.endswith(name_of(record["first"])) for path, record in zip(disk.paths(RECORDS), chain, strict=True))


def lane_recovered(disk: Disk) -> PartitionWriter:
    lane = lane_of(FailingStore(disk))
    lane.recover()
    return lane


@pytest.mark.parametrize("step", ["rename _commits/", "rename year="])
def test_a_rename_that_worked_though_its_reply_was_lost_is_taken_as_done(step: str) -> None:
    disk = Disk()
    kind, path = step.split()
    watch = unreachable(kind, "after", path)
    lane = started(disk, watch)
    publish(lane)
    assert watch.n_failed > 0
    assert lane.published.n_publications == 1
    assert sum(stored(disk).values()) == 10


@pytest.mark.parametrize(
    "step", ["rename _commits/", "rename year=", "put", "create", "write", "close", "list", "read"]
)
def test_a_store_that_does_not_answer_makes_the_lane_fail_and_recover_later(step: str) -> None:
    disk = Disk()
    publish(started(disk))
    kind, _, path = step.partition(" ")
    watch = unreachable(kind, "before", path)
    watch.active = False
    lane = started(disk, watch)
    watch.active = True
    with pytest.raises(StoreUnreachable):
        drive(lane, TOPIC) if step != "list" else lane.recover()
    watch.active = False
    lane.recover()
    drive(lane, TOPIC)
    assert_stored_once(disk, TOPIC)


def test_a_commit_that_comes_through_late_fences_the_second_attempt_and_loses_nothing() -> None:
    disk = Disk()
    watch = unreachable("rename", "before", "_commits/")
    lane = started(disk, watch)
    lane.publish_now()
    with pytest.raises(StoreUnreachable):
        lane.wait(1.0)
    (late,) = [path for path in disk.paths(TEMPORARIES) if "_record_" in path]
    watch.active = False
    lane.recover()
    lane.add(next(TOPIC.blocks(lane.position, 5)))
    disk.entries[f"{RECORDS}/{name_of(0)}"] = disk.entries.pop(late)  # the rename that was on its way
    lane.publish_now()
    with pytest.raises(Fenced):
        lane.wait(1.0)
    assert lane.recover() == TOPIC.records[9].offset + 1
    drive(lane, TOPIC)
    assert_stored_once(disk, TOPIC)


def test_of_two_writers_that_begin_a_partition_one_is_fenced_whichever_comes_first() -> None:
    disk = Disk()
    first, second = started(disk), started(disk)
    publish(second)
    first.publish_now()
    with pytest.raises(Fenced, match="by w"):
        first.wait(1.0)
    assert sum(stored(disk).values()) == 10
    drive(second, TOPIC)
    assert_stored_once(disk, TOPIC)


def test_temporary_files_of_a_live_writer_at_the_next_offset_stay_those_below_it_go() -> None:
    disk = Disk()
    alive = started(disk)
    alive.publish_now()
    lane = started(disk)
    lane.add(block_of(TOPIC.records[10:20]))
    path_below, path_at = (f"{TEMPORARIES}/{first:020}_day=1_other" for first in (5, TOPIC.records[9].offset + 1))
    disk.entries[path_below] = disk.entries[path_at] = Entry(0.0, b"x")
    alive.wait(1.0)
    lane_recovered(disk)
    assert path_below not in disk.entries
    assert path_at in disk.entries


def test_temporary_files_of_other_partitions_and_sources_are_left_alone() -> None:
    disk = Disk()
    publish(started(disk))
    others = [f"{SOURCE.temporaries(4)}/{0:020}_day=1_w", f"_tmp/songs-00000000/p=003/{0:020}_day=1_w"]
    disk.entries.update((path, Entry(0.0)) for path in others)
    lane_recovered(disk)
    assert disk.paths("_tmp/") == sorted(others)


def assert_fenced_for_standing_still(disk: Disk, zombie: PartitionWriter) -> None:
    """Once only the last record is left, the zombie publishes nothing and finds its way back."""
    for path in disk.paths(RECORDS)[:-1]:
        del disk.entries[path]
    zombie.publish_now()
    with pytest.raises(Fenced, match="stood still"):
        zombie.wait(1.0)
    assert_stored_once(disk, TOPIC)
    assert zombie.recover() == TOPIC.records[-1].offset + 1


def test_a_zombie_whose_name_was_pruned_is_fenced_before_it_publishes_anything() -> None:
    disk = Disk()
    zombie = started(disk)
    publish(zombie)
    zombie.add(next(TOPIC.blocks(zombie.position, 10)))
    drive(lane_recovered(disk), TOPIC, size=5)
    assert_fenced_for_standing_still(disk, zombie)


def test_a_zombie_that_saw_no_record_is_fenced_when_the_first_ones_were_pruned() -> None:
    disk = Disk()
    zombie = started(disk)
    drive(lane_recovered(disk), TOPIC, size=5)
    assert_fenced_for_standing_still(disk, zombie)


def test_two_zombies_do_not_vouch_for_each_other() -> None:
    disk = Disk()
    near, far = lane_recovered(disk), lane_recovered(disk)
    for lane in (near, far):
        lane.add(block_of(TOPIC.records[:10]))
    publish(near)
    near.add(block_of(TOPIC.records[10:20]))
    drive(lane_recovered(disk), TOPIC, size=5)
    for path in disk.paths(RECORDS)[:-1]:
        del disk.entries[path]
    for zombie in (far, near):
        zombie.publish_now()
        with pytest.raises(Fenced):
            zombie.wait(1.0)
    assert_stored_once(disk, TOPIC)


def test_a_final_name_that_something_else_has_is_an_error_and_nothing_is_replaced() -> None:
    disk = Disk()
    watch = unreachable("rename", "before", "year=")
    lane = started(disk, watch)
    lane.publish_now()
    with pytest.raises(StoreUnreachable):
        lane.wait(1.0)
    final = moves(disk)[0].final
    disk.entries[final] = Entry(0.0, b"something else")
    watch.active = False
    with pytest.raises(StoreError, match="another file is there; move that one away"):
        lane.recover()
    assert disk.entries[final].data == b"something else"
    del disk.entries[final]
    drive(lane_recovered(disk), TOPIC)
    assert_stored_once(disk, TOPIC)


def test_a_file_of_the_last_record_that_is_gone_is_an_error_that_names_it() -> None:
    disk = Disk()
    publish(started(disk))
    final = moves(disk)[0].final
    del disk.entries[final]
    with pytest.raises(StoreError, match=f"{final} .* is gone"):
        lane_recovered(disk)


def test_a_file_of_the_last_record_that_a_compacted_one_covers_is_fine() -> None:
    disk = Disk()
    publish(started(disk))
    move = next(move for move in moves(disk) if move.final.startswith(day_folder(DAY)))
    batch = BatchName.parse(move.final.rpartition("/")[2])
    assert batch is not None
    wider = BatchName(batch.stamp_s, PARTITION, 0, batch.last, SOURCE.tag, "jsonl")
    disk.entries[f"{day_folder(DAY)}/{wider.text}"] = disk.entries.pop(move.final)
    assert lane_recovered(disk).position == TOPIC.records[9].offset + 1


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"version": 2}', b'{"version": 1, "files": [{}]}', b"\xff"])
def test_a_record_that_cannot_be_understood_stops_the_writer(data: bytes) -> None:
    disk = Disk()
    disk.entries[f"{RECORDS}/{name_of(0)}"] = Entry(0.0, data)
    with pytest.raises(StoreError, match="commit record of version 1"):
        lane_recovered(disk)


def test_a_record_is_read_back_as_it_was_written() -> None:
    move = Rename("_tmp/ä", "year=2025/x", 5, 1)
    record = CommitRecord("w", "00000000", 3, 0, 9, "2025-01-01T00:00:00+00:00", (move, move), 1, ("a", "b"))
    assert CommitRecord.from_json("x", record.to_json()) == record


def grown(n_records: int, age_s: float) -> tuple[Disk, CommitLog]:
    """A chain of records, each so many seconds older than the next."""
    disk = Disk()
    now_s = disk.clock.now_s
    for number in range(n_records):
        made_s = now_s - age_s * (n_records - 1 - number)
        disk.entries[f"{RECORDS}/{name_of(number * 10)}"] = Entry(made_s, record_at(number * 10).to_json())
    return disk, chain_of(disk)


def test_records_older_than_a_week_go_but_not_the_last_hundred() -> None:
    disk, chain = grown(KEEP_LAST + 50, KEEP_S)
    chain.recover()
    assert len(disk.paths(RECORDS)) == KEEP_LAST
    assert chain.next == (KEEP_LAST + 50) * 10


def test_young_records_stay() -> None:
    n_records = KEEP_LAST + 50
    disk, chain = grown(n_records, KEEP_S / n_records)
    chain.recover()
    assert len(disk.paths(RECORDS)) == n_records


def test_young_records_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.commits.KEEP_MOST", 120)
    disk, chain = grown(150, 1.0)
    chain.recover()
    assert len(disk.paths(RECORDS)) == 120
    assert KEEP_MOST > 120


def test_a_writer_that_goes_on_for_long_clears_up_without_being_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.partition_writer.CLEAR_UP_EVERY", 3)
    disk, _ = grown(KEEP_LAST + 50, 1.0)
    lane = lane_recovered(disk)
    position = lane.position or 0
    disk.clock.now_s += 2 * KEEP_S
    garbage = f"{TEMPORARIES}/{position:020}_day=1_other"
    disk.entries[garbage] = Entry(0.0)
    for offset in range(position, position + 3):
        assert len(disk.paths(RECORDS)) >= KEEP_LAST + 50
        assert garbage in disk.entries
        lane.add(block_of([TopicRecord(offset, DAY)]))
        publish(lane)
    assert len(disk.paths(RECORDS)) == KEEP_LAST
    assert disk.paths(TEMPORARIES) == []


def test_pruning_that_fails_stops_there_since_the_order_matters_and_keeps_nobody_from_writing() -> None:
    disk, _ = grown(KEEP_LAST + 50, KEEP_S)
    watch = unreachable("remove", "before", name_of(100))
    chain = CommitLog(FailingStore(disk, watch), RECORDS, TEMPORARIES)
    chain.recover()
    assert disk.paths(RECORDS)[0].endswith(name_of(100))
    commit(chain, record_at(chain.next))


def test_another_topic_of_the_same_name_has_a_chain_of_its_own() -> None:
    anew = TopicIdentity(SOURCE.cluster_id, SOURCE.topic, "another id")
    elsewhere = TopicIdentity("another cluster", SOURCE.topic, SOURCE.topic_id)
    assert len({source.folder for source in (SOURCE, anew, elsewhere)}) == 3
    assert len({source.tag for source in (SOURCE, anew, elsewhere)}) == 3
    assert SOURCE.folder == f"_commits/songs-{SOURCE.tag}"
    assert int(SOURCE.tag, 16) < 1 << 32

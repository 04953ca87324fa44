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
from tests.consume.topic import (
    DAY,
    PARTITION,
    SOURCE,
    Topic,
    TopicRecord,
    assert_stored_once,
    block_of,
    drive,
    stored,
    writer_of,
)

TOPIC = Topic(60)
RECORDS = SOURCE.records(PARTITION)
TEMPORARIES = SOURCE.temporaries(PARTITION)


def log_of(disk: Disk) -> CommitLog:
    return CommitLog(FailingStore(disk), RECORDS, TEMPORARIES)


def record_at(first: int, writer: str = "w", files: tuple[Rename, ...] = ()) -> CommitRecord:
    return CommitRecord(writer, SOURCE.tag, PARTITION, first, first + 10, "2025-01-01T00:00:00+00:00", files, 0)


def commit(log: CommitLog, record: CommitRecord) -> None:
    log.commit(record, f"{TEMPORARIES}/{record.first:020}_record_{record.writer}")


def renames(disk: Disk) -> list[Rename]:
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
    writer = writer_of(FailingStore(disk, watch) if watch else FailingStore(disk))
    writer.recover()
    writer.add(next(TOPIC.blocks(writer.position, 10)))
    return writer


def publish(writer: PartitionWriter) -> None:
    writer.publish_now()
    assert writer.wait(1.0)


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
    drive(writer_recovered(disk), TOPIC)
    log = [json.loads(disk.entries[path].data) for path in disk.paths(RECORDS)]
    assert [record["first"] for record in log] == [0, *(record["next"] for record in log[:-1])]
    assert all(path.endswith(name_of(record["first"])) for path, record in zip(disk.paths(RECORDS), log, strict=True))


def writer_recovered(disk: Disk) -> PartitionWriter:
    writer = writer_of(FailingStore(disk))
    writer.recover()
    return writer


@pytest.mark.parametrize("step", ["rename _commits/", "rename year="])
def test_a_rename_that_worked_though_its_reply_was_lost_is_taken_as_done(step: str) -> None:
    disk = Disk()
    kind, path = step.split()
    watch = unreachable(kind, "after", path)
    writer = started(disk, watch)
    publish(writer)
    assert watch.n_failed > 0
    assert writer.published.n_publications == 1
    assert sum(stored(disk).values()) == 10


@pytest.mark.parametrize(
    "step", ["rename _commits/", "rename year=", "put", "create", "write", "close", "list", "read"]
)
def test_a_store_that_does_not_answer_makes_the_writer_fail_and_recover_later(step: str) -> None:
    disk = Disk()
    publish(started(disk))
    kind, _, path = step.partition(" ")
    watch = unreachable(kind, "before", path)
    watch.active = False
    writer = started(disk, watch)
    watch.active = True
    with pytest.raises(StoreUnreachable):
        drive(writer, TOPIC) if step != "list" else writer.recover()
    watch.active = False
    writer.recover()
    drive(writer, TOPIC)
    assert_stored_once(disk, TOPIC)


def test_a_commit_that_comes_through_late_fences_the_second_attempt_and_loses_nothing() -> None:
    disk = Disk()
    watch = unreachable("rename", "before", "_commits/")
    writer = started(disk, watch)
    writer.publish_now()
    with pytest.raises(StoreUnreachable):
        writer.wait(1.0)
    (late,) = [path for path in disk.paths(TEMPORARIES) if "_record_" in path]
    watch.active = False
    writer.recover()
    writer.add(next(TOPIC.blocks(writer.position, 5)))
    disk.entries[f"{RECORDS}/{name_of(0)}"] = disk.entries.pop(late)  # the rename that was on its way
    writer.publish_now()
    with pytest.raises(Fenced):
        writer.wait(1.0)
    assert writer.recover() == TOPIC.records[9].offset + 1
    drive(writer, TOPIC)
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
    writer = started(disk)
    writer.add(block_of(TOPIC.records[10:20]))
    path_below, path_at = (f"{TEMPORARIES}/{first:020}_day=1_other" for first in (5, TOPIC.records[9].offset + 1))
    disk.entries[path_below] = disk.entries[path_at] = Entry(0.0, b"x")
    alive.wait(1.0)
    writer_recovered(disk)
    assert path_below not in disk.entries
    assert path_at in disk.entries


def test_temporary_files_of_other_partitions_and_sources_are_left_alone() -> None:
    disk = Disk()
    publish(started(disk))
    others = [f"{SOURCE.temporaries(4)}/{0:020}_day=1_w", f"_tmp/songs-00000000/p=003/{0:020}_day=1_w"]
    disk.entries.update((path, Entry(0.0)) for path in others)
    writer_recovered(disk)
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
    drive(writer_recovered(disk), TOPIC, size=5)
    assert_fenced_for_standing_still(disk, zombie)


def test_a_zombie_that_saw_no_record_is_fenced_when_the_first_ones_were_pruned() -> None:
    disk = Disk()
    zombie = started(disk)
    drive(writer_recovered(disk), TOPIC, size=5)
    assert_fenced_for_standing_still(disk, zombie)


def test_two_zombies_do_not_vouch_for_each_other() -> None:
    disk = Disk()
    near, far = writer_recovered(disk), writer_recovered(disk)
    for writer in (near, far):
        writer.add(block_of(TOPIC.records[:10]))
    publish(near)
    near.add(block_of(TOPIC.records[10:20]))
    drive(writer_recovered(disk), TOPIC, size=5)
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
    writer = started(disk, watch)
    writer.publish_now()
    with pytest.raises(StoreUnreachable):
        writer.wait(1.0)
    final = renames(disk)[0].final
    disk.entries[final] = Entry(0.0, b"something else")
    watch.active = False
    with pytest.raises(StoreError, match="another file is there; move that one away"):
        writer.recover()
    assert disk.entries[final].data == b"something else"
    del disk.entries[final]
    drive(writer_recovered(disk), TOPIC)
    assert_stored_once(disk, TOPIC)


def test_a_file_of_the_last_record_that_is_gone_is_an_error_that_names_it() -> None:
    disk = Disk()
    publish(started(disk))
    final = renames(disk)[0].final
    del disk.entries[final]
    with pytest.raises(StoreError, match=f"{final} .* is gone"):
        writer_recovered(disk)


def test_a_file_of_the_last_record_that_a_compacted_one_covers_is_fine() -> None:
    disk = Disk()
    publish(started(disk))
    rename = next(rename for rename in renames(disk) if rename.final.startswith(day_folder(DAY)))
    batch = BatchName.parse(rename.final.rpartition("/")[2])
    assert batch is not None
    wider = BatchName(batch.stamp_s, PARTITION, 0, batch.last, SOURCE.tag, "jsonl")
    disk.entries[f"{day_folder(DAY)}/{wider.text}"] = disk.entries.pop(rename.final)
    assert writer_recovered(disk).position == TOPIC.records[9].offset + 1


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"version": 2}', b'{"version": 1, "files": [{}]}', b"\xff"])
def test_a_record_that_cannot_be_understood_stops_the_writer(data: bytes) -> None:
    disk = Disk()
    disk.entries[f"{RECORDS}/{name_of(0)}"] = Entry(0.0, data)
    with pytest.raises(StoreError, match="commit record of version 1"):
        writer_recovered(disk)


def test_a_record_is_read_back_as_it_was_written() -> None:
    rename = Rename("_tmp/ä", "year=2025/x", 5, 1)
    record = CommitRecord("w", "00000000", 3, 0, 9, "2025-01-01T00:00:00+00:00", (rename, rename), 1, ("a", "b"))
    assert CommitRecord.from_json("x", record.to_json()) == record


def grown(n_records: int, age_s: float) -> tuple[Disk, CommitLog]:
    """A commit log whose records are each so many seconds older than the next."""
    disk = Disk()
    now_s = disk.clock.now_s
    for number in range(n_records):
        made_s = now_s - age_s * (n_records - 1 - number)
        disk.entries[f"{RECORDS}/{name_of(number * 10)}"] = Entry(made_s, record_at(number * 10).to_json())
    return disk, log_of(disk)


def test_records_older_than_a_week_go_but_not_the_last_hundred() -> None:
    disk, log = grown(KEEP_LAST + 50, KEEP_S)
    log.recover()
    assert len(disk.paths(RECORDS)) == KEEP_LAST
    assert log.next == (KEEP_LAST + 50) * 10


def test_young_records_stay() -> None:
    n_records = KEEP_LAST + 50
    disk, log = grown(n_records, KEEP_S / n_records)
    log.recover()
    assert len(disk.paths(RECORDS)) == n_records


def test_young_records_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.commits.KEEP_MOST", 120)
    disk, log = grown(150, 1.0)
    log.recover()
    assert len(disk.paths(RECORDS)) == 120
    assert KEEP_MOST > 120


def test_a_writer_that_goes_on_for_long_clears_up_without_being_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.partition_writer.CLEAR_UP_EVERY", 3)
    disk, _ = grown(KEEP_LAST + 50, 1.0)
    writer = writer_recovered(disk)
    position = writer.position or 0
    disk.clock.now_s += 2 * KEEP_S
    garbage = f"{TEMPORARIES}/{position:020}_day=1_other"
    disk.entries[garbage] = Entry(0.0)
    for offset in range(position, position + 3):
        assert len(disk.paths(RECORDS)) >= KEEP_LAST + 50
        assert garbage in disk.entries
        writer.add(block_of([TopicRecord(offset, DAY)]))
        publish(writer)
    assert len(disk.paths(RECORDS)) == KEEP_LAST
    assert disk.paths(TEMPORARIES) == []


def test_pruning_that_fails_stops_there_since_the_order_matters_and_keeps_nobody_from_writing() -> None:
    disk, _ = grown(KEEP_LAST + 50, KEEP_S)
    watch = unreachable("remove", "before", name_of(100))
    log = CommitLog(FailingStore(disk, watch), RECORDS, TEMPORARIES)
    log.recover()
    assert disk.paths(RECORDS)[0].endswith(name_of(100))
    commit(log, record_at(log.next))


def test_another_topic_of_the_same_name_has_a_chain_of_its_own() -> None:
    anew = TopicIdentity(SOURCE.cluster_id, SOURCE.topic, "another id")
    elsewhere = TopicIdentity("another cluster", SOURCE.topic, SOURCE.topic_id)
    assert len({source.folder for source in (SOURCE, anew, elsewhere)}) == 3
    assert len({source.tag for source in (SOURCE, anew, elsewhere)}) == 3
    assert SOURCE.folder == f"_commits/songs-{SOURCE.tag}"
    assert int(SOURCE.tag, 16) < 1 << 32

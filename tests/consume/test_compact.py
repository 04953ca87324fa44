"""Merging small files while readers and writers go on."""

import gzip
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from loadgen.config import CompactSettings
from loadgen.consume.batch import RecordBatch
from loadgen.consume.commits import CommitRecord
from loadgen.consume.compact import Compacted, compact, main
from loadgen.consume.partition_writer import PartitionWriter, WriterContext
from loadgen.consume.temporary_file import RollingPolicy, encoder_of
from loadgen.container import Container, row_tables
from loadgen.errors import NotThere, StoreError
from loadgen.formats import KnownFormats
from loadgen.store.layout import BatchName, day_folder, published
from loadgen.store.local import LocalStore
from loadgen.store.read import read_lines
from loadgen.store.table import lines_of
from tests.consume.failing_store import Clock, Disk, Entry, FailingStore, Inline, Killed, When
from tests.consume.merging import GRACE_S, SMALL, TOPIC, after_grace, filled, merge, n_files
from tests.consume.topic import DAY, PARTITION, SOURCE, Topic, assert_stored_once, drive, stored, writer_of
from tests.own_fields import ALL
from tests.rows import ROWS


def test_each_day_of_a_partition_becomes_one_file_and_the_old_ones_go_after_the_grace() -> None:
    disk = filled()
    n_old = n_files(disk)
    done = merge(disk)
    assert (done.n_merged, done.n_made, done.n_waiting, done.n_removed) == (n_old, 3, n_old, 0)
    assert n_files(disk) == n_old + 3
    assert len(published(FailingStore(disk))) == 3
    disk.clock.now_s += GRACE_S - 1
    assert merge(disk) == Compacted(n_waiting=n_old)
    disk.clock.now_s += 1
    assert merge(disk) == Compacted(n_removed=n_old)
    assert n_files(disk) == 3
    assert_stored_once(disk, TOPIC)
    assert merge(disk) == Compacted()
    assert done.n_bytes == sum(len(disk.entries[path].data) for path in disk.paths("year="))


def test_a_merged_file_has_the_covering_range_and_the_lines_in_order() -> None:
    disk = filled()
    merge(disk)
    for file in published(FailingStore(disk)):
        offsets = [orjson.loads(line)["offset"] for line in disk.entries[file.path].data.splitlines()]
        assert offsets == sorted(offsets)
        assert file.batch is not None
        assert (file.batch.first, file.batch.last) == (offsets[0], offsets[-1])


def test_days_after_the_last_one_asked_for_are_left_alone() -> None:
    disk = filled()
    assert merge(disk, until_day=DAY).n_made == 1
    assert {file.day for file in published(FailingStore(disk))} == {DAY, DAY + 1, DAY + 2}


def test_files_that_come_later_are_merged_with_the_merged_one() -> None:
    disk = Disk()
    writer = writer_of(FailingStore(disk), SMALL)
    writer.recover()
    blocks = list(TOPIC.blocks(None, 10))
    for part in (blocks[:3], blocks[3:]):
        for block in part:
            writer.add(block)
        writer.publish_now()
        assert writer.wait(1.0)
        merge(disk)
        after_grace(disk)
        merge(disk)
    after_grace(disk)
    merge(disk)
    assert n_files(disk) == 3
    assert_stored_once(disk, TOPIC)


def test_files_of_others_are_left_as_they_are() -> None:
    disk = filled()
    foreign = [f"{day_folder(DAY)}/events-w{number}.jsonl" for number in range(2)]
    disk.entries.update((path, Entry(0.0, b"{}\n")) for path in foreign)
    merge(disk)
    after_grace(disk)
    merge(disk)
    assert set(foreign) < set(disk.paths("year="))
    assert n_files(disk) == 3 + 2


def test_a_folder_that_no_consumer_has_written_is_an_error_with_the_next_step() -> None:
    with pytest.raises(NotThere, match="given to consume as --store"):
        merge(Disk())


def test_files_that_no_record_vouches_for_are_left_alone() -> None:
    disk = filled()
    for path in disk.paths(f"{SOURCE.folder}/"):
        del disk.entries[path]
    other = CommitRecord("w", "00000000", PARTITION, 0, 1 << 40, "2025-01-01T00:00:00+00:00", (), 0)
    disk.entries[f"_commits/other-00000000/p=003/{0:020}.json"] = Entry(0.0, other.to_json())
    assert merge(disk) == Compacted(n_unsettled=n_files(disk))


def test_files_of_a_record_that_is_not_rolled_forward_are_left_alone() -> None:
    disk = Disk()

    def cut_off(when: When, step: str, path: str) -> None:
        if (when, step) == ("before", "rename") and path.startswith(day_folder(DAY + 1)) and n_files(disk) > 8:
            raise Killed

    writer = writer_of(FailingStore(disk, cut_off), SMALL)
    writer.recover()
    with pytest.raises(Killed):
        drive(writer, TOPIC, 10)
    before = stored(disk)
    done = merge(disk)
    assert done.n_unsettled > 0
    assert done.n_made > 0
    assert stored(disk) == before
    after_grace(disk)
    merge(disk)
    last = writer_of(FailingStore(disk), SMALL)
    last.recover()
    drive(last, TOPIC, 10)
    assert_stored_once(disk, TOPIC)


def test_files_that_readers_leave_out_are_not_merged_though_no_record_tells_of_them() -> None:
    disk = filled()
    merge(disk)
    for path in disk.paths("_commits/compaction"):
        del disk.entries[path]
    after_grace(disk)
    assert merge(disk).n_made == 0
    assert_stored_once(disk, TOPIC)


def test_two_sources_and_partitions_in_a_folder_stay_apart() -> None:
    disk = filled()
    for path in disk.paths("year=")[:2]:
        folder, _, name = path.rpartition("/")
        batch = BatchName.parse(name)
        assert batch is not None
        other = BatchName(batch.stamp_s, batch.partition + 1, batch.first, batch.last, batch.source, "jsonl")
        disk.entries[f"{folder}/{other.text}"] = Entry(0.0, b"other\n")
    assert merge(disk).n_made == 3
    assert (
        sum(file.batch is not None and file.batch.partition == PARTITION for file in published(FailingStore(disk))) == 3
    )


def test_a_file_of_another_kind_in_between_is_not_hidden() -> None:
    disk = Disk()
    for compress in ("none", "zst", "none"):
        writer = writer_of(FailingStore(disk), RollingPolicy(5, 1 << 20, 60.0, compress=compress))
        writer.recover()
        for block in list(TOPIC.blocks(writer.position, 10))[:2]:
            writer.add(block)
        writer.publish_now()
        assert writer.wait(1.0)
    before = stored(disk)
    merge(disk)
    assert stored(disk) == before
    assert Counter(file.batch.suffix for file in published(FailingStore(disk)) if file.batch) == {
        "jsonl": 6,
        "jsonl.zst": 3,
    }


def test_large_files_are_not_written_again_for_small_ones() -> None:
    disk = filled()
    sizes = [len(disk.entries[path].data) for path in disk.paths("year=")]
    merge(disk, target_bytes=3 * max(sizes))
    after_grace(disk)
    merge(disk, target_bytes=3 * max(sizes))
    lengths = [file.length_bytes for file in published(FailingStore(disk))]
    assert max(lengths) <= 3 * max(sizes)
    assert 3 < len(lengths) < len(sizes)
    assert_stored_once(disk, TOPIC)
    before = disk.paths("year=")
    merge(disk, target_bytes=2 * min(lengths))
    assert disk.paths("year=") == before


def test_compressed_files_are_joined_as_they_are() -> None:
    disk = filled(RollingPolicy(7, 1 << 20, 60.0, compress="gz"))
    merge(disk)
    files = published(FailingStore(disk))
    assert len(files) == 3
    lines = b"".join(gzip.decompress(disk.entries[file.path].data) for file in files)
    assert lines.count(b"\n") == sum(record.day is not None for record in TOPIC.records)
    assert_stored_once(disk, TOPIC)


@pytest.mark.parametrize("compress", ["none", "gz", "zst"])
@pytest.mark.parametrize("file_format", ROWS)
def test_files_of_rows_become_one_with_the_same_rows_and_compression(file_format: Any, compress: Any) -> None:
    disk = filled(RollingPolicy(7, 1 << 20, 60.0, file_format=file_format, compress=compress))
    store = FailingStore(disk)
    merge(disk)
    files = published(store)
    assert len(files) == 3
    tables = [table for file in files for table in row_tables(store, file)]
    assert len(tables) == 3
    found = [orjson.loads(line)["offset"] for line in lines_of(pa.concat_tables(tables))]
    assert sorted(found) == [record.offset for record in TOPIC.records if record.day is not None]
    opened = store.open(files[0].path)
    if file_format == "avro":
        assert Container.of(opened).codec == {"none": "null", "gz": "deflate", "zst": "zstandard"}[compress]
    else:
        codecs = {"none": "UNCOMPRESSED", "gz": "GZIP", "zst": "ZSTD"}
        assert pa.parquet.ParquetFile(opened).metadata.row_group(0).column(0).compression == codecs[compress]


@pytest.mark.parametrize("file_format", ROWS)
def test_files_with_different_columns_become_one_with_all_of_them(file_format: Any) -> None:
    policy = RollingPolicy(7, 1 << 20, 60.0, file_format=file_format)
    disk, known = filled(policy), KnownFormats(fields=ALL)
    store = FailingStore(disk)
    file = next(iter(published(store)))
    lines = [line for table in row_tables(store, file) for line in lines_of(table)]
    added = [line[:-1] + b',"drift":1.5}' for line in lines]
    encoder = encoder_of(store.create(file.path), replace(policy, known=known), plain=False)
    encoder.write(b"\n".join(added) + b"\n")
    encoder.close()
    before = sorted(_lines(store, known))
    merge(disk)
    assert len(list(published(store))) == 3
    assert sorted(_lines(store, known)) == before


def _lines(store: FailingStore, known: KnownFormats) -> list[bytes]:
    return [line for file in published(store) for table in row_tables(store, file) for line in lines_of(table, known)]


def test_a_thousand_small_files_become_one() -> None:
    disk = Disk(page=1000)
    writer = PartitionWriter(
        WriterContext(FailingStore(disk), SOURCE, RollingPolicy(10, 1 << 20, 60.0), "w", Inline(), disk.clock),
        PARTITION,
    )
    writer.recover()
    offsets = np.arange(10_000)
    values = [b'{"offset":%d,"text":"%s"}' % (offset, b"x" * 1000) for offset in offsets]
    writer.add(RecordBatch(0, offsets, np.full(10_000, DAY, np.int32), values, [], 10_000))
    writer.publish_now()
    assert writer.wait(30.0)
    assert n_files(disk) == 1000
    assert merge(disk).n_merged == 1000
    after_grace(disk)
    merge(disk)
    (path,) = disk.paths("year=")
    assert disk.entries[path].data == b"".join(value + b"\n" for value in values)


def test_a_file_that_is_not_as_long_as_listed_is_an_error_and_nothing_is_merged() -> None:
    disk = filled()
    before = disk.paths("year=")

    def shorten(when: When, step: str, path: str) -> None:
        if step == "read" and path == before[3]:
            disk.entries[path].data = disk.entries[path].data[:-1]

    with pytest.raises(StoreError, match="as listed"):
        merge(disk, FailingStore(disk, shorten))
    assert set(disk.paths(before[3].rpartition("/")[0])) <= set(before)


def test_a_mark_that_was_cut_off_while_it_was_written_begins_the_grace_anew() -> None:
    disk = filled()
    merge(disk)
    for path in disk.paths("_commits/compaction/"):
        if path.endswith(".seen"):
            disk.entries[path].data = b""
    after_grace(disk)
    assert merge(disk).n_removed == 0
    after_grace(disk)
    assert merge(disk).n_waiting == 0
    assert n_files(disk) == 3


def test_the_verb_says_what_it_did_in_words_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = LocalStore(tmp_path)
    writer = PartitionWriter(
        WriterContext(store, SOURCE, RollingPolicy(30, 1 << 20, 60.0), "w", Inline(), Clock()), PARTITION
    )
    writer.recover()
    drive(writer, TOPIC, 10)
    settings = {"store": str(tmp_path), "until_day": DAY + 9, "json_summary": True}
    told = []
    for grace_s in (60.0, 0.0):
        assert main(CompactSettings.model_validate({**settings, "grace_s": grace_s})) == 0
        told.append(capsys.readouterr())
    first, second = (orjson.loads(one.out) for one in told)
    n_old = first["merged"]
    assert (first["made"], first["waiting"], first["removed"]) == (3, n_old, 0)
    assert (second["made"], second["waiting"], second["removed"]) == (0, 0, n_old)
    assert f"{n_old} files merged into 3" in told[0].err
    assert f"{n_old} merged files are kept" in told[0].err
    assert f"{n_old} removed" in told[1].err
    assert main(CompactSettings.model_validate({**settings, "quiet": True, "json_summary": False})) == 0
    assert capsys.readouterr() == ("", "")


def test_many_days_are_merged_side_by_side_in_a_folder(tmp_path: Path) -> None:
    store, topic, clock = LocalStore(tmp_path), Topic(80, n_days=4), Clock()
    writer = PartitionWriter(
        WriterContext(store, SOURCE, RollingPolicy(30, 1 << 20, 60.0), "w", Inline(), clock), PARTITION
    )
    writer.recover()
    drive(writer, topic, 10)
    before = lines_in(store)
    assert compact(store, DAY + 9, GRACE_S, clock).n_made == 4
    clock.now_s += GRACE_S
    assert compact(store, DAY + 9, GRACE_S, clock).n_removed == 3 * 4
    assert len(list(store.files())) == 4
    assert lines_in(store) == before


def lines_in(store: LocalStore) -> list[bytes]:
    chunks = [chunk for file in published(store) for chunk in read_lines(store, file)]
    return sorted(b"".join(chunks).splitlines())

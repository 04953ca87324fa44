"""The date folders: every event is in its day's file once, as a whole line, whatever goes wrong."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.errors import OutputUnwritable
from loadgen.event import DAY_MS
from loadgen.files import Compression
from loadgen.sink import EncodedBatch
from loadgen.sink.files import MAX_OPEN_FILES, DateFolderSink
from tests.sink.lines import T0_MS, hash_of, make_lines

USERS = 500


class Clock:
    """A clock that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def open_sink(folder: Path, compress: Compression | None = None, **more: Any) -> DateFolderSink:
    return DateFolderSink(folder, "run_w00", compress, **more)


def read(path: Path) -> bytes:
    with pa.input_stream(str(path), compression="detect") as stream:
        return bytes(stream.read())


def stored(folder: Path) -> dict[str, bytes]:
    """What the files hold, by path below the folder."""
    return {str(path.relative_to(folder)): read(path) for path in sorted(folder.rglob("*.jsonl*"))}


def close_all_below(folder: Path) -> None:
    """Close every file of this process that is in the folder, as the kernel does when a process is killed."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # the one that lists them is closed already
            if Path(os.readlink(f"/proc/self/fd/{fd}")).is_relative_to(folder):
                os.close(fd)


def all_lines(folder: Path) -> list[bytes]:
    return [line for data in stored(folder).values() for line in data.splitlines(keepends=True)]


def assert_tally_is(sink: DateFolderSink, lines: list[bytes]) -> None:
    """The events counted as delivered are these."""
    assert sink.tally.counts()["delivered"] == len(lines)
    assert sink.tally.bytes_delivered == sum(map(len, lines))
    total = sum(hash_of(line.rstrip(b"\n")) for line in lines) % 2**64
    assert int(sink.tally.fingerprint.total.sum(dtype=np.uint64)) == total


@pytest.mark.parametrize(("compress", "ending"), [(None, ""), ("gz", ".gz"), ("zst", ".zst")])
def test_each_event_is_in_the_file_of_its_utc_day(tmp_path: Path, compress: Compression | None, ending: str) -> None:
    sink = open_sink(tmp_path, compress)
    lines = make_lines(1000, step_ms=DAY_MS // 400)
    sink.send(lines[:700])
    sink.send(lines[700:])
    sink.close()
    days = ["year=2025/month=12/day=01", "year=2025/month=12/day=02", "year=2025/month=12/day=03"]
    found = stored(tmp_path)
    assert list(found) == [f"{day}/events_run_w00.jsonl{ending}" for day in days]
    day_of_line = (lines.ts_ms - T0_MS) // DAY_MS
    for number, data in enumerate(found.values()):
        assert data == bytes(lines.take(np.flatnonzero(day_of_line == number)).buffer())
    assert_tally_is(sink, lines.lines.to_pylist())
    assert sink.completed.tolist() == [1000]


def test_events_out_of_order_go_to_their_own_day(tmp_path: Path) -> None:
    lines = make_lines(300, step_ms=DAY_MS // 100)
    order = np.random.default_rng(1).permutation(300)
    sink = open_sink(tmp_path)
    sink.send(lines.take(order))
    sink.close()
    assert len(stored(tmp_path)) == 3
    assert sorted(all_lines(tmp_path)) == sorted(lines.lines.to_pylist())


def test_few_events_reach_the_file_after_half_a_second(tmp_path: Path) -> None:
    clock = Clock()
    sink = open_sink(tmp_path, clock=clock)
    sink.send(make_lines(5))
    sink.poll(0)
    assert stored(tmp_path) == {}
    assert (sink.tally.in_flight, sink.completed.tolist()) == (5, [0])
    clock.now_s = 0.5
    sink.poll(0)
    assert len(all_lines(tmp_path)) == 5
    assert (sink.tally.in_flight, sink.completed.tolist()) == (0, [5])
    sink.close()


def test_many_events_are_written_at_once(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    sink.send(make_lines(5000))
    assert sink.tally.counts()["delivered"] == 5000
    sink.close()


def test_each_compressed_piece_can_be_read_before_the_file_is_closed(tmp_path: Path) -> None:
    for compress in ("gz", "zst"):
        sink = open_sink(tmp_path / compress, compress)
        for first in (0, 10, 20):
            sink.send(make_lines(10, first))
            sink.flush(0)
            assert len(all_lines(tmp_path / compress)) == first + 10
        sink.close()


def test_a_backfill_over_many_days_keeps_few_files_open(tmp_path: Path) -> None:
    n_before = len(os.listdir("/proc/self/fd"))
    sink = open_sink(tmp_path)
    lines = make_lines(400, step_ms=DAY_MS // 10)
    for start in range(0, 400, 40):
        sink.send(lines[start : start + 40])
        sink.flush(0)
        assert len(os.listdir("/proc/self/fd")) <= n_before + MAX_OPEN_FILES + 1
    sink.close()
    assert len(os.listdir("/proc/self/fd")) == n_before
    assert sorted(all_lines(tmp_path)) == sorted(lines.lines.to_pylist())


def test_dropped_events_are_settled_behind_those_sent_before(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    sink.send(make_lines(10))
    sink.drop(make_lines(4, 10))
    assert sink.completed.tolist() == [14]
    assert sink.tally.counts() == {
        "planned": 14,
        "delivered": 10,
        "failed": 0,
        "dropped": 4,
        "unfinished": 0,
        "aborted": 0,
    }
    sink.close()


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    flushed=st.lists(st.booleans(), min_size=8, max_size=8),
    snapshot_at=st.integers(0, 7),
    compress=st.sampled_from([None, "gz", "zst"]),
)
def test_a_successor_of_a_killed_worker_loses_and_repeats_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    flushed: list[bool],
    snapshot_at: int,
    compress: Compression | None,
) -> None:
    folder = tmp_path_factory.mktemp("store")
    ends = np.cumsum(sizes).tolist()
    lines = make_lines(ends[-1], step_ms=DAY_MS // 30)
    first_life = open_sink(folder, compress)
    marks, completed = first_life.marks(), first_life.completed.copy()
    for number, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
        first_life.send(lines[start:stop])
        if flushed[number]:
            first_life.flush(0)
        if number == snapshot_at:
            marks, completed = first_life.marks(), first_life.completed.copy()
    close_all_below(folder)  # killed: what it held back is gone
    second_life = open_sink(folder, compress, completed=completed, resume=marks)
    second_life.send(lines[int(completed[0]) :])
    second_life.close()
    assert sorted(all_lines(folder)) == sorted(lines.lines.to_pylist())
    assert second_life.completed.tolist() == [len(lines)]
    assert second_life.marks() == {str(path): path.stat().st_size for path in folder.rglob("*.jsonl*")}


def test_a_second_run_of_the_same_name_is_refused(tmp_path: Path) -> None:
    first = open_sink(tmp_path)
    first.send(make_lines(3))
    first.close()
    second = open_sink(tmp_path)
    second.send(make_lines(3))
    with pytest.raises(OutputUnwritable, match="it is there already"):
        second.flush(0)
    assert second.tally.counts()["failed"] == 3
    assert len(all_lines(tmp_path)) == 3


class FullDisk:
    """os.write on a disk with so many bytes left."""

    def __init__(self, room_bytes: int, error: int = errno.ENOSPC) -> None:
        self.room_bytes, self.error, self.real_write = room_bytes, error, os.write

    def write(self, fd: int, data: memoryview) -> int:
        if self.room_bytes == 0:
            raise OSError(self.error, os.strerror(self.error))
        n = self.real_write(fd, data[: min(self.room_bytes, 1000)])
        self.room_bytes -= n
        return n


@pytest.mark.parametrize("compress", [None, "gz", "zst"])
@pytest.mark.parametrize("room_bytes", [0, 1, 150, 400])
def test_on_a_full_disk_whole_lines_stay_and_the_rest_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Compression | None, room_bytes: int
) -> None:
    sink = open_sink(tmp_path, compress)
    sink.send(make_lines(30))
    sink.flush(0)
    monkeypatch.setattr(os, "write", FullDisk(room_bytes).write)
    sink.send(make_lines(120, 30, step_ms=DAY_MS // 100))
    with pytest.raises(OutputUnwritable, match="the disk is full"):
        sink.flush(0)
    monkeypatch.undo()
    sink.close()
    counts, lines = sink.tally.counts(), all_lines(tmp_path)
    assert counts["planned"] == 150
    assert counts["failed"] == 150 - len(lines) > 0
    assert all(line.endswith(b"}\n") for line in lines)
    assert_tally_is(sink, lines)
    assert sink.completed.tolist() == [150]


def test_writes_that_take_only_a_part_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", FullDisk(10**9).write)
    sink = open_sink(tmp_path)
    lines = make_lines(400)
    sink.send(lines)
    sink.close()
    assert all_lines(tmp_path) == lines.lines.to_pylist()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "year=2025").write_text("in the way")
    sink = open_sink(tmp_path)
    sink.send(make_lines(3))
    with pytest.raises(OutputUnwritable, match="a part of the path is a file"):
        sink.close()
    assert sink.tally.counts()["failed"] == 3


def test_nothing_sent_makes_no_file(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "new")
    empty: EncodedBatch = make_lines(3)[:0]
    sink.send(empty)
    sink.close()
    assert not (tmp_path / "new").exists()

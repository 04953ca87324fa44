"""One output for all workers: what the coordinator has written, and nothing else, counts as delivered."""

import errno
import gzip
import os
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from loadgen.errors import OutputUnwritable, ReaderGone, SinkError
from loadgen.sink import stream
from loadgen.sink.stream import CHUNK_BYTES, MAX_CHUNKS, OutputFile, StreamSink
from tests.sink.lines import make_lines

USERS = 500


class Coordinator:
    """Takes chunks, as the far end of a worker's pipe does."""

    def __init__(self) -> None:
        self.chunks: list[tuple[bytes, int]] = []
        self.is_gone = False

    def take(self, data: memoryview, n_events: int) -> None:
        if self.is_gone:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self.chunks.append((bytes(data), n_events))


def test_an_event_is_delivered_once_the_coordinator_has_written_it() -> None:
    coordinator = Coordinator()
    sink = StreamSink(coordinator.take)
    lines = make_lines(100)
    sink.send(lines)
    assert coordinator.chunks == [(bytes(lines.buffer()), 100)]
    assert (sink.tally.in_flight, sink.completed.tolist()) == (100, [0])
    sink.acknowledge(100)
    assert (sink.tally.in_flight, sink.completed.tolist()) == (0, [100])
    assert sink.tally.bytes_delivered == len(lines.buffer())


def test_large_sends_are_cut_into_chunks_of_whole_lines() -> None:
    coordinator = Coordinator()
    sink = StreamSink(coordinator.take)
    lines = make_lines(40_000)
    sink.send(lines)
    assert len(coordinator.chunks) > 1
    assert all(data.endswith(b"}\n") and len(data) < 1.1 * CHUNK_BYTES for data, _ in coordinator.chunks)
    assert all(data.count(b"\n") == n_events for data, n_events in coordinator.chunks)
    assert b"".join(data for data, _ in coordinator.chunks) == bytes(lines.buffer())


def test_there_is_no_room_while_the_coordinator_is_behind() -> None:
    sink = StreamSink(Coordinator().take)
    for number in range(MAX_CHUNKS):
        assert sink.room() > 0
        sink.send(make_lines(1, number))
    assert sink.room() == 0
    sink.acknowledge(1)
    assert sink.room() > 0


def test_dropped_events_are_settled_behind_those_in_flight() -> None:
    sink = StreamSink(Coordinator().take)
    sink.send(make_lines(10))
    sink.drop(make_lines(5, 10))
    assert (sink.tally.counts()["dropped"], sink.completed.tolist()) == (5, [0])
    sink.acknowledge(10)
    assert sink.completed.tolist() == [15]


def test_what_the_coordinator_never_acknowledged_is_unfinished() -> None:
    sink = StreamSink(Coordinator().take)
    sink.send(make_lines(10))
    sink.send(make_lines(7, 10))
    sink.acknowledge(10)
    sink.close()
    sink.close()
    assert sink.tally.counts() == {
        "planned": 17,
        "delivered": 10,
        "failed": 0,
        "dropped": 0,
        "unfinished": 7,
        "aborted": 0,
    }
    assert sink.completed.tolist() == [17]


def test_a_coordinator_that_is_gone_ends_the_worker_with_its_events_accounted_for() -> None:
    coordinator = Coordinator()
    sink = StreamSink(coordinator.take)
    coordinator.is_gone = True
    with pytest.raises(SinkError, match="coordinator takes no more lines"):
        sink.send(make_lines(10))
    assert sink.tally.counts()["failed"] == 10


def test_an_acknowledgement_of_another_chunk_is_a_mistake_in_the_program() -> None:
    sink = StreamSink(Coordinator().take)
    sink.send(make_lines(10))
    with pytest.raises(ValueError, match="the oldest chunk has 10 events"):
        sink.acknowledge(9)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_an_output_file_holds_every_chunk_compressed_as_its_name_says(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"what was there before")
    output = OutputFile(path)
    chunks = [bytes(make_lines(3000, 3000 * number).buffer()) for number in range(6)]
    for chunk in chunks:
        output.write(chunk, 3000)
    output.close()
    output.close()
    with pa.input_stream(str(path), compression="detect") as stored:
        assert stored.read() == b"".join(chunks)
    assert output.n_written == 18_000


def test_compressed_events_count_as_written_once_their_piece_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = OutputFile(tmp_path / "a.gz")
    output.write(b"{}\n", 1)
    output.poll()
    assert output.n_written == 0
    monkeypatch.setattr(stream, "FRAME_AGE_S", 0.0)
    output.poll()
    assert output.n_written == 1
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"{}\n"
    output.close()


def write_now(output: OutputFile, n_events: int) -> None:
    output.write(b"{}\n" * n_events, n_events)
    output.poll()


@pytest.mark.parametrize("name", ["a.jsonl", "a.gz"])
def test_after_a_failed_write_the_file_ends_with_the_last_whole_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    output = OutputFile(tmp_path / name)
    monkeypatch.setattr(stream, "FRAME_AGE_S", 0.0)
    write_now(output, 10)
    n_bytes = (tmp_path / name).stat().st_size
    real_write = os.write
    left = iter([2])

    def write(fd: int, data: memoryview) -> int:
        for n in left:
            return real_write(fd, data[:n])
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OutputUnwritable, match="the device reports an error"):
        write_now(output, 10)
    monkeypatch.undo()
    output.close()
    assert (tmp_path / name).stat().st_size == n_bytes
    assert output.n_written == 10


def test_a_reader_that_has_seen_enough_is_told_apart_from_a_failure(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: open(tmp_path / "pipe", "rb").close())
    reader.start()
    output = OutputFile(tmp_path / "pipe")
    reader.join()
    with pytest.raises(ReaderGone, match="has closed it"):
        output.write(b"{}\n", 1)
    output.close()


def test_stdout_is_written_and_stays_open(capfd: pytest.CaptureFixture[str]) -> None:
    output = OutputFile("-")
    output.write(b"{}\n", 1)
    output.close()
    os.write(1, b"still open\n")
    assert capfd.readouterr().out == "{}\nstill open\n"


@pytest.mark.parametrize(
    ("path", "reason"),
    [("none/a", "the folder is not there"), ("", "that is a folder"), ("file/a", "is a file, not a folder")],
)
def test_an_output_that_cannot_be_opened_is_named_with_the_reason(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match=reason):
        OutputFile(tmp_path / path)

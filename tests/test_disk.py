"""Writes are whole; what can go wrong with files is said in words, and found out early."""

import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest

from loadgen.errors import OutputUnwritable
from loadgen.files import check_writable, unwritable, write_all, write_whole
from tests.full_disk import fill_disk


def test_a_pipe_that_does_not_block_still_gets_everything() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def read() -> None:
        while piece := os.read(reader, 65_536):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writer, b"x" * 3_000_000)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert len(received) == 3_000_000


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputUnwritable, match=r"cannot write .*/a"):
        check_writable(tmp_path / "a")


def test_a_read_only_folder_is_found_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir: str) -> None:  # the name that tempfile gives it
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputUnwritable, match="the file system is read-only"):
        check_writable(tmp_path)


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "the device reports an error"),
        (errno.EISDIR, "that is a folder: name a file"),
        (errno.ENODEV, "name another path"),
    ],
)
def test_each_reason_has_its_next_step(number: int, step: str) -> None:
    error = unwritable("x.jsonl", OSError(number, os.strerror(number)))
    assert str(error).startswith(f"cannot write 'x.jsonl': {os.strerror(number)}; ")
    assert step in str(error)


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "x.json"
    write_whole(path, b"first")
    fill_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(path.parent) == ["x.json"]

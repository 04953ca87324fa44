"""What can go wrong with files is said in words, and found out before the run."""

import errno
import os

import pytest

from loadgen.errors import OutputUnwritable
from loadgen.sink import disk
from loadgen.sink.disk import check_writable, unwritable


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_found_before_the_run(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputUnwritable, match=r"cannot write .*/a"):
        check_writable(tmp_path / "a")


def test_a_read_only_folder_is_found_before_the_run(tmp_path, monkeypatch):
    def refuse(dir: str) -> None:  # the name that tempfile gives it
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), dir)

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", refuse)
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
        (errno.EISDIR, "leave --output out"),
        (errno.ENODEV, "name another path"),
    ],
)
def test_each_reason_has_its_next_step(number, step):
    error = unwritable("x.jsonl", OSError(number, os.strerror(number)))
    assert str(error).startswith(f"cannot write 'x.jsonl': {os.strerror(number)}; ")
    assert step in str(error)

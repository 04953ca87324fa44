"""What can go wrong with a file, said in words; and compression in pieces that can each be read alone.

In: paths, bytes, OSErrors. Out: whole writes, or OutputUnwritable with the path, the reason and the next step.
"""

import errno
import os
import select
import tempfile
from pathlib import Path
from typing import Literal

import pyarrow as pa

from loadgen.errors import OutputUnwritable

Compression = Literal["gz", "zst"]
Bytes = bytes | bytearray | memoryview

_CODECS: dict[Compression, tuple[str, int]] = {"gz": ("gzip", 1), "zst": ("zstd", 1)}
"""Codec and level. Higher levels cost more than they save: gzip 4 takes half as long again for a tenth less."""

_NEXT_STEPS = {
    errno.ENOSPC: "the disk is full: free some space, or name a folder on another disk",
    errno.EDQUOT: "your disk quota is used up: free some space, or ask for more",
    errno.EROFS: "the file system is read-only: name a folder on another one",
    errno.EACCES: "permission denied: name a folder that you may write to, or change its mode or owner",
    errno.EPERM: "permission denied: name a folder that you may write to, or change its mode or owner",
    errno.EIO: "the device reports an error: look at the system's log, and write to another disk",
    errno.EFBIG: "the file would be larger than allowed: raise `ulimit -f`, or compress",
    errno.ENOTDIR: "a part of the path is a file, not a folder: name another path",
    errno.EISDIR: "that is a folder: name a file, or leave --output out to write files by date",
    errno.ENOENT: "the folder is not there: make it first with mkdir -p",
    errno.EEXIST: "it is there already: name another path, or remove it",
    errno.EMFILE: "too many open files: raise `ulimit -n`",
    errno.ENAMETOOLONG: "the name is too long: name a shorter one",
}

CALL_BYTES = 1 << 18
"""Per call: measured, 8 MB in calls of 256 KiB cost half the CPU time of one call, since what is copied is in cache."""


def unwritable(path: str | os.PathLike[str], error: OSError) -> OutputUnwritable:
    """The error to show to the user: which path, why, and what to do."""
    step = _NEXT_STEPS.get(error.errno or 0, "name another path")
    return OutputUnwritable(f"cannot write {os.fspath(path)!r}: {error.strerror or error}; {step}")


def compression_of(path: str | os.PathLike[str]) -> Compression | None:
    """How a file of this name is compressed: by its ending."""
    ending = os.path.splitext(path)[1][1:]
    return ending if ending in ("gz", "zst") else None  # type: ignore[return-value]  # narrowed by the test


def compressed(data: Bytes, how: Compression) -> Bytes:
    """A complete gzip member or zstd frame: pieces may follow each other, and each can be read without the next."""
    name, level = _CODECS[how]
    piece: Bytes = pa.Codec(name, level).compress(data, asbytes=True)
    return piece


def write_all(fd: int, data: Bytes) -> None:
    """Write every byte, however many calls it takes; raises OSError."""
    rest = memoryview(data).cast("B")
    while rest:
        try:
            rest = rest[os.write(fd, rest[:CALL_BYTES]) :]
        except BlockingIOError:  # a pipe that its owner made non-blocking
            select.select([], [fd], [])


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Find out before the run whether files can be written in a folder, which is made where missing.

    Raises:
        OutputUnwritable: with the path, the reason and the next step.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\n")
            probe.flush()
    except OSError as error:
        raise unwritable(folder, error) from error

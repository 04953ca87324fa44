"""Whole writes, what can go wrong with a file, found out early and said in words; and compression in pieces.

In: paths, file descriptors, bytes, OSErrors. Out: everything written, or the reason and the next step for the user;
gzip members or zstd frames that can each be read alone, and streams that read many of them.
"""

import errno
import os
import secrets
import select
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

from loadgen.errors import OutputUnwritable

Bytes = bytes | bytearray | memoryview

CALL_BYTES = 1 << 18
"""Per call: measured, 8 MB in calls of 256 KiB cost half the CPU time of one call, since what is copied is in cache."""

_NEXT_STEPS = {
    errno.ENOSPC: "the disk is full: free some space, or name a folder on another disk",
    errno.EDQUOT: "your disk quota is used up: free some space, or ask for more",
    errno.EROFS: "the file system is read-only: name a folder on another one",
    errno.EACCES: "permission denied: name a folder that you may write to, or change its mode or owner",
    errno.EPERM: "permission denied: name a folder that you may write to, or change its mode or owner",
    errno.EIO: "the device reports an error: look at the system's log, and write to another disk",
    errno.EFBIG: "the file would be larger than allowed: raise `ulimit -f`, or compress",
    errno.ENOTDIR: "a part of the path is a file, not a folder: name another path",
    errno.EISDIR: "that is a folder: name a file",
    errno.ENOENT: "the folder is not there: make it first with mkdir -p",
    errno.EEXIST: "it is there already: name another path, or remove it",
    errno.EMFILE: "too many open files: raise `ulimit -n`",
    errno.ENAMETOOLONG: "the name is too long: name a shorter one",
}


def reason(error: OSError, next_step: str | None = None) -> str:
    """Why, and what to do; `next_step` instead of the usual one."""
    step = next_step or _NEXT_STEPS.get(error.errno or 0, "name another path")
    return f"{error.strerror or error}; {step}"


def unwritable(path: str | os.PathLike[str], error: OSError, next_step: str | None = None) -> OutputUnwritable:
    """The error to show to the user: which path, why, and what to do."""
    return OutputUnwritable(f"cannot write {os.fspath(path)!r}: {reason(error, next_step)}")


def check_writable(folder: str | os.PathLike[str], next_step: str | None = None) -> None:
    """Find out early whether files can be written in a folder, which is made where missing.

    Args:
        next_step: what to do where they cannot, instead of the usual advice.

    Raises:
        OutputUnwritable: with the path, the reason and the next step.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\n")
            probe.flush()
    except OSError as error:
        raise unwritable(folder, error, next_step) from error


def has_mark(path: Path, *marks: bytes) -> bool:
    """Whether one of these stands in the first bytes of a file. Raises OutputUnwritable: it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise unwritable(path, error) from error
    return any(mark in head for mark in marks)


def replaces_own(path: Path, what: str, is_own: Callable[[Path], bool], instead: str = "remove it first") -> bool:
    """Whether a file is there that loadgen wrote, and may replace.

    Args:
        what: the flag that names it.
        instead: what to do with a file of others.

    Raises:
        OutputUnwritable: another file is there; it is left as it is.
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    if not is_own(path):
        raise OutputUnwritable(
            f"{what} {str(path)!r} is there already and loadgen did not write it, so it is left as it is; "
            f"name another path, or {instead}"
        )
    return True


def write_whole(path: Path, content: Bytes) -> None:
    """Replace a file atomically; makes its folder. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes this path's place when the block ends, and is removed if the block raises.

    It is written under a hidden name in the same folder.
    """
    hidden = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with hidden.open("wb") as file:
            yield file
        hidden.replace(path)
    except BaseException:
        with suppress(OSError):  # it may never have been there
            hidden.unlink()
        raise


def write_all(fd: int, data: Bytes) -> None:
    """Write every byte, however many calls it takes; raises OSError."""
    rest = memoryview(data).cast("B")
    while rest:
        try:
            rest = rest[os.write(fd, rest[:CALL_BYTES]) :]
        except BlockingIOError:  # a pipe that its owner made non-blocking
            select.select([], [fd], [])


Compression = Literal["gz", "zst"]

_CODECS: dict[Compression, tuple[str, int]] = {"gz": ("gzip", 1), "zst": ("zstd", 1)}
"""Codec and level. Higher levels cost more than they save: gzip 4 takes half as long again for a tenth less."""


def compression_of(path: str | os.PathLike[str]) -> Compression | None:
    """How a file of this name is compressed: by its ending."""
    ending = os.path.splitext(path)[1][1:]
    return ending if ending in ("gz", "zst") else None  # type: ignore[return-value]  # narrowed by the test


def compressed(data: Bytes, how: Compression) -> Bytes:
    """A complete gzip member or zstd frame: pieces may follow each other, and each can be read without the next."""
    name, level = _CODECS[how]
    import pyarrow as pa  # here: a wrong flag is answered without it

    piece: Bytes = pa.Codec(name, level).compress(data, asbytes=True)
    return piece


def decompressed(file: BinaryIO, how: Compression) -> Any:
    """A pyarrow stream of what a file's members or frames hold, one after another; `read` of it raises OSError."""
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file, "r"), _CODECS[how][0])

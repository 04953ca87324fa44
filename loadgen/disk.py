"""What can go wrong with a file, said in words; and whole writes.

In: file descriptors, bytes, OSErrors. Out: everything written, or the reason and the next step for the user.
"""

import errno
import os
import select

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


def write_all(fd: int, data: Bytes) -> None:
    """Write every byte, however many calls it takes; raises OSError."""
    rest = memoryview(data).cast("B")
    while rest:
        try:
            rest = rest[os.write(fd, rest[:CALL_BYTES]) :]
        except BlockingIOError:  # a pipe that its owner made non-blocking
            select.select([], [fd], [])

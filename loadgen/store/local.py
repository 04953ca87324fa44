"""A store in a local folder.

In: paths and bytes. Out: files that survive a power failure once `close` or `rename` has returned.

`rename` is a hard link, which is made atomically and never over another file, and then the removal of the old name. A
process killed between the two leaves one file under both names; a rename that is repeated then sees that both are the
same file, and only removes the old one. For that reason `create` never empties a file in place: it could be published
under another name.

Durability: `close` syncs the file, then its folder, so that the name lasts too; `rename` syncs the target's folder
before the old name goes. On an SSD that makes writing and publishing 50 KB take 0.7 ms instead of 0.1, and 13 MB, which
50,000 events are, 12 ms instead of 4.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from loadgen.errors import AlreadyThere, NotThere, StoreError, StoreFull, StoreRefused
from loadgen.files import Bytes, reason, write_all
from loadgen.store import StoredFile, Writer
from loadgen.store.layout import checked, is_hidden

_KINDS: dict[int, type[StoreError]] = {
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EFBIG: StoreFull,
    errno.EACCES: StoreRefused,
    errno.EPERM: StoreRefused,
    errno.EROFS: StoreRefused,
    errno.ENOTDIR: StoreRefused,
    errno.EISDIR: StoreRefused,
    errno.ENAMETOOLONG: StoreRefused,
    errno.ELOOP: StoreRefused,
    errno.ENOENT: NotThere,
    errno.EEXIST: AlreadyThere,
}
_NEXT_STEPS = {
    errno.ENOENT: "somebody has removed it, or it never was: look what is in the store",
    errno.EPERM: "or the file system knows no hard links, by which files are published: name another folder",
    errno.EXDEV: "the store's folders are on different file systems: keep them all on one",
}
_ATTEMPTS = 10
"""How often something is tried whose folder others keep removing."""


class LocalStore:
    """Files below a folder; see `Store`."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Name the folder; it comes into being with the first file."""
        self._root = os.path.abspath(root)
        self.url = self._root

    def create(self, path: str) -> Writer:
        full = self._full(path)
        with _in_words("write", full):
            return _LocalWriter(full, _create(full))

    def write(self, path: str, data: Bytes) -> None:
        writer = self.create(path)
        writer.write(data)
        writer.close()

    def rename(self, source: str, target: str) -> None:
        """Move a file, never onto another one; see `Store`. One that a crash left half done is brought to its end."""
        full_source, full_target = self._full(source), self._full(target)
        with _in_words(f"rename {full_source!r} to", full_target):
            _link(full_source, full_target)
            _sync_folder(os.path.dirname(full_target))
            with suppress(FileNotFoundError):
                os.unlink(full_source)

    def length(self, path: str) -> int | None:
        full = self._full(path)
        with _in_words("look at", full):
            status = _status(full)
            return None if status is None else status.st_size

    def read(self, path: str) -> bytes:
        full = self._full(path)
        with _in_words("read", full), open(full, "rb") as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        full = self._full(path)
        with _in_words("read", full):
            return open(full, "rb")

    def files(self, folder: str = "", *, hidden: bool = False) -> Iterator[StoredFile]:
        yield from self._walk(checked(folder) if folder else "", hidden)

    def remove(self, path: str) -> None:
        full = self._full(path)
        with _in_words("remove", full), suppress(FileNotFoundError):
            os.unlink(full)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _full(self, path: str) -> str:
        return f"{self._root}/{checked(path)}"

    def _walk(self, folder: str, hidden: bool) -> Iterator[StoredFile]:
        for name, entry in self._entries(folder, hidden):
            path = f"{folder}/{name}" if folder else name
            if name.endswith("/"):
                yield from self._walk(path[:-1], hidden)
            elif (status := _status_of(entry)) is not None:
                yield StoredFile(path, status.st_size, status.st_mtime)

    def _entries(self, folder: str, hidden: bool) -> list[tuple[str, os.DirEntry[str]]]:
        """What is in a folder, by name; folders with a slash behind the name, so that paths come in their order."""
        full = f"{self._root}/{folder}" if folder else self._root
        with _in_words("list", full), suppress(FileNotFoundError), os.scandir(full) as found:
            entries = [entry for entry in found if hidden or not is_hidden(entry.name)]
            return sorted((entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in entries)
        return []


class _LocalWriter:
    """A file that is being written; see `Writer`."""

    def __init__(self, full: str, fd: int) -> None:
        self._full, self._fd = full, fd

    def write(self, data: Bytes) -> None:
        with self._or_abandon():
            write_all(self._fd, data)

    def close(self) -> None:
        with self._or_abandon():
            self._sync()
            fd, self._fd = self._fd, -1
            os.close(fd)

    def abandon(self) -> None:
        with suppress(OSError):
            if os.path.samestat(os.stat(self._full), os.fstat(self._fd)):  # not another's who has replaced it
                os.unlink(self._full)
        with suppress(OSError):
            fd, self._fd = self._fd, -1
            os.close(fd)

    @contextmanager
    def _or_abandon(self) -> Iterator[None]:
        """Remove an incomplete file, so that no reader takes it for complete."""
        if self._fd < 0:
            raise ValueError(f"{self._full!r} is closed, or a write to it has failed")
        try:
            with _in_words("write", self._full):
                yield
        except BaseException:
            self.abandon()
            raise

    def _sync(self) -> None:
        os.fsync(self._fd)
        if os.fstat(self._fd).st_nlink == 0:
            raise NotThere(f"cannot write {self._full!r}: somebody removed it while it was written; write it again")
        _sync_folder(os.path.dirname(self._full))


@contextmanager
def _in_words(command: str, path: str) -> Iterator[None]:
    """Turn an OSError into the StoreError to show: which path, why, and what to do."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        kind = _KINDS.get(number, StoreError)
        raise kind(f"cannot {command} {path!r}: {reason(error, _NEXT_STEPS.get(number))}") from error


def _status(path: str) -> os.stat_result | None:
    """Of a file; None where it is not there. Raises IsADirectoryError: a folder is there."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return status


def _status_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Of a file in a listing; None where it is none, or gone since."""
    with _in_words("look at", entry.path), suppress(FileNotFoundError):
        return entry.stat() if entry.is_file() else None
    return None


def _create(full: str) -> int:
    """A new file in the place of one that may be there: not the same file emptied, which may have another name too."""
    for _ in range(_ATTEMPTS):
        try:
            return os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            with suppress(FileNotFoundError):
                os.unlink(full)
        except FileNotFoundError:
            _make_folder(os.path.dirname(full))
    raise StoreError(f"cannot write {full!r}: others keep making or removing it; see who else uses this folder")


def _link(source: str, target: str) -> None:
    """Give the source its second name; it may have it already."""
    for _ in range(_ATTEMPTS):
        before = _status(source)
        if before is None:
            raise NotThere(f"cannot rename {source!r}: it is not there; see whether it has its new name already")
        try:
            os.link(source, target)
            return
        except FileExistsError:
            if (there := _status(target)) is not None and os.path.samestat(before, there):
                return
            raise
        except FileNotFoundError:
            _make_folder(os.path.dirname(target))
    raise StoreError(f"cannot make {target!r}: others keep removing its folder; see who else uses it")


def _make_folder(path: str) -> None:
    """Make a folder and those above it, to last; that others make or remove them meanwhile is for the caller to see."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        with suppress(FileExistsError, FileNotFoundError):
            os.mkdir(folder)
            _sync_folder(os.path.dirname(folder))


def _sync_folder(path: str) -> None:
    """Make the names in a folder last; a file system or a folder that does not let us is taken as it is."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)

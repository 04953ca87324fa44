"""Stores of events: a local folder or HDFS, behind one small interface.

In: a URL (`hdfs://namenode:8020/music_events`, `file:///srv/music_events`, a plain path). Out: a `Store`, with the
operations of an exactly-once writer and no more: create, rename without replacing, read, list, remove. Paths are
relative to the store's root, with `/` between their parts; folders are created with the files in them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote

from loadgen.config.masks import hidden
from loadgen.errors import UsageError
from loadgen.files import Bytes as Bytes

_SCHEME = re.compile(r"(file|hdfs)(?=:)|[a-z][a-z0-9+.-]*(?=:/)", re.IGNORECASE)
_FORMS = "hdfs://namenode:8020/music_events, file:///srv/music_events, or a plain path"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a store.

    Attributes:
        path: relative to the store's root.
        modified_s: seconds since 1970 (UTC), by the store's clock.
    """

    path: str
    length_bytes: int
    modified_s: float


class Writer(Protocol):
    """A file that is being written. Its content is not reliable before `close` has returned."""

    def write(self, data: Bytes) -> None:
        """Append. Raises StoreError; the file is then worthless."""

    def close(self) -> None:
        """End the file: whole and readable when this returns. Raises StoreError; may block for a second or more."""

    def abandon(self) -> None:
        """Give the file up and free what it holds, in this process at least; never raises."""


class Store(Protocol):
    """A folder of files, local or far.

    Each method raises StoreError (or one of its subclasses) where the store refuses or does not answer; all of them
    may be called from any thread, also at the same time. What raised StoreUnreachable may still have its effect later,
    as where only the reply was lost: so a caller that does not know the end of a rename tries it again until the end is
    known, and a temporary name is never used a second time.

    Attributes:
        url: the root, as a person would write it, without secrets.
    """

    url: str

    def create(self, path: str) -> Writer:
        """A new, empty file, in folders that are made if need be; one that is there already is replaced."""

    def write(self, path: str, data: Bytes) -> None:
        """A new file with this content, closed; one that is there already is replaced."""

    def rename(self, source: str, target: str) -> None:
        """Move a file, atomically, never onto another one; the target's folders are made if need be.

        Raises:
            AlreadyThere: the target exists; nothing was changed.
            NotThere: the source does not exist; nothing was changed.
            StoreError: whether it was done is unknown: look at source and target.
        """

    def length(self, path: str) -> int | None:
        """The file's length in bytes; None where it is not there."""

    def read(self, path: str) -> bytes:
        """The whole content of a small file. Raises NotThere."""

    def open(self, path: str) -> BinaryIO:
        """The file for reading, with seek, buffered. Raises NotThere."""

    def files(self, folder: str = "", *, hidden: bool = False) -> Iterator[StoredFile]:
        """All files in this folder and the folders in it, in the order of their paths; nothing where it is not there.

        Args:
            folder: where to begin.
            hidden: whether folders and files whose names begin with `_` or `.` are walked too, below `folder` itself.
        """

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is fine."""

    def close(self) -> None:
        """Let go of connections. Closing twice is allowed."""


def open_store(url: str) -> Store:
    """The store at this URL; the URL is checked, but nothing is created or asked yet.

    Raises:
        UsageError: no such kind of store, or a URL without the parts it needs.
    """
    from loadgen.store.local import LocalStore  # it imports this module

    scheme = _SCHEME.match(url)
    if not url or "\0" in url:
        raise UsageError(f"the store must be a URL or a path, got {hidden(repr(url))}; name {_FORMS}")
    if scheme is None:
        return LocalStore(Path(url).expanduser())
    if scheme[0].lower() == "file":
        return LocalStore(_local_path(url))
    if scheme[0].lower() == "hdfs":
        return _hdfs(url)
    raise UsageError(f"a store must be HDFS or a local folder, got {hidden(repr(url))}; name {_FORMS}")


def _local_path(url: str) -> Path:
    found = re.fullmatch(r"file:(?://(?:localhost)?)?(/.*)", url, re.IGNORECASE | re.DOTALL)
    if found is None or found[1].startswith("//"):
        raise UsageError(
            f"a file: URL names a path of this machine, got {hidden(repr(url))}; write file:///srv/music_events"
        )
    return Path(unquote(found[1]))


def _hdfs(url: str) -> Store:
    from loadgen.store.hdfs import HdfsStore  # hdfs_native takes a moment to load, and only HDFS needs it

    if re.match("hdfs://[^/]*@", url, re.IGNORECASE):
        raise UsageError("an hdfs: URL holds no user name; leave it out, and set HADOOP_USER_NAME to be another user")
    found = re.fullmatch(r"hdfs://([A-Za-z0-9._-]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?/([^/?#][^?#]*)", url, re.IGNORECASE)
    path = found[3].strip("/") if found else ""
    if found is None or not 0 < int(found[2] or 8020) < 65_536 or {"", ".", ".."} & set(path.split("/")):
        raise UsageError(
            f"an hdfs: URL needs a host and a folder, got {hidden(repr(url))}; write hdfs://namenode:8020/music_events"
        )
    return HdfsStore(found[1].lower(), int(found[2]) if found[2] else None, "/" + path)

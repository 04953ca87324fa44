"""A folder of the doctor's own inside a store: tried, used, and removed without a trace.

In: the URL of a store. Out: whether it takes files; a place for the events of the doctor.
"""

import os
import posixpath
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Protocol
from urllib.parse import unquote, urlsplit

from loadgen.consume.prepare import check_store, new_writer_id
from loadgen.doctor.check import Finding, bad, good
from loadgen.errors import LoadgenError, NotThere, StoreError
from loadgen.store import open_store

STORE_S = 9.0
STORE_STEP = "start it, or name another with --store URL"


class Folders(Protocol):
    """The folders of a file system, which a store does not care about."""

    def is_there(self, path: str) -> bool:
        """Whether a folder is there. Raises StoreError."""

    def remove_all(self, path: str) -> None:
        """Remove a folder with all in it, if it is there. Raises StoreError or OSError."""

    def remove_empty(self, path: str) -> None:
        """Remove an empty folder. Raises StoreError or OSError where it is not empty."""


class LocalFolders:
    """Those of this computer."""

    def is_there(self, path: str) -> bool:
        """See Folders."""
        return os.path.lexists(path)

    def remove_all(self, path: str) -> None:
        """See Folders."""
        with suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(path)

    def remove_empty(self, path: str) -> None:
        """See Folders."""
        os.rmdir(path)


class HdfsFolders:
    """Those of an HDFS."""

    def __init__(self, url: str) -> None:
        """Of the one where this store is."""
        from loadgen.store.hdfs import HdfsStore

        store = open_store(url)
        if not isinstance(store, HdfsStore):
            raise ValueError(f"{url!r} is not in HDFS")
        self._store = store

    def is_there(self, path: str) -> bool:
        """See Folders."""
        with suppress(NotThere):
            self._store.ask(f"look at {path!r}", lambda client: client.get_file_info(path))
            return True
        return False

    def remove_all(self, path: str) -> None:
        """See Folders."""
        self._store.ask(f"remove {path!r}", lambda client: client.delete(path, True))

    def remove_empty(self, path: str) -> None:
        """See Folders."""
        self._store.ask(f"remove {path!r}", lambda client: client.delete(path))


class Scratch:
    """A folder inside the store that no reader looks into.

    Attributes:
        url: of the folder.
        has_answered: whether the store has taken a file.
    """

    def __init__(self, url: str, token: str) -> None:
        """Name it; raises UsageError where the URL is none."""
        is_far, self._shown = url.lower().startswith("hdfs:"), open_store(url).url
        is_url = is_far or url.lower().startswith("file:")
        root = unquote(urlsplit(url).path) if is_url else os.path.abspath(os.path.expanduser(url))
        self._root = posixpath.normpath(root)
        self._path = f"{self._root}/_loadgen_doctor_{token}"
        self._folders: Folders = HdfsFolders(url) if is_far else LocalFolders()
        self.url = f"{url.rstrip('/')}/_loadgen_doctor_{token}"
        self._absent: list[str] = []
        self.has_answered = False

    def tried(self) -> Finding:
        """Whether the store takes a file, renames and removes it."""
        try:
            self._absent = list(self._not_there())
            check_store(open_store(self.url), new_writer_id(), STORE_S)
        except LoadgenError as error:
            return bad("store", "store", error, STORE_STEP)
        self.has_answered = True
        return good("store", f"store {self._shown}: takes, renames and removes files")

    def _not_there(self) -> Iterator[str]:
        """Of the store's folder and those above it, which are not there, the deepest first."""
        for folder in (PurePosixPath(self._root), *PurePosixPath(self._root).parents):
            if self._folders.is_there(str(folder)):
                return
            yield str(folder)

    def remove(self) -> None:
        """Remove the folder, and those above it that were not there before.

        Raises:
            LoadgenError: it cannot be removed.
        """
        try:
            self._folders.remove_all(self._path)
        except (StoreError, OSError) as error:
            raise LoadgenError(f"{self.url} could not be removed: {error}") from error
        with suppress(StoreError, OSError):  # somebody else uses it by now
            for folder in self._absent:
                self._folders.remove_empty(folder)

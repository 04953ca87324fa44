"""What is read: the files of stores and single files, each event in exactly one of them.

In: names: a store, a folder in a store, a folder of loose files, a file; local or on HDFS. Out: batches of files, each
of which can be listed and read again after a compaction.

A file that a compacted one replaces is left out, in a store and wherever files have the store's names. Hidden files and
folders, dead letters among them, are read only if named.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from loadgen.errors import NotThere
from loadgen.event import DAY_MS
from loadgen.store import Store, open_store
from loadgen.store.json_lines import is_document, is_named_by_loadgen, why_not_lines
from loadgen.store.layout import OF_ROWS, BatchName, day_of, published_of, uncovered
from loadgen.store.local import LocalStore

PACKED = ("", ".gz", ".zst")
ENDINGS = (*(name + packed for name in (".jsonl", ".json", ".ndjson") for packed in PACKED), *OF_ROWS)
"""The suffixes of files of events; other files are read only if named."""
BATCH_BYTES = 8 << 30
_IN_STORE = re.compile(r"(.+?)/(year=\d{4}(?:/month=\d\d(?:/day=\d\d)?)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Interval:
    """Times of events: from `since_ms` on and before `until_ms`, milliseconds since 1970; None is no limit."""

    since_ms: int | None = None
    until_ms: int | None = None

    def limits(self) -> list[str]:
        """The SQL conditions on the column ts_ms."""
        since = [] if self.since_ms is None else [f"ts_ms >= {self.since_ms}"]
        return since if self.until_ms is None else [*since, f"ts_ms < {self.until_ms}"]

    def has_day(self, day: int | None) -> bool:
        """Whether a day's folder must be read; always for None, a file outside of such folders."""
        if day is None:
            return True
        since, until = self.since_ms, self.until_ms
        return (since is None or since // DAY_MS <= day) and (until is None or day * DAY_MS < until)


@dataclass(frozen=True, slots=True)
class File:
    """A file to read; `day`: of its folder, days since 1970; None outside of such folders."""

    store: Store
    path: str
    length_bytes: int
    day: int | None = None

    @property
    def kind(self) -> Literal["lines", "parquet", "avro"]:
        """What it holds."""
        if self.path.endswith(".parquet"):
            return "parquet"
        return "avro" if self.path.endswith(".avro") else "lines"

    @property
    def shown(self) -> str:
        """Its unique name for messages."""
        return f"{self.store.url}/{self.path}"

    @property
    def batch(self) -> BatchName | None:
        """What its name says; None where loadgen did not choose it."""
        return BatchName.parse(self.path.rpartition("/")[2])

    def folder(self) -> str:
        """The folder that it is in; no other one has the same name."""
        return self.shown.rpartition("/")[0]

    def why_not_lines(self) -> str | None:
        """What it is instead of JSON lines, and how to convert it; None if it may be JSON lines or holds rows.

        Files with a name of loadgen's are not opened, because a store may hold many thousands of them.
        """
        return None if is_named_by_loadgen(self.path) else why_not_lines(self.store, self.path)


@dataclass(frozen=True, slots=True)
class Folder:
    """A store, or a part of one, or a folder of loose files; `prefix`: a folder in it; empty for all."""

    store: Store
    prefix: str = ""

    def files(self) -> list[File]:
        """The files to read now, by day. Raises StoreError."""
        listed = list(self.store.files(self.prefix))
        dated = [File(self.store, file.path, file.length_bytes, file.day) for file in published_of(listed)]
        loose = [file for file in listed if day_of(file.path) is None and file.path.endswith(ENDINGS)]
        loose = [file for file in loose if not is_document(self.store, file.path)]
        return [*uncovered((File(self.store, file.path, file.length_bytes) for file in loose), File.folder), *dated]


@dataclass(frozen=True, slots=True)
class FilesBatch:
    """Files that are read together: of a folder, whole days.

    Attributes:
        folder: where they were listed; None for files named by the user.
        others: files of the same days that other batches read, by `shown`.
    """

    files: tuple[File, ...]
    folder: Folder | None = None
    others: frozenset[str] = frozenset()

    @property
    def n_bytes(self) -> int:
        """The length of all files."""
        return sum(file.length_bytes for file in self.files)

    def relisted(self) -> "FilesBatch":
        """The files to read now of the same days, after a compaction."""
        if self.folder is None:
            return self
        days = {file.day for file in self.files}
        found = (file for file in self.folder.files() if file.day in days and file.shown not in self.others)
        return replace(self, files=tuple(found))

    def without(self, refused: Iterable[File]) -> "FilesBatch":
        """The batch without these files, also after it is listed again."""
        names = frozenset(file.shown for file in refused)
        files = tuple(file for file in self.files if file.shown not in names)
        return replace(self, files=files, others=self.others | names)


def batches(names: Iterable[str], interval: Interval) -> list[FilesBatch]:
    """All files to read.

    Args:
        names: stores, folders, files, as a user writes them.
        interval: folders of days outside of it are left out.

    Raises:
        StoreError: a store cannot be listed, or there is no such file or folder.
        UsageError: a name is not a store's.
    """
    seen: set[str] = set()
    found: list[FilesBatch] = []
    named: list[File] = []
    for place in map(_place, names):
        if isinstance(place, File):
            named.append(place)
            continue
        listed = [file for file in place.files() if interval.has_day(file.day)]
        others = frozenset(file.shown for file in listed if file.shown in seen)
        found += _by_days(place, [file for file in listed if file.shown not in others], others)
        seen |= {file.shown for file in listed}
    alone = {file.shown: file for file in uncovered(named, File.folder) if file.shown not in seen}
    return [*found, *([FilesBatch(tuple(alone.values()))] if alone else [])]


def _place(name: str) -> File | Folder:
    store = open_store(name)
    if not isinstance(store, LocalStore):
        return _remote(name)
    path = os.path.realpath(store.url)
    if os.path.isdir(path):
        return _folder(path)
    if not os.path.exists(path):
        step = "make events with loadgen run --duration 1m, or name the store: loadgen analyze STORE"
        raise NotThere(f"there is no store and no file {name!r}; {step}")
    folder, _, file = path.rpartition("/")
    return File(LocalStore(folder or "/"), file, os.path.getsize(path))


def _remote(url: str) -> File | Folder:
    if not url.endswith(ENDINGS):
        return _folder(url.rstrip("/"))
    folder, _, name = url.rpartition("/")
    store = open_store(folder)
    length_bytes = store.length(name)
    if length_bytes is None:
        raise NotThere(f"there is no file {url!r}; look with hdfs dfs -ls {folder}")
    return File(store, name, length_bytes)


def _folder(name: str) -> Folder:
    inside = _IN_STORE.fullmatch(name)
    return Folder(open_store(inside[1]), inside[2]) if inside else Folder(open_store(name))


def _by_days(folder: Folder, files: Sequence[File], others: frozenset[str]) -> Iterator[FilesBatch]:
    """Batches of whole days, of about BATCH_BYTES."""
    together: list[File] = []
    for _, of_day in groupby(files, lambda file: file.day):
        together += of_day
        if sum(file.length_bytes for file in together) >= BATCH_BYTES:
            yield FilesBatch(tuple(together), folder, others)
            together = []
    if together:
        yield FilesBatch(tuple(together), folder, others)

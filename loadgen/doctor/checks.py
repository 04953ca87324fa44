"""Checks with deadlines: of this computer (packages, memory, disk, catalogue, port) and of a store.

In: a check, a deadline; the URL of a store. Out: findings, one line each, with the next step if it is bad. The store is
tested in a folder of the doctor's own, which also takes its events and is removed at the end.
"""

import os
import platform
import posixpath
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from loadgen import __version__
from loadgen.consume.prepare import check_store, new_writer_id
from loadgen.errors import LoadgenError, NotThere, StoreError
from loadgen.files import check_writable
from loadgen.runner.machine import available_bytes, needed_bytes
from loadgen.simulate.catalog import cache_folder
from loadgen.store import open_store
from loadgen.store.local import LocalStore

T = TypeVar("T")

_STEP = re.compile(r"; |: (?=is one listening)")
_threads: list[threading.Thread] = []


class Mark(Enum):
    """How it is; the value is what a person sees."""

    GOOD = "✓"
    BAD = "✗"
    NONE = "–"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found; `next_step`: what to do about it; empty where there is nothing to be done."""

    name: str
    mark: Mark
    said: str
    next_step: str = ""

    def lines(self) -> list[str]:
        """For a person."""
        steps = [line.strip() for line in self.next_step.splitlines()]
        return [
            f"{self.mark.value} {self.said}",
            *(f"    → {step}" if n == 0 else f"      {step}" for n, step in enumerate(steps)),
        ]


def good(name: str, said: str) -> Finding:
    """It works."""
    return Finding(name, Mark.GOOD, said)


def untried(name: str, said: str) -> Finding:
    """It was not asked for, or could not be tried."""
    return Finding(name, Mark.NONE, said)


def bad(name: str, what: str, error: Exception, next_step: str = "") -> Finding:
    """It does not work.

    Args:
        name: of the check.
        what: was looked at.
        error: what went wrong; the next step is in its message, or
        next_step: is this.
    """
    said, *step = _STEP.split(str(error), maxsplit=1)
    return Finding(name, Mark.BAD, f"{what}: {said}", step[0] if step else next_step)


def in_time(work: Callable[[], T], deadline_s: float) -> T:
    """Do it in a thread of its own, and give up on it when it takes longer.

    Raises:
        LoadgenError: it did not end in time; and what the work raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    _threads.append(thread)
    thread.start()
    thread.join(deadline_s)
    if errors:
        raise errors[0]
    if not results:
        raise LoadgenError(f"no answer within {deadline_s:g} s; see whether what should answer hangs")
    return results[0]


def stuck() -> bool:
    """Whether something that was given up still runs."""
    return any(thread.is_alive() for thread in _threads)


PACKAGES = ("confluent-kafka", "pyarrow", "numpy", "duckdb", "hdfs-native")
USERS = 10_000
DISK_BYTES = 1 << 30


def packages() -> Finding:
    """Python and what must be installed with loadgen."""
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    said = f"Python {platform.python_version()}, loadgen {__version__}, {', '.join(found)}"
    if missing:
        return Finding(
            "packages", Mark.BAD, f"{said}; not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}"
        )
    return good("packages", said)


def memory() -> Finding:
    """Whether a pipeline of the default size fits."""
    free, needed = available_bytes(), needed_bytes(USERS, 1)
    said = f"memory: {free / 1e9:.1f} GB available"
    if free < needed:
        step = f"a run of {USERS:,} listeners takes {needed / 1e9:.1f} GB: end something else, or simulate fewer"
        return Finding("memory", Mark.BAD, said, step)
    return good("memory", said)


def disk() -> Finding:
    """Whether this folder can be written and has room."""
    try:
        check_writable(".")
    except LoadgenError as error:
        return bad("disk", "disk", error, "go to a folder that you may write")
    free = shutil.disk_usage(".").free
    said = f"disk: {free / 1e9:.1f} GB free in {Path.cwd()}"
    if free < DISK_BYTES:
        return Finding(
            "disk", Mark.BAD, said, "an hour of 1,000 events/s takes about 1.5 GB: free some, or go elsewhere"
        )
    return good("disk", said)


def catalog() -> Finding:
    """Whether the music catalogue is built, or can be."""
    try:
        folder = cache_folder()
        check_writable(folder)
    except LoadgenError as error:
        return bad("catalog", "catalogue", error, "set LOADGEN_CACHE to a folder that you may write")
    is_built = any(folder.glob("**/*.arrow"))
    said = f"in {folder}" if is_built else f"the first run builds it in a few seconds, in {folder}"
    return good("catalog", f"catalogue: {said}")


def port(number: int) -> Finding:
    """Whether the dashboard can have this port."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
            probe.listen(1)
    except OSError as error:
        step = f"end what listens there (ss -ltnp 'sport = :{number}'), or say --port P to dashboard and pipeline"
        return Finding("port", Mark.BAD, f"port {number} for the dashboard: {error.strerror}", step)
    return good("port", f"port {number} is free for the dashboard")


STORE_S = 9.0
STORE_STEP = "start it, or name another with --store URL"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of a file system, which a store does not care about; each function raises StoreError or OSError.

    Attributes:
        remove_all: removes a folder with all in it, if it is there.
        remove_empty: removes an empty folder.
    """

    is_there: Callable[[str], bool]
    remove_all: Callable[[str], object]
    remove_empty: Callable[[str], object]


def folders_of(url: str) -> Folders:
    """Those of the file system of a store: this computer's, or an HDFS's."""
    store: Any = open_store(url)
    if isinstance(store, LocalStore):
        return Folders(os.path.lexists, _remove_tree, os.rmdir)

    def is_there(path: str) -> bool:
        with suppress(NotThere):
            store.ask(f"look at {path!r}", lambda client: client.get_file_info(path))
            return True
        return False

    def remove(path: str, recursive: bool = False) -> None:
        store.ask(f"remove {path!r}", lambda client: client.delete(path, recursive))

    return Folders(is_there, partial(remove, recursive=True), remove)


def _remove_tree(path: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        shutil.rmtree(path)


class Scratch:
    """A folder inside the store that no reader looks into; `has_answered`: whether the store has taken a file."""

    def __init__(self, url: str, token: str) -> None:
        """Name it; raises UsageError where the URL is none."""
        is_far, self._shown = url.lower().startswith("hdfs:"), open_store(url).url
        is_url = is_far or url.lower().startswith("file:")
        root = unquote(urlsplit(url).path) if is_url else os.path.abspath(os.path.expanduser(url))
        self._root = posixpath.normpath(root)
        self._path = f"{self._root}/_loadgen_doctor_{token}"
        self._folders = folders_of(url)
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

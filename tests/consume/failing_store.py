"""A store in memory whose every step can be watched, made to fail, or be the last one of its process.

In: a `Disk`, shared by all; a `FailingStore` per process, with a function that is called before and after each step and
may raise. Out: what real stores do: atomic renames, listings that are not atomic, files that vanish while written.
"""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from loadgen.errors import AlreadyThere, NotThere
from loadgen.store import Bytes, StoredFile, Writer
from loadgen.store.layout import is_hidden

When = Literal["before", "after"]
Watch = Callable[[When, str, str], None]
"""Called with when, what and which path, around each step; may raise. What raises `after` a step is a lost reply: the
step has happened all the same."""


class Killed(BaseException):
    """The process ends here; nobody may catch it."""


class Clock:
    """A clock that stands still unless told otherwise."""

    def __init__(self, now_s: float = 1_760_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@dataclass(eq=False)
class Entry:
    """A file; two are equal only if they are the same one."""

    modified_s: float
    data: bytes = b""


@dataclass
class Disk:
    """What all processes see."""

    clock: Clock = field(default_factory=Clock)
    entries: dict[str, Entry] = field(default_factory=dict)
    page: int = 2  # entries of a listing that are seen at one moment

    def paths(self, folder: str = "") -> list[str]:
        """All files below a folder, hidden or not."""
        return sorted(path for path in self.entries if path.startswith(folder))


def _nothing(when: When, step: str, path: str) -> None:
    """The watch of a process that has no trouble."""


class FailingStore:
    """One process's way to the disk."""

    def __init__(self, disk: Disk, watch: Watch = _nothing) -> None:
        self.url = "memory"
        self.disk, self.watch = disk, watch

    def create(self, path: str) -> Writer:
        self.watch("before", "create", path)
        entry = self.disk.entries[path] = Entry(self.disk.clock())
        self.watch("after", "create", path)
        return _MemoryWriter(self, path, entry)

    def write(self, path: str, data: Bytes) -> None:
        self.watch("before", "put", path)
        self.disk.entries[path] = Entry(self.disk.clock(), bytes(data))
        self.watch("after", "put", path)

    def rename(self, source: str, target: str) -> None:
        self.watch("before", "rename", target)
        if source not in self.disk.entries:
            raise NotThere(source)
        if target in self.disk.entries:
            raise AlreadyThere(target)
        self.disk.entries[target] = self.disk.entries.pop(source)
        self.watch("after", "rename", target)

    def length(self, path: str) -> int | None:
        self.watch("before", "length", path)
        return len(self.disk.entries[path].data) if path in self.disk.entries else None

    def read(self, path: str) -> bytes:
        self.watch("before", "read", path)
        if path not in self.disk.entries:
            raise NotThere(path)
        return self.disk.entries[path].data

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self.read(path))

    def files(self, folder: str = "", *, hidden: bool = False) -> Iterator[StoredFile]:
        last = ""
        while True:
            self.watch("before", "list", folder)
            page = [path for path in self._below(folder, hidden) if path > last][: self.disk.page]
            if not page:
                return
            found = [(path, self.disk.entries[path]) for path in page]
            yield from (StoredFile(path, len(entry.data), entry.modified_s) for path, entry in found)
            last = page[-1]

    def remove(self, path: str) -> None:
        self.watch("before", "remove", path)
        self.disk.entries.pop(path, None)
        self.watch("after", "remove", path)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _below(self, folder: str, hidden: bool) -> list[str]:
        start = f"{folder}/" if folder else ""
        return [
            path
            for path in self.disk.paths(start)
            if hidden or not any(is_hidden(name) for name in path[len(start) :].split("/"))
        ]


class _MemoryWriter:
    """A file that is being written: its content is there when it is closed."""

    def __init__(self, store: FailingStore, path: str, entry: Entry) -> None:
        self._store, self._path, self._entry = store, path, entry
        self._pieces: list[bytes] = []

    def write(self, data: Bytes) -> None:
        self._store.watch("before", "write", self._path)
        self._pieces.append(bytes(data))
        self._store.watch("after", "write", self._path)

    def close(self) -> None:
        self._store.watch("before", "close", self._path)
        if self._store.disk.entries.get(self._path) is not self._entry:
            raise NotThere(self._path)
        self._entry.data = b"".join(self._pieces)
        self._store.watch("after", "close", self._path)

    def abandon(self) -> None:
        if self._store.disk.entries.get(self._path) is self._entry:
            del self._store.disk.entries[self._path]


class Inline(Executor):
    """Carries out each task at once, in the caller's thread, so that every run takes the same steps."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class Held(Executor):
    """Carries out tasks when told to."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks.append(lambda: fn(*args, **kwargs))
        return Future()

    def run(self) -> None:
        """All tasks, and those that they cause."""
        while self.tasks:
            self.tasks.pop(0)()

"""The events of a store, each once: first all that is there, then what is added.

In: a store that others write to: batch files of `loadgen consume`, and date folders of `loadgen run --folder`. Out:
lines and tables; the state of the store.

**Listing** costs at most a small part of the time, however much is stored. A full listing walks all days. It is due
when 20 times the duration of the last one has passed: every 2 s for some thousand files, every few minutes for some
million. A quick listing in between covers the days of the latest changes and the day after them. It is due every
second, or after 5 times its own duration. A late file for an old day is found by the next full listing.

**Batch files** appear whole and never change; compaction replaces many by one. `ReadSpans` keeps the offsets that were
read, so a merged file adds nothing twice. A merged file holds exactly the messages of the files that it replaces
(`loadgen.consume.compact`), so its size in bytes, or in Parquet and Avro its number of rows, is their sum. Where the
sum is smaller, files were replaced before they were read, and everything is counted from the beginning. That happens
only if the store was not listed for longer than the compactor's grace.

**Other files** grow: they are read on from the last whole line. The file of a restarted worker is cut back and written
on with the same events, so reading goes on where it was; the last bytes that were read show whether they are still
there. If they are not, if a file stays shorter than what was read of it for SHRUNK_S, or if all files were replaced,
everything is counted from the beginning. A removed file stays counted.
"""

import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

from loadgen.analyze.events import read_columns
from loadgen.container import row_tables
from loadgen.dashboard.feed import RESET, Reset, SourceState
from loadgen.dashboard.reading import READABLE, Content, FileReading, Rewritten
from loadgen.errors import NotThere, StoreError, StoreUnreachable
from loadgen.formats import OWN, KnownFormats
from loadgen.store import Store, StoredFile
from loadgen.store.json_lines import why_not_lines
from loadgen.store.layout import BatchName, day_folder, day_of
from loadgen.store.read import is_record

FULL_EVERY_S, FULL_SHARE = 2.0, 20.0
QUICK_EVERY_S, QUICK_SHARE = 1.0, 5.0
N_DAYS = 3
"""The number of most recently changed days that a quick listing covers."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A listing: the files with their days, and whether all days were listed."""

    files: list[tuple[int, StoredFile]]
    is_full: bool


@dataclass(slots=True)
class _Pace:
    """The schedule of one kind of listing."""

    every_s: float
    share: float
    next_s: float = field(default=float("-inf"))

    def took(self, began_s: float, ended_s: float) -> None:
        self.next_s = ended_s + max(self.every_s, self.share * (ended_s - began_s))


class Lister:
    """Lists a store at intervals that depend on what a listing costs."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; the first listing is due at once, and full."""
        self._store, self._clock = store, clock
        self._full, self._quick = _Pace(FULL_EVERY_S, FULL_SHARE), _Pace(QUICK_EVERY_S, QUICK_SHARE)
        self._days: dict[int, None] = {}

    def add_recent_day(self, day: int) -> None:
        """Include this day in quick listings, because something new was found in it."""
        self._days.pop(day, None)
        self._days[day] = None
        while len(self._days) > N_DAYS:
            del self._days[next(iter(self._days))]

    def hurry(self) -> None:
        """Make a full listing due at once."""
        self._full.next_s = float("-inf")

    def listing(self) -> Listed | None:
        """A listing, or None if none is due. After a StoreError the next one is due at the usual time."""
        began_s = self._clock()
        is_full = began_s >= self._full.next_s
        pace = self._full if is_full else self._quick
        if began_s < pace.next_s:
            return None
        try:
            days = {*self._days, *([max(self._days) + 1] if self._days else [])}
            folders = [""] if is_full else map(day_folder, sorted(days))
            files = chain.from_iterable(map(self._store.files, folders))
            found = [(day, file) for file in files if (day := day_of(file.path)) is not None]
        finally:
            for done in (self._full, self._quick) if is_full else (self._quick,):
                done.took(began_s, self._clock())
        return Listed(found, is_full)


NOT_KNOWN = -1


class ReadSpan(NamedTuple):
    """A batch file that was or is being read: its offsets, inclusive, and its size in bytes, or of rows their count.

    The size is NOT_KNOWN until the file was read."""

    first: int
    last: int
    size: int


class ReadSpans:
    """The disjoint spans of offsets that were read of one day, topic and Kafka partition."""

    def __init__(self) -> None:
        self._spans: list[ReadSpan] = []

    def covers(self, batch: BatchName) -> bool:
        """Whether a file that was read contains this one."""
        place = bisect_right(self._spans, batch.first, key=lambda span: span.first)
        return place > 0 and batch.last <= self._spans[place - 1].last

    def inside(self, batch: BatchName) -> list[ReadSpan]:
        """The files that were read and that this one contains."""
        begin = bisect_left(self._spans, batch.first, key=lambda span: span.first)
        end = bisect_right(self._spans, batch.last, key=lambda span: span.first)
        return [span for span in self._spans[begin:end] if span.last <= batch.last]

    def add(self, batch: BatchName, size: int) -> None:
        """Add a file that was or is being read, in place of those that it contains."""
        for span in self.inside(batch):
            self._spans.remove(span)
        insort(self._spans, ReadSpan(batch.first, batch.last, size))

    def drop(self, batch: BatchName) -> None:
        """Remove a file that could not be read."""
        self._spans = [span for span in self._spans if (span.first, span.last) != (batch.first, batch.last)]


SHRUNK_S = 10.0
UNENDED_S = 30.0
"""A last line without a newline counts as whole, if it is JSON, when its file has not changed for this time."""
MUCH_BYTES = 64 << 20
"""Reading more than this in one round is shown as catching up."""
N_DOUBTS = 3
"""The number of full listings that must agree that a merged file holds unread and read messages."""

Key = tuple[int, str, int]
"""Day, topic, Kafka partition."""


@dataclass(frozen=True, slots=True)
class _Batch:
    file: StoredFile
    name: BatchName
    key: Key
    reading: FileReading


class StoredEvents:
    """Reads a store; `unread`: None, because a store has no messages."""

    unread: int | None = None

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic, known: KnownFormats = OWN) -> None:
        """Begin; connects later; known: the formats of the records."""
        self.state = SourceState()
        self._columns = tuple(read_columns(known))
        self.name = store.url
        self._store, self._clock = store, clock
        self._lister = Lister(store, clock)
        self._start_over()

    def contents(self) -> Iterator[Content | Reset]:
        """What is new, if a listing is due; a StoreError is reported by `state`, not raised.

        Yields:
            Whole lines of JSON, each ending in a newline; tables; or RESET, which voids everything before it.
        """
        try:
            listed = self._lister.listing()
            if listed is not None:
                yield from self._round(listed)
        except Rewritten as gone:
            self._start_over()
            self._lister.hurry()
            self.state = SourceState("reading", f"{gone} was replaced: everything is read again", 0.0)
            yield RESET
        except StoreError as error:
            self.state = SourceState("stale" if self._is_any_known else "waiting", str(error))

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    @property
    def _is_any_known(self) -> bool:
        return bool(self._whole or self._growing or self._spans_of)

    def _start_over(self) -> None:
        self._whole: set[str] = set()
        self._started: dict[str, _Batch] = {}
        self._spans_of: dict[Key, ReadSpans] = {}
        self._growing: dict[str, FileReading] = {}
        self._since_s: dict[str, float] = {}
        self._doubts: dict[str, int] = {}
        self._problems: dict[str, str] = {}

    def _round(self, listed: Listed) -> Iterator[Content]:
        files = [(day, file) for day, file in listed.files if file.path.endswith(READABLE)]
        if listed.is_full and not files:
            gone, empty = f"{self.name} is gone, or empty", f"nothing is stored in {self.name} yet"
            self.state = SourceState("stale", gone) if self._is_any_known else SourceState("waiting", empty)
            return
        if files and self._is_any_known and not any(self._is_known(day, file.path) for day, file in files):
            if listed.is_full:
                raise Rewritten(self.name)
            self._lister.hurry()  # to be sure that none of the files that were read is there
            return
        batches, others = self._split(files)
        doubtful: list[_Batch] = []
        todo = [*self._new_batches(batches, doubtful, listed.is_full), *self._grown(others)]
        yield from self._read_all(todo)
        if listed.is_full:
            yield from self._ends_of_lines(others)
            self._whole &= {file.path for _, file in listed.files}  # offsets of removed files stay known
        self._settle(doubtful, listed.is_full)
        if files or self.state.status in ("ok", "reading"):
            self.state = SourceState("ok", self._problem_text())

    def _is_known(self, day: int, path: str) -> bool:
        """Whether any of this file was read."""
        if path in self._whole or path in self._growing or path in self._started:
            return True
        name = BatchName.parse(path.rpartition("/")[2])
        lane = self._spans_of.get((day, *name.origin)) if name else None
        return name is not None and lane is not None and (lane.covers(name) or bool(lane.inside(name)))

    def _split(self, files: list[tuple[int, StoredFile]]) -> tuple[list[_Batch], list[tuple[int, StoredFile]]]:
        """The batch files that were not read to their end, and all other files."""
        batches, others = [], []
        for day, file in files:
            if file.path in self._whole:
                continue
            name = BatchName.parse(file.path.rpartition("/")[2])
            if name is None:
                others.append((day, file))
            elif file.path in self._started:
                batches.append(replace(self._started[file.path], file=file))
            else:
                reading = FileReading(file.path, self._columns)
                batches.append(_Batch(file, name, (day, *name.origin), reading))
        return batches, others

    def _new_batches(
        self, batches: list[_Batch], doubtful: list[_Batch], is_full: bool
    ) -> Iterator[tuple[int, FileReading]]:
        """The batch files to read, with their lengths; a file comes before those that it contains."""
        for batch in sorted(batches, key=_widest_first):
            path, lane = batch.file.path, self._spans_of.setdefault(batch.key, ReadSpans())
            if path in self._started:
                if is_full or path not in self._problems:
                    yield batch.file.length_bytes, batch.reading
            elif lane.covers(batch.name):
                self._whole.add(path)
            elif lane.inside(batch.name):
                doubtful.append(batch)
            else:
                lane.add(batch.name, NOT_KNOWN)
                self._lister.add_recent_day(batch.key[0])
                self._started[path] = batch
                yield batch.file.length_bytes, batch.reading

    def _grown(self, others: list[tuple[int, StoredFile]]) -> Iterator[tuple[int, FileReading]]:
        for day, file in others:
            reading = self._growing.setdefault(file.path, FileReading(file.path, self._columns))
            if file.length_bytes == reading.length_bytes:
                continue
            self._lister.add_recent_day(day)
            if reading.has_rows and reading.length_bytes >= 0:
                raise Rewritten(file.path)
            if not reading.has_rows and file.length_bytes < reading.position:
                if self._clock() - self._since_s.setdefault(file.path, self._clock()) > SHRUNK_S:
                    raise Rewritten(file.path)
                continue
            self._since_s.pop(file.path, None)
            if not self._is_refused(file, reading):
                yield file.length_bytes, reading

    def _is_refused(self, file: StoredFile, reading: FileReading) -> bool:
        """Whether a file, not read yet, holds no JSON lines; it may be replaced later by one that does."""
        why = why_not_lines(self._store, file.path) if reading.position == 0 else None
        if why is None:
            return False
        self._problems[file.path], reading.length_bytes = why, file.length_bytes
        return True

    def _read_all(self, todo: list[tuple[int, FileReading]]) -> Iterator[Content]:
        left = [length if reading.has_rows else length - reading.position for length, reading in todo]
        n_bytes, n_done = sum(left), 0
        is_shown = n_bytes > MUCH_BYTES or self.state.status in ("starting", "reading")
        for (length, reading), n_left in zip(todo, left, strict=True):
            begin = reading.position
            for content in self._read(reading, length):
                if is_shown:
                    moved = 0 if reading.has_rows else reading.position - begin
                    self.state = SourceState("reading", "", min(1.0, (n_done + moved) / max(n_bytes, 1)))
                yield content
            n_done += n_left

    def _read(self, reading: FileReading, length: int) -> Iterator[Content]:
        started = self._started.get(reading.path)
        try:
            yield from reading.contents(self._store)
            if started is not None and (line := reading.last_line(self._store)):
                reading.take(line)
                yield line + b"\n"
        except NotThere:
            if started is not None:
                self._gone(started)
        except StoreUnreachable:
            raise
        except StoreError as error:
            self._problems[reading.path] = str(error)
            reading.length_bytes = length
        else:
            reading.length_bytes = length
            self._problems.pop(reading.path, None)
            if started is not None:
                self._finish(started)

    def _finish(self, batch: _Batch) -> None:
        size = batch.reading.n_rows if batch.reading.has_rows else batch.file.length_bytes
        self._spans_of[batch.key].add(batch.name, size)
        self._whole.add(batch.file.path)
        del self._started[batch.file.path]

    def _gone(self, batch: _Batch) -> None:
        """A batch file was removed between listing and reading, by compaction: its messages come within another one."""
        if batch.reading.position:
            raise Rewritten(batch.file.path)
        del self._started[batch.file.path]
        self._spans_of[batch.key].drop(batch.name)
        self._lister.hurry()

    def _ends_of_lines(self, others: list[tuple[int, StoredFile]]) -> Iterator[bytes]:
        """Last lines without a newline, of files that are no longer written."""
        for _, file in others:
            reading = self._growing[file.path]
            is_left = file.length_bytes == reading.length_bytes and (
                reading.rest or reading.position < file.length_bytes
            )
            if not is_left or reading.has_rows or file.path in self._problems:
                continue
            if self._clock() - self._since_s.setdefault(file.path, self._clock()) > UNENDED_S:
                line = reading.last_line(self._store)
                if is_record(line):
                    reading.take(line)
                    yield line + b"\n"

    def _settle(self, doubtful: Iterable[_Batch], is_full: bool) -> None:
        """Decide on merged files that contain files that were read: all of their messages by now, or some never."""
        for batch in doubtful:
            lane, path = self._spans_of[batch.key], batch.file.path
            size = self._size(batch)
            if sum(span.size for span in lane.inside(batch.name)) == size:
                lane.add(batch.name, size)
                self._whole.add(path)
                self._doubts.pop(path, None)
            elif is_full:
                self._doubts[path] = self._doubts.get(path, 0) + 1
                if self._doubts[path] >= N_DOUBTS:
                    raise Rewritten(path)

    def _size(self, batch: _Batch) -> int:
        """The size in bytes, or of rows their count."""
        if not batch.reading.has_rows:
            return batch.file.length_bytes
        return sum(table.num_rows for table in row_tables(self._store, batch.file))

    def _problem_text(self) -> str:
        if not self._problems:
            return ""
        first = next(iter(self._problems.values()))
        return first if len(self._problems) == 1 else f"{len(self._problems)} files cannot be read; one: {first}"


def _widest_first(batch: _Batch) -> tuple[Key, int, int, int, str]:
    name = batch.name
    return batch.key, name.first, -name.last, -name.stamp_s, name.suffix

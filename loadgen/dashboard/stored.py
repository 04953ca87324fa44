"""The events of a store, each once: all that is there, and then what comes.

In: a store that others write to: batch files of the consumer, and date folders of `loadgen run --folder`. Out: lines
and tables; how things are.

**Batch files** appear whole and never change; compaction puts one in the place of many. What was read is known by
offsets (`spans`), so a merged file brings nothing twice, whenever it is seen. One that holds some files that were read
and others that are gone before they were read cannot be taken apart: then everything is counted anew. That needs a
dashboard that did not list the store for longer than the compactor's grace.

**Other files** grow while they are written: they are read on from the last whole line. Where a worker was restarted,
its file is cut back and written on with the same events, so it is read on from where it was; that what was read is
still there is seen by its last bytes. Where it is not, or a file stays shorter than what was read of it for SHRUNK_S,
or all files were replaced by others, everything is counted anew. A file that is removed stays counted.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import orjson

from loadgen.dashboard.lister import Listed, Lister
from loadgen.dashboard.reading import READABLE, Content, Reading, Rewritten
from loadgen.dashboard.spans import NOT_KNOWN, Lane
from loadgen.dashboard.state import ANEW, Anew, State
from loadgen.errors import NotThere, StoreError, StoreUnreachable
from loadgen.store import Store, StoredFile
from loadgen.store.json_lines import why_not_lines
from loadgen.store.layout import BatchName
from loadgen.store.read import parquet_tables

SHRUNK_S = 10.0
UNENDED_S = 30.0
"""A last line without a newline is taken for whole, if it is JSON, once its file has not changed for so long."""
MUCH_BYTES = 64 << 20
"""Reading more than this at once is shown as catching up."""
N_DOUBTS = 3
"""So many full listings must agree that a merged file cannot be taken apart."""

Key = tuple[int, str, int]
"""Day, source, partition."""


@dataclass(frozen=True, slots=True)
class _Batch:
    file: StoredFile
    name: BatchName
    key: Key


@dataclass(frozen=True, slots=True)
class _Started:
    batch: _Batch
    reading: Reading


class StoredEvents:
    """Reads a store.

    Attributes:
        state: how things are.
        name: the store, as a person would write it.
        unread: None, as a store has no messages.
    """

    unread: int | None = None

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is asked of the store yet."""
        self.state = State()
        self.name = store.url
        self._store, self._clock = store, clock
        self._lister = Lister(store, clock)
        self._forget()

    def contents(self) -> Iterator[Content | Anew]:
        """What is new, if it is time to look; never raises StoreError, but says so in `state`.

        Yields:
            Whole lines of JSON, each ending in a newline; tables; or ANEW: what came before is to be forgotten.
        """
        try:
            listed = self._lister.listing()
            if listed is not None:
                yield from self._round(listed)
        except Rewritten as gone:
            self._forget()
            self._lister.hurry()
            self.state = State("reading", f"{gone} was replaced: everything is read anew", 0.0)
            yield ANEW
        except StoreError as error:
            self.state = State("stale" if self._is_any_known else "waiting", str(error))

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    @property
    def _is_any_known(self) -> bool:
        return bool(self._whole or self._growing or self._lanes)

    def _forget(self) -> None:
        self._whole: set[str] = set()
        self._started: dict[str, _Started] = {}
        self._lanes: dict[Key, Lane] = {}
        self._growing: dict[str, Reading] = {}
        self._since_s: dict[str, float] = {}
        self._doubts: dict[str, int] = {}
        self._trouble: dict[str, str] = {}

    def _round(self, listed: Listed) -> Iterator[Content]:
        files = [(day, file) for day, file in listed.files if file.path.endswith(READABLE)]
        if listed.is_full and not files:
            self.state = self._empty()
            return
        if files and self._is_any_known and not any(self._is_known(day, file.path) for day, file in files):
            self._other_store(listed)
            return
        batches, others = _sorted_out(files, self._whole)
        doubtful: list[_Batch] = []
        todo = [*self._new_batches(batches, doubtful, listed.is_full), *self._grown(others)]
        yield from self._read_all(todo)
        if listed.is_full:
            yield from self._ends_of_lines(others)
            self._prune(listed)
        self._settle(doubtful, listed.is_full)
        if files or self.state.status in ("ok", "reading"):
            self.state = State("ok", self._troubles())

    def _is_known(self, day: int, path: str) -> bool:
        """Whether something of this file was read."""
        if path in self._whole or path in self._growing or path in self._started:
            return True
        name = BatchName.parse(path.rpartition("/")[2])
        lane = self._lanes.get((day, *name.lane)) if name else None
        return name is not None and lane is not None and (lane.covers(name) or bool(lane.inside(name)))

    def _other_store(self, listed: Listed) -> None:
        """There are files, but none of those that were read: look everywhere, then raise Rewritten."""
        if listed.is_full:
            raise Rewritten(self.name)
        self._lister.hurry()

    def _empty(self) -> State:
        if self._is_any_known:
            return State("stale", f"{self.name} is gone, or empty")
        return State("waiting", f"nothing is stored in {self.name} yet")

    def _new_batches(
        self, batches: list[_Batch], doubtful: list[_Batch], is_full: bool
    ) -> Iterator[tuple[int, Reading]]:
        """What is to be read, with the files' lengths; the wider come before those inside them."""
        for batch in sorted(batches, key=_widest_first):
            path, lane = batch.file.path, self._lanes.setdefault(batch.key, Lane())
            if path in self._started:
                if is_full or path not in self._trouble:
                    yield batch.file.length_bytes, self._started[path].reading
            elif lane.covers(batch.name):
                self._whole.add(path)
            elif lane.inside(batch.name):
                doubtful.append(batch)
            else:
                lane.add(batch.name, NOT_KNOWN)
                self._lister.news(batch.key[0])
                self._started[path] = _Started(batch, Reading(path))
                yield batch.file.length_bytes, self._started[path].reading

    def _grown(self, others: list[tuple[int, StoredFile]]) -> Iterator[tuple[int, Reading]]:
        for day, file in others:
            reading = self._growing.setdefault(file.path, Reading(file.path))
            if file.length_bytes == reading.length_bytes:
                continue
            self._lister.news(day)
            if reading.is_parquet and reading.length_bytes >= 0:
                raise Rewritten(file.path)
            if not reading.is_parquet and file.length_bytes < reading.position:
                self._wait_for(file.path)
                continue
            self._since_s.pop(file.path, None)
            if not self._is_refused(file, reading):
                yield file.length_bytes, reading

    def _is_refused(self, file: StoredFile, reading: Reading) -> bool:
        """Whether nothing was read of a file yet, and it is no JSON lines; it may still be replaced by such lines."""
        why = why_not_lines(self._store, file.path) if reading.position == 0 else None
        if why is None:
            return False
        self._trouble[file.path], reading.length_bytes = why, file.length_bytes
        return True

    def _wait_for(self, path: str) -> None:
        """A file is shorter than what was read of it: raise Rewritten if it stays so."""
        if self._clock() - self._since_s.setdefault(path, self._clock()) > SHRUNK_S:
            raise Rewritten(path)

    def _read_all(self, todo: list[tuple[int, Reading]]) -> Iterator[Content]:
        left = [length if reading.is_parquet else length - reading.position for length, reading in todo]
        n_bytes, n_done = sum(left), 0
        is_shown = n_bytes > MUCH_BYTES or self.state.status in ("starting", "reading")
        for (length, reading), n_left in zip(todo, left, strict=True):
            begin = reading.position
            for content in self._read(reading, length):
                if is_shown:
                    moved = 0 if reading.is_parquet else reading.position - begin
                    self.state = State("reading", "", min(1.0, (n_done + moved) / max(n_bytes, 1)))
                yield content
            n_done += n_left

    def _read(self, reading: Reading, length: int) -> Iterator[Content]:
        """All that is whole of a file."""
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
            self._trouble[reading.path] = str(error)
            reading.length_bytes = length
        else:
            reading.length_bytes = length
            self._trouble.pop(reading.path, None)
            if started is not None:
                self._finish(started)

    def _finish(self, started: _Started) -> None:
        """A batch file was read to its end."""
        batch, reading = started.batch, started.reading
        size = reading.n_rows if reading.is_parquet else batch.file.length_bytes
        self._lanes[batch.key].add(batch.name, size)
        self._whole.add(reading.path)
        del self._started[reading.path]

    def _gone(self, started: _Started) -> None:
        """A batch file was removed between listing and reading: merged, so that it comes back within another one."""
        batch, reading = started.batch, started.reading
        if reading.position:
            raise Rewritten(reading.path)
        del self._started[reading.path]
        self._lanes[batch.key].drop(batch.name)
        self._lister.hurry()

    def _ends_of_lines(self, others: list[tuple[int, StoredFile]]) -> Iterator[bytes]:
        """Last lines without a newline, of files that nobody writes any more."""
        for _, file in others:
            reading = self._growing[file.path]
            is_left = file.length_bytes == reading.length_bytes and (
                reading.rest or reading.position < file.length_bytes
            )
            if not is_left or reading.is_parquet or file.path in self._trouble:
                continue
            if self._clock() - self._since_s.setdefault(file.path, self._clock()) > UNENDED_S:
                line = reading.last_line(self._store)
                if _is_json(line):
                    reading.take(line)
                    yield line + b"\n"

    def _settle(self, doubtful: Iterable[_Batch], is_full: bool) -> None:
        """Merged files of which parts were read: by now all of them, or they are gone."""
        for batch in doubtful:
            lane, path = self._lanes[batch.key], batch.file.path
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
        """In bytes; of Parquet in rows."""
        if batch.name.suffix != "parquet":
            return batch.file.length_bytes
        return sum(table.num_rows for table in parquet_tables(self._store, batch.file))

    def _prune(self, listed: Listed) -> None:
        """Forget the names of files that are gone: their offsets are known."""
        self._whole &= {file.path for _, file in listed.files}

    def _troubles(self) -> str:
        if not self._trouble:
            return ""
        first = next(iter(self._trouble.values()))
        return first if len(self._trouble) == 1 else f"{len(self._trouble)} files cannot be read; one: {first}"


def _sorted_out(
    files: list[tuple[int, StoredFile]], whole: set[str]
) -> tuple[list[_Batch], list[tuple[int, StoredFile]]]:
    """Batch files that were not read to their end, and all other files."""
    batches, others = [], []
    for day, file in files:
        if file.path in whole:
            continue
        name = BatchName.parse(file.path.rpartition("/")[2])
        if name is None:
            others.append((day, file))
        else:
            batches.append(_Batch(file, name, (day, *name.lane)))
    return batches, others


def _widest_first(batch: _Batch) -> tuple[Key, int, int, int, str]:
    name = batch.name
    return batch.key, name.first, -name.last, -name.stamp_s, name.suffix


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False

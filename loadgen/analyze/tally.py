"""Reads every event once, and keeps what all figures can be made of: how often each combination was seen.

In: batches of files. Out: four small tables in DuckDB, which `figures` asks: visits, tracks, kinds, minutes.
One query per batch reads the records and counts four kinds of combinations at the same time (GROUPING SETS).
What is costly to work out, such as a country from a location, is left until after: there are far fewer combinations
than events. Memory is bounded; combinations that do not fit go to a folder for the time being.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import psutil

from loadgen.analyze import events
from loadgen.analyze.files import File, FilesBatch, Interval, Remotes
from loadgen.errors import LoadgenError, StoreError
from loadgen.store.read import kept_texts

MEMORY_BYTES = 512 << 20
MOST_THREADS = 8
"""Each thread holds a buffer of twice the longest line."""
ATTEMPTS = 5
"""How often a batch is begun anew because its files were compacted meanwhile."""

FACTS = {
    "ts_ms": events.ROW["ts_ms"],
    "listener": events.ROW["listener"],
    "session": events.ROW["session"],
    "artist": "artist",
    "title": events.ROW["title"],
    "tier": "artist_tier",
    "genre": "genre",
    "length_s": "coalesce(length, duration)",
    "page": "page",
    "action": "action",
    "platform": "platform",
    "country": "country",
    "location": "CASE WHEN country IS NULL THEN location END",
    "is_play": events.IS_PLAY,
}
"""What is worked out for each record, in words that Spark knows too."""

COMBINATIONS = {
    "visits": ("listener", "session"),
    "tracks": ("artist", "title", "tier", "genre", "length_s"),
    "kinds": ("page", "action", "platform", "country", "location"),
    "minutes": ("minute",),
}
COUNTS = {
    "events": "count(ts_ms)",
    "plays": "count(CASE WHEN is_play THEN ts_ms END)",
    "first_ms": "min(ts_ms)",
    "last_ms": "max(ts_ms)",
    "n_rows": "count(*)",
}
"""What is kept of each combination; n_rows has those records in it that are no events."""
ADDED_UP = {
    "events": "sum(events)",
    "plays": "sum(plays)",
    "first_ms": "min(first_ms)",
    "last_ms": "max(last_ms)",
    "n_rows": "sum(n_rows)",
}


def grouping(facts: str, interval: Interval) -> str:
    """The SQL that counts all combinations at once.

    Args:
        facts: a source with the columns of FACTS and `minute`.
        interval: what other events there are is not counted.
    """
    keys = [key for some in COMBINATIONS.values() for key in some]
    kind = " + ".join(f"{1 << place} * grouping({some[0]})" for place, some in enumerate(COMBINATIONS.values()))
    counts = ", ".join(f"{sql} AS {name}" for name, sql in COUNTS.items())
    sets = ", ".join(f"({', '.join(some)})" for some in COMBINATIONS.values())
    limits = interval.limits()
    where = f"WHERE ts_ms IS NULL OR ({' AND '.join(limits)}) " if limits else ""
    return (
        f"SELECT {', '.join(keys)}, {kind} AS kind, {counts} "
        f"FROM {facts} AS facts {where}GROUP BY GROUPING SETS ({sets})"
    )


def kind_of(name: str) -> int:
    """What `kind` says in the rows of this table: a bit for each key that its combinations do not have."""
    return (1 << len(COMBINATIONS)) - 1 - (1 << list(COMBINATIONS).index(name))


def table_of(name: str, source: str, *, n_parts: int) -> str:
    """The SQL that makes one of the tables of what `grouping` gave, which is added up where it has several parts."""
    keys = ", ".join(COMBINATIONS[name])
    events_only = "" if name == "minutes" else " AND events > 0"
    of_kind = f"FROM {source} WHERE kind = {kind_of(name)}{events_only}"
    if n_parts < 2:
        return f"SELECT {keys}, {', '.join(COUNTS)} {of_kind}"
    counts = ", ".join(f"{sql} AS {count}" for count, sql in ADDED_UP.items())
    return f"SELECT {keys}, {counts} {of_kind} GROUP BY {keys}"


@dataclass(slots=True)
class EventReading:
    """How far the reading is; another thread looks at it.

    Attributes:
        n_bytes: of all files.
        done_bytes: of the batches that have been read.
        batch_bytes: of the batch that is being read.
        n_files: how many files were read.
        failed: file → why it could not be read.
    """

    n_bytes: int = 0
    done_bytes: int = 0
    batch_bytes: int = 0
    n_files: int = 0
    failed: dict[str, str] = field(default_factory=dict)


class CombinationCounts:
    """Counts combinations, batch by batch.

    Attributes:
        reading: how far it is.
        connection: the database.
        interval: which events count.
        fields: what is read of a record, see `events.FIELDS`.
    """

    fields: ClassVar[Mapping[str, str]] = events.FIELDS

    def __init__(self, interval: Interval, spill: Path | None) -> None:
        """Begin.

        Args:
            interval: which events count.
            spill: an empty folder for what memory cannot hold; None where all must fit.
        """
        self.reading = EventReading()
        self.interval = interval
        self.connection = events.connect(MEMORY_BYTES, spill)
        self.connection.execute(f"SET threads = {min(MOST_THREADS, len(os.sched_getaffinity(0)))}")
        self.connection.execute("SET preserve_insertion_order = false")
        self._remotes = Remotes(self.connection)
        self._thread = ThreadPoolExecutor(1, "query")
        self._n_parts = 0
        self._process = psutil.Process()
        self._before = 0
        self.prepare()
        nothing = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in self.fields.items())
        self.connection.execute(f"CREATE TEMP TABLE parts AS {self.kept(f'(SELECT {nothing} LIMIT 0)')}")

    def prepare(self) -> None:
        """Make what `kept` needs beside the records: nothing here."""

    def share(self) -> float:
        """How much has been read, 0..1, by the files' lengths; may be asked by another thread."""
        reading = self.reading
        in_batch = min(reading.batch_bytes, self._n_read() - self._before)
        return min(1.0, (reading.done_bytes + in_batch) / max(1, reading.n_bytes))

    def read(self, batches: Sequence[FilesBatch]) -> None:
        """Count what is in these batches; what cannot be read is in `reading.failed`.

        Raises:
            StoreError: a store does not answer.
            LoadgenError: there is not enough room.
        """
        self.reading.n_bytes = sum(batch.n_bytes for batch in batches)
        for batch in batches:
            self._before, self.reading.batch_bytes = self._n_read(), batch.n_bytes
            self._read_batch(self._lines_of(batch), ATTEMPTS)
            self.reading.done_bytes, self.reading.batch_bytes = self.reading.done_bytes + batch.n_bytes, 0

    def finish(self) -> None:
        """Make the tables that can be asked."""
        kind = "TABLE" if self._n_parts > 1 else "VIEW"
        for name in COMBINATIONS:
            sql = table_of(name, "parts", n_parts=self._n_parts)
            self.connection.execute(f"CREATE TEMP {kind} {name} AS {sql}")

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """The rows that answer it."""
        return self.connection.execute(question).fetchall()

    def close(self) -> None:
        """Let go of memory and files."""
        self._thread.shutdown()
        self.connection.close()

    def _n_read(self) -> int:
        """Bytes that were read so far, as far as the system counts: DuckDB says nothing where it counts many things."""
        counted = getattr(self._process, "io_counters", None)  # macOS has none
        return self._remotes.n_bytes + (counted().read_chars if counted else 0)

    def _lines_of(self, batch: FilesBatch) -> FilesBatch:
        """The batch without the files that hold no lines, such as JSON arrays: DuckDB would see no event in them."""
        found = {file: why for file in batch.files if (why := file.why_not_lines()) is not None}
        self.reading.failed.update({file.shown: why for file, why in found.items()})
        return batch.without(found) if found else batch

    def _read_batch(self, batch: FilesBatch, n_attempts: int) -> None:
        """All files at once; if that fails, what compaction has made of them; if nothing, one by one."""
        try:
            self._count(batch.files)
        except duckdb.Error as error:
            _raise_if_no_room(error)
            now = batch.again()
            if n_attempts > 1 and {file.shown for file in now.files} != {file.shown for file in batch.files}:
                self._read_batch(now, n_attempts - 1)
            else:
                self._count_each(batch.files, error)

    def _count_each(self, files: Sequence[File], error: duckdb.Error) -> None:
        """Half of them, and the other half, down to those that cannot be read."""
        if len(files) == 1:
            self.reading.failed[files[0].shown] = str(error).splitlines()[0]
            return
        middle = len(files) // 2
        for half in (files[:middle], files[middle:]):
            try:
                self._count(half)
            except duckdb.Error as of_half:
                _raise_if_no_room(of_half)
                self._count_each(half, of_half)

    def _count(self, files: Sequence[File]) -> None:
        """All of these, or, where duckdb.Error is raised, none."""
        if not files:
            return
        n_sources = 0
        self.connection.begin()
        try:
            for source in self._sources(files):
                self._run(f"INSERT INTO parts {self.kept(source)}")
                n_sources += 1
            self.connection.commit()
        except BaseException:
            with suppress(duckdb.Error):
                self.connection.rollback()
            raise
        self.reading.n_files += len(files)
        self._n_parts += n_sources

    def _run(self, sql: str) -> None:
        """In another thread: Ctrl-C reaches this one, and DuckDB would go on to the end of the query."""
        work = self._thread.submit(self.connection.execute, sql)
        try:
            work.result()
        except KeyboardInterrupt:
            self.connection.interrupt()
            wait([work])
            raise

    def _sources(self, files: Sequence[File]) -> Iterator[str]:
        """The SQL of these files' records, lines and rows apart; each is to be read before the next is asked for."""
        lines = [self._remotes.path(file.store, file.path) for file in files if not file.is_parquet]
        of_rows = [file for file in files if file.is_parquet]
        if lines:
            yield events.from_json(lines, self.fields)
        if of_rows:
            yield from self._of_rows(of_rows)

    def _of_rows(self, files: Sequence[File]) -> Iterator[str]:
        """The SQL of Parquet files: their rows, and a few megabytes at a time of the records that they keep as text."""
        paths = [self._remotes.path(file.store, file.path) for file in files]
        groups = self.ask(events.groups_with_texts(paths))
        have_texts = {name for name, _ in groups}
        for is_kind in (False, True):
            of_kind = [
                path
                for path, file in zip(paths, files, strict=True)
                if (self._remotes.name(file.store, file.path) in have_texts) is is_kind
            ]
            if of_kind:
                table = events.parquet(of_kind)
                present = [row[0] for row in self.ask(f"DESCRIBE SELECT * FROM {table}")]
                yield events.from_table(table, present, self.fields, beside_texts=is_kind)
        yield from self._kept_texts(files, groups)

    def _kept_texts(self, files: Sequence[File], groups: Sequence[tuple[str, int]]) -> Iterator[str]:
        """The SQL of records that Parquet keeps as text: a few megabytes of lines at a time."""
        by_name = {self._remotes.name(file.store, file.path): file for file in files}
        for name, rows in groupby(groups, itemgetter(0)):
            file = by_name[name]
            try:
                for lines in kept_texts(file.store, file.path, [number for _, number in rows], events.RECORD_BYTES):
                    with events.as_file(self.connection, lines) as path:
                        yield events.from_json([path], self.fields)
            except StoreError as error:
                raise duckdb.IOException(str(error)) from error

    def kept(self, source: str) -> str:
        """The SQL of what is kept of the records of a source."""
        facts = ", ".join(f"{sql} AS {name}" for name, sql in FACTS.items())
        return grouping(f"(SELECT *, ts_ms // 60000 AS minute FROM (SELECT {facts} FROM {source}))", self.interval)


def _raise_if_no_room(error: duckdb.Error) -> None:
    """What has nothing to do with the files: too little memory and disk."""
    if isinstance(error, duckdb.OutOfMemoryException):
        step = "free some, or name a larger disk (--out, or TMPDIR); or look at less at a time with --since and --until"
        raise LoadgenError(f"there is too little room for what does not fit into memory: {error}; {step}") from error

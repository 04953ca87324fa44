"""Reads every event once, and counts the combinations from which all metrics are computed.

In: batches of files. Out: four small tables in DuckDB for `figures`: visits, tracks, kinds, minutes. One query per
batch counts the four kinds of combinations at once (GROUPING SETS). Costly steps, such as the country of a location,
come later, because there are far fewer combinations than events. Memory is bounded; the rest spills to a folder.
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
import pyarrow as pa

from loadgen.analyze import events
from loadgen.analyze.remotes import Remotes
from loadgen.container import container_tables
from loadgen.errors import LoadgenError, StoreError
from loadgen.formats import OWN, KnownFormats
from loadgen.store.event_files import File, FilesBatch, Interval
from loadgen.store.read import kept_texts, lines_of_texts
from loadgen.store.table import RAW

MEMORY_BYTES = 512 << 20
MOST_THREADS = 8
"""Each thread holds a buffer of twice the longest line."""
AVRO_ROWS = 200_000
"""So many rows of Avro files are counted at once: a query has its price, and the rows are in memory."""
ATTEMPTS = 5
"""How often a batch is tried, because its files may be compacted meanwhile."""

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
"""Column → SQL for each record, in SQL that Spark has, too."""

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
"""The counts of each combination; n_rows includes records that are not events."""
ADDED_UP = {
    "events": "sum(events)",
    "plays": "sum(plays)",
    "first_ms": "min(first_ms)",
    "last_ms": "max(last_ms)",
    "n_rows": "sum(n_rows)",
}


def grouping(facts: str, interval: Interval) -> str:
    """The SQL that counts all combinations at once; `facts`: a source with the columns of FACTS and `minute`."""
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
    """The `kind` of the rows of this table: a bit for each key that its combinations lack."""
    return (1 << len(COMBINATIONS)) - 1 - (1 << list(COMBINATIONS).index(name))


def table_of(name: str, source: str, *, n_parts: int) -> str:
    """The SQL of one of the tables from the result of `grouping`, summed if it has several parts."""
    keys = ", ".join(COMBINATIONS[name])
    events_only = "" if name == "minutes" else " AND events > 0"
    of_kind = f"FROM {source} WHERE kind = {kind_of(name)}{events_only}"
    if n_parts < 2:
        return f"SELECT {keys}, {', '.join(COUNTS)} {of_kind}"
    counts = ", ".join(f"{sql} AS {count}" for count, sql in ADDED_UP.items())
    return f"SELECT {keys}, {counts} {of_kind} GROUP BY {keys}"


@dataclass(slots=True)
class EventReading:
    """The progress of the reading, which another thread reads.

    Attributes:
        n_bytes: all files.
        done_bytes: the batches that were read.
        batch_bytes: the current batch.
        n_files: files that were read.
        failed: file → the reason why it could not be read.
    """

    n_bytes: int = 0
    done_bytes: int = 0
    batch_bytes: int = 0
    n_files: int = 0
    failed: dict[str, str] = field(default_factory=dict)


class CombinationCounts:
    """Counts combinations, batch by batch; `fields`: the fields read of a record, see `events.FIELDS`."""

    fields: ClassVar[Mapping[str, str]] = events.FIELDS

    def __init__(self, interval: Interval, spill: Path | None, known: KnownFormats = OWN) -> None:
        """Begin; `spill`: an empty folder for what does not fit into memory; None if all must fit."""
        self.known = known
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
        """Create further tables that `kept` needs; here none."""

    def share(self) -> float:
        """The share of the bytes that was read, 0..1; may be called by another thread."""
        reading = self.reading
        in_batch = min(reading.batch_bytes, self._n_read() - self._before)
        return min(1.0, (reading.done_bytes + in_batch) / max(1, reading.n_bytes))

    def read(self, batches: Sequence[FilesBatch]) -> None:
        """Count these batches; files that cannot be read are in `reading.failed`.

        Raises:
            StoreError: a store does not answer.
            LoadgenError: there is not enough memory and disk.
        """
        self.reading.n_bytes = sum(batch.n_bytes for batch in batches)
        for batch in batches:
            self._before, self.reading.batch_bytes = self._n_read(), batch.n_bytes
            # DuckDB would find no event in files that are not lines, such as JSON arrays
            others = {file: why for file in batch.files if (why := file.why_not_lines()) is not None}
            self.reading.failed.update({file.shown: why for file, why in others.items()})
            self._read_batch(batch.without(others) if others else batch, ATTEMPTS)
            self.reading.done_bytes, self.reading.batch_bytes = self.reading.done_bytes + batch.n_bytes, 0

    def finish(self) -> None:
        """Create the tables for `ask`."""
        kind = "TABLE" if self._n_parts > 1 else "VIEW"
        for name in COMBINATIONS:
            sql = table_of(name, "parts", n_parts=self._n_parts)
            self.connection.execute(f"CREATE TEMP {kind} {name} AS {sql}")

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """The rows of an SQL query."""
        return self.connection.execute(question).fetchall()

    def close(self) -> None:
        """Close the database."""
        self._thread.shutdown()
        self.connection.close()

    def _n_read(self) -> int:
        """Bytes read so far, as counted by the system, because DuckDB does not report the progress of GROUPING SETS."""
        counted = getattr(self._process, "io_counters", None)  # macOS has none
        return self._remotes.n_bytes + (counted().read_chars if counted else 0)

    def _read_batch(self, batch: FilesBatch, n_attempts: int) -> None:
        """Count all files at once; if that fails, their compacted successors; without such, find the broken files."""
        try:
            self._count(batch.files)
        except duckdb.Error as error:
            _raise_if_no_room(error)
            now = batch.relisted()
            if n_attempts > 1 and {file.shown for file in now.files} != {file.shown for file in batch.files}:
                self._read_batch(now, n_attempts - 1)
            else:
                self._count_each(batch.files, error)

    def _count_each(self, files: Sequence[File], error: duckdb.Error) -> None:
        """Count halves of the files, down to the single files that cannot be read."""
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
        """Count these files, or none if duckdb.Error is raised."""
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
        """Run a query in another thread, so that Ctrl-C can interrupt it before its end."""
        work = self._thread.submit(self.connection.execute, sql)
        try:
            work.result()
        except KeyboardInterrupt:
            self.connection.interrupt()
            wait([work])
            raise

    def _sources(self, files: Sequence[File]) -> Iterator[str]:
        """The SQL of these files' records, lines and rows apart; each must be read before the next is requested."""
        lines = [self._remotes.path(file.store, file.path) for file in files if file.kind == "lines"]
        parquet = [file for file in files if file.kind == "parquet"]
        if lines:
            yield events.from_json(lines, self.fields, self.known)
        if parquet:
            yield from self._of_parquet(parquet)
        yield from self._of_avro([file for file in files if file.kind == "avro"])

    def _of_parquet(self, files: Sequence[File]) -> Iterator[str]:
        """The SQL of Parquet files: their rows, then the records that they keep as text."""
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
                yield events.from_table(table, present, self.fields, self.known, beside_texts=is_kind)
        yield from self._kept_texts(files, groups)

    def _kept_texts(self, files: Sequence[File], groups: Sequence[tuple[str, int]]) -> Iterator[str]:
        """The SQL of records that Parquet keeps as text: a few megabytes of lines at a time."""
        by_name = {self._remotes.name(file.store, file.path): file for file in files}
        for name, rows in groupby(groups, itemgetter(0)):
            file = by_name[name]
            try:
                for lines in kept_texts(file.store, file.path, [number for _, number in rows], events.RECORD_BYTES):
                    with events.as_file(self.connection, lines) as path:
                        yield events.from_json([path], self.fields, self.known)
            except StoreError as error:
                raise duckdb.IOException(str(error)) from error

    def _of_avro(self, files: Sequence[File]) -> Iterator[str]:
        """The SQL of Avro container files: some rows of many files at a time."""
        held: list[pa.Table] = []
        try:
            for table in (table for file in files for table, _ in container_tables(file.store, file.path)):
                if held and (held[0].schema != table.schema or sum(map(len, held)) + len(table) > AVRO_ROWS):
                    yield from self._of_table(pa.concat_tables(held))
                    held = []
                held.append(table)
        except StoreError as error:
            raise duckdb.IOException(str(error)) from error
        if held:
            yield from self._of_table(pa.concat_tables(held))

    def _of_table(self, table: pa.Table) -> Iterator[str]:
        """The SQL of rows in memory, then of the records that they keep as text."""
        has_texts = RAW in table.column_names and table[RAW].null_count < len(table)
        rows = table.filter(table[RAW].is_null()) if has_texts else table
        self.connection.register("of_avro", rows)
        try:
            yield events.from_table("of_avro", rows.column_names, self.fields, self.known)
        finally:
            self.connection.unregister("of_avro")
        texts = table[RAW].drop_null().cast(pa.binary()) if has_texts else ()
        for lines in lines_of_texts((text.as_py() for text in texts), events.RECORD_BYTES):
            with events.as_file(self.connection, lines) as path:
                yield events.from_json([path], self.fields, self.known)

    def kept(self, source: str) -> str:
        """The SQL that counts the records of a source."""
        facts = ", ".join(f"{sql} AS {name}" for name, sql in FACTS.items())
        return grouping(f"(SELECT *, ts_ms // 60000 AS minute FROM (SELECT {facts} FROM {source}))", self.interval)


def _raise_if_no_room(error: duckdb.Error) -> None:
    """Raise an error if memory and disk are full, which is not the fault of a file."""
    if isinstance(error, duckdb.OutOfMemoryException):
        raise no_room(error, "free some, or name a larger disk (--out, or TMPDIR)") from error


def no_room(error: duckdb.Error, step: str) -> LoadgenError:
    """The error to show if memory and disk are full."""
    said = f"there is too little room for what does not fit into memory: {error}"
    return LoadgenError(f"{said}; {step}; or look at less at a time with --since and --until")

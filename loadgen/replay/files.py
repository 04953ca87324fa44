"""Files of recorded events as parts, each read piece by piece in its own order.

In: files, folders and stores, as a user names them. Out: parts to merge. What a compacted file of a store replaces, and
hidden files, are left out as by all readers of a store (store/event_files.py). A file is opened when its turn comes: in
a store not before the day that its folder has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.container import container_tables
from loadgen.errors import NotThere, StoreError, UsageError
from loadgen.event import DAY_MS
from loadgen.replay.merge import Part
from loadgen.replay.records import FieldReader, Records
from loadgen.store import StoredFile
from loadgen.store.event_files import File, Interval, batches
from loadgen.store.read import damaged, read_lines

PIECE_BYTES = 1 << 20
PEEK_BYTES = 1 << 16
ROWS = 8192
"""Of a table, at a time."""


@dataclass
class Files:
    """The files of a source.

    Attributes:
        names: as the user wrote them.
        since_ms: days before this moment are left out; None: none is.
    """

    names: tuple[str, ...]
    since_ms: int | None

    def __getstate__(self) -> dict[str, Any]:
        """What a worker needs to list them once more: connections of stores cannot be pickled."""
        return {"names": self.names, "since_ms": self.since_ms}

    @property
    def said(self) -> str:
        """How much it is, after its name."""
        n_bytes = sum(file.length_bytes for file in self.found)
        return f" ({len(self.found):,} file{'s' if len(self.found) > 1 else ''}, {n_bytes / 1e6:,.1f} MB)"

    def parts(self, reader: FieldReader) -> list[Part]:
        """The parts of one pass through all of them."""
        return [FilePart(file, reader) for file in self.found]

    @cached_property
    def found(self) -> list[File]:
        """The files.

        Raises:
            StoreError: there are none, or they cannot be listed.
            UsageError: one is of another kind.
        """
        shown = ", ".join(self.names)
        try:
            found = [file for batch in batches(self.names, Interval(self.since_ms)) for file in batch.files]
        except NotThere as error:
            step = "name files, a folder or store, or a topic as kafka://HOST:PORT/TOPIC"
            raise NotThere(f"{str(error).partition(';')[0]}; {step}") from error
        if not found:
            step = "name the files themselves, or look what is there"
            raise NotThere(f"there are no files of events in {shown}; {step}")
        if not sum(file.length_bytes for file in found):
            raise StoreError(f"{shown} has no events: its files are empty; name another source")
        problems = [problem for problem in (file.why_not_lines() for file in found) if problem]
        if problems:
            raise UsageError("\n".join(problems[:5]))
        return found


@dataclass(slots=True)
class FilePart:
    """A file: a `Part`."""

    file: File
    reader: FieldReader
    _pieces: Iterator[Records] | None = None
    _first_us: int | None = field(default=None)

    @property
    def name(self) -> str:
        """Of the file."""
        return self.file.shown

    @property
    def from_us(self) -> int:
        """No event of it is earlier, as far as is known without opening it."""
        return self._first_us if self._first_us is not None else (self.file.day or 0) * DAY_MS * 1000

    @property
    def is_known(self) -> bool:
        """Whether `from_us` is the time of its first event."""
        return self._first_us is not None

    def look(self) -> None:
        """Read the time of its first event; where it has none in its first piece, it is read when it is its turn."""
        counts = self.reader.counts
        try:
            self.reader.counts = counts.copy()  # what is read now is read again
            pieces = self._read(PEEK_BYTES)
            times = next((piece.time_us for piece in pieces if len(piece)), None)
        finally:
            self.reader.counts = counts
        self._first_us = self.from_us if times is None else max(int(times[0]), 0)

    def next(self) -> Records | None:
        """The next events; None at the end. Raises StoreError."""
        self._pieces = self._pieces or self._read(PIECE_BYTES)
        return next(self._pieces, None)

    def _read(self, piece_bytes: int) -> Iterator[Records]:
        if self.file.kind == "lines":
            return self._of_lines(piece_bytes)
        return self._of_rows()

    def _of_lines(self, piece_bytes: int) -> Iterator[Records]:
        number = 1
        stored = StoredFile(self.file.path, self.file.length_bytes, 0.0)
        for data in read_lines(self.file.store, stored, piece_bytes, self._cut_off):
            yield self.reader.lines(data, self.name, number)
            number += data.count(b"\n")

    def _cut_off(self) -> None:
        self.reader.counts.read += 1
        self.reader.counts.broken += 1
        self.reader.counts.name(f"{self.name}: cut off at its end")

    def _of_rows(self) -> Iterator[Records]:
        number = 1
        for table in self._tables():
            for start in range(0, len(table), ROWS):
                rows = table.slice(start, ROWS)
                yield self.reader.rows(rows, self.name, number)
                number += len(rows)

    def _tables(self) -> Iterator[pa.Table]:
        store, path = self.file.store, self.file.path
        if self.file.kind == "avro":
            yield from (table for table, _ in container_tables(store, path))
            return
        with store.open(path) as opened:
            try:
                for batch in pq.ParquetFile(opened).iter_batches(ROWS):
                    yield pa.Table.from_batches([batch])
            except (OSError, pa.ArrowException) as error:
                raise damaged(store, path, error) from error

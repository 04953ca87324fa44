"""Reading one file of a store, as far as it is whole, and later from there on.

In: a store, a file, how far it was read. Out: whole lines of JSON, or tables of Parquet; each of them once, also where
reading was interrupted. Position and content move together: what was given is never given again.

Three kinds of file, by name: lines, which may grow; members or frames of compressed lines, which may grow by whole
ones; Parquet, which is whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.analyze.events import FIELDS, RECORD_BYTES
from loadgen.dashboard.pieces import whole_pieces
from loadgen.errors import StoreError
from loadgen.files import Compression, compression_of
from loadgen.store import Store
from loadgen.store.read import damaged

CHUNK_BYTES = 8 << 20
COMPRESSED_BYTES = 2 << 20
MOST_PIECE_BYTES = 64 << 20
TABLE_ROWS = 50_000
TAIL_BYTES = 256
"""So much of what was read last is looked at again before reading on: a file that was cut back may be rewritten."""
READABLE = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst", ".parquet")
TOO_LONG = b"?"
"""Stands for the begin of a line of more than RECORD_BYTES, which is no event."""

Content: TypeAlias = bytes | pa.Table


class Rewritten(Exception):
    """What was read of a file is not in it any more."""


@dataclass(slots=True)
class Reading:
    """How far a file was read.

    Attributes:
        path: of the file.
        position: bytes (of Parquet: row groups) that were given, or are in `rest`.
        rest: the begin of a line whose end is in the next piece of a compressed file.
        tail: the last bytes before `position`, as they are in the file.
        length_bytes: of the file, when it was read as far as it was whole; -1 before.
        n_rows: of Parquet, given.
    """

    path: str
    position: int = 0
    rest: bytes = b""
    tail: bytes = b""
    length_bytes: int = -1
    n_rows: int = 0

    @property
    def is_parquet(self) -> bool:
        """Whether `position` counts row groups."""
        return self.path.endswith(".parquet")

    def contents(self, store: Store) -> Iterator[Content]:
        """What is whole and was not given yet.

        Yields:
            Whole lines, each ending in a newline; or tables with some of the columns of `loadgen.store.table`.

        Raises:
            Rewritten: what was given has changed since.
            StoreError: the store does not answer, the file is gone, or damaged; later calls go on from there.
        """
        try:
            with store.open(self.path) as opened:
                yield from self._contents(store, opened)
        except OSError as error:
            raise damaged(store, self.path, error) from error

    def last_line(self, store: Store) -> bytes:
        """What follows the last newline: the begin of a line, or a whole one that lacks its newline.

        Raises:
            StoreError: as `contents`.
        """
        if self.is_parquet or compression_of(self.path):
            return self.rest
        with store.open(self.path) as opened:
            opened.seek(self.position)
            return opened.read(RECORD_BYTES)

    def take(self, line: bytes) -> None:
        """The last line counts as given."""
        if self.rest:
            self.rest = b""
        else:
            self._move(len(line), line)

    def _contents(self, store: Store, opened: BinaryIO) -> Iterator[Content]:
        if self.is_parquet:
            yield from self._tables(store, opened)
            return
        self._check_tail(opened)
        how = compression_of(self.path)
        yield from self._pieces(opened, how) if how else self._lines(opened)

    def _check_tail(self, opened: BinaryIO) -> None:
        opened.seek(self.position - len(self.tail))
        if opened.read(len(self.tail)) != self.tail:
            raise Rewritten(self.path)

    def _lines(self, opened: BinaryIO) -> Iterator[bytes]:
        held: list[bytes] = []
        n_held = 0
        while data := opened.read(CHUNK_BYTES):
            end = data.rfind(b"\n") + 1
            if not end:
                held = [*held, data] if n_held < RECORD_BYTES else [TOO_LONG]
                n_held += len(data)
                continue
            self._move(n_held + end, data[:end])
            yield b"".join((*held, data[:end]))
            held, n_held = [data[end:]], len(data) - end

    def _pieces(self, opened: BinaryIO, how: Compression) -> Iterator[bytes]:
        buffer = b""
        while data := opened.read(COMPRESSED_BYTES):
            buffer += data
            n_bytes, content = whole_pieces(buffer, how)
            if len(buffer) - n_bytes > MOST_PIECE_BYTES:
                raise StoreError(f"{self.path} must be compressed in pieces of at most 64 MB; compress it anew")
            if n_bytes:
                content = self.rest + content
                end = content.rfind(b"\n") + 1
                self._move(n_bytes, buffer[:n_bytes])
                self.rest, buffer = content[end:], buffer[n_bytes:]
                if end:
                    yield content[:end]

    def _tables(self, store: Store, opened: BinaryIO) -> Iterator[pa.Table]:
        try:
            parquet = pq.ParquetFile(opened)
            names = [name for name in (*FIELDS, "raw") if name in parquet.schema_arrow.names]
            while self.position < parquet.num_row_groups:
                table = parquet.read_row_group(self.position, columns=names)
                self.position += 1
                self.n_rows += table.num_rows
                yield from (table.slice(first, TABLE_ROWS) for first in range(0, table.num_rows, TABLE_ROWS))
        except pa.ArrowException as error:
            raise damaged(store, self.path, error) from error

    def _move(self, n_bytes: int, last: bytes) -> None:
        self.position += n_bytes
        self.tail = (self.tail + last[-TAIL_BYTES:])[-TAIL_BYTES:]

"""Reading one file of a store as far as it is whole, and going on from there later.

In: a store, a file, how far it was read. Out: whole lines of JSON, or tables of Parquet or Avro, each once, also after
an interruption: `FileReading` moves its position together with what it returns.

There are three kinds of files, by name: lines, which may grow; compressed lines, which may grow by whole gzip members
or zstd frames; Parquet and Avro, which are whole.
"""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.analyze.events import FIELDS, RECORD_BYTES
from loadgen.container import container_tables
from loadgen.errors import StoreError
from loadgen.files import Compression, compression_of, decompressed
from loadgen.store import Store
from loadgen.store.layout import OF_ROWS
from loadgen.store.read import damaged

_GZIP = 31
"""zlib's number of the gzip format."""
_ZSTD_MAGIC = 0xFD2FB528
_SKIPPABLE = 0x184D2A50
_RLE = 1


def whole_pieces(data: bytes, how: Compression) -> tuple[int, bytes]:
    """The length of the whole members or frames at the start of the data, and their content.

    Raises:
        StoreError: the data are not compressed that way, or damaged.
    """
    try:
        return _gzip(data) if how == "gz" else _zstd(data)
    except (zlib.error, OSError) as error:
        raise StoreError(f"what should be compressed ({how}) is not, or is damaged: {error}") from error


def _gzip(data: bytes) -> tuple[int, bytes]:
    n_bytes, found = 0, []
    while n_bytes < len(data):
        member = zlib.decompressobj(_GZIP)
        content = member.decompress(data[n_bytes:])
        if not member.eof:
            break
        n_bytes = len(data) - len(member.unused_data)
        found.append(content)
    return n_bytes, b"".join(found)


def _zstd(data: bytes) -> tuple[int, bytes]:
    n_bytes = 0
    while (end := _frame_end(data, n_bytes)) is not None:
        n_bytes = end
    if n_bytes == 0:
        return 0, b""
    return n_bytes, bytes(decompressed(io.BytesIO(data[:n_bytes]), "zst").read())


def _frame_end(data: bytes, start: int) -> int | None:
    """The end of the frame that starts here (RFC 8878, 3.1); None if the data end first."""
    magic = int.from_bytes(data[start : start + 4], "little")
    if len(data) < start + 9:  # no frame is shorter
        return None
    if magic & ~0xF == _SKIPPABLE:
        end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        return end if end <= len(data) else None
    if magic != _ZSTD_MAGIC:
        raise OSError(f"a frame of zstd does not begin with {data[start : start + 4].hex()}")
    return _blocks_end(data, start)


def _blocks_end(data: bytes, start: int) -> int | None:
    descriptor = data[start + 4]
    is_single, has_checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    content_size = (is_single, 2, 4, 8)[descriptor >> 6]
    at = start + 5 + (1 - is_single) + (0, 1, 2, 4)[descriptor & 3] + content_size
    is_last = False
    while not is_last:
        if at + 3 > len(data):
            return None
        header = int.from_bytes(data[at : at + 3], "little")
        is_last = bool(header & 1)
        at += 3 + (1 if header >> 1 & 3 == _RLE else header >> 3)
    at += 4 * has_checksum
    return at if at <= len(data) else None


CHUNK_BYTES = 8 << 20
COMPRESSED_BYTES = 2 << 20
MOST_PIECE_BYTES = 64 << 20
TABLE_ROWS = 50_000
TAIL_BYTES = 256
"""The number of bytes read last that are compared before reading on, to notice a rewritten file."""
READABLE = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst", *OF_ROWS)
TOO_LONG = b"?"
"""Replaces the start of a line of more than RECORD_BYTES, which is not an event."""

Content: TypeAlias = bytes | pa.Table


class Rewritten(Exception):
    """A file no longer holds what was read of it."""


@dataclass(slots=True)
class FileReading:
    """How far a file was read.

    Attributes:
        columns: those of rows that are read, besides `raw`.
        position: bytes (of Parquet: row groups) that were returned, or are in `rest`.
        rest: the start of a line that ends in the next member or frame of a compressed file.
        tail: the last bytes before `position`, as they are in the file.
        length_bytes: the file's length when it was last read to its end; -1 before.
    """

    path: str
    columns: tuple[str, ...] = tuple(FIELDS)
    position: int = 0
    rest: bytes = b""
    tail: bytes = b""
    length_bytes: int = -1
    n_rows: int = 0

    @property
    def has_rows(self) -> bool:
        """Whether it is whole and holds rows, not lines."""
        return self.path.endswith(OF_ROWS)

    def contents(self, store: Store) -> Iterator[Content]:
        """What is whole and was not returned yet.

        Yields:
            Whole lines, each ending in a newline; or tables with some of the columns of `loadgen.store.table`.

        Raises:
            Rewritten: what was returned has changed since.
            StoreError: the store does not answer, the file is gone, or damaged; later calls go on from there.
        """
        try:
            with store.open(self.path) as opened:
                yield from self._contents(store, opened)
        except OSError as error:
            raise damaged(store, self.path, error) from error

    def last_line(self, store: Store) -> bytes:
        """What follows the last newline: the start of a line, or a whole line without a newline.

        Raises:
            StoreError: as `contents`.
        """
        if self.has_rows or compression_of(self.path):
            return self.rest
        with store.open(self.path) as opened:
            opened.seek(self.position)
            return opened.read(RECORD_BYTES)

    def take(self, line: bytes) -> None:
        """Count the last line as returned."""
        if self.rest:
            self.rest = b""
        else:
            self._move(len(line), line)

    def _contents(self, store: Store, opened: BinaryIO) -> Iterator[Content]:
        if self.has_rows:
            of_kind = self._row_groups(store, opened) if self.path.endswith(".parquet") else self._blocks(store)
            for table in of_kind:
                self.n_rows += table.num_rows
                names = [name for name in (*self.columns, "raw") if name in table.column_names]
                table = table.select(names)
                yield from (table.slice(first, TABLE_ROWS) for first in range(0, table.num_rows, TABLE_ROWS))
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
                raise StoreError(f"{self.path} must be compressed in pieces of at most 64 MB; compress it again")
            if n_bytes:
                content = self.rest + content
                end = content.rfind(b"\n") + 1
                self._move(n_bytes, buffer[:n_bytes])
                self.rest, buffer = content[end:], buffer[n_bytes:]
                if end:
                    yield content[:end]

    def _blocks(self, store: Store) -> Iterator[pa.Table]:
        for table, end in container_tables(store, self.path, self.position):
            self.position = end
            yield table

    def _row_groups(self, store: Store, opened: BinaryIO) -> Iterator[pa.Table]:
        try:
            parquet = pq.ParquetFile(opened)
            names = [name for name in (*self.columns, "raw") if name in parquet.schema_arrow.names]
            while self.position < parquet.num_row_groups:
                table = parquet.read_row_group(self.position, columns=names)
                self.position += 1
                yield table
        except pa.ArrowException as error:
            raise damaged(store, self.path, error) from error

    def _move(self, n_bytes: int, last: bytes) -> None:
        self.position += n_bytes
        self.tail = (self.tail + last[-TAIL_BYTES:])[-TAIL_BYTES:]

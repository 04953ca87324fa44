"""Reads published files piece by piece, so that memory does not grow with the file.

In: a store and a file in it. Out: whole lines of JSON, or tables of Parquet's row groups. A store that can only read
ranges of bytes gives a buffered binary file with seek by `open_ranges`.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.errors import StoreError
from loadgen.files import compression_of, decompressed, reason
from loadgen.store import Store, StoredFile
from loadgen.store.layout import PublishedFile
from loadgen.store.table import RAW

BUFFER_BYTES = 1 << 20
"""So much is fetched at least: each fetch costs a round trip."""
CHUNK_BYTES = 8 << 20
"""So much is fetched at a time where everything is wanted."""


def open_ranges(length_bytes: int, fetch: Callable[[int, int], bytes]) -> BinaryIO:
    """The file.

    Args:
        length_bytes: of the whole.
        fetch: gets (start, number of bytes), both inside the whole, and gives just these.
    """
    return io.BufferedReader(_Ranges(length_bytes, fetch), BUFFER_BYTES)


class _Ranges(io.RawIOBase):
    """Fetches what is read, when it is read."""

    def __init__(self, length_bytes: int, fetch: Callable[[int, int], bytes]) -> None:
        self._length_bytes, self._fetch, self._position = length_bytes, fetch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length_bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"a position in a file is 0 or more, got {start + offset}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self._next(CHUNK_BYTES), b""))

    def _next(self, n_bytes: int) -> bytes:
        n_bytes = min(n_bytes, self._length_bytes - self._position)
        data = self._fetch(self._position, n_bytes) if n_bytes > 0 else b""
        self._position += len(data)
        return data


def read_lines(
    store: Store,
    file: StoredFile | PublishedFile,
    chunk_bytes: int = CHUNK_BYTES,
    cut_off: Callable[[], None] | None = None,
) -> Iterator[bytes]:
    """The lines of a .jsonl, .jsonl.gz or .jsonl.zst file, many at a time.

    Args:
        file: which one; its name says how it is compressed.
        chunk_bytes: about so much comes at a time, more where one line is longer.
        cut_off: for files whose writer may have been killed: called where the end is cut off in mid-line or in
            mid-piece; the part of a line that is there is then left out.

    Yields:
        Whole lines; each chunk ends in a newline, also where the file does not.

    Raises:
        StoreError: it cannot be read, or what is compressed is damaged or, without `cut_off`, cut off.
    """
    rest: list[bytes] = []
    with store.open(file.path) as opened:
        for piece in _pieces(store, file.path, opened, chunk_bytes, cut_off):
            end = piece.rfind(b"\n") + 1
            if end:
                yield b"".join((*rest, piece[:end]))
                rest = []
            rest.append(piece[end:])
    last = b"".join(rest)
    if last and cut_off is not None and not is_record(last):
        cut_off()
    elif last:
        yield last + b"\n"


def parquet_tables(store: Store, file: StoredFile | PublishedFile) -> Iterator[Any]:
    """The row groups of a Parquet file.

    Yields:
        pyarrow tables, one per row group.

    Raises:
        StoreError: it cannot be read, or is damaged.
    """
    with store.open(file.path) as opened:
        try:
            parquet = pq.ParquetFile(opened)
            for row_group in range(parquet.num_row_groups):
                yield parquet.read_row_group(row_group)
        except (OSError, pa.ArrowInvalid) as error:
            raise damaged(store, file.path, error) from error


def kept_texts(store: Store, path: str, row_groups: Sequence[int], most_bytes: int) -> Iterator[bytes]:
    """The records that a Parquet file keeps as text (column `raw`), as lines, about CHUNK_BYTES at a time.

    Args:
        row_groups: those that have such records.
        most_bytes: of a record; a longer one is no event, and a line that is no JSON stands for it.

    Raises:
        StoreError: it cannot be read, or is damaged.
    """
    with store.open(path) as opened:
        try:
            parquet = pq.ParquetFile(opened, buffer_size=BUFFER_BYTES)
            for row_group in row_groups:
                n_rows = _rows_at_once(parquet.metadata.row_group(row_group))
                for batch in parquet.iter_batches(n_rows, [row_group], [RAW]):
                    texts = batch.column(0).drop_null().cast(pa.binary()).to_pylist()
                    yield from lines_of_texts(texts, most_bytes)
        except (OSError, pa.ArrowException) as error:
            raise damaged(store, path, error) from error


def lines_of_texts(texts: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """Records as lines, about CHUNK_BYTES at a time; for one of more than `most_bytes` a line that is no JSON."""
    held: list[bytes] = []
    n_held = 0
    for text in texts:
        held.append(text.replace(b"\n", b" ") if len(text) <= most_bytes else b"?")
        n_held += len(held[-1])
        if n_held >= CHUNK_BYTES:
            yield b"\n".join(held) + b"\n"
            held, n_held = [], 0
    if held:
        yield b"\n".join(held) + b"\n"


def _rows_at_once(row_group: Any) -> int:
    """As many rows as come to about CHUNK_BYTES of text."""
    columns = (row_group.column(number) for number in range(row_group.num_columns))
    n_bytes = next(column.total_uncompressed_size for column in columns if column.path_in_schema == RAW)
    rows: int = CHUNK_BYTES * row_group.num_rows // max(n_bytes, 1)
    return min(max(rows, 1), 50_000)


def damaged(store: Store, path: str, error: Exception) -> StoreError:
    """The error to show where a file cannot be understood."""
    why = reason(error, "") if isinstance(error, OSError) else str(error)
    return StoreError(f"cannot read {path!r} in {store.url}: {why.strip('; ')}; is it damaged, or not whole?")


def is_record(line: bytes) -> bool:
    """Whether a line is JSON."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _pieces(
    store: Store, path: str, opened: BinaryIO, chunk_bytes: int, cut_off: Callable[[], None] | None
) -> Iterator[bytes]:
    compression = compression_of(path)
    stream = decompressed(opened, compression) if compression else opened
    try:
        while piece := stream.read(chunk_bytes):
            yield piece
    except OSError as error:
        if compression is None or cut_off is None:
            raise damaged(store, path, error) from error
        cut_off()

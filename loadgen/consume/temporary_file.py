"""Temporary files of partition writers, written in the background, in order: their policy, budget and encoders.

In: lines, from the consumer's thread, which never waits for the store. Out: a closed file, or the error that it met.
Lines are written as they are, in compressed frames, as row groups of Parquet or as blocks of Avro; piece by piece, so
that memory does not grow with the file.

Each file is written by one task of the shared pool at a time and no task waits for another one, so the pool cannot
stand still however few threads it has; different files are written and closed at the same time.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from secrets import token_bytes
from threading import Lock
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.container import SYNC_BYTES, blocks, header
from loadgen.errors import StoreError
from loadgen.files import Bytes, Compression, compressed
from loadgen.formats import OWN, KnownFormats
from loadgen.store import Store, Writer
from loadgen.store.layout import Suffix
from loadgen.store.table import record_schema, table_of

MIB = 1 << 20
FileFormat = Literal["jsonl", "parquet", "avro"]


@dataclass(frozen=True, slots=True)
class RollingPolicy:
    """When a batch ends, and what its files are like.

    Attributes:
        batch_size: records in a batch, dead letters included, and so the most events in a file.
        max_bytes: a batch ends when one of its files has grown to this, as stored; one record batch more may be in it.
        interval_s: a batch is published when it is this old; 0 is realtime: as soon as nothing else is being published.
        max_open_files: a batch ends when it has events of this many days.
        compress: "none", "gz" or "zst"; in Parquet and Avro, the codec of columns and blocks.
        file_format: "jsonl", "parquet" or "avro".
        known: the records that have columns in Parquet and Avro.
    """

    batch_size: int
    max_bytes: int
    interval_s: float
    max_open_files: int = 64
    compress: Literal["none", "gz", "zst"] = "none"
    file_format: FileFormat = "jsonl"
    known: KnownFormats = OWN

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.max_bytes < 1 or self.max_open_files < 1 or self.interval_s < 0:
            raise ValueError(f"a rolling policy's bounds are at least 1, its interval at least 0, got {self}")

    @property
    def codec(self) -> Compression | None:
        """How files are compressed."""
        return None if self.compress == "none" else self.compress

    @property
    def piece_bytes(self) -> int:
        """What is gathered of a file before it is written: a frame, or a row group, which needs more to be worth it."""
        return 4 * MIB if self.file_format == "parquet" else MIB

    @property
    def suffix(self) -> Suffix:
        """How the names of files end."""
        if self.file_format != "jsonl":
            return self.file_format
        return "jsonl" if self.compress == "none" else f"jsonl.{self.compress}"  # type: ignore[return-value]


class Budget:
    """Bytes that all partition writers of a process hold in memory, on their way to temporary files.

    Attributes:
        max_bytes: above it, writers write out what they have gathered, and are full.
        held_bytes: now.
    """

    def __init__(self, max_bytes: int = 64 * MIB) -> None:
        """Nothing is held yet."""
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._lock = Lock()

    def hold(self, n_bytes: int) -> None:
        """Count bytes; a negative number where they are let go."""
        with self._lock:
            self.held_bytes += n_bytes

    @property
    def is_spent(self) -> bool:
        """Whether more is held than ought to be."""
        return self.held_bytes > self.max_bytes


_PARQUET_CODECS: dict[Compression | None, str] = {None: "none", "gz": "gzip", "zst": "zstd"}


class FileEncoder(Protocol):
    """Writes lines to a file."""

    @property
    def n_bytes(self) -> int:
        """What has been written to the file so far."""

    def write(self, piece: bytes) -> None:
        """Append whole lines, each ending in a newline."""

    def close(self) -> None:
        """End the file."""

    def abandon(self) -> None:
        """Give the file up; never raises."""


def encoder_of(writer: Writer, rolling: RollingPolicy, *, plain: bool) -> FileEncoder:
    """The encoder that the policy asks for; `plain` is for lines that are never compressed."""
    if plain:
        return LineEncoder(writer, None)
    if rolling.file_format == "parquet":
        return ParquetEncoder(writer, rolling.codec, rolling.known)
    if rolling.file_format == "avro":
        return AvroEncoder(writer, rolling.codec, rolling.known)
    return LineEncoder(writer, rolling.codec)


class LineEncoder:
    """Lines as they are, or each piece as a gzip member or zstd frame."""

    def __init__(self, writer: Writer, codec: Compression | None) -> None:
        """Begin a file."""
        self._writer, self._codec = writer, codec
        self.n_bytes = 0

    def write(self, piece: bytes) -> None:
        """Append whole lines."""
        data: Bytes = compressed(piece, self._codec) if self._codec else piece
        self._writer.write(data)
        self.n_bytes += len(data)

    def close(self) -> None:
        """End the file."""
        self._writer.close()

    def abandon(self) -> None:
        """Give the file up."""
        self._writer.abandon()


class ParquetEncoder:
    """Each piece a row group, with the columns of `loadgen.store.table`."""

    def __init__(
        self, writer: Writer, codec: Compression | None, known: KnownFormats = OWN, schema: pa.Schema | None = None
    ) -> None:
        """Begin a file.

        Args:
            writer: of the file.
            codec: of the columns.
            known: the records that have columns.
            schema: of the tables that are written; None for that of the records.
        """
        self._writer, self._known = writer, known
        self._target = _Target(writer)
        self._parquet: Any = pq.ParquetWriter(
            pa.PythonFile(self._target, "w"), schema or record_schema(known), compression=_PARQUET_CODECS[codec]
        )

    @property
    def n_bytes(self) -> int:
        """What has been written to the file so far."""
        return self._target.n_bytes

    def write(self, piece: bytes) -> None:
        """Append whole lines."""
        self.write_table(table_of(piece.split(b"\n")[:-1], self._known))

    def write_table(self, table: pa.Table) -> None:
        """Append rows of the schema."""
        self._parquet.write_table(table)

    def close(self) -> None:
        """Write the footer and end the file."""
        self._parquet.close()
        self._writer.close()

    def abandon(self) -> None:
        """Give the file up: nothing more reaches it, not even a footer."""
        self._target.writer = None
        with suppress(Exception):  # it may be in the middle of what failed
            self._parquet.close()
        self._writer.abandon()


class AvroEncoder:
    """Each piece some blocks of a container file, with the columns of `loadgen.store.table`."""

    def __init__(
        self, writer: Writer, codec: Compression | None, known: KnownFormats = OWN, schema: pa.Schema | None = None
    ) -> None:
        """Begin a file, see `ParquetEncoder`; codec: of the blocks."""
        self._writer, self._codec, self._known = writer, codec, known
        self._sync = token_bytes(SYNC_BYTES)
        self.n_bytes = 0
        self._append(header(schema or record_schema(known), codec, self._sync))

    def write(self, piece: bytes) -> None:
        """Append whole lines."""
        self.write_table(table_of(piece.split(b"\n")[:-1], self._known))

    def write_table(self, table: pa.Table) -> None:
        """Append rows of the schema."""
        self._append(b"".join(blocks(table, self._codec, self._sync)))

    def close(self) -> None:
        """End the file."""
        self._writer.close()

    def abandon(self) -> None:
        """Give the file up."""
        self._writer.abandon()

    def _append(self, data: bytes) -> None:
        self._writer.write(data)
        self.n_bytes += len(data)


class _Target:
    """What Arrow writes to: counts, and knows where it is."""

    closed = False

    def __init__(self, writer: Writer) -> None:
        self.writer: Writer | None = writer
        self.n_bytes = 0

    def write(self, data: Bytes) -> int:
        if self.writer is not None:
            self.writer.write(memoryview(data))
        self.n_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.n_bytes

    def flush(self) -> None:
        """Pieces are not kept back here."""

    def close(self) -> None:
        """The file is closed by its encoder."""


CHUNK_EVENTS = 2048
"""Events that are joined at a time: what is joined once more into a piece is in the processor's cache then."""


class _Order(Enum):
    """What else than lines is to be done with a file."""

    CLOSE = 0
    DROP = 1


class _TaskQueue:
    """Carries out items one at a time, in order, in a shared pool.

    Attributes:
        n_bytes: of the pieces that are not carried out yet.
    """

    def __init__(self, pool: Executor, carry_out: Callable[[bytes | _Order], None]) -> None:
        self.n_bytes = 0
        self._pool, self._carry_out = pool, carry_out
        self._items: deque[bytes | _Order] = deque()
        self._is_running = False
        self._lock = Lock()

    def put(self, item: bytes | _Order) -> None:
        """Append an item; never waits."""
        with self._lock:
            self._items.append(item)
            self.n_bytes += len(item) if isinstance(item, bytes) else 0
            if self._is_running:
                return
            self._is_running = True
        self._pool.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._items:
                    self._is_running = False
                    return
                item = self._items.popleft()
            self._carry_out(item)
            with self._lock:
                self.n_bytes -= len(item) if isinstance(item, bytes) else 0


class TemporaryFile:
    """A temporary file.

    Attributes:
        path: where it is.
        n_events: lines added.
        first, last: their offsets.
        closed: done when the file is closed (the result is its length in bytes) or has failed.
    """

    def __init__(
        self, store: Store, path: str, rolling: RollingPolicy, pool: Executor, budget: Budget, *, is_dead: bool = False
    ) -> None:
        """Nothing is made in the store before there is a piece to write; dead letters are lines that people read."""
        self.path = path
        self.n_events = 0
        self.first = self.last = -1
        self.closed: Future[int] = Future()
        self._store, self._rolling, self._budget = store, rolling, budget
        self._is_dead = is_dead
        self._encoder: FileEncoder | None = None
        self._chunks: list[bytes] = []
        self._gathered_bytes = 0
        self._queue = _TaskQueue(pool, self._do)
        self._dropped = False

    @property
    def size_bytes(self) -> int:
        """About how long the file is: what is not written yet counts uncompressed."""
        return self._gathered_bytes + self._queue.n_bytes + (self._encoder.n_bytes if self._encoder else 0)

    def add(self, values: list[bytes], first: int, last: int) -> None:
        """Append lines (without newlines) of these offsets."""
        for start in range(0, len(values), CHUNK_EVENTS):
            self._gather(b"\n".join(values[start : start + CHUNK_EVENTS]))
        self.n_events += len(values)
        self.first = first if self.first < 0 else self.first
        self.last = last

    def write_out(self) -> None:
        """Send what is gathered on its way."""
        if self._chunks:
            self._chunks.append(b"")
            piece = b"\n".join(self._chunks)
            self._chunks, self._gathered_bytes = [], 0
            self._queue.put(piece)

    def close(self) -> None:
        """Write what is left and close the file, in the background; see `closed`."""
        self.write_out()
        self._queue.put(_Order.CLOSE)

    def drop(self) -> None:
        """Give the file up and remove it, in the background. Not for files that a commit record may name."""
        self._dropped = True
        self._budget.hold(-self._gathered_bytes)
        self._chunks, self._gathered_bytes = [], 0
        self._queue.put(_Order.DROP)

    def _gather(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._gathered_bytes += len(chunk) + 1
        self._budget.hold(len(chunk) + 1)
        if self._gathered_bytes >= self._rolling.piece_bytes:
            self.write_out()

    def _do(self, item: bytes | _Order) -> None:
        try:
            if item is _Order.DROP:
                self._give_up(StoreError(f"{self.path} was given up"))
            elif not self.closed.done() and not self._dropped:
                self._carry_out(item)
        except Exception as error:  # of any kind: the partition writer raises it in the consumer's thread
            self._give_up(error)
        finally:
            if isinstance(item, bytes):
                self._budget.hold(-len(item))

    def _carry_out(self, item: bytes | _Order) -> None:
        if self._encoder is None:
            writer = self._store.create(self.path)
            self._encoder = encoder_of(writer, self._rolling, plain=self._is_dead)
        if isinstance(item, bytes):
            self._encoder.write(item)
        else:
            self._encoder.close()
            self.closed.set_result(self._encoder.n_bytes)

    def _give_up(self, error: Exception) -> None:
        if not self.closed.done():
            self.closed.set_exception(error)
            if self._encoder is not None:
                self._encoder.abandon()
        if self._encoder is not None:
            with suppress(StoreError):
                self._store.remove(self.path)

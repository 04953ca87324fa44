"""How lines become the bytes of a file: as they are, in compressed frames, or as row groups of Parquet.

In: pieces of whole lines. Out: bytes to a `Writer`, piece by piece, so that memory does not grow with the file.
"""

from contextlib import suppress
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.compression import Compression, compressed
from loadgen.consume.rotation import Rotation
from loadgen.disk import Bytes
from loadgen.store import Writer
from loadgen.store.table import SCHEMA, table_of

_PARQUET_CODECS: dict[Compression | None, str] = {None: "none", "gz": "gzip", "zst": "zstd"}


class Encoder(Protocol):
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


def encoder_of(writer: Writer, rotation: Rotation, *, plain: bool) -> Encoder:
    """What the rotation asks for; `plain` is for lines that are never compressed."""
    if plain:
        return LineEncoder(writer, None)
    if rotation.file_format == "parquet":
        return ParquetEncoder(writer, rotation.codec)
    return LineEncoder(writer, rotation.codec)


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

    def __init__(self, writer: Writer, codec: Compression | None) -> None:
        """Begin a file."""
        self._writer = writer
        self._target = _Target(writer)
        self._parquet: Any = pq.ParquetWriter(
            pa.PythonFile(self._target, "w"), SCHEMA, compression=_PARQUET_CODECS[codec]
        )

    @property
    def n_bytes(self) -> int:
        """What has been written to the file so far."""
        return self._target.n_bytes

    def write(self, piece: bytes) -> None:
        """Append whole lines."""
        self.write_table(table_of(piece.split(b"\n")[:-1]))

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

"""Many batch files into one: which of them, under which name, and how.

In: files of one day, source and partition. Out: runs of neighbours that may be merged, and their content in one file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.compression import Compression
from loadgen.consume.encoders import Encoder, LineEncoder, ParquetEncoder
from loadgen.errors import StoreError
from loadgen.store import Store, StoredFile
from loadgen.store.layout import BatchName, is_covered
from loadgen.store.read import damaged, parquet_tables

CHUNK_BYTES = 1 << 20
ROW_GROUP_BYTES = 16 << 20
_CODECS: dict[str, Compression | None] = {"GZIP": "gz", "ZSTD": "zst"}


@dataclass(frozen=True, slots=True)
class BatchFile:
    """A batch file of the store, and what its name says."""

    file: StoredFile
    batch: BatchName


def visible(files: list[BatchFile]) -> list[BatchFile]:
    """Those that readers read, by offset."""
    batches = [file.batch for file in files]
    seen = (file for file in files if not is_covered(file.batch, batches))
    return sorted(seen, key=lambda file: file.batch.first)


def runs_of(files: Iterable[BatchFile], target_bytes: int) -> Iterator[list[BatchFile]]:
    """Neighbours, by offset, that may become one file: of the same kind, and not too large together.

    Whatever lies between two files ends a run, since the merged range would hide it: one of another kind, or one that
    is half as large as the target (it would be written again for each small one that comes after it)."""
    run: list[BatchFile] = []
    for file in files:
        is_large = file.file.length_bytes * 2 >= target_bytes
        if run and (is_large or run[-1].batch.suffix != file.batch.suffix or _length(run, file) > target_bytes):
            yield from [run] if len(run) > 1 else []
            run = []
        if not is_large:
            run.append(file)
    if len(run) > 1:
        yield run


def merged_name(run: list[BatchFile], stamp_s: int) -> str:
    """The name of the file that a run becomes: with the range of offsets of all of them."""
    first, last = run[0].batch, run[-1].batch
    return BatchName(stamp_s, first.partition, first.first, last.last, first.source, first.suffix).text


def write_merged(store: Store, run: list[BatchFile], path: str) -> int:
    """Write what the files of a run hold, one after another, to a file.

    Returns:
        Its length in bytes.

    Raises:
        NotThere: one of them is gone.
        StoreError: one of them is not whole, or the store does not answer.
    """
    is_parquet = run[0].batch.suffix == "parquet"
    codec = _codec_of(store, run[0].file) if is_parquet else None
    writer = store.create(path)
    encoder = ParquetEncoder(writer, codec) if is_parquet else LineEncoder(writer, None)
    try:
        _copy_all(store, run, encoder)
        encoder.close()
    except BaseException:
        encoder.abandon()
        raise
    return encoder.n_bytes


def _length(run: list[BatchFile], file: BatchFile) -> int:
    return sum(other.file.length_bytes for other in run) + file.file.length_bytes


def _copy_all(store: Store, run: list[BatchFile], encoder: Encoder) -> None:
    if isinstance(encoder, ParquetEncoder):
        for table in _gathered(table for file in run for table in parquet_tables(store, file.file)):
            encoder.write_table(table)
    else:
        for piece in _joined(piece for file in run for piece in _bytes_of(store, file.file)):
            encoder.write(piece)


def _bytes_of(store: Store, file: StoredFile) -> Iterator[bytes]:
    """The file as it is: lines, members and frames may follow one another."""
    n_bytes = 0
    with store.open(file.path) as opened:
        while piece := opened.read(CHUNK_BYTES):
            n_bytes += len(piece)
            yield piece
    if n_bytes != file.length_bytes:
        raise StoreError(
            f"{file.path} must be {file.length_bytes} bytes long, as listed, but {n_bytes} were read; "
            "look who changes the files of the store, and call again"
        )


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about CHUNK_BYTES: a thousand small files are a few writes."""
    gathered: list[bytes] = []
    n_bytes = 0
    for piece in pieces:
        gathered.append(piece)
        n_bytes += len(piece)
        if n_bytes >= CHUNK_BYTES:
            yield b"".join(gathered)
            gathered, n_bytes = [], 0
    if gathered:
        yield b"".join(gathered)


def _gathered(tables: Iterable[Any]) -> Iterator[Any]:
    """The same rows in tables of about ROW_GROUP_BYTES."""
    gathered: list[Any] = []
    for table in tables:
        gathered.append(table)
        if sum(one.nbytes for one in gathered) >= ROW_GROUP_BYTES:
            yield pa.concat_tables(gathered)
            gathered = []
    if gathered:
        yield pa.concat_tables(gathered)


def _codec_of(store: Store, file: StoredFile) -> Compression | None:
    """How the columns of a Parquet file are compressed."""
    with store.open(file.path) as opened:
        try:
            found = pq.ParquetFile(opened).metadata.row_group(0).column(0).compression
        except (OSError, pa.ArrowInvalid) as error:
            raise damaged(store, file.path, error) from error
    return _CODECS.get(found)

"""Writes a catalogue as a table that other programs read, and that `catalog_import` reads back.

In: a catalogue and a file name. Out: a Parquet, CSV or JSON-lines file, one row per track, the most played
artists first.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from loadgen.errors import CatalogError
from loadgen.event import TIERS
from loadgen.files import has_mark, replaces_own, replacing
from loadgen.simulate.catalog_file import Catalog

EXPORT_STARTS = (b'"artist","title"', b'{"artist":')
"""How a table of text that was exported begins."""
_ROWS_AT_ONCE = 50_000
_Write = Callable[[Catalog, BinaryIO], None]


def export_catalog(catalog: Catalog, path: Path) -> None:
    """Write all tracks to a file whose form its name tells: .parquet, .csv or .jsonl.

    The columns are artist, title, album, genre, tier, length (seconds), release_year, popularity, play_count and likes.

    Raises:
        CatalogError: another ending, or the file cannot be written.
    """
    try:
        write = writer_for(path)
        with replacing(path) as file:
            write(catalog, file)
    except OSError as problem:
        raise CatalogError(
            f"{path} must be writable, got {problem.strerror or problem}; make its folder or choose another"
        ) from problem


def replaces_export(path: Path) -> bool:
    """Whether an exported catalogue is there already; raises OutputUnwritable where another file is."""
    return replaces_own(path, "FILE", _is_export)


def _is_export(path: Path) -> bool:
    if path.suffix.lower() != ".parquet":
        return has_mark(path, *EXPORT_STARTS)
    try:
        return bool(pyarrow.parquet.read_schema(path).names[:2] == ["artist", "title"])
    except (OSError, pa.ArrowException):
        return False


def writer_for(path: Path) -> _Write:
    """What writes a file of this name; raises CatalogError where nothing does."""
    writers: dict[str, _Write] = {
        ".parquet": partial(_write_batches, partial(pyarrow.parquet.ParquetWriter, compression="zstd")),
        ".csv": partial(_write_batches, pyarrow.csv.CSVWriter),
        ".jsonl": _write_jsonl,
    }
    if path.suffix.lower() not in writers:
        raise CatalogError(
            f"the exported file must end in {', '.join(writers)}, got {path.name!r}; "
            "write for example catalogue.parquet"
        )
    return writers[path.suffix.lower()]


def _batches(catalog: Catalog) -> Iterator[pa.RecordBatch]:
    """The exported table, some rows at a time."""
    names = catalog.artists["name"].combine_chunks()
    tiers = pa.array(TIERS).take(catalog.artists["tier"].combine_chunks())
    genres = pa.array(catalog.genres)
    for batch in catalog.tracks.to_batches(max_chunksize=_ROWS_AT_ONCE):
        columns = {
            "artist": names.take(batch["artist"]),
            "title": batch["title"],
            "album": batch["album"],
            "genre": genres.take(batch["genre"]),
            "tier": tiers.take(batch["artist"]),
            "length": pa.array(batch["length_ms"].to_numpy() / np.float64(1000)),
        }
        columns |= {name: batch[name] for name in ("release_year", "popularity", "play_count", "likes")}
        yield pa.RecordBatch.from_pydict(columns)


def _write_batches(open_writer: Callable[..., Any], catalog: Catalog, file: BinaryIO) -> None:
    batches = _batches(catalog)
    first = next(batches)
    with open_writer(file, first.schema) as writer:
        for batch in chain([first], batches):
            writer.write_batch(batch)


def _write_jsonl(catalog: Catalog, file: BinaryIO) -> None:
    for batch in _batches(catalog):
        file.write(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in batch.to_pylist()))

"""A catalogue and its file: one Arrow IPC file that every worker maps into memory.

In: the tables that `catalog_build` or `catalog_import` made. Out: a file, and from the file a `Catalog`, whose
tracks are not copied. The file's record batch holds the tracks; its schema's metadata hold what is small: the artists
(as an Arrow stream), the genres, the parts of user names, and a digest of all of it.
"""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.digest import digest_of_runs
from loadgen.errors import CatalogError
from loadgen.event import TIERS, Int32s, UInt8s
from loadgen.files import replacing

FILE_VERSION = 2

TRACKS = pa.schema(
    [
        ("title", pa.string()),
        ("artist", pa.int32()),
        ("album", pa.string()),
        ("genre", pa.uint8()),
        ("length_ms", pa.int32()),
        ("release_year", pa.int16()),
        ("popularity", pa.uint8()),
        ("play_count", pa.int64()),
        ("likes", pa.int64()),
    ]
)
"""One row per track; `artist` is a row of the artists, `genre` a position in the genres, release_year 0 is unknown."""

ARTISTS = pa.schema(
    [
        ("name", pa.string()),
        ("tier", pa.uint8()),
        ("genre", pa.uint8()),
        ("weight", pa.float64()),
        ("first_track", pa.int32()),
        ("n_tracks", pa.int32()),
    ]
)
"""One row per artist, by tier and falling weight, its share of all plays; its tracks follow from first_track."""

_ABOUT, _ARTISTS, _FIRST_NAMES, _LAST_NAMES = (
    b"loadgen.catalog",
    b"loadgen.artists",
    b"loadgen.first_names",
    b"loadgen.last_names",
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a catalogue consists of, in memory, before it is saved.

    Attributes:
        tracks, artists: tables of the schemas TRACKS and ARTISTS.
        genres: names in the order of their codes.
        first_names, last_names: parts of the listeners' user names, ASCII, lower case.
    """

    tracks: pa.Table
    artists: pa.Table
    genres: tuple[str, ...]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class _About:
    """The facts about a file that are read before anything else."""

    version: int
    genres: list[str]
    origin: str
    digest: str


@dataclass(frozen=True)
class Catalog:
    """An opened catalogue; tracks and length_ms lie in the mapped file.

    Attributes:
        digest: 32 hex digits, equal for equal contents, whatever the machine.
        genres: names in the order of their codes.
        tracks, artists: tables of the schemas TRACKS and ARTISTS, one chunk per column.
        artist_tier: uint8[n_artists], positions in event.TIERS, ascending.
        artist_genre: uint8[n_artists], positions in genres.
        artist_weight: float64[n_artists], share of all plays, falling within a tier, sums to 1.
        first_track: int32[n_artists + 1], tracks of artist a are rows first_track[a]:first_track[a + 1], the most
            popular first.
        length_ms: int32[n_tracks].
    """

    path: Path
    digest: str
    origin: str
    genres: tuple[str, ...]
    tracks: pa.Table
    artists: pa.Table
    artist_tier: UInt8s
    artist_genre: UInt8s
    artist_weight: npt.NDArray[np.float64]
    first_track: Int32s
    length_ms: Int32s

    @property
    def n_artists(self) -> int:
        """Number of artists."""
        return len(self.artist_tier)

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return len(self.length_ms)

    @cached_property
    def first_names(self) -> tuple[str, ...]:
        """First parts of the listeners' user names: ASCII, lower case, distinct."""
        return _words(self.tracks.schema.metadata[_FIRST_NAMES])

    @cached_property
    def last_names(self) -> tuple[str, ...]:
        """Last parts of the listeners' user names: ASCII, lower case, distinct."""
        return _words(self.tracks.schema.metadata[_LAST_NAMES])


def save(contents: Contents, path: Path) -> None:
    """Write the file whole or not at all; another process may write the same file at the same time.

    Raises:
        CatalogError: the folder cannot be written, or the disk is full.
    """
    table = contents.tracks.cast(TRACKS).combine_chunks().replace_schema_metadata(_metadata(contents))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=max(1, len(table)))
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        needed_mb = table.nbytes // 1_000_000 + 1
        raise CatalogError(
            f"the catalogue's file must be writable, got {problem.strerror or problem} for {path}; free {needed_mb} MB "
            "there or set LOADGEN_CACHE to another folder"
        ) from problem


def _metadata(contents: Contents) -> dict[bytes, bytes]:
    metadata = {
        _ARTISTS: _as_text(contents.artists.cast(ARTISTS).combine_chunks()),
        _FIRST_NAMES: ",".join(contents.first_names).encode(),
        _LAST_NAMES: ",".join(contents.last_names).encode(),
    }
    about = _About(FILE_VERSION, list(contents.genres), contents.origin, digest_of(contents))
    return {_ABOUT: json.dumps(asdict(about), ensure_ascii=False).encode(), **metadata}


def _as_text(table: pa.Table) -> bytes:
    """A table as an Arrow stream in base 64, as metadata must be text for other readers of the file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue())


def digest_of(contents: Contents) -> str:
    """32 hex digits over all values, independent of how Arrow lays them out."""
    words = (contents.genres, contents.first_names, contents.last_names)
    texts = [json.dumps(some).encode() for some in words]
    return digest_of_runs([*texts, *_values(contents.tracks, contents.artists)])


def _values(*tables: pa.Table) -> Iterator[Any]:
    """The bytes that matter of each column, one or two pieces each."""
    for table in tables:
        for column in table.combine_chunks().columns:
            yield from _column_values(column)


def _column_values(column: Any) -> list[Any]:
    array = column.chunk(0)
    if not pa.types.is_string(array.type):
        return [array.to_numpy(zero_copy_only=False).data]
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return [(ends - ends[0]).data, memoryview(data or b"")[int(ends[0]) : int(ends[-1])]]


def load(path: Path | str, checked_digest: str = "") -> Catalog:
    """Open a catalogue's file.

    Args:
        checked_digest: where this run has opened the file already, as in the coordinator: what it found. A worker then
            saves the 50 ms that the digest of 800,000 tracks takes.

    Raises:
        CatalogError: it is not there, is damaged, or is of another version of loadgen.
    """
    path = Path(path)
    try:
        return _open(path, checked_digest)
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError) as problem:
        raise CatalogError(
            f"the catalogue's file {path} must be one that this version of loadgen wrote, whole; got {problem}; "
            "remove it and build or import it again"
        ) from problem


def _open(path: Path, checked_digest: str) -> Catalog:
    tracks = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    metadata = tracks.schema.metadata or {}
    about = _About(**json.loads(metadata[_ABOUT]))
    artists = pa.ipc.open_stream(base64.b64decode(metadata[_ARTISTS])).read_all()
    genres, first_names, last_names = tuple(about.genres), _words(metadata[_FIRST_NAMES]), _words(metadata[_LAST_NAMES])
    _check(about, Contents(tracks, artists, genres, first_names, last_names, about.origin), checked_digest)
    first_track = np.append(artists["first_track"].to_numpy(), np.int32(len(tracks)))
    return Catalog(
        path=path,
        digest=about.digest,
        origin=about.origin,
        genres=genres,
        tracks=tracks,
        artists=artists,
        artist_tier=artists["tier"].to_numpy(),
        artist_genre=artists["genre"].to_numpy(),
        artist_weight=artists["weight"].to_numpy(),
        first_track=first_track,
        length_ms=tracks["length_ms"].chunk(0).to_numpy(),
    )


def _words(text: bytes) -> tuple[str, ...]:
    return tuple(text.decode().split(","))


def _check(about: _About, contents: Contents, checked_digest: str) -> None:
    """Raises ValueError where the file is not what was written, or was written by another version.

    The digest is computed again, not only read: what a listener hears, and what `verify` makes again, follows from
    every byte, and the folder may be one that several machines share.
    """
    tracks, artists = contents.tracks, contents.artists
    tracks.validate()
    artists.validate(full=True)
    if about.version != FILE_VERSION:
        raise ValueError(f"version {about.version} instead of {FILE_VERSION}")
    if not tracks.schema.equals(TRACKS) or not artists.schema.equals(ARTISTS):
        raise ValueError("other columns than expected")
    ends = np.cumsum(artists["n_tracks"].to_numpy(), dtype=np.int64)
    if len(tracks) == 0 or len(ends) == 0 or ends[-1] != len(tracks):
        raise ValueError(f"{len(tracks)} tracks, which is not what its artists have")
    if not np.array_equal(artists["first_track"].to_numpy()[1:], ends[:-1]):
        raise ValueError("tracks that are not in the order of their artists")
    if artists["tier"].to_numpy().max() >= len(TIERS) or artists["genre"].to_numpy().max() >= len(about.genres):
        raise ValueError("artists of an unknown tier or genre")
    if about.digest != checked_digest and (found := digest_of(contents)) != about.digest:
        raise ValueError(f"contents with digest {found} instead of {about.digest}")

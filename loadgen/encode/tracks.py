"""The unchanging part of each track's events: encoded and hashed once, then gathered.

The catalogue goes in; an Arrow file beside it comes out, memory-mapped by every worker, so that the text of
800,000 tracks is made once per catalogue and exists once in memory.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.digest import digest_of_runs
from loadgen.encode import text
from loadgen.event import TIERS, Format, UInt64s
from loadgen.fingerprint import hash_floats, hash_integers, hash_null, hash_texts

FILE_VERSION = 3
"""Goes up with every change of the text of a track or of fingerprint.py: a file of another version is not read."""
_DIGEST = b"loadgen.digest"
Kind = Literal["song", "listen"]
KIND_OF: dict[Format, Kind] = {"activity": "song", "full": "song", "listen": "listen"}


class TrackSource(Protocol):
    """What is read of a catalogue; `tracks` and `artists` have the columns that simulate/catalog.py names."""

    @property
    def genres(self) -> tuple[str, ...]: ...
    @property
    def path(self) -> Path: ...
    @property
    def digest(self) -> str: ...
    @property
    def tracks(self) -> pa.Table: ...
    @property
    def artists(self) -> pa.Table: ...


@dataclass(frozen=True, slots=True)
class TrackParts:
    """Pieces of text and hashes, one per track and a last one for "no track".

    Attributes:
        pieces: binary arrays of n_tracks + 1; kind "song": one piece, `,"artist":…,"song_popularity":87`, empty for no
            track; kind "listen": two, before and after the time stamp.
        hash: uint64[n_tracks + 1], the sum of the hashes of the fields in the pieces.
        genre: uint8[n_tracks + 1], position in the catalogue's genres; len(genres) for no track.
    """

    pieces: tuple[pa.BinaryArray, ...]
    hash: UInt64s
    genre: npt.NDArray[np.uint8]


def open_track_parts(catalog: TrackSource, kind: Kind, *, is_checked: bool = False) -> TrackParts:
    """Open the parts kept beside the catalogue, and make them first where they are missing or damaged.

    Args:
        catalog: the catalogue.
        kind: which formats they serve, see KIND_OF.
        is_checked: whether this run has opened them already; their digest is then not computed again.
    """
    path = catalog.path.with_name(f"{catalog.path.stem}-{kind}-v{FILE_VERSION}-{catalog.digest[:12]}.arrow")
    try:
        return _load(path, is_checked)
    except (OSError, ValueError):  # pyarrow's own are ValueErrors, too
        _save(make_track_parts(catalog, kind), path)
        return _load(path, is_checked=True)


def make_track_parts(catalog: TrackSource, kind: Kind) -> TrackParts:
    """Encode and hash every track of the catalogue."""
    make: dict[Kind, Callable[[TrackSource], TrackParts]] = {"song": _song_parts, "listen": _listen_parts}
    return make[kind](catalog)


def _song_parts(catalog: TrackSource) -> TrackParts:
    tracks, artists = catalog.tracks, catalog.artists
    artist_row = tracks["artist"].combine_chunks()
    tier_names = pa.array(TIERS).take(artists["tier"].combine_chunks())
    length_ms = tracks["length_ms"].to_numpy()
    popularity = tracks["popularity"].to_numpy()
    piece = text.join(
        text.literal(',"artist":'),
        text.strings(artists["name"]).take(artist_row),
        text.literal(',"song":'),
        text.strings(tracks["title"]),
        text.literal(',"length":'),
        text.seconds(length_ms),
        text.literal(',"artist_tier":'),
        text.strings(tier_names).take(artist_row),
        text.literal(',"song_popularity":'),
        text.integers(popularity),
    )
    hashes = (
        (hash_texts("artist", artists["name"]) + hash_texts("artist_tier", tier_names))[artist_row.to_numpy()]
        + hash_texts("song", tracks["title"])
        + hash_floats("length", length_ms / text.MS_PER_SECOND)
        + hash_integers("song_popularity", popularity)
    )
    return _with_no_track(catalog, (piece,), (b"",), hashes, np.uint64(0))


def _listen_parts(catalog: TrackSource) -> TrackParts:
    tracks, artists = catalog.tracks, catalog.artists
    artist_row = tracks["artist"].combine_chunks()
    genre_row = tracks["genre"].combine_chunks()
    genre_names = pa.array(catalog.genres)
    length_ms = tracks["length_ms"].to_numpy()
    before = text.join(
        text.literal(',"artist":'),
        text.strings(artists["name"]).take(artist_row),
        text.literal(',"track":'),
        text.strings(tracks["title"]),
        text.literal(',"timestamp":"'),
    )
    after = text.join(
        text.literal('","genre":'),
        text.strings(genre_names).take(genre_row),
        text.literal(',"duration":'),
        text.seconds(length_ms),
    )
    hashes = (
        hash_texts("artist", artists["name"])[artist_row.to_numpy()]
        + hash_texts("track", tracks["title"])
        + hash_texts("genre", genre_names)[genre_row.to_numpy()]
        + hash_floats("duration", length_ms / text.MS_PER_SECOND)
    )
    no_track = (b',"artist":null,"track":null,"timestamp":"', b'","genre":null,"duration":null')
    no_hash = np.add.reduce([hash_null(name) for name in ("artist", "track", "genre", "duration")])
    return _with_no_track(catalog, (before, after), no_track, hashes, no_hash)


def _with_no_track(
    catalog: TrackSource,
    pieces: tuple[pa.BinaryArray, ...],
    no_track: tuple[bytes, ...],
    hashes: UInt64s,
    no_hash: np.uint64,
) -> TrackParts:
    ended = tuple(
        pa.concat_arrays([piece, pa.array([end], pa.binary())]) for piece, end in zip(pieces, no_track, strict=True)
    )
    genre = np.append(catalog.tracks["genre"].to_numpy(), np.uint8(len(catalog.genres)))
    return TrackParts(ended, np.append(hashes, no_hash), genre)


def _save(parts: TrackParts, path: Path) -> None:
    columns = [*parts.pieces, pa.array(parts.hash), pa.array(parts.genre)]
    names = [*(f"piece_{i}" for i in range(len(parts.pieces))), "hash", "genre"]
    table = pa.table(columns, names).combine_chunks()
    table = table.replace_schema_metadata({_DIGEST: _digest_of(table)})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=len(table))
    temporary.rename(path)


def _load(path: Path, is_checked: bool) -> TrackParts:
    """Raises ValueError where it is not what was written: the text of events would differ from their hashes."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    if not is_checked and (table.schema.metadata or {}).get(_DIGEST) != _digest_of(table):
        raise ValueError(f"{path} holds other contents than were written")
    *pieces, hashes, genre = (column.chunk(0) for column in table.columns)
    return TrackParts(tuple(pieces), hashes.to_numpy(), genre.to_numpy())


def _digest_of(table: pa.Table) -> bytes:
    """Of all values; Arrow pads what it writes, so a buffer is digested as far as it has values."""
    runs: list[Any] = []
    for column in table.columns:
        array = column.chunk(0)
        if pa.types.is_binary(array.type):
            _, offsets, data = array.buffers()
            ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
            runs += [ends, memoryview(data or b"")[int(ends[0]) : int(ends[-1])]]
        else:
            runs.append(array.to_numpy())
    return digest_of_runs(runs).encode()

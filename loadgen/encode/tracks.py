"""The unchanging part of each track's events: encoded and hashed once, then gathered.

The catalogue goes in; an Arrow file beside it comes out, memory-mapped by every worker, so that the text of
800,000 tracks is made once per catalogue and exists once in memory.
"""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.binary import join, literal
from loadgen.digest import digest_of_runs
from loadgen.drawn import Drawn
from loadgen.encode import text
from loadgen.encode.encoding import Encoding, encoded
from loadgen.encode.layout import Piece, track_pieces
from loadgen.encode.own import Domains, OwnField
from loadgen.encode.values import Codes, axis_values, terms_of
from loadgen.event import TIERS, Labels, UInt64s
from loadgen.files import replacing
from loadgen.fingerprint import hash_null
from loadgen.formats import Field, Format, Source

FILE_VERSION = 4
"""Goes up with every change of the text of a track or of fingerprint.py: a file of another version is not read."""
_DIGEST = b"loadgen.digest"
NULL, ABSENT = -2, -1
"""The rows of events about no track: where the fields are null, and where the record lacks them."""


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
    """Pieces of text and their hashes, one per track, then those at NULL and ABSENT.

    Attributes:
        pieces: binary arrays of n_tracks + 2, one for each of `track_pieces`.
        hashes: uint64[n_tracks + 2] of each piece, the sum of the terms of its fields.
        genre: uint16[n_tracks + 2], position in the catalogue's genres; then len(genres) and len(genres) + 1.
    """

    pieces: tuple[pa.BinaryArray, ...]
    hashes: tuple[UInt64s, ...]
    genre: npt.NDArray[np.uint16]


def open_track_parts(
    catalog: TrackSource, wire_format: Format, encoding: Encoding = text.JSON_LINES, *, is_checked: bool = False
) -> TrackParts:
    """Open the parts kept beside the catalogue, and make them first where they are missing or damaged.

    Args:
        catalog: the catalogue.
        wire_format: which format they serve; formats with the same fields of tracks share a file.
        encoding: of the records.
        is_checked: whether this run has opened them already; their digest is then not computed again.
    """
    pieces = track_pieces(wire_format, encoding)
    texts = [(piece.before, [(key, _written(one)) for key, one in piece.fields]) for piece in pieces]
    layout = blake2b(repr((type(encoding).__name__, texts)).encode(), digest_size=4).hexdigest()
    path = catalog.path.with_name(f"{catalog.path.stem}-{layout}-v{FILE_VERSION}-{catalog.digest[:12]}.arrow")
    try:
        return _load(path, is_checked)
    except (OSError, ValueError):  # pyarrow's own are ValueErrors, too
        _save(make_track_parts(catalog, wire_format, encoding), path)
        return _load(path, is_checked=True)


def _written(field: Field) -> tuple[Any, ...]:
    """What its bytes and hashes depend on, besides its key and the encoding."""
    own = (field.form, field.null, field.absent) if isinstance(field, OwnField) else ()
    return (field.name, field.source, *own)


def make_track_parts(catalog: TrackSource, wire_format: Format, encoding: Encoding = text.JSON_LINES) -> TrackParts:
    """Encode and hash every track of the catalogue."""
    values = track_values(catalog)
    made = [_piece(piece, values, encoding) for piece in track_pieces(wire_format, encoding)]
    genre = np.append(catalog.tracks["genre"].to_numpy().astype(np.uint16), len(catalog.genres) + np.arange(2))
    return TrackParts(tuple(piece for piece, _ in made), tuple(hashes for _, hashes in made), genre.astype(np.uint16))


Values = dict[Source | Drawn, tuple[pa.Array, Codes | None]]
"""By source: its values, and which of them each track has; None: there is a value for each track."""


def track_values(catalog: TrackSource) -> Values:
    """The values of the sources that depend on the track."""
    tracks, artists = catalog.tracks, catalog.artists
    artist = tracks["artist"].to_numpy()
    return {
        Source.ARTIST: (artists["name"].combine_chunks(), artist),
        Source.TITLE: (tracks["title"].combine_chunks(), None),
        Source.LENGTH: (pa.array(tracks["length_ms"].to_numpy() / text.MS_PER_SECOND), None),
        Source.TIER: (pa.array(TIERS), artists["tier"].to_numpy()[artist]),
        Source.POPULARITY: (tracks["popularity"].combine_chunks().cast(pa.int64()), None),
        Source.GENRE: (pa.array(catalog.genres), tracks["genre"].to_numpy()),
    }


def domains_of(catalog: TrackSource, labels: Labels) -> Domains:
    """The values that the events of a run can have, by source."""
    of_tracks = {source: values for source, (values, _) in track_values(catalog).items()}
    return of_tracks | {source: values for source, (_, values) in axis_values(labels).items()}


def _piece(piece: Piece, values: Values, encoding: Encoding) -> tuple[pa.BinaryArray, UInt64s]:
    """The bytes of the piece for each track, at NULL and at ABSENT, and its hashes."""
    texts: list[pa.Array | pa.Scalar] = [literal(piece.before)]
    hashes = np.zeros(len(values[Source.TITLE][0]), np.uint64)
    for key, field in piece.fields:
        found, codes = values[field.source]
        of_values, terms = encoded(encoding, key, field, found), terms_of(field, found)
        texts.append(of_values if codes is None else of_values.take(pa.array(codes)))
        hashes += terms if codes is None else terms[codes]
    null = piece.before + b"".join(encoding.null(key, field) for key, field in piece.fields)
    absent = piece.before + b"".join(encoding.absent(field) for _, field in piece.fields)
    no_track = np.add.reduce([hash_null(field.name) * np.uint64(field.is_nullable) for _, field in piece.fields])
    ends = pa.array([null, absent], pa.binary())
    return pa.concat_arrays([join(*texts), ends]), np.append(hashes, [no_track, np.uint64(0)])


def _save(parts: TrackParts, path: Path) -> None:
    columns = [*parts.pieces, *map(pa.array, parts.hashes), pa.array(parts.genre)]
    n_pieces = range(len(parts.pieces))
    names = [*(f"piece_{i}" for i in n_pieces), *(f"hash_{i}" for i in n_pieces), "genre"]
    table = pa.table(columns, names).combine_chunks()
    table = table.replace_schema_metadata({_DIGEST: _digest_of(table)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=len(table))


def _load(path: Path, is_checked: bool) -> TrackParts:
    """Raises ValueError where it is not what was written: the text of events would differ from their hashes."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    if not is_checked and (table.schema.metadata or {}).get(_DIGEST) != _digest_of(table):
        raise ValueError(f"{path} holds other contents than were written")
    *columns, genre = (column.chunk(0) for column in table.columns)
    n_pieces = len(columns) // 2
    hashes = tuple(column.to_numpy() for column in columns[n_pieces:])
    return TrackParts(tuple(columns[:n_pieces]), hashes, genre.to_numpy())


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

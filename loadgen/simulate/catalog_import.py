"""Makes a catalogue out of a table of tracks that a user has: a Parquet or CSV file.

In go one row per track, with the columns artist and title (or track, song) at least; out comes a file in the cache
folder, of the same form as a built catalogue. What is missing is derived:

- play_count (plays, streams): from popularity, 1,000 * 10^(popularity / 20); else from the row's number, the first row
  being the most played, falling by Zipf's law.
- popularity (1-100): from the logarithm of play_count, over the whole file.
- tier: by the rank of the artist's plays: the first 8 mega, 50 top, 500 famous, the rest indie. A file of fewer
  artists than a built catalogue's 10,558 has its tiers in proportion, at least one artist each.
- genre: "Unknown". Beyond 250 genres the rarest become "Other".
- length (duration) in seconds, or length_ms (duration_ms): drawn, 205 s on average.
- album: the title. Release year: unknown. Likes: 1.92 % of the plays.

A row without artist or title, or with a value that cannot be, such as a length of 0, is left out and counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.errors import CatalogError
from loadgen.event import TIERS, Float64s, Int32s, Int64s, UInt8s
from loadgen.simulate.catalog import imported_folder
from loadgen.simulate.catalog_build import (
    ARTISTS_PER_TIER,
    LIKES_PER_PLAY,
    N_ARTISTS,
    popularity_of,
    typical_lengths_ms,
)
from loadgen.simulate.catalog_file import ARTISTS, TRACKS, Contents, digest_of, save
from loadgen.simulate.catalog_table import LeftOut, TableSource, Wrong, read_source
from loadgen.simulate.vocabulary import USER_FIRST_NAMES, USER_LAST_NAMES

MAX_GENRES = 250
_MAX_ARTISTS = 2_000_000
_MAX_PLAYS = 1e15

_ARTIST = ("artist", "artist_name", "artists", "performer")
_TITLE = ("title", "track", "song", "track_name", "song_title", "track_title", "song_name", "name")
_ALBUM = ("album", "album_name", "release")
_GENRE = ("genre", "track_genre", "style")
_TIER = ("tier", "artist_tier")
_LENGTH_S = ("length", "duration", "length_s", "duration_s", "seconds")
_LENGTH_MS = ("length_ms", "duration_ms")
_YEAR = ("release_year", "year", "release_date", "released")
_POPULARITY = ("popularity", "song_popularity", "track_popularity")
_PLAYS = ("play_count", "plays", "playcount", "streams", "stream_count", "listen_count")
_LIKES = ("likes", "like_count")


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import has done; `n_left_out`: rows that are not; left_out: why, a row may be in several."""

    path: Path
    n_artists: int
    n_tracks: int
    n_left_out: int
    left_out: tuple[LeftOut, ...]


def import_catalog(path: Path, cache_dir: Path, name: str, *, strict: bool = False) -> Imported:
    """Turn the file into a catalogue of this name, in place of an earlier one of the same name.

    Args:
        path: ends in .parquet or .csv.
        name: what `--catalog NAME` will say: letters, digits, dots, dashes, underscores.
        strict: whether a row that cannot be taken refuses the file; else it is left out, and counted.

    Raises:
        CatalogError: the file, the name or the cache folder is no good; the message says which line or column.
    """
    folder = imported_folder(cache_dir, name)
    source = cleaned(read_source(Path(path)), strict=strict)
    contents = contents_of(source)
    saved = folder / f"catalog-{digest_of(contents)[:12]}.arrow"
    save(contents, saved)
    for old in folder.glob("catalog-*"):
        if not old.name.startswith(saved.stem):
            old.unlink(missing_ok=True)
    return Imported(saved, len(contents.artists), len(contents.tracks), source.n_left_out, source.left_out)


def cleaned(source: TableSource, *, strict: bool = False) -> TableSource:
    """The rows that can be taken.

    Raises:
        CatalogError: artist or title is missing, no row can be taken, or `strict` and one cannot.
    """
    taken = source.without(_wrong_rows(source))
    if taken.left_out and (strict or not len(taken)):
        step = "correct or remove them" + (", or import the others without --strict" if len(taken) else "")
        raise CatalogError(f"{source.path.name}: {'; '.join(map(str, taken.left_out))}; {step}")
    return taken


def _wrong_rows(source: TableSource) -> Iterator[Wrong]:
    """Rows that no track can be made of, by what is wrong with them."""
    for column in _required_columns(source):
        yield from source.without_value(column)
    lengths = (_LENGTH_MS, 1000, 86_400_000) if source.find(_LENGTH_MS) else (_LENGTH_S, 1, 86_400)
    for names, low, high in (lengths, (_POPULARITY, 0, 100), (_PLAYS, 0, _MAX_PLAYS), (_LIKES, 0, _MAX_PLAYS)):
        if numbers := source.find(names):
            yield from source.not_numbers(numbers, low, high)
    if tier := source.find(_TIER):
        yield from source.not_among(tier, TIERS)


def contents_of(source: TableSource) -> Contents:
    """The catalogue that the table describes, of which each row can be taken (see `cleaned`).

    Raises:
        CatalogError: a column is missing or holds what it must not.
    """
    artist_column, title_column = _required_columns(source)
    names, artist = _coded(source.texts(artist_column))
    if len(names) > _MAX_ARTISTS:
        source.refuse(f"there must be at most {_MAX_ARTISTS:,} artists", f"{len(names):,}", "split the file")
    title, album_column = source.texts(title_column), source.find(_ALBUM)
    album = title if album_column is None else pc.coalesce(source.texts(album_column), title)
    genres, genre = _genres(source)
    figures = _figures(source)
    weight = figures.pop("weight")
    plays = np.bincount(artist, weights=weight).astype(np.float64)
    tier = _tiers(source, artist, plays)
    order, place_of = _order(tier, plays)
    columns = {"title": title, "artist": place_of[artist], "album": album, "genre": genre, **figures}
    rows = np.lexsort((-weight, columns["artist"]))
    tracks = pa.table({name: columns[name] for name in TRACKS.names}).take(pa.array(rows)).cast(TRACKS)
    artists = _artists(names.take(pa.array(order)), tracks, tier[order], plays[order])
    origin = f"imported: {source.path.name}"
    return Contents(tracks, artists, genres, USER_FIRST_NAMES, USER_LAST_NAMES, origin)


def _required_columns(source: TableSource) -> tuple[str, str]:
    artist, title = source.find(_ARTIST), source.find(_TITLE)
    if artist is None or title is None:
        missing = " and ".join(what for what, column in (("artist", artist), ("title", title)) if column is None)
        there = ", ".join(source.table.column_names)[:200] or "no column"
        source.refuse(f"there must be columns artist and title, {missing} missing", there, "rename its columns")
    return artist, title


def _order(tier: UInt8s, plays: Float64s) -> tuple[Int64s, Int64s]:
    """Artists by tier, then falling plays; and the place of each artist in that order."""
    order = np.lexsort((-plays, tier))
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    return order, place_of


def _artists(names: pa.StringArray, tracks: pa.Table, tier: UInt8s, plays: Float64s) -> pa.Table:
    """The artists, in the order of their tracks; an artist's genre is that of the most popular track."""
    n_tracks = np.bincount(tracks["artist"].to_numpy())
    first = np.cumsum(n_tracks) - n_tracks
    columns = [names, tier, tracks["genre"].to_numpy()[first], plays / plays.sum(), first, n_tracks]
    return pa.table(dict(zip(ARTISTS.names, columns, strict=True))).cast(ARTISTS)


def _coded(texts: pa.StringArray) -> tuple[pa.StringArray, Int64s]:
    """The distinct texts and, per row, the position of its own: int64[n]."""
    coded = texts.dictionary_encode()
    return coded.dictionary, coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _genres(source: TableSource) -> tuple[tuple[str, ...], UInt8s]:
    column = source.find(_GENRE)
    if column is None:
        return ("Unknown",), np.zeros(len(source), np.uint8)
    names, code = _coded(pc.fill_null(source.texts(column), "Unknown"))
    if len(names) <= MAX_GENRES:
        return tuple(names.to_pylist()), code.astype(np.uint8)
    often = np.argsort(-np.bincount(code), kind="stable")[: MAX_GENRES - 1]
    new_code = np.full(len(names), MAX_GENRES - 1)
    new_code[often] = np.arange(MAX_GENRES - 1)
    return (*names.take(pa.array(often)).to_pylist(), "Other"), new_code[code].astype(np.uint8)


def _figures(source: TableSource) -> dict[str, Any]:
    """The numeric columns, and `weight`: float64, in proportion to the plays and never zero."""
    popularity = _optional(source, _POPULARITY)
    plays = _optional(source, _PLAYS)
    by_row = 1e9 / np.arange(1, len(source) + 1)
    derived = by_row if np.isnan(popularity).all() else 1000 * 10 ** (np.nan_to_num(popularity) / 20)
    plays = np.where(np.isnan(plays), derived, plays)
    weight = plays + 1.0
    likes = _optional(source, _LIKES)
    given = np.clip(np.round(np.nan_to_num(popularity)), 1, 100).astype(np.uint8)
    return {
        "weight": weight,
        "length_ms": _lengths_ms(source, weight),
        "release_year": _years(source),
        "popularity": np.where(np.isnan(popularity), popularity_of(weight), given),
        "play_count": plays.astype(np.int64),
        "likes": np.where(np.isnan(likes), plays * LIKES_PER_PLAY, likes).astype(np.int64),
    }


def _optional(source: TableSource, names: tuple[str, ...]) -> Float64s:
    """The numbers of the column, nan where a row, or the file, has none."""
    column = source.find(names)
    return np.full(len(source), np.nan) if column is None else source.numbers(column)


def _lengths_ms(source: TableSource, weight: Float64s) -> Int32s:
    length_ms = _optional(source, _LENGTH_MS) if source.find(_LENGTH_MS) else 1000 * _optional(source, _LENGTH_S)
    drawn = typical_lengths_ms(np.ones(len(source)), weight, np.random.default_rng(0))
    return np.where(np.isnan(length_ms), drawn, np.round(length_ms)).astype(np.int32)


def _years(source: TableSource) -> npt.NDArray[np.int16]:
    """The first four digits of a year or a date; 0 where there is nothing of the kind."""
    column = source.find(_YEAR)
    if column is None:
        return np.zeros(len(source), np.int16)
    start = pc.utf8_slice_codeunits(pc.fill_null(source.texts(column), "0000"), 0, 4)
    digits = pc.match_substring_regex(start, r"^[0-9]{4}$")
    return np.asarray(pc.if_else(digits, start, "0000").cast(pa.int16()).to_numpy(zero_copy_only=False))


def _tiers(source: TableSource, artist: Int64s, plays: Float64s) -> UInt8s:
    """Each artist's tier: the file's, from the artist's first row, or by rank."""
    column = source.find(_TIER)
    if column is None:
        return tiers_by_rank(plays)
    code = pc.index_in(pc.utf8_lower(source.texts(column)), pa.array(TIERS))
    _, first_row = np.unique(artist, return_index=True)
    return np.asarray(code.to_numpy()[first_row], np.uint8)


def tiers_by_rank(plays: Float64s) -> UInt8s:
    """Tiers of artists with these plays, in the sizes or else the proportions of a built catalogue: uint8[n]."""
    n = len(plays)
    sizes = [min(size, -(-size * n // N_ARTISTS)) for size in ARTISTS_PER_TIER[:-1]]
    by_rank = np.searchsorted(np.cumsum(sizes), np.arange(n), side="right")
    tier = np.empty(n, np.uint8)
    tier[np.argsort(-plays, kind="stable")] = by_rank
    return tier

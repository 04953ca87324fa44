"""Builds a catalogue from its settings alone.

In: the number of tracks and the seed. Out: tables of tracks and artists that look like a streaming service's:
artists sorted by tier and falling weight, each artist's tracks next to each other, the most popular first.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.event import Float64s, Int32s, Int64s, UInt8s
from loadgen.simulate.catalog_file import ARTISTS, TRACKS, Contents
from loadgen.simulate.catalog_names import Namer, Placement, choices
from loadgen.simulate.vocabulary import USER_FIRST_NAMES, USER_LAST_NAMES, Vocabulary, load_vocabulary

Progress = Callable[[float, str], None]

ARTISTS_PER_TIER = (8, 50, 500, 10_000)
N_ARTISTS = sum(ARTISTS_PER_TIER)
TRACK_EXPONENT = 0.8
"""A track's share of its artist's plays falls with its rank (from 1) to the power of minus this."""

_TRACKS_PER_ARTIST = (240.0, 190.0, 130.0, 72.0)  # mean per tier, before scaling to the number asked for
_TRACKS_SPREAD = 0.45  # sigma of their logarithm
_TRACKS_PER_ALBUM = 10
_TOTAL_PLAYS = 1.2e12
LIKES_PER_PLAY = 0.0192  # Yambda-5B
_LIKES_SPREAD = 0.3  # sigma of their logarithm
_GENRE_POWERS = (2.5, 1.6, 1.2, 1.0)  # per tier, on the genres' shares: stars play what many play
_MEAN_LENGTH_S = 205.0  # weighted by plays; 216 s in MSSD 2018, about 180 s for charting songs of 2024
_LENGTH_SPREAD = 0.25  # sigma of their logarithm
_MIN_LENGTH_S, _MAX_LENGTH_S = 60.0, 900.0
_LAST_YEAR = 2026


def artist_weights() -> Float64s:
    """Each artist's share of all plays by rank: float64[N_ARTISTS], falling, sums to one.

    A Zipf-Mandelbrot law (flat head) with a stretched-exponential tail, w(r) = (r + q)^-a exp(-(r/c)^d). Its top 1 %
    have 52 %, its top 10 % 86 %, its Gini coefficient is 0.90, its log-log slopes over ranks 10-1000 and 1-100 are
    -1.05 and -0.78. Listeners' own tastes spread their plays over more artists than that: the four constants were
    fitted so that what is *played* has the published figures. They serve the targets "artist concentration", "Zipf
    slope" and "tier shares of plays" of realism/targets.toml.

    Source: HetRec 2011 Last.fm play counts by rank (14, 23, 33, 30 %; 52 %, 85 %; 0.89; -0.99, -0.78)."""
    rank = np.arange(1, N_ARTISTS + 1, dtype=np.float64)
    weight = (rank + 5.5) ** -1.05 * np.exp(-((rank / 4000.0) ** 1.3))
    return np.asarray(weight / weight.sum())


def tiers() -> UInt8s:
    """Each artist's tier by rank: uint8[N_ARTISTS], positions in event.TIERS."""
    return np.repeat(np.arange(len(ARTISTS_PER_TIER), dtype=np.uint8), ARTISTS_PER_TIER)


def tracks_per_artist(n_tracks: int, rng: np.random.Generator) -> Int64s:
    """How many tracks each artist has: int64[N_ARTISTS], at least 1, sums to n_tracks."""
    size = np.array(_TRACKS_PER_ARTIST)[tiers()] * np.exp(_TRACKS_SPREAD * rng.standard_normal(N_ARTISTS))
    ends = np.round(np.cumsum(size) / size.sum() * (n_tracks - N_ARTISTS)).astype(np.int64)
    return np.asarray(1 + np.diff(ends, prepend=0))


def track_ranks(per_artist: Int64s) -> Int64s:
    """Each track's rank within its artist, from 1: int64[n_tracks]."""
    first = np.cumsum(per_artist) - per_artist
    return np.arange(1, per_artist.sum() + 1) - np.repeat(first, per_artist)


def _track_weights(per_artist: Int64s, weight: Float64s) -> Float64s:
    """Each track's share of all plays: its artist's, divided by a power law over the artist's tracks."""
    share = track_ranks(per_artist) ** -TRACK_EXPONENT
    first = np.cumsum(per_artist) - per_artist
    return np.asarray(share * np.repeat(weight / np.add.reduceat(share, first), per_artist))


def popularity_of(weight: Float64s) -> UInt8s:
    """1..100, linear in the logarithm of the weight, over the whole catalogue."""
    log = np.log(weight)
    span = max(float(log.max() - log.min()), 1e-9)
    return np.asarray(np.round(1 + 99 * (log - log.min()) / span), np.uint8)


def typical_lengths_ms(usual: Float64s, weight: Float64s, rng: np.random.Generator) -> Int32s:
    """Drawn lengths, log-normal: int32[n], milliseconds.

    Args:
        usual: float64[n], each track's usual length relative to the average.
        weight: float64[n], plays; weighted by them the mean is 205 s.
    """
    length_s = usual * np.exp(_LENGTH_SPREAD * rng.standard_normal(len(usual)))
    length_s *= _MEAN_LENGTH_S / np.average(length_s, weights=weight)
    return np.round(1000 * np.clip(length_s, _MIN_LENGTH_S, _MAX_LENGTH_S)).astype(np.int32)


class _Albums:
    """Which album each track is on, and when each album came out.

    Attributes:
        artist: int64[n_albums], ascending.
        year: int16[n_albums], ascending within an artist.
        of_track: int64[n_tracks], the album of each track.
    """

    def __init__(self, per_artist: Int64s, since: Int64s, rng: np.random.Generator) -> None:
        self._n = np.maximum(1, np.round(per_artist / _TRACKS_PER_ALBUM).astype(np.int64))
        first = np.cumsum(self._n) - self._n
        self.artist = np.repeat(np.arange(len(per_artist)), self._n)
        n_of_track = np.repeat(self._n, per_artist)
        self.of_track = np.repeat(first, per_artist) + (rng.random(len(n_of_track)) * n_of_track).astype(np.int64)
        number = np.arange(len(self.artist)) - first[self.artist]
        self.year = self._years(number, since.astype(np.float64), rng)

    def _years(self, number: Int64s, since: Float64s, rng: np.random.Generator) -> npt.NDArray[np.int16]:
        """Careers begin late rather than early; each album makes them 1.3 to 3.5 years longer."""
        end = _LAST_YEAR + 1.0
        start = end - (end - since) * rng.random(len(since)) ** 2.4
        start = np.maximum(since, np.minimum(start, end - 1.1 * (self._n - 1)))
        career = np.minimum(end - start, self._n * (1.3 + 2.2 * rng.random(len(since))))
        place = (number + rng.random(len(number))) / self._n[self.artist]
        return np.minimum(start[self.artist] + career[self.artist] * place, _LAST_YEAR).astype(np.int16)


def _genres_and_voices(vocabulary: Vocabulary, rng: np.random.Generator) -> tuple[UInt8s, UInt8s]:
    """Each artist's genre and voice: positions in the vocabulary's genres and voices."""
    genres = list(vocabulary.genres.values())
    by_tier = [choices([entry.share**power for entry in genres]) for power in _GENRE_POWERS]
    genre = np.array(by_tier)[tiers(), rng.integers(0, len(by_tier[0]), N_ARTISTS)]
    weights = [[entry.voices.get(name, 0.0) for name in vocabulary.voices] for entry in genres]
    by_genre = np.array([choices(row) for row in weights])
    voice = by_genre[genre, rng.integers(0, by_genre.shape[1], N_ARTISTS)]
    return genre.astype(np.uint8), voice.astype(np.uint8)


def build_contents(n_tracks: int, seed: int, progress: Progress | None = None) -> Contents:
    """The whole catalogue; the same for the same arguments (and version of Faker)."""
    tell = progress or (lambda _done, _doing: None)
    tell(0.0, "reading the vocabularies")
    vocabulary = load_vocabulary()
    rng = np.random.default_rng(seed)
    per_artist = tracks_per_artist(n_tracks, rng)
    genre, voice = _genres_and_voices(vocabulary, rng)
    genres = list(vocabulary.genres.values())
    albums = _Albums(per_artist, np.array([entry.since for entry in genres])[genre], rng)
    artist = np.repeat(np.arange(N_ARTISTS), per_artist)
    place = Placement(artist, track_ranks(per_artist), albums.of_track, albums.artist)
    namer = Namer(vocabulary, voice, genre, rng)
    tell(0.2, "naming the artists")
    names = namer.artists()
    tell(0.3, "naming the tracks")
    titles, bare_titles = namer.titles(place, names)
    tell(0.7, "naming the albums")
    album = namer.albums(place, names, bare_titles).take(pa.array(albums.of_track))
    tell(0.9, "counting the plays")
    columns = {"title": titles, "artist": artist, "album": album, "genre": genre[artist]}
    columns["release_year"] = albums.year[albums.of_track]
    columns |= _figures(per_artist, np.array([entry.length for entry in genres])[genre[artist]], rng)
    tracks = pa.table({name: columns[name] for name in TRACKS.names}).cast(TRACKS)
    origin = f"built: {n_tracks:,} tracks, seed {seed}"
    artists = _artists(names, genre, per_artist)
    return Contents(tracks, artists, tuple(vocabulary.genres), USER_FIRST_NAMES, USER_LAST_NAMES, origin)


def _figures(per_artist: Int64s, usual_length: Float64s, rng: np.random.Generator) -> dict[str, Any]:
    """The columns that follow from a track's share of all plays."""
    share = _track_weights(per_artist, artist_weights())
    plays = np.maximum(1, share * _TOTAL_PLAYS).astype(np.int64)
    liking = LIKES_PER_PLAY * np.exp(_LIKES_SPREAD * rng.standard_normal(len(share)) - _LIKES_SPREAD**2 / 2)
    return {
        "length_ms": typical_lengths_ms(usual_length, share, rng),
        "popularity": popularity_of(share),
        "play_count": plays,
        "likes": np.minimum(plays, plays * liking).astype(np.int64),
    }


def _artists(names: pa.StringArray, genre: UInt8s, per_artist: Int64s) -> pa.Table:
    first = np.cumsum(per_artist) - per_artist
    columns = [names, tiers(), genre, artist_weights(), first, per_artist]
    return pa.table(dict(zip(ARTISTS.names, columns, strict=True))).cast(ARTISTS)

"""Names of artists, titles of tracks and names of albums, for the whole catalogue at once.

In go each artist's voice and genre and each track's artist, rank and album; out come Arrow string arrays.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.simulate.phrases import Phrases, choices
from loadgen.simulate.vocabulary import Vocabulary

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]

_SHARE_OF_VERSIONS = 0.05  # tracks that are a live, acoustic … version of another one of the artist's
_SHARE_WITH_GUEST = 0.04
_SHARE_OF_TITLE_TRACKS = 0.3  # albums named after their most popular track
_SHARE_SELF_TITLED = 0.02
_NUMERALS = ("", " II", " III", " IV", " V", " VI", " VII", " VIII", " IX", " X")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where each track belongs.

    Attributes:
        artist: int64[n_tracks], ascending.
        rank: int64[n_tracks], from 1, within the artist.
        album: int64[n_tracks], position in album_artist.
        album_artist: int64[n_albums], ascending.
    """

    artist: Ints
    rank: Ints
    album: Ints
    album_artist: Ints


class Namer:
    """Composes all texts of a catalogue.

    Args:
        vocabulary: words and patterns.
        voice: uint8[n_artists], positions in the vocabulary's voices.
        genre: uint8[n_artists], positions in its genres.
        rng: the catalogue's generator.
    """

    def __init__(self, vocabulary: Vocabulary, voice: Codes, genre: Codes, rng: np.random.Generator) -> None:
        self._vocabulary = vocabulary
        self._voices = list(vocabulary.voices.values())
        self._voice = voice
        self._genre = genre
        self._rng = rng

    def artists(self) -> pa.StringArray:
        """Distinct names, letter case aside: whoever got a name that is taken draws again."""
        phrases = Phrases(self._voices, "names")
        names = [""] * len(self._voice)
        taken: set[str] = set()
        missing = list(range(len(names)))
        while missing:
            drawn = phrases.compose(self._voice[missing], self._rng).to_pylist()
            refused = []
            for row, name in zip(missing, drawn, strict=True):
                if name.lower() in taken:
                    refused.append(row)
                else:
                    taken.add(name.lower())
                    names[row] = name
            missing = refused
        return pa.array(names, pa.string())

    def titles(self, place: Placement, artists: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
        """Titles with and without what follows them, such as " (Live)".

        Within an artist all are distinct but for a few in 100,000, which the words' own brackets cause."""
        base = Phrases(self._voices, "titles").compose(self._voice[place.artist], self._rng)
        row = np.arange(len(base))
        versions = self._rng.random(len(base)) < _SHARE_OF_VERSIONS
        row[versions] -= (self._rng.random(int(versions.sum())) * place.rank[versions]).astype(np.int64)
        base = base.take(pa.array(row))
        suffixes = self._vocabulary.suffixes
        earlier = occurrences(place.artist, base)
        which = np.where(earlier > 0, 1 + (earlier - 1 + place.artist) % len(suffixes), 0)
        suffix = pa.array(["", *suffixes]).take(pa.array(which))
        return pc.binary_join_element_wise(base, suffix, self._guests(place, artists), ""), base

    def _guests(self, place: Placement, artists: pa.StringArray) -> pa.StringArray:
        """For some tracks " (feat. …)" with another artist of the genre, for most nothing."""
        row = np.flatnonzero(self._rng.random(len(place.artist)) < _SHARE_WITH_GUEST)
        by_genre = np.argsort(self._genre, kind="stable")
        size = np.bincount(self._genre, minlength=256)
        place_of = np.empty(len(by_genre), np.int64)
        place_of[by_genre] = np.arange(len(by_genre)) - (np.cumsum(size) - size)[self._genre[by_genre]]
        host = place.artist[row]
        n = size[self._genre[host]]
        step = 1 + (self._rng.random(len(row)) * (n - 1)).astype(np.int64)
        first = (np.cumsum(size) - size)[self._genre[host]]
        guest = by_genre[first + (place_of[host] + step) % n]
        row, guest = row[guest != host], guest[guest != host]
        before, after = self._vocabulary.feat.split("{artist}")
        texts = pc.binary_join_element_wise(before, artists.take(pa.array(guest)), after, "")
        which = np.zeros(len(place.artist), np.int64)
        which[row] = np.arange(1, len(row) + 1)
        return pa.concat_arrays([pa.array([""], pa.string()), texts]).take(pa.array(which))

    def albums(self, place: Placement, artists: pa.StringArray, titles: pa.StringArray) -> pa.StringArray:
        """One name per album, distinct within an artist up to ten of the same."""
        n_albums = len(place.album_artist)
        names = Phrases(self._voices, "albums").compose(self._voice[place.album_artist], self._rng)
        luck = self._rng.random(n_albums)
        top_track = np.full(n_albums, -1)
        top_track[place.album[::-1]] = np.arange(len(place.album))[::-1]  # the last to be written is the most popular
        titled = (luck < _SHARE_OF_TITLE_TRACKS) & (top_track >= 0)
        names = pc.if_else(pa.array(titled), titles.take(pa.array(top_track * titled)), names)
        own = pa.array(luck > 1 - _SHARE_SELF_TITLED)
        names = pc.if_else(own, artists.take(pa.array(place.album_artist)), names)
        return pc.binary_join_element_wise(
            names, self._numerals(place.album_artist, names), self._endings(n_albums), ""
        )

    def _numerals(self, owner: Ints, names: pa.StringArray) -> pa.StringArray:
        earlier = np.minimum(occurrences(owner, names), len(_NUMERALS) - 1)
        return pa.array(_NUMERALS).take(pa.array(earlier))

    def _endings(self, n_albums: int) -> pa.StringArray:
        endings = self._vocabulary.albums
        table = choices([weight for weight, _ in endings])
        drawn = table[self._rng.integers(0, len(table), n_albums)]
        return pa.array([ending for _, ending in endings]).take(pa.array(drawn))


def occurrences(owner: Ints, texts: pa.StringArray) -> Ints:
    """How many earlier rows of the same owner have the same text: int64[n]."""
    code = texts.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    key = owner * (int(code.max(initial=0)) + 1) + code
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    run = np.repeat(starts, np.diff(starts, append=len(key)))
    earlier = np.empty(len(key), np.int64)
    earlier[order] = np.arange(len(key)) - run
    return earlier

"""Names of artists, titles of tracks and names of albums, for the whole catalogue at once.

In: each artist's voice and genre, each track's artist, rank and album. Out: Arrow string arrays.

Texts follow weighted patterns such as "The {^adj} {^noun}". A pattern is cut into pieces, one per slot, each with the
literal text around it already attached to its words, so that a text is a join of as many words as its pattern has slots
and needs no Python of its own.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.event import Int32s, Int64s, UInt8s
from loadgen.simulate.vocabulary import Pattern, Vocabulary, Voice, Words

_SLOT = re.compile(r"\{(\^?)(\w+)\}")
_FIRST_LETTER = re.compile(r"[^\W\d_]")
_CHOICES = 4096  # resolution of the weights of a voice's patterns
_NO_EARLIER = -1
_SMALL = frozenset(re.findall(r"\w+", "a an and as at but by for from in of on or than the to with"))
_Case = Callable[[str], str]


@dataclass(slots=True)
class _Piece:
    """One slot of a pattern: where its words are in the pool, and which earlier slot uses the same list."""

    start: int
    length: int
    earlier: int


class _Pool:
    """All words with the literal text before and after them, each combination once."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._seen: dict[tuple[Words, _Case, str, str], int] = {}

    def start_of(self, words: Words, case: _Case, before: str = "", after: str = "") -> int:
        key = (words, case, before, after)
        if key not in self._seen:
            self._seen[key] = len(self.words)
            self.words.extend(before + case(word) + after for word in words)
        return self._seen[key]


def _as_is(text: str) -> str:
    return text


def _sentence_case(text: str) -> str:
    return _FIRST_LETTER.sub(lambda letter: letter[0].upper(), text, count=1)


def _title_case(text: str) -> str:
    words = text.split(" ")
    ends = (0, len(words) - 1)
    return " ".join(
        word if word in _SMALL and place not in ends else _sentence_case(word) for place, word in enumerate(words)
    )


def _cut(text: str, voice: Voice, pool: _Pool) -> list[_Piece]:
    slots = list(_SLOT.finditer(text))
    if not slots:
        return [_Piece(pool.start_of((text,), _as_is), 1, _NO_EARLIER)]
    capital_case = _title_case if voice.title_case else _sentence_case
    pieces: list[_Piece] = []
    last_use: dict[str, int] = {}
    end = 0
    for position, slot in enumerate(slots):
        capital, name = slot.groups()
        after = text[slot.end() :] if position == len(slots) - 1 else ""
        words = voice.words[name]
        start = pool.start_of(words, capital_case if capital else _as_is, text[end : slot.start()], after)
        pieces.append(_Piece(start, len(words), last_use.get(name, _NO_EARLIER)))
        last_use[name], end = position, slot.end()
    return pieces


def choices(weights: Sequence[float], resolution: int = _CHOICES) -> Int32s:
    """A table of positions in which each occurs as often as its weight says: int32[resolution]."""
    edges = np.cumsum(weights) / np.sum(weights)
    return np.searchsorted(edges, (np.arange(resolution) + 0.5) / resolution).astype(np.int32)


class Phrases:
    """The patterns of several voices for one purpose, ready to compose."""

    def __init__(self, voices: Sequence[Voice], purpose: str) -> None:
        pool = _Pool()
        pieces: list[list[_Piece]] = []
        tables = []
        for voice in voices:
            patterns: tuple[Pattern, ...] = voice.patterns[purpose]
            tables.append(len(pieces) + choices([weight for weight, _ in patterns]))
            pieces += [_cut(text, voice, pool) for _, text in patterns]
        self._pattern_of = np.array(tables, np.int32)
        self._n_slots = np.array([len(cut) for cut in pieces], np.int32)
        width = int(self._n_slots.max())
        padded = [cut + [_Piece(0, 1, _NO_EARLIER)] * (width - len(cut)) for cut in pieces]
        self._start = np.array([[piece.start for piece in cut] for cut in padded], np.int32)
        self._length = np.array([[piece.length for piece in cut] for cut in padded], np.int32)
        self._earlier = np.array([[piece.earlier for piece in cut] for cut in padded], np.int32)
        self._pool = pa.array(pool.words, pa.string())

    def compose(self, voice: npt.NDArray[Any], rng: np.random.Generator) -> pa.StringArray:
        """One text per entry of `voice` (positions in the voices given at construction)."""
        pattern = self._pattern_of[voice, rng.integers(0, _CHOICES, len(voice), np.int32)]
        n_slots = self._n_slots[pattern]
        groups, order = [], []
        for n in np.unique(n_slots):
            rows = np.flatnonzero(n_slots == n)
            order.append(rows)
            groups.append(self._join(pattern[rows], int(n), rng))
        if not groups:
            return pa.array([], pa.string())
        back = np.empty(len(voice), np.int64)
        back[np.concatenate(order)] = np.arange(len(voice))
        return pa.concat_arrays(groups).take(pa.array(back))

    def _join(self, pattern: Int32s, n_slots: int, rng: np.random.Generator) -> pa.StringArray:
        drawn: list[Int32s] = []
        for slot in range(n_slots):
            drawn.append(self._draw(pattern, slot, drawn, rng))
        parts = [self._pool.take(pa.array(self._start[pattern, slot] + word)) for slot, word in enumerate(drawn)]
        return parts[0] if n_slots == 1 else pc.binary_join_element_wise(*parts, "")

    def _draw(self, pattern: Int32s, slot: int, drawn: list[Int32s], rng: np.random.Generator) -> Int32s:
        """Positions in the slot's list; never the word that the same list gave just before ("Rose & Rose")."""
        length = self._length[pattern, slot]
        earlier = self._earlier[pattern, slot]
        repeats = (earlier != _NO_EARLIER) & (length > 1)
        span = length - repeats
        word = (rng.random(len(pattern), np.float32) * span).astype(np.int32)
        word = np.minimum(word, span - 1)  # float32 may round up to the span
        if repeats.any():
            before = np.stack(drawn)[earlier[repeats], np.flatnonzero(repeats)]
            word[repeats] = (before + 1 + word[repeats]) % length[repeats]
        return np.asarray(word, np.int32)


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

    artist: Int64s
    rank: Int64s
    album: Int64s
    album_artist: Int64s


class Namer:
    """Composes all texts of a catalogue.

    Args:
        voice: uint8[n_artists], positions in the vocabulary's voices.
        genre: uint8[n_artists], positions in its genres.
    """

    def __init__(self, vocabulary: Vocabulary, voice: UInt8s, genre: UInt8s, rng: np.random.Generator) -> None:
        self._vocabulary = vocabulary
        self._voices = list(vocabulary.voices.values())
        self._voice = voice
        self._genre = genre
        self._rng = rng

    def artists(self) -> pa.StringArray:
        """Distinct names, letter case aside: a name that is taken is drawn again."""
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
        earlier = np.minimum(occurrences(place.album_artist, names), len(_NUMERALS) - 1)
        numerals = pa.array(_NUMERALS).take(pa.array(earlier))
        return pc.binary_join_element_wise(names, numerals, self._endings(n_albums), "")

    def _endings(self, n_albums: int) -> pa.StringArray:
        endings = self._vocabulary.albums
        table = choices([weight for weight, _ in endings])
        drawn = table[self._rng.integers(0, len(table), n_albums)]
        return pa.array([ending for _, ending in endings]).take(pa.array(drawn))


def occurrences(owner: Int64s, texts: pa.StringArray) -> Int64s:
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

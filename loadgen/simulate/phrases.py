"""Composes many short texts at once from weighted patterns such as "The {^adj} {^noun}".

In go the patterns and word lists of several voices, and a voice per text; out comes one Arrow string array. A
pattern is cut into pieces, one per slot, each with the literal text around it already attached to the words, so that a
text is a join of as many words as its pattern has slots: no Python per text.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.simulate.vocabulary import Pattern, Voice, Words

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


def choices(weights: Sequence[float], resolution: int = _CHOICES) -> npt.NDArray[np.int32]:
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

    def _join(self, pattern: npt.NDArray[np.int32], n_slots: int, rng: np.random.Generator) -> pa.StringArray:
        drawn: list[npt.NDArray[np.int32]] = []
        for slot in range(n_slots):
            drawn.append(self._draw(pattern, slot, drawn, rng))
        parts = [self._pool.take(pa.array(self._start[pattern, slot] + word)) for slot, word in enumerate(drawn)]
        return parts[0] if n_slots == 1 else pc.binary_join_element_wise(*parts, "")

    def _draw(
        self, pattern: npt.NDArray[np.int32], slot: int, drawn: list[npt.NDArray[np.int32]], rng: np.random.Generator
    ) -> npt.NDArray[np.int32]:
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

"""Lines exactly as the encoder writes them, read at many times the speed of a JSON parser.

In: whole lines. Out: `Hashed` of those whose keys, in their order, are those of a wire format, and the rows of all
others, which somebody else has to read. Keys are found by the `":` behind them; the values lie between. A text is
hashed where it stands, by its bytes: so a line that is no valid JSON, yet passes here, still has another hash than any
event that was sent. Lines with an escape in them, and those that were malformed on purpose, are left to others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from loadgen.drawn import MOST_DECIMALS, Drawn
from loadgen.event import Int64s, UInt64s
from loadgen.fingerprint import NO_KEY, hash_floats, hash_integers, hash_null, hash_spans, mix_field, words_of
from loadgen.formats import OWN, Field, KnownFormats, Source
from loadgen.verifier.columns import ID_OF, ISO_BYTES, Hashed, iso_times

Bools = npt.NDArray[np.bool_]
Read = Callable[[Field, Int64s, Int64s], tuple[UInt64s, Bools]]
ReadNumbers = Callable[["_Lines", Int64s, Int64s], tuple[npt.NDArray[np.number[Any]], Bools]]
MOST_BYTES = 1 << 16
"""No event is longer; a longer line counts by its bytes."""
_MARGIN = 24
"""Bytes in front of the block, so that what is looked at before a key lies in memory."""
_QUOTE, _COLON, _NEWLINE, _CLOSE, _ZERO, _POINT, _MINUS = b'":\n}0.-'
_SPECIAL = b"\\\xff"
"""What begins an escape, and what lines have that were malformed on purpose (encode/malform.py)."""
_ONES, _ALL = np.uint64(0x0101010101010101), np.uint64(0xFFFFFFFFFFFFFFFF)
_DIGITS, _HIGH, _SIX = _ONES * np.uint64(0x30), _ONES * np.uint64(0xF0), _ONES * np.uint64(6)
_MOST_DIGITS = 16
_NULL = int.from_bytes(b"null", "little")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it stands in a line, with what is in front of it.

    Attributes:
        field: the field.
        text: `,"name` or `{"name`.
        words: pieces of eight bytes at most, from the end: (distance to the end, word, mask).
    """

    field: Field
    text: bytes
    words: tuple[tuple[int, np.uint64, np.uint64], ...]

    @classmethod
    def of(cls, field: Field, before: bytes) -> "Key":
        """The key of this field; `before` is what stands in front of its quote."""
        text = before + b'"' + field.name.encode()
        words = []
        for end in range(len(text), 0, -8):
            piece = text[max(0, end - 8) : end]
            mask = _ALL << np.uint64(8 * (8 - len(piece)))
            words.append((len(text) - end + 8, np.uint64(int.from_bytes(piece.rjust(8, b"\0"), "little")), mask))
        return cls(field, text, tuple(words))


@lru_cache
def _shapes(known: KnownFormats) -> list[tuple[Key, ...]]:
    """The keys of each kind of record that these formats have."""
    shapes = dict.fromkeys(shape for wire_format in known.formats for shape in wire_format.shapes)
    return [tuple(Key.of(field, b"," if at else b"{") for at, field in enumerate(shape)) for shape in shapes]


@dataclass(frozen=True, slots=True)
class _Lines:
    """A block of lines.

    Attributes:
        text: uint8, _MARGIN zeros, the lines, zeros.
        words: uint64, the word that starts at each byte.
        starts, ends: int64, where each line begins, and where its newline is.
        colons: int64, where a quote is that a colon follows.
        first_colon: int64, position in `colons` of each line's first; n_colons: how many it has.
    """

    text: npt.NDArray[np.uint8]
    words: UInt64s
    starts: Int64s
    ends: Int64s
    colons: Int64s
    first_colon: Int64s
    n_colons: Int64s

    @classmethod
    def of(cls, data: bytes) -> "_Lines":
        text = np.zeros(_MARGIN + len(data) + 8, np.uint8)
        text[_MARGIN:-8] = np.frombuffer(data, np.uint8)
        is_colon = text[1:] == _COLON
        is_colon &= text[:-1] == _QUOTE
        is_colon |= text[:-1] == _NEWLINE
        marks = np.flatnonzero(is_colon)
        is_end = text[marks] == _NEWLINE
        ends, colons = marks[is_end], marks[~is_end]
        starts = np.append(_MARGIN, ends[:-1] + 1)[: len(ends)]
        after = np.flatnonzero(is_end) - np.arange(len(ends))
        first = np.append(0, after[:-1])[: len(ends)]
        return cls(text, words_of(text), starts, ends, colons, first, after - first)


@dataclass(frozen=True, slots=True)
class Canonical:
    """What was read of a block.

    Attributes:
        hashed: a row for every line.
        others: int64, ascending: the rows of lines that the encoder would have written in another way.
        bounds: int64[2, len(others)], where these lines begin and end in the block, without their newlines.
    """

    hashed: Hashed
    others: Int64s
    bounds: Int64s


def hash_canonical(data: bytes, key: np.uint64 = NO_KEY, known: KnownFormats = OWN) -> Canonical:
    """Hash the lines of a block (at least one, each with its newline) that are just as the encoder writes them.

    Args:
        data: the block.
        key: see fingerprint.run_key.
        known: the formats of the lines.
    """
    lines = _Lines.of(data)
    found = Hashed.empty(len(lines.ends))
    is_other = (lines.text[lines.ends - 1] != _CLOSE) | (lines.ends - lines.starts > MOST_BYTES)
    is_other[np.searchsorted(lines.ends, [_MARGIN + at for at in _positions(data, _SPECIAL)])] = True
    is_done = np.zeros(len(lines.ends), np.bool_)
    for shape in _shapes(known):
        rows = np.flatnonzero((lines.n_colons == len(shape)) & ~is_other & ~is_done)
        if len(rows):
            is_done[_hash_shape(lines, shape, rows, found, key)] = True
    others = np.flatnonzero(~is_done)
    return Canonical(found, others, np.array([lines.starts[others], lines.ends[others]]) - _MARGIN)


def _positions(data: bytes, marks: bytes) -> list[int]:
    """Where any of these bytes stand: they are few."""
    found = []
    for mark in marks:
        at = data.find(mark)
        while at >= 0:
            found.append(at)
            at = data.find(mark, at + 1)
    return found


def _hash_shape(lines: _Lines, shape: tuple[Key, ...], rows: Int64s, found: Hashed, run_key: np.uint64) -> Int64s:
    """Hash those of these lines that have the keys of this shape, and values that fit; returns their rows."""
    colons = lines.colons[lines.first_colon[rows] + np.arange(len(shape))[:, None]]
    rows, colons = _with_keys(lines, shape, rows, colons)
    if len(rows) == 0:
        return rows
    part = _Part(lines, len(rows), run_key)
    for at, key in enumerate(shape):
        start = colons[at] + 2
        end = colons[at + 1] - len(shape[at + 1].text) if at + 1 < len(shape) else lines.ends[rows] - 1
        part.add(key.field, start, end)
    return part.give(rows, found)


def _with_keys(lines: _Lines, shape: tuple[Key, ...], rows: Int64s, colons: Int64s) -> tuple[Int64s, Int64s]:
    """The lines that have these keys and no others."""
    is_good = colons[0] - len(shape[0].text) == lines.starts[rows]
    for at, key in enumerate(shape):
        for distance, word, mask in key.words:
            is_good &= lines.words[colons[at] - distance] & mask == word
    return (rows, colons) if is_good.all() else (rows[is_good], colons[:, is_good])


class _Part:
    """Lines of one shape, hashed field by field."""

    def __init__(self, lines: _Lines, n: int, key: np.uint64) -> None:
        self._lines, self._key = lines, key
        self._is_good = np.ones(n, np.bool_)
        self._total = np.zeros(n, np.uint64)
        self._kept: dict[str, Int64s | UInt64s] = {}
        self._names: UInt64s | None = None
        self._has_iso_time = self._has_id = False

    def add(self, field: Field, start: Int64s, end: Int64s) -> None:
        """Add the terms of a field whose values are between these positions."""
        if field.source is Source.TIME_ISO:
            self._add_times(field, start, end)
        elif field.source is Source.USER_NAME:
            self._names, is_good = self._text_hashes(start, end)
            self._take(mix_field(field.name, self._names), is_good)
        elif field.type == "integer" and not field.is_nullable:
            self._add_integers(field, start, end)
        else:
            read = {"integer": self._integers, "float": self._floats, "text": self._texts}[field.type]
            if field.is_nullable:
                self._add_or_null(field, start, end, read)
            else:
                self._take(*read(field, start, end))

    def give(self, rows: Int64s, found: Hashed) -> Int64s:
        """Write down what was hashed of these rows; returns those that were good."""
        good = np.flatnonzero(self._is_good)
        chosen = rows[good]
        found.total[chosen] = self._total[good]
        for name, values in self._kept.items():
            getattr(found, name)[chosen] = values[good]
        if self._has_iso_time and not self._has_id:
            names = np.zeros(len(rows), np.uint64) if self._names is None else self._names
            found.named = np.append(found.named, chosen)
            found.name_hashes = np.append(found.name_hashes, names[good])
        return chosen

    def _take(self, terms: UInt64s, is_good: Bools) -> None:
        self._total += terms
        self._is_good &= is_good

    def _add_integers(self, field: Field, start: Int64s, end: Int64s) -> None:
        values, is_good = self._read(field, start, end, _integers)
        terms = hash_integers(field.name, values, self._key if field.is_keyed else NO_KEY)
        self._take(terms, is_good)
        if field.source is Source.TIME_MS:
            self._kept.update(time_ms=values, time_term=terms)
        elif field.source in ID_OF:
            self._kept[ID_OF[field.source]] = values
            self._has_id |= field.source is Source.USER_ID

    def _add_times(self, field: Field, start: Int64s, end: Int64s) -> None:
        words = self._lines.words[start + 1 + 8 * np.arange(ISO_BYTES // 8)[:, None]]
        characters = np.ascontiguousarray(words.T).view(np.uint8)
        times, is_good = iso_times(characters)
        is_good &= (end - start == ISO_BYTES + 2) & _is_quoted(self._lines, start, end)
        terms = hash_integers(field.name, times, self._key)
        self._take(terms, is_good)
        self._kept.update(time_ms=times, time_term=terms)
        self._has_iso_time = True

    def _text_hashes(self, start: Int64s, end: Int64s) -> tuple[UInt64s, Bools]:
        lengths = np.maximum(end - start - 2, 0)
        return hash_spans(self._lines.words, start + 1, lengths), _is_quoted(self._lines, start, end)

    def _texts(self, field: Field, start: Int64s, end: Int64s) -> tuple[UInt64s, Bools]:
        hashes, is_good = self._text_hashes(start, end)
        return mix_field(field.name, hashes), is_good

    def _integers(self, field: Field, start: Int64s, end: Int64s) -> tuple[UInt64s, Bools]:
        values, is_good = self._read(field, start, end, _integers)
        return hash_integers(field.name, values, self._key if field.is_keyed else NO_KEY), is_good

    def _floats(self, field: Field, start: Int64s, end: Int64s) -> tuple[UInt64s, Bools]:
        most_places = MOST_DECIMALS if isinstance(field.source, Drawn) else 3
        values, is_good = self._read(field, start, end, partial(_decimals, most_places=most_places))
        return hash_floats(field.name, values), is_good

    def _read(self, field: Field, start: Int64s, end: Int64s, read: ReadNumbers) -> tuple[Any, Bools]:
        """Numbers; only drawn ones may be below 0."""
        if not isinstance(field.source, Drawn):
            return read(self._lines, start, end)
        is_negative = self._lines.text[start] == _MINUS
        values, is_good = read(self._lines, start + is_negative, end)
        return np.where(is_negative, -values, values), is_good & ~(is_negative & (values == 0))

    def _add_or_null(self, field: Field, start: Int64s, end: Int64s, read: Read) -> None:
        is_null = (end - start == 4) & ((self._lines.words[start] & np.uint64(0xFFFFFFFF)) == _NULL)
        if not is_null.any():
            self._take(*read(field, start, end))
            return
        terms, is_good = np.full(len(start), hash_null(field.name)), np.ones(len(start), np.bool_)
        (rows,) = np.nonzero(~is_null)
        terms[rows], is_good[rows] = read(field, start[rows], end[rows])
        self._take(terms, is_good)


def _is_quoted(lines: _Lines, start: Int64s, end: Int64s) -> Bools:
    quoted: Bools = (lines.text[start] == _QUOTE) & (lines.text[end - 1] == _QUOTE) & (end - start >= 2)
    return quoted


def _integers(lines: _Lines, start: Int64s, end: Int64s) -> tuple[Int64s, Bools]:
    """Decimal digits to int64, and which of them are just that: no sign, no zero in front, 16 at most."""
    n_digits = end - start
    is_good = (n_digits >= 1) & (n_digits <= _MOST_DIGITS)
    is_good &= (lines.text[start] != _ZERO) | (n_digits == 1)
    low, is_low = _eight_digits(lines.words[end - 8], np.clip(n_digits, 0, 8))
    is_good &= is_low
    if n_digits.max(initial=0) > 8:
        high, is_high = _eight_digits(lines.words[end - 16], np.clip(n_digits - 8, 0, 8))
        is_good &= is_high
        low += high * np.uint64(100_000_000)
    return low.view(np.int64), is_good


def _eight_digits(words: UInt64s, n_digits: Int64s) -> tuple[UInt64s, Bools]:
    """The number that the last n digits (0..8) of each word write; which are all digits. Pairs are joined, thrice."""
    spare = ((8 - n_digits) * 8).view(np.uint64)
    digits = ((words ^ _DIGITS) >> np.minimum(spare, np.uint64(63)) << np.minimum(spare, np.uint64(63))).copy()
    digits[n_digits == 0] = 0
    is_good = ((digits | (digits + _SIX)) & _HIGH) == 0
    digits = (digits * np.uint64(10) + (digits >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    digits = (digits * np.uint64(100) + (digits >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    digits = (digits * np.uint64(10_000) + (digits >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    return digits, is_good


def _decimals(lines: _Lines, start: Int64s, end: Int64s, most_places: int) -> tuple[npt.NDArray[np.float64], Bools]:
    """Decimals to float64: an integer over a power of ten, rounded once, as orjson reads it; 15 digits at most."""
    n_places = np.zeros(len(start), np.int64)
    for places in range(1, most_places + 1):
        n_places[lines.text[end - places - 1] == _POINT] = places
    whole, is_whole = _integers(lines, start, end - n_places - 1)
    digits, is_digits = _eight_digits(lines.words[end - 8], n_places)
    scale = 10**n_places
    values = (whole * scale + digits.view(np.int64)) / scale
    return values, is_whole & is_digits & (n_places > 0) & (whole < 10 ** (15 - most_places))

"""Columns of bytes: constants, joined columns, and numbers as Avro and Protobuf write them.

A varint is an unsigned integer, seven bits a byte, the lowest first; every byte but the last has its highest bit set.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.event import Int64s, UInt8s, UInt64s
from loadgen.fingerprint import words_of

_WORD_BYTES = 8
_WHOLE, _NONE = np.uint8(_WORD_BYTES), np.uint8(0)
_WORD_BITS, _LOW_WORD = np.uint64(56), np.uint64((1 << 56) - 1)
"""Of a number, in a word of a varint."""
_HIGH_BITS, _LOW_BITS = np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
_SPREAD = (
    (28, np.uint64(0xFFFFFFF), np.uint64(0xFFFFFFF0000000), np.uint64(4)),
    (14, np.uint64(0x00003FFF00003FFF), np.uint64(0x0FFFC0000FFFC000), np.uint64(2)),
    (7, np.uint64(0x007F007F007F007F), np.uint64(0x3F803F803F803F80), np.uint64(1)),
)
"""Moves each seven bits of 56 to a byte of their own: by halves, quarters, eighths (bits, low and high mask, shift)."""
_SMEAR = ((14, np.uint64(8)), (14, np.uint64(16)), (28, np.uint64(32)))
"""Or-s all higher bytes of a word to each (bits of the number from which that is needed, shift)."""
Texts: TypeAlias = pa.Array | pa.Scalar
Run = tuple[UInt64s, UInt8s]
"""Bytes of each row as a little-endian word, and how many of its bytes count; the others are zero."""


def literal(data: bytes) -> pa.Scalar:
    """Constant bytes."""
    return pa.scalar(data, pa.binary())


def join(*pieces: pa.Array | pa.Scalar) -> pa.BinaryArray:
    """Concatenate the pieces of each row."""
    return pc.binary_join_element_wise(*pieces, literal(b""))


def gathered(texts: pa.BinaryArray, places: Sequence[npt.NDArray[np.integer[Any]]]) -> pa.BinaryArray:
    """The texts at the first place of each row, then at its second, and so on, as one: cheaper than columns to join.

    Args:
        texts: few enough to stay in a processor's cache.
        places: which of them, an array of one length for each part of a row.
    """
    n_parts = len(places)
    sides = np.empty((len(places[0]), n_parts), np.int32)
    for at, column in enumerate(places):
        sides[:, at] = column
    _, ends, data = texts.take(pa.array(sides.ravel())).buffers()
    offsets = np.frombuffer(ends, np.int32)[: sides.size + 1 : n_parts].copy()
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), data])


def zigzag(values: Int64s) -> UInt64s:
    """Integers with a sign as unsigned ones, small where the integer is near zero: 0, -1, 1, -2 … are 0, 1, 2, 3 …"""
    mapped: Int64s = (values << 1) ^ (values >> 63)
    return mapped.view(np.uint64)


def varints(values: UInt64s) -> list[Run]:
    """The varints of these numbers: one run, or two where a number needs more than 56 bits."""
    if int(values.max(initial=0)) >> 56 == 0:
        return [_low_varints(values)]
    high = values >> _WORD_BITS
    low, lengths = _low_varints(values & _LOW_WORD)
    is_long = high > 0
    low = np.where(is_long, low | _HIGH_BITS, low)
    words, high_lengths = _low_varints(high)
    return [(low, np.where(is_long, _WHOLE, lengths)), (words, np.where(is_long, high_lengths, _NONE))]


def packed_varint(value: int) -> bytes:
    """The varint of one number of 64 bits."""
    found: bytes = packed(varints(np.array([value], np.uint64)))[0].as_py()
    return found


def _low_varints(values: UInt64s) -> Run:
    """The varints of the lowest 56 bits."""
    words, n_bits = values, int(values.max(initial=0)).bit_length()
    for bits, low_mask, high_mask, shift in _SPREAD:
        if n_bits > bits:
            high = words & high_mask
            high <<= shift
            words = words & low_mask
            words |= high
    goes_on = words >> np.uint64(8)
    for bits, shift in _SMEAR:
        if n_bits > bits:
            goes_on |= goes_on >> shift
    goes_on += _LOW_BITS
    goes_on &= _HIGH_BITS
    lengths: UInt8s = np.bitwise_count(goes_on)
    lengths += np.uint8(1)
    return words | goes_on, lengths


def tagged(tag: bytes, runs: list[Run]) -> list[Run]:
    """These runs behind constant bytes, eight at most."""
    words, lengths = runs[0]
    tag_word = np.uint64(int.from_bytes(tag, "little"))
    if len(tag) + int(lengths.max(initial=0)) <= _WORD_BYTES:
        return [((words << np.uint64(8 * len(tag))) | tag_word, lengths + np.uint8(len(tag))), *runs[1:]]
    return [(np.full_like(words, tag_word), np.full_like(lengths, len(tag))), *runs]


def fixed(values: Int64s, n_bytes: int) -> Run:
    """The lowest bytes of each integer, 8 at most, little-endian."""
    mask = ~np.uint64(0) >> np.uint64(8 * (_WORD_BYTES - n_bytes))
    return values.view(np.uint64) & mask, np.full(len(values), np.uint8(n_bytes))


def doubles(values: npt.NDArray[np.float64]) -> Run:
    """The eight bytes of each float64."""
    return np.ascontiguousarray(values, "<f8").view(np.uint64), np.full(len(values), _WHOLE)


def singles(values: npt.NDArray[Any]) -> Run:
    """The four bytes of each number as float32."""
    words = np.ascontiguousarray(values, "<f4").view(np.uint32).astype(np.uint64)
    return words, np.full(len(values), np.uint8(4))


def decimals(unscaled: Int64s) -> Run:
    """The bytes of integers of two's complement, big-endian, as few as Avro's libraries write."""
    size, limits = np.abs(unscaled), [0, *(1 << (8 * n - 1) for n in range(1, _WORD_BYTES))]
    lengths: UInt8s = np.sum([size >= limit for limit in limits], axis=0, dtype=np.uint8)
    spare = (np.uint64(_WORD_BYTES) - lengths) * np.uint64(8)
    words: UInt64s = unscaled.view(np.uint64).byteswap() >> spare
    return words, lengths


def fixed_decimals(unscaled: Int64s, n_bytes: int) -> list[Run]:
    """The n bytes of integers of two's complement, big-endian; what n lacks must be sign."""
    words, runs = unscaled.view(np.uint64).byteswap(), list[Run]()
    sign = np.where(unscaled < 0, ~np.uint64(0), np.uint64(0))
    for at in range(n_bytes, 0, -_WORD_BYTES):  # from the last bytes to the first
        length = min(at, _WORD_BYTES)
        word = (words >> np.uint64(8 * (_WORD_BYTES - length))) if at == n_bytes else sign
        mask = ~np.uint64(0) >> np.uint64(8 * (_WORD_BYTES - length))
        runs.insert(0, (word & mask, np.full(len(unscaled), np.uint8(length))))
    return runs


def packed(runs: Sequence[Run]) -> pa.BinaryArray:
    """The bytes of all runs, row by row.

    Whole words are written, in order of their places: what is too long in one is overwritten by the next.
    """
    n_runs = len(runs)
    words = np.stack([words for words, _ in runs], axis=1).ravel() if n_runs > 1 else runs[0][0]
    lengths = np.stack([lengths for _, lengths in runs], axis=1).ravel() if n_runs > 1 else runs[0][1]
    ends = np.cumsum(lengths, dtype=np.int64)
    data = np.zeros((int(ends[-1]) if len(ends) else 0) + _WORD_BYTES, np.uint8)
    words_of(data)[ends - lengths] = words
    offsets = np.zeros(len(words) // n_runs + 1, np.int32)
    offsets[1:] = ends[n_runs - 1 :: n_runs]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def avro_texts(values: pa.Array) -> list[pa.BinaryArray]:
    """Each text as Avro writes it: its length, then its bytes."""
    return [packed(varints(lengths_of(values) << np.uint64(1))), values.cast(pa.binary())]


def integers_of(values: pa.Array) -> Int64s:
    """Integers of any width as int64."""
    found: npt.NDArray[Any] = values.to_numpy()
    return found.astype(np.int64, copy=False)


def lengths_of(texts: pa.Array) -> UInt64s:
    """How many bytes each text has."""
    found: UInt64s = pc.binary_length(texts).to_numpy().astype(np.uint64)
    return found

"""The 64-bit hash of an event, computed on columns: from what is generated, and again from what is read back.

The hash of an event is `mix` of the sum of the terms of its fields; a field that an event lacks adds nothing. A
field's term depends on the field's name and on its value alone, so that unchanging parts (a listener's, a track's, a
page's) are made once and their sums gathered. The term of an integer is a mix of its value, that of a length in
seconds of the bits of its float64, that of a string of its UTF-8 bytes; that of null is a constant. No term is linear
in its value, and those of integers depend on a key of the run: otherwise a few integers changed together could leave
the sum as it was. (The popularity of a track has no key, since the sums of tracks are kept with the catalogue.)

The mixing function is SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014).
"""

from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.event import Int64s, UInt64s

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NO_KEY = np.uint64(0)
NULL_VALUE = np.uint64(0x6E756C6C6E756C6C)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_WORD_BYTES = 8


def mix(values: UInt64s) -> UInt64s:
    """SplitMix64's finaliser of uint64 values: a bijection that spreads every bit over all bits."""
    values = values ^ (values >> np.uint64(30))
    values *= _MULTIPLY_1
    values ^= values >> np.uint64(27)
    values *= _MULTIPLY_2
    values ^= values >> np.uint64(31)
    return values


@cache
def field_key(field: str) -> np.uint64:
    """The constant that makes equal values of different fields hash differently."""
    return cast(np.uint64, hash_strings(pa.array([field]))[0])


def run_key(seed: int, timeless: bool = False) -> np.uint64:
    """The key of all runs with this seed: shards of one run have the same.

    Runs whose times only the fingerprint tells have none, so that those of several seeds can be added up.
    """
    if timeless:
        return NO_KEY
    return cast(np.uint64, mix(np.array([seed & (1 << 64) - 1], np.uint64) + GOLDEN)[0])


def hash_integers(field: str, values: npt.NDArray[np.integer[Any]], key: np.uint64 = NO_KEY) -> UInt64s:
    """The terms of integers (any integer dtype, any shape) as values of this field: uint64, same shape.

    Args:
        field: the field's name.
        values: the integers.
        key: see `run_key`.
    """
    return mix(values.astype(np.int64).view(np.uint64) * GOLDEN + (~field_key(field) ^ key))


def hash_floats(field: str, values: npt.NDArray[np.float64]) -> UInt64s:
    """Hash float64 values by their bits."""
    return mix(np.ascontiguousarray(values, np.float64).view(np.uint64) * GOLDEN + field_key(field))


def hash_texts(field: str, values: pa.Array) -> UInt64s:
    """Hash strings (pyarrow string array; null allowed) as values of this field: uint64[n]."""
    found = hash_strings(values)
    if values.null_count:
        found[values.is_null().to_numpy(zero_copy_only=False)] = NULL_VALUE
    return mix_field(field, found)


def mix_field(field: str, hashes: UInt64s) -> UInt64s:
    """The terms of strings with these hashes as values of this field."""
    return mix(hashes * GOLDEN + field_key(field))


def hash_null(field: str) -> np.uint64:
    """The hash of this field where its value is null."""
    return cast(np.uint64, mix(np.array([NULL_VALUE]) * GOLDEN + field_key(field))[0])


def hash_strings(values: pa.Array | pa.ChunkedArray) -> UInt64s:
    """Hash UTF-8 strings, eight bytes at a time, all strings at once: uint64[n]; null hashes as empty."""
    if isinstance(values, pa.ChunkedArray):
        return np.concatenate([hash_strings(chunk) for chunk in values.chunks] or [np.empty(0, np.uint64)])
    values = values.cast(pa.large_binary())
    _, offsets_buffer, data = values.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[values.offset : values.offset + len(values) + 1]
    padded = np.zeros((data.size if data else 0) + _WORD_BYTES, np.uint8)
    if data:
        padded[: data.size] = np.frombuffer(data, np.uint8)
    return hash_spans(words_of(padded), offsets[:-1], np.diff(offsets))


def hash_spans(words: UInt64s, starts: Int64s, lengths: Int64s) -> UInt64s:
    """Hash runs of bytes as `hash_strings` does: uint64[n].

    Args:
        words: see `words_of`.
        starts, lengths: int64[n], of each run, in bytes.
    """
    hashes = mix(lengths.view(np.uint64) + GOLDEN)
    rows = np.flatnonzero(lengths > 0)
    at = 0
    while len(rows):
        word = words[starts[rows] + at]
        spare_bytes = np.maximum(_WORD_BYTES - (lengths[rows] - at), 0).astype(np.uint64)
        word &= np.uint64(0xFFFFFFFFFFFFFFFF) >> (spare_bytes * np.uint64(8))
        hashes[rows] = mix((hashes[rows] ^ word) * GOLDEN)
        at += _WORD_BYTES
        rows = rows[lengths[rows] > at]
    return hashes


def words_of(data: npt.NDArray[np.uint8]) -> UInt64s:
    """The little-endian 64-bit word that starts at each byte, but the last seven: an overlapping view."""
    return np.ndarray((len(data) - _WORD_BYTES + 1,), "<u8", data.data, strides=(1,))

"""Which partition a message goes to: the Java client's choice, for all messages at once.

In: keys, or user ids whose decimal digits are the keys, and the number of partitions. Out: one partition each, which is
(murmur2(key) & 0x7fffffff) % n_partitions, as in Kafka's DefaultPartitioner and in librdkafka's `murmur2` and
`murmur2_random`.
"""

import numpy as np
import pyarrow as pa

from loadgen.event import Int64s, UInt16s, UInt32s

SEED = 0x9747B28C
MIX = 0x5BD1E995
POSITIVE = np.uint32(0x7FFFFFFF)
MAX_PARTITIONS = 1 << 16
CHUNK = 1 << 16
"""Ids per step: the intermediate arrays stay inside the processor's cache."""


def hash_of_ids(user_ids: Int64s) -> UInt32s:
    """What the partition of each listener's key follows from: uint32[n], murmur2 of its decimal digits, below 2**31.

    Args:
        user_ids: int64[n], 0 or more.

    Raises:
        ValueError: an id is negative.
    """
    if len(user_ids) and int(user_ids.min()) < 0:
        raise ValueError(f"user ids must be 0 or more, got {int(user_ids.min())}")
    hashes = np.empty(len(user_ids), np.uint32)
    for start in range(0, len(user_ids), CHUNK):
        hashes[start : start + CHUNK] = murmur2(user_ids[start : start + CHUNK])
    return hashes & POSITIVE


def hash_of_keys(keys: pa.BinaryArray) -> UInt32s:
    """The same of keys of any bytes: uint32[n]; that of no bytes for a null.

    Args:
        keys: pyarrow binary array of n keys.
    """
    if len(keys) == 0:
        return np.empty(0, np.uint32)
    filled = keys.fill_null(b"")
    _, offsets, data = filled.buffers()
    ends = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(keys) + 1].astype(np.int64)
    characters = np.frombuffer(bytes(4) if data is None else data, np.uint8)[: int(ends[-1])]
    padded = np.append(characters, np.zeros(4, np.uint8)).astype(np.uint32)
    words = padded[:-3] | padded[1:-2] << np.uint32(8) | padded[2:-1] << np.uint32(16) | padded[3:] << np.uint32(24)
    starts, lengths = ends[:-1], np.diff(ends)
    h = np.uint32(SEED) ^ lengths.astype(np.uint32)
    for at in range(0, int(lengths.max()) - 3, 4):
        (rows,) = np.nonzero(lengths >= at + 4)
        h[rows] = (h[rows] * np.uint32(MIX)) ^ _mixed(words[starts[rows] + at])
    n_left = lengths % 4
    (rows,) = np.nonzero(n_left)
    tail = words[ends[1:][rows] - n_left[rows]] & _TAIL_MASKS[n_left[rows]]
    h[rows] = (h[rows] ^ tail) * np.uint32(MIX)
    return _finished(h) & POSITIVE


def partitions_of(hashes: UInt32s, n_partitions: int) -> UInt16s:
    """The partition of each message: uint16[n].

    Args:
        hashes: of the keys, from `hash_of_ids` or `hash_of_keys`.
        n_partitions: 1..65536.

    Raises:
        ValueError: n_partitions is out of range.
    """
    if not 1 <= n_partitions <= MAX_PARTITIONS:
        raise ValueError(f"n_partitions must be 1..{MAX_PARTITIONS}, got {n_partitions}")
    return (hashes % np.uint32(n_partitions)).astype(np.uint16)


def murmur2(user_ids: Int64s) -> UInt32s:
    """murmur2 of each id's decimal digits: uint32[n]."""
    hashes = np.empty(len(user_ids), np.uint32)
    n_digits = np.searchsorted(_POWERS_OF_TEN, user_ids, side="right") + 1
    for length in np.unique(n_digits).tolist():
        (rows,) = np.nonzero(n_digits == length)
        hashes[rows] = _murmur2_of_length(user_ids[rows], length)
    return hashes


_POWERS_OF_TEN = 10 ** np.arange(1, 19, dtype=np.int64)


def _murmur2_of_length(ids: Int64s, length: int) -> UInt32s:
    """murmur2 of ids that all have length digits: whole words of four digits, then what is left."""
    h = np.full(len(ids), SEED ^ length, np.uint32)
    n_left = length
    while n_left >= 4:
        n_left -= 4
        h = (h * np.uint32(MIX)) ^ _WORDS[(ids // 10**n_left) % 10_000]
    if n_left:
        h = (h ^ _TAILS[n_left][ids % 10**n_left]) * np.uint32(MIX)
    return _finished(h)


def _finished(h: UInt32s) -> UInt32s:
    h ^= h >> np.uint32(13)
    h *= np.uint32(MIX)
    h ^= h >> np.uint32(15)
    return h


def _mixed(words: UInt32s) -> UInt32s:
    words = words * np.uint32(MIX)
    words ^= words >> np.uint32(24)
    return words * np.uint32(MIX)


def _digits_as_integers(n_digits: int) -> UInt32s:
    """For each number of n_digits digits, those digits as a little-endian integer: uint32[10**n_digits]."""
    numbers = np.arange(10**n_digits, dtype=np.uint32)
    packed = np.zeros_like(numbers)
    for position in range(n_digits):
        digit = numbers // 10 ** (n_digits - 1 - position) % 10
        packed |= (digit + ord("0")) << np.uint32(8 * position)
    return packed


_WORDS = _mixed(_digits_as_integers(4))
_TAILS = {n_digits: _digits_as_integers(n_digits) for n_digits in (1, 2, 3)}
_TAIL_MASKS = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)

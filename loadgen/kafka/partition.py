"""Which partition a listener's events go to: the Java client's choice, for all listeners at once.

In: user ids and the number of partitions. Out: one partition per listener. The key is the id in decimal digits, and
the partition is (murmur2(key) & 0x7fffffff) % n_partitions, as in Kafka's DefaultPartitioner and in librdkafka's
`murmur2` and `murmur2_random`.
"""

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s, UInt16s

SEED = 0x9747B28C
MIX = 0x5BD1E995
MAX_PARTITIONS = 1 << 16
CHUNK = 1 << 16
"""Ids per step: the intermediate arrays stay inside the processor's cache."""

UInt32s = npt.NDArray[np.uint32]


def murmur2_partitions(user_ids: Int64s, n_partitions: int) -> UInt16s:
    """The partition of each listener: uint16[n].

    Args:
        user_ids: int64[n], 0 or more.
        n_partitions: 1..65536.

    Raises:
        ValueError: an id is negative, or n_partitions is out of range.
    """
    if not 1 <= n_partitions <= MAX_PARTITIONS:
        raise ValueError(f"n_partitions must be 1..{MAX_PARTITIONS}, got {n_partitions}")
    if len(user_ids) and int(user_ids.min()) < 0:
        raise ValueError(f"user ids must be 0 or more, got {int(user_ids.min())}")
    partitions = np.empty(len(user_ids), np.uint16)
    for start in range(0, len(user_ids), CHUNK):
        ids = user_ids[start : start + CHUNK]
        partitions[start : start + CHUNK] = (murmur2(ids) & np.uint32(0x7FFFFFFF)) % np.uint32(n_partitions)
    return partitions


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
    h ^= h >> np.uint32(13)
    h *= np.uint32(MIX)
    h ^= h >> np.uint32(15)
    return h


def _digits_as_integers(n_digits: int) -> UInt32s:
    """For each number of n_digits digits, those digits as a little-endian integer: uint32[10**n_digits]."""
    numbers = np.arange(10**n_digits, dtype=np.uint32)
    packed = np.zeros_like(numbers)
    for position in range(n_digits):
        digit = numbers // 10 ** (n_digits - 1 - position) % 10
        packed |= (digit + ord("0")) << np.uint32(8 * position)
    return packed


def _mixed_words() -> UInt32s:
    words = _digits_as_integers(4) * np.uint32(MIX)
    words ^= words >> np.uint32(24)
    return words * np.uint32(MIX)


_WORDS = _mixed_words()
_TAILS = {n_digits: _digits_as_integers(n_digits) for n_digits in (1, 2, 3)}

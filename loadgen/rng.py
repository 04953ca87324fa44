"""Random numbers as a hash of (seed, listener, step): no state, no order, the same on every machine.

A seed and user ids go in; out come a 64-bit key per listener and, for a key and a counter, 64 random bits, which
callers cut into fields of 12 to 32 bits. An event's counter is session * 2**16 + item; counters below 2**16 (session 0)
are the `Purpose` draws of the listener itself. Only integer arithmetic: no result depends on a processor's floating
point.
"""

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s, UInt64s
from loadgen.fingerprint import GOLDEN, mix

SLOT_BITS = 16
N_SLOTS = 1 << SLOT_BITS
"""Length of a slot table: 16 random bits pick a slot, so a probability is exact to 1/65,536."""
SLOT_MASK = N_SLOTS - 1
_SECOND = np.uint64(0xD1B54A32D192ED03)
_THIRD = np.uint64(0x8CB92BA72F3D8DD7)


class Purpose(IntEnum):
    """What a listener's own draws are for: their counters."""

    PERSON = 1
    HABITS = 2
    TASTE = 3
    PHASE = 4
    FIRST_SESSION = 5
    EDGE = 6
    SAMPLE = 7
    LONG_RUN = 8


def keys_of(seed: int, user_ids: Int64s) -> UInt64s:
    """The key of each listener: uint64, the root of all its random numbers."""
    root = mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64) + GOLDEN)
    return mix(mix(user_ids.view(np.uint64) + root) + GOLDEN)


def draw(keys: UInt64s, counter: UInt64s) -> Int64s:
    """64 random bits per key and counter, as int64: mask after shifting right."""
    return mix(keys + counter * GOLDEN).view(np.int64)


def draw_for(keys: UInt64s, purpose: Purpose) -> Int64s:
    """64 random bits per listener for one purpose, as int64."""
    return draw(keys, np.array([purpose], np.uint64))


def second(bits: Int64s) -> Int64s:
    """64 more bits for the same key and counter."""
    return mix(bits.view(np.uint64) + _SECOND).view(np.int64)


def third(bits: Int64s) -> Int64s:
    """Yet 64 more bits for the same key and counter."""
    return mix(bits.view(np.uint64) + _THIRD).view(np.int64)


def field16(bits: Int64s, number: int) -> Int64s:
    """The 16-bit field number 0..3 of 64 random bits: 0..65535."""
    return (bits >> (SLOT_BITS * number)) & SLOT_MASK


def slots(weights: npt.NDArray[np.floating[Any]], n_slots: int = N_SLOTS) -> Int64s:
    """Share n_slots out in proportion to weights, each within one slot of its due: int64[n_slots], ascending positions.

    A uniform slot of the result is a draw from the weights; many small weights together get their share, too.
    """
    reached = np.cumsum(np.asarray(weights, np.float64))
    reached = np.round(reached / reached[-1], 12)
    return np.searchsorted(reached, (np.arange(n_slots) + 0.5) / n_slots, side="right")

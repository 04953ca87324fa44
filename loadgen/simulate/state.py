"""A listener's state in 16 bytes, and what never changes in 16 more: one cache line holds all that a step needs.

    word       bits 0-4 next page, 5 no song yet, 6 the last song was cut short, 7-8 position of the next song (0..3,
               more counts as 3), 9-23 tracks left in the session, 24-39 item of the next event, 40-62 the session's
               count
    track      int32, the song playing or played last; remaining_ms int32, what is left of it when the next event is due
    key        uint64, the root of the listener's random numbers
    profile    bits 0-7 and 8-15 favourite genres, 16-23 age band * 4, 24-25 taste, 26 level, 27-28 tilt towards
               the biggest names, 32-63 user id

`word >> 24` (session and item) is different for each event of a listener: it is the counter of the event's random bits.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from loadgen.event import MAX_PAGES, Int32s, Int64s, Listeners, UInt8s, UInt64s
from loadgen.simulate.behaviour import AGE_BANDS
from loadgen.simulate.tables import N_POSITIONS, NO_SONG_YET

PAGE_MASK = MAX_PAGES - 1
STATE_MASK = PAGE_MASK | NO_SONG_YET
CUT_BIT, POSITION_BIT, LEFT_BIT, ITEM_BIT, SESSION_BIT = 6, 7, 9, 24, 40
ONE_ITEM = 1 << ITEM_BIT
ONE_SESSION = 1 << SESSION_BIT
LEFT_MASK = 0x7FFF << LEFT_BIT
ITEM_MASK = 0xFFFF << ITEM_BIT
LOW_BITS = 9
LOW_MASK = (1 << LOW_BITS) - 1

BAND_BIT, TASTE_BIT, LEVEL_BIT, TILT_BIT, USER_BIT = 16, 24, 26, 27, 32

_BAND_OF_AGE = np.clip(np.arange(256) // 10 - 1, 0, len(AGE_BANDS) - 1)


@dataclass(slots=True)
class Moving:
    """Listeners whose next event is being worked out: columns of equal length.

    Attributes:
        row: int64, position in the shard's arrays.
        due_ms: int64, when the next event happens.
        word, track, remaining_ms: see above; int64, int32, int32.
        key: uint64; profile: int64.
    """

    row: Int64s
    due_ms: Int64s
    word: Int64s
    track: Int32s
    remaining_ms: Int32s
    key: UInt64s
    profile: Int64s

    def __len__(self) -> int:
        return len(self.row)

    def take(self, positions: Int64s) -> Self:
        """These listeners, in that order."""
        return type(self)(
            self.row.take(positions),
            self.due_ms.take(positions),
            self.word.take(positions),
            self.track.take(positions),
            self.remaining_ms.take(positions),
            self.key.take(positions),
            self.profile.take(positions),
        )

    def part(self, start: int, stop: int) -> Self:
        """A run of listeners, without copying."""
        return type(self)(*(getattr(self, column.name)[start:stop] for column in fields(self)))


def join(parts: list[Moving]) -> Moving:
    """All listeners of these parts."""
    if len(parts) == 1:
        return parts[0]
    return Moving(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Moving)))


class Records:
    """The state of all listeners of a shard: 32 bytes each, so that one never straddles a cache line."""

    __slots__ = ("_changing", "words")

    def __init__(self, listeners: Listeners, tilt_edges: npt.NDArray[np.float64]) -> None:
        """Room for these listeners; tilt_edges: the mainstream propensities at which the next tilt begins."""
        self.words = _aligned(len(listeners))
        self.words[:, 2] = listeners.key.view(np.int64)
        fill_profiles(listeners, tilt_edges, self.words[:, 3])
        # Copying 16 bytes as one complex number is the fastest way NumPy has of writing half a record.
        self._changing = self.words.view(np.complex128)[:, 0]

    def gather(self, rows: Int64s, due_ms: Int64s) -> Moving:
        """Read these listeners: one cache line each."""
        word, song, key, profile = np.ascontiguousarray(self.words.take(rows, axis=0).T)
        track, remaining_ms = song.astype(np.int32), (song >> 32).astype(np.int32)
        return Moving(rows, due_ms, word, track, remaining_ms, key.view(np.uint64), profile)

    def scatter(self, rows: Int64s, word: Int64s, track: Int32s, remaining_ms: Int32s) -> None:
        """Write back what changes."""
        block = np.empty((len(rows), 2), np.int64)
        block[:, 0] = word
        halves = block.view(np.int32)
        halves[:, 2] = track
        halves[:, 3] = remaining_ms
        self._changing[rows] = block.view(np.complex128)[:, 0]


def _aligned(n_rows: int) -> npt.NDArray[np.int64]:
    """int64[n_rows, 4] zeros whose rows start at multiples of 32 bytes."""
    raw = np.zeros(n_rows * 4 + 4, np.int64)
    shift = (-raw.ctypes.data // 8) % 4
    return raw[shift : shift + n_rows * 4].reshape(n_rows, 4)


def age_band(ages: npt.NDArray[np.integer[Any]]) -> Int64s:
    """The age band of each age (years): teens 0 … sixties and over 5."""
    return _BAND_OF_AGE.take(ages)


def fill_profiles(listeners: Listeners, tilt_edges: npt.NDArray[np.float64], out: Int64s, chunk: int = 1 << 16) -> None:
    """Pack what never changes of each listener into `out`, a chunk at a time (bounded memory)."""
    for start in range(0, len(listeners), chunk):
        part = slice(start, start + chunk)
        word = listeners.user_id[part] << USER_BIT
        word |= listeners.genres[part, 0]
        word |= listeners.genres[part, 1].astype(np.int64) << 8
        word |= (age_band(listeners.age[part]) * N_POSITIONS) << BAND_BIT
        word |= listeners.taste[part].astype(np.int64) << TASTE_BIT
        word |= listeners.level[part].astype(np.int64) << LEVEL_BIT
        word |= np.searchsorted(tilt_edges, listeners.mainstream[part], side="right") << TILT_BIT
        out[part] = word


def after_song_table() -> Int64s:
    """What a NextSong adds to `word` but for its page: int64[1024], by the low bits, plus 512 if it is cut short."""
    low = np.arange(1 << LOW_BITS)
    position = np.minimum((low >> POSITION_BIT) + 1, N_POSITIONS - 1)
    kept = (low & PAGE_MASK) | (position << POSITION_BIT)
    return np.concatenate([kept - low, (kept | 1 << CUT_BIT) - low]) - (1 << LEFT_BIT)


def first_words(session: Int64s, n_tracks: Int64s, page: UInt8s) -> Int64s:
    """The words of listeners whose next event begins a session."""
    return (session << SESSION_BIT) | ONE_ITEM | (n_tracks << LEFT_BIT) | page

"""From what happened to an EventBatch: events of many rounds, in any order, sorted once and unpacked.

Columns of packed states go in, as the mechanics leave them; one EventBatch sorted by (ts_ms, user_id) comes out.
"""

from dataclasses import dataclass

import numpy as np

from loadgen.event import NO_TRACK, PAGE_NAMES, SESSIONS_PER_LISTENER, TRACK_PAGES, EventBatch, Int32s, Int64s, Page
from loadgen.simulate.state import CUT_BIT, ITEM_BIT, LEVEL_BIT, PAGE_MASK, SESSION_BIT, USER_BIT

_NEXT_SONG = int(Page.NEXT_SONG)
_ITEM_MASK = 0xFFFF
_NO_TRACK_MASK = np.array([0 if page in TRACK_PAGES else NO_TRACK for page in range(len(PAGE_NAMES))], np.int32)


@dataclass(slots=True)
class Happened:
    """Events as the mechanics leave them, in any order.

    Attributes:
        row, due_ms, word, profile: of the listener when the event happened, see state.py; int64[n].
        track: int32[n], the track of the event or the one played before.
    """

    row: Int64s
    due_ms: Int64s
    word: Int64s
    profile: Int64s
    track: Int32s


def to_batch(parts: list[Happened], now_ms: int, until_ms: int, n_rows: int) -> EventBatch:
    """Sort events of now_ms <= ts < until_ms of a shard of n_rows listeners, and unpack them."""
    row = np.concatenate([part.row for part in parts] or [np.empty(0, np.int64)])
    since_ms = np.concatenate([part.due_ms for part in parts] or [row]) - now_ms
    since_ms, row, order = _sorted(since_ms, row, (until_ms - now_ms).bit_length(), n_rows.bit_length())
    word = np.concatenate([part.word for part in parts] or [row]).take(order)
    profile = np.concatenate([part.profile for part in parts] or [row]).take(order)
    track = np.concatenate([part.track for part in parts] or [row.astype(np.int32)]).take(order)
    page = word & PAGE_MASK
    user_id = profile >> USER_BIT
    return EventBatch(
        ts_ms=since_ms + now_ms,
        row=row.astype(np.int32),
        user_id=user_id,
        session_id=user_id * SESSIONS_PER_LISTENER + (word >> SESSION_BIT),
        item=((word >> ITEM_BIT) & _ITEM_MASK).astype(np.int32),
        page=page.astype(np.uint8),
        level=((profile >> LEVEL_BIT) & 1).astype(np.uint8),
        track=track | _NO_TRACK_MASK.take(page),
        skipped=((word >> CUT_BIT) & (page == _NEXT_SONG)).astype(np.uint8),
    )


def _sorted(since_ms: Int64s, row: Int64s, ms_bits: int, row_bits: int) -> tuple[Int64s, Int64s, Int64s]:
    """Both columns in the order of (since_ms, row), and that order.

    Time, row and position fit into one 63-bit number for all but the longest steps of the largest shards; sorting
    numbers is three times as fast as sorting positions by a key.
    """
    position_bits = len(row).bit_length()
    if ms_bits + row_bits + position_bits > 63:
        order = np.lexsort((row, since_ms))
        return since_ms.take(order), row.take(order), order
    keys = (since_ms << (row_bits + position_bits)) | (row << position_bits) | np.arange(len(row))
    keys.sort()
    order = keys & ((1 << position_bits) - 1)
    return keys >> (row_bits + position_bits), (keys >> position_bits) & ((1 << row_bits) - 1), order

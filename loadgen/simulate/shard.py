"""A shard: a fixed part of the listeners, stepped through simulated time.

In: settings, a catalogue and user ids. Out: `step(until_ms)` gives all events up to that moment as one `EventBatch`,
sorted by (ts_ms, user_id). What a listener does depends on (settings, catalogue, seed, user id) alone, so any split
into shards and steps gives the same events.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loadgen.event import (
    SESSIONS_PER_LISTENER,
    EventBatch,
    Int32s,
    Int64s,
    Listeners,
    Page,
)
from loadgen.simulate.calendar import Calendar
from loadgen.simulate.choice import Songs, tilt_edges
from loadgen.simulate.gaps import Dates, LongRunGaps, gaps_of
from loadgen.simulate.mechanics import Mechanics
from loadgen.simulate.model import Model
from loadgen.simulate.start import Parts, SteadyStart
from loadgen.simulate.state import (
    CUT_BIT,
    ITEM_BIT,
    ITEM_MASK,
    LEVEL_BIT,
    ONE_ITEM,
    PAGE_MASK,
    SESSION_BIT,
    USER_BIT,
    Moving,
    Records,
    age_band,
    join,
)
from loadgen.simulate.world import SimulationSettings

_NEXT_SONG = int(Page.NEXT_SONG)
_ITEM_MASK = 0xFFFF


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


def to_batch(parts: list[Happened], now_ms: int, until_ms: int, n_rows: int, no_track: Int32s) -> EventBatch:
    """Sort events of now_ms <= ts < until_ms of a shard of n_rows listeners, and unpack them; no_track: of `Tables`."""
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
        track=track | no_track.take(page),
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


CHUNK = 32_768
"""Listeners moved at a time: their columns stay in the processor's cache, and numpy reuses the memory."""
_MAX_END_LISTS = 64


class Shard:
    """The listeners of one worker, and what they do.

    Attributes:
        listeners: their unchanging attributes; an event's `row` points into them.
        now_ms: all events before it have been returned; ms since 1970 (UTC).
        events_per_s: expected number of events per simulated second.
    """

    def __init__(
        self, settings: SimulationSettings, catalog: Songs, user_ids: Int64s, model: Model | None = None
    ) -> None:
        """Draw the listeners and place them in the steady state.

        Args:
            settings: see SimulationSettings.
            catalog: the music.
            user_ids: int64, ascending, within 0..settings.users-1.
            model: of the same settings and catalogue; made here where it is None.

        Raises:
            CatalogError: the catalogue is too large.
        """
        model = model or Model.of(settings, catalog)
        tables, chooser, pace = model.tables, model.chooser, model.pace
        self._tables = tables
        self.listeners: Listeners = model.people.draw(user_ids, settings.seed, settings.start_ms)
        gaps = gaps_of(settings, pace, self.listeners)
        self._dates = None
        if settings.behaviour.long_run.is_on:
            self._dates = Dates(settings, self.listeners)
            gaps = LongRunGaps(gaps, self._dates, settings, self.listeners)
        self._mechanics = Mechanics(tables, chooser, catalog, gaps)
        self._records = Records(self.listeners, tilt_edges(settings.behaviour.choice))
        start = SteadyStart(Parts(tables, pace, chooser, gaps, self._mechanics), model.lengths_ms, settings.start_ms)
        due_ms, self._n_begun, self._ends = start.place(self._records)
        self.events_per_s = gaps.events_per_s(age_band(self.listeners.age))
        self._calendar = Calendar(due_ms, self.events_per_s)
        self._n_over = 0
        self.now_ms = min(settings.start_ms, int(due_ms.min(initial=settings.start_ms)))
        for happened in self._happen(settings.start_ms):
            self._n_begun += int(np.count_nonzero(happened.word & ITEM_MASK == ONE_ITEM))
        self.now_ms = settings.start_ms
        self._forget_ends()
        self._sessions = self._n_begun - self._n_over, tuple(self._ends)

    def step(self, until_ms: int) -> EventBatch:
        """All events with now_ms <= ts < until_ms; then now_ms is until_ms.

        Raises:
            ValueError: until_ms is before now_ms.
        """
        if until_ms < self.now_ms:
            raise ValueError(f"until_ms must be {self.now_ms} or later, got {until_ms}; time goes forwards only")
        parts = list(self._happen(until_ms))
        batch = to_batch(parts, self.now_ms, until_ms, len(self.listeners), self._tables.no_track)
        if self._dates is not None:
            self._dates.apply(batch)
        self._n_begun += int(np.count_nonzero(batch.item == 1))
        self.now_ms = until_ms
        self._forget_ends()
        self._sessions = self._n_begun - self._n_over, tuple(self._ends)
        return batch

    def active(self, at_ms: int) -> int:
        """How many listeners are in a session at this moment: now_ms, or a little later.

        Another thread may ask while this one steps: it gets the state before the step.
        """
        n_begun, all_ends = self._sessions
        return n_begun - sum(int(np.count_nonzero(ends <= at_ms)) for ends in all_ends)

    def _happen(self, until_ms: int) -> Iterator[Happened]:
        """Advance all listeners until none is due before until_ms; what happened, in any order."""
        rows, due_ms = self._calendar.take(self.now_ms, until_ms)
        parts: Iterator[Moving] = (
            self._records.gather(rows[start : start + CHUNK], due_ms[start : start + CHUNK])
            for start in range(0, len(rows), CHUNK)
        )
        settled: list[tuple[Int64s, Int64s]] = []
        while True:
            again: list[Moving] = []
            for moving in parts:
                yield self._advance(moving)
                self._divide(moving, until_ms, settled, again)
            if not again:
                break
            parts = _chunks(join(again))
        if settled:
            self._calendar.put(*(np.concatenate(columns) for columns in zip(*settled, strict=True)))

    def _advance(self, moving: Moving) -> Happened:
        row, due_ms, word, profile = moving.row, moving.due_ms, moving.word, moving.profile
        track, ends = self._mechanics.advance(moving)
        if len(ends):
            self._ends.append(ends)
        return Happened(row, due_ms, word, profile, track)

    def _divide(self, moving: Moving, until_ms: int, settled: list[tuple[Int64s, Int64s]], again: list[Moving]) -> None:
        """Write back those who are not due before until_ms; the others go on."""
        soon = (moving.due_ms < until_ms).nonzero()[0]
        row, word, track, remaining_ms, due_ms = (
            moving.row,
            moving.word,
            moving.track,
            moving.remaining_ms,
            moving.due_ms,
        )
        columns = (row, word, track, remaining_ms)
        if len(soon):
            again.append(moving.take(soon))
            gone = (due_ms >= until_ms).nonzero()[0]
            due_ms = due_ms.take(gone)
            columns = (row.take(gone), word.take(gone), track.take(gone), remaining_ms.take(gone))
        self._records.scatter(*columns)
        settled.append((columns[0], due_ms))

    def _forget_ends(self) -> None:
        """Count the sessions that are over by now; keep only the ends to come."""
        if len(self._ends) > _MAX_END_LISTS:
            ends = np.concatenate(self._ends)
            to_come = ends[ends > self.now_ms]
            self._n_over += len(ends) - len(to_come)
            self._ends = [to_come]


def _chunks(moving: Moving) -> Iterator[Moving]:
    return (moving.part(start, start + CHUNK) for start in range(0, len(moving), CHUNK))

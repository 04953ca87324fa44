"""The steady start: where each listener is when the simulation begins, as if it had run for ever.

A session that is under way at a given moment is longer than most (its length is drawn by what is left of it), its song
is longer than most, and the moment lies anywhere in it. So: draw the song by the time that sessions spend in it, the
session's length given that it has that song, the song's length by its own duration; then begin the song that long
before the start and let the mechanics go on from there. A listener that is away comes back as after any session.

Source: the inspection paradox of renewal theory, e.g. Feller, vol. II, XI.4.
"""

from dataclasses import dataclass

import numpy as np

from loadgen.event import NO_TRACK, Int32s, Int64s, Page, UInt16s
from loadgen.rng import N_SLOTS, SLOT_BITS, Purpose, draw, draw_for, field16, second, slots, third
from loadgen.simulate.behaviour import AGE_BANDS
from loadgen.simulate.choice import Chooser, Songs, tilt_edges
from loadgen.simulate.gaps import Gaps
from loadgen.simulate.mechanics import Mechanics
from loadgen.simulate.pace import Pace
from loadgen.simulate.population import draw_listeners
from loadgen.simulate.state import (
    BAND_BIT,
    CUT_BIT,
    ITEM_BIT,
    LEFT_BIT,
    LEFT_MASK,
    ONE_ITEM,
    ONE_SESSION,
    POSITION_BIT,
    STATE_MASK,
    Moving,
    Records,
    first_words,
)
from loadgen.simulate.tables import N_DEPTHS, N_POSITIONS, N_THINK, NO_SONG_YET, THINK_BITS, Tables
from loadgen.simulate.world import SimulationSettings

CHUNK = 1 << 15
PANEL = 1 << 13


@dataclass(frozen=True, slots=True)
class Parts:
    """What the start works with: the shard's own parts."""

    tables: Tables
    pace: Pace
    chooser: Chooser
    gaps: Gaps
    mechanics: Mechanics


def typical_lengths(settings: SimulationSettings, catalog: Songs, chooser: Chooser) -> Int64s:
    """Lengths (ms) of songs that a panel of listeners plays at the start, sorted: int64[2 * PANEL].

    The panel is the same for every shard, so that the same means hold in all of them.
    """
    panel = draw_listeners(settings, np.arange(PANEL, dtype=np.int64), catalog)
    everybody = Records(panel, tilt_edges(settings.behaviour.choice))
    moving = everybody.gather(np.arange(PANEL), np.full(PANEL, settings.start_ms))
    first = draw_for(moving.key, Purpose.SAMPLE)
    tracks = [chooser.choose(moving.key, moving.profile, moving.due_ms, bits)[0] for bits in (first, second(first))]
    return np.sort(catalog.length_ms[np.concatenate(tracks)].astype(np.int64))


class SteadyStart:
    """Places listeners; see `place`."""

    def __init__(self, parts: Parts, lengths_ms: Int64s, start_ms: int) -> None:
        """Prepare for a simulation that begins at start_ms; lengths_ms are those of typical plays."""
        self._parts = parts
        self._start_ms = start_ms
        self._song = _song_slots(parts.pace)
        self._first_slot = np.searchsorted(parts.tables.tracks, np.arange(len(parts.pace.survival) + 1), side="left")
        self._whole_ms, self._cut_ms = _durations(parts.tables, lengths_ms)
        self._cut_slots = _cut_slots(parts, lengths_ms)
        weights = parts.pace.opening_weights
        self._opening_page = slots(weights if weights.any() else np.ones_like(weights))
        self._thought_ms = np.array([_by_duration(row) for row in parts.tables.think_ms.reshape(-1, N_THINK)])

    def place(self, records: Records) -> tuple[Int64s, int, list[Int64s]]:
        """Fill in every listener's state, a chunk at a time.

        Returns:
            When the next event of each is due (int64[n]; some before start_ms, to be passed over); how many are in a
            session of which an event has been; and when the sessions of those end that have no event left (int64
            arrays, ms).
        """
        n = len(records.words)
        due_ms = np.empty(n, np.int64)
        n_begun = 0
        ends: list[Int64s] = []
        for start in range(0, n, CHUNK):
            rows = np.arange(start, min(start + CHUNK, n))
            n_begun += self._place_chunk(records, rows, due_ms, ends)
        return due_ms, n_begun, ends

    def _place_chunk(self, records: Records, rows: Int64s, due_ms: Int64s, ends: list[Int64s]) -> int:
        moving = records.gather(rows, np.full(len(rows), self._start_ms - 1))
        phase = draw_for(moving.key, Purpose.PHASE)
        pace, bands = self._parts.pace, _bands(moving)
        busy = field16(phase, 0) < self._parts.gaps.busy_prob(self._start_ms, rows, bands) * N_SLOTS
        where_ms = field16(phase, 1) * (pace.session_ms[bands] / N_SLOTS)  # of a session with its songs put last
        in_opening = busy & (where_ms < pace.opening_ms)
        in_closing = busy & ~in_opening & (where_ms < pace.opening_ms + pace.closing_ms)
        in_song = np.flatnonzero(busy & ~in_opening & ~in_closing)
        self._place_away(moving, phase)
        self._place_in_opening(moving, np.flatnonzero(in_opening))
        self._place_in_closing(moving, np.flatnonzero(in_closing))
        ends.append(self._place_in_song(moving, in_song, phase.take(in_song)))
        records.scatter(rows, moving.word, moving.track, moving.remaining_ms)
        due_ms[rows] = moving.due_ms
        return int(np.count_nonzero(busy))

    def _place_away(self, moving: Moving, phase: Int64s) -> None:
        """Everybody is away and will begin a first session."""
        tables = self._parts.tables
        bits = draw_for(moving.key, Purpose.FIRST_SESSION)
        tracks, page = tables.tracks.take(field16(bits, 0)), tables.first_page.take(field16(bits, 1))
        moving.word = first_words(np.ones(len(moving), np.int64), tracks.astype(np.int64), page)
        moving.track = np.full(len(moving), NO_TRACK, np.int32)
        moving.remaining_ms = np.zeros(len(moving), np.int32)
        moving.due_ms = self._parts.gaps.next_ms(moving.due_ms, moving.row, (phase >> SLOT_BITS) & 0xFFFFFFFF)

    def _place_in_opening(self, moving: Moving, at: Int64s) -> None:
        """These have begun a session and look at a page before its first song."""
        bits = draw_for(moving.key.take(at), Purpose.EDGE)
        page = self._opening_page.take(field16(bits, 0))
        following = self._parts.tables.next_page.take(((page | NO_SONG_YET) << SLOT_BITS) | field16(bits, 1))
        word = moving.word[at] & ~STATE_MASK
        word &= ~(LEFT_MASK * (following == Page.LOGOUT))
        moving.word[at] = (word | following | NO_SONG_YET) + ONE_ITEM
        moving.due_ms[at] = self._start_ms + self._rest_of_thought(page, bits)

    def _place_in_closing(self, moving: Moving, at: Int64s) -> None:
        """The last song of these is over, and they are about to log out."""
        bits = draw_for(moving.key.take(at), Purpose.EDGE)
        song = self._parts.tables.tracks.take(field16(bits, 0)).astype(np.int64)
        moving.word[at] = ONE_SESSION | ((self._item_of(song) + 1) << ITEM_BIT) | Page.LOGOUT
        moving.due_ms[at] = self._start_ms + self._rest_of_thought(np.full(len(at), Page.LOGOUT, np.int64), bits)

    def _rest_of_thought(self, page: Int64s, bits: Int64s) -> Int64s:
        """What is left of the time on a page that somebody is looking at: ms."""
        think = self._thought_ms[page, field16(bits, 2) >> (SLOT_BITS - THINK_BITS)]
        return np.asarray((field16(bits, 3) * think.astype(np.int64)) >> SLOT_BITS, np.int64)

    def _place_in_song(self, moving: Moving, at: Int64s, phase: Int64s) -> Int64s:
        """Let a song be under way at these positions, and draw what comes after.

        Returns the ends of the sessions that have no event left.
        """
        singing = moving.take(at)
        more = second(phase)
        bands = _bands(singing)
        song = self._song[bands, field16(more, 0)].astype(np.int64)
        left = self._tracks_of(song, field16(more, 1)) - song
        position = np.minimum(song, N_POSITIONS) - 1
        is_cut = field16(more, 2) < self._cut_slots[bands, position]
        played = np.where(is_cut, self._cut_ms[field16(more, 3) >> 4], self._whole_ms[field16(more, 3) >> 4])
        singing.due_ms = self._start_ms - 1 - ((field16(third(phase), 0) * played) >> SLOT_BITS)
        low = (
            (is_cut.astype(np.int64) << CUT_BIT) | (np.minimum(song, N_POSITIONS - 1) << POSITION_BIT) | Page.NEXT_SONG
        )
        singing.word = ONE_SESSION | (self._item_of(song) << ITEM_BIT) | (left << LEFT_BIT) | low
        bits = draw(singing.key, (singing.word >> ITEM_BIT).view(np.uint64))
        track, _ = self._parts.chooser.choose(singing.key, singing.profile, singing.due_ms, second(bits))
        singing.track, singing.remaining_ms = track.astype(np.int32), played.astype(np.int32)
        ends = self._parts.mechanics.move_on(singing, bits)
        _put(moving, at, singing)
        return ends

    def _tracks_of(self, song: Int64s, u16: Int64s) -> Int64s:
        """The length of a session that has at least `song` tracks."""
        first = self._first_slot[song]
        return self._parts.tables.tracks.take(first + ((u16 * (N_SLOTS - first)) >> SLOT_BITS)).astype(np.int64)

    def _item_of(self, song: Int64s) -> Int64s:
        """itemInSession of the session's song number `song` (from 1), as it is on average."""
        pace = self._parts.pace
        pages = pace.opening_pages + (song - 1) * pace.pages_per_track + 0.5
        return np.asarray(song + pages.astype(np.int64), np.int64)


def _bands(moving: Moving) -> Int64s:
    return ((moving.profile >> BAND_BIT) & 0xFF) // N_POSITIONS


def _put(moving: Moving, at: Int64s, part: Moving) -> None:
    moving.word[at] = part.word
    moving.track[at] = part.track
    moving.remaining_ms[at] = part.remaining_ms
    moving.due_ms[at] = part.due_ms


def _song_slots(pace: Pace) -> UInt16s:
    """uint16[6, 2**16]: the number (from 1) of the song that a session is in, by age band."""
    weights = pace.song_weights()
    return np.array([slots(weights[band]) + 1 for band in range(len(AGE_BANDS))]).astype(np.uint16)


def _durations(tables: Tables, lengths_ms: Int64s) -> tuple[Int32s, Int32s]:
    """Time heard of songs that are under way, drawn by duration: whole songs, and those cut short; int32[4096] each."""
    depth = np.arange(N_DEPTHS)
    lengths = lengths_ms[(depth * 2_654_435_761 >> 7) % len(lengths_ms)]  # any length with any depth
    cut = (tables.played_ms[N_DEPTHS:] + tables.played_share[N_DEPTHS:] * lengths).astype(np.int64)
    return _by_duration(lengths_ms), _by_duration(np.clip(cut, 1, lengths))


def _by_duration(durations_ms: Int64s | Int32s) -> Int32s:
    return durations_ms[slots(durations_ms.astype(np.float64), N_THINK)].astype(np.int32)


def _cut_slots(parts: Parts, lengths_ms: Int64s) -> Int64s:
    """int64[6, 4]: of 2**16, the song under way will be cut short, by age band and position."""
    skip_prob = parts.tables.skip_slots.reshape(len(AGE_BANDS), N_POSITIONS) / N_SLOTS
    whole_share = (1.0 - skip_prob) * float(lengths_ms.mean()) / parts.pace.played_ms
    return np.round((1.0 - whole_share) * N_SLOTS).astype(np.int64)

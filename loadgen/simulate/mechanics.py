"""What happens at an event, and when the next one is due: the inner loop of the simulation.

Listeners whose event is due go in (`Moving`); their states after it and when they are due next come out. Event = page:

    NextSong         draw a track, and how much of it is played; `remaining_ms` begins to run
    then, any page   draw the next page. NextSong waits for the song's end; any other page comes after some thought, but
                     within the song that plays. If the session's tracks are used up instead of a NextSong: Logout, or
                     silence.
    session over     draw the next session's tracks and first page, and the gap until then
"""

import numpy as np
import numpy.typing as npt

from loadgen.event import NO_TRACK, Int32s, Int64s, Page
from loadgen.rng import SLOT_BITS, SLOT_MASK, draw, field16, second, third
from loadgen.simulate.choice import Chooser, Songs
from loadgen.simulate.gaps import Gaps
from loadgen.simulate.state import (
    BAND_BIT,
    ITEM_BIT,
    LEFT_MASK,
    LOW_BITS,
    LOW_MASK,
    ONE_ITEM,
    PAGE_MASK,
    POSITION_BIT,
    SESSION_BIT,
    STATE_MASK,
    Moving,
    after_song_table,
    first_words,
)
from loadgen.simulate.tables import DEPTH_BITS, N_DEPTHS, N_POSITIONS, N_THINK, THINK_BITS, Tables

Bools = npt.NDArray[np.bool_]
_NEXT_SONG, _LOGOUT = int(Page.NEXT_SONG), int(Page.LOGOUT)  # reading an enum's member costs as much as a NumPy call
_DEPTH_BIT = 64 - DEPTH_BITS


class Mechanics:
    """The rules of moving on; holds tables, no state."""

    __slots__ = ("_after_song", "_chooser", "_gaps", "_length_ms", "_tables")

    def __init__(self, tables: Tables, chooser: Chooser, catalog: Songs, gaps: Gaps) -> None:
        self._tables = tables
        self._chooser = chooser
        self._length_ms = catalog.length_ms
        self._gaps = gaps
        self._after_song = after_song_table()

    def advance(self, moving: Moving) -> tuple[Int32s, Int64s]:
        """Let the events due happen; `moving` then tells what is due next.

        Of its arrays only track and remaining_ms are written to, the others are replaced.

        Returns:
            The track that each event is about or that was played last (int32[n]); the moments at which sessions end
            (int64).
        """
        bits = draw(moving.key, (moving.word >> ITEM_BIT).view(np.uint64))
        songs = ((moving.word & PAGE_MASK) == _NEXT_SONG).nonzero()[0]
        if len(songs):
            self._play(moving, songs, second(bits.take(songs)))
        return moving.track, self.move_on(moving, bits)

    def _play(self, moving: Moving, songs: Int64s, bits: Int64s) -> None:
        """Begin a song at these positions; with 64 random bits each."""
        profile, word = moving.profile.take(songs), moving.word.take(songs)
        track, _ = self._chooser.choose(moving.key.take(songs), profile, moving.due_ms.take(songs), bits)
        chance = ((profile >> BAND_BIT) & 0xFF) | ((word >> POSITION_BIT) & (N_POSITIONS - 1))
        is_cut = (field16(bits, 2) < self._tables.skip_slots.take(chance)).astype(np.int64)
        word += self._after_song.take((is_cut << LOW_BITS) | (word & LOW_MASK))
        moving.word = moving.word.copy()
        moving.word[songs] = word
        moving.track[songs] = track
        moving.remaining_ms[songs] = self._played(
            track, (is_cut << DEPTH_BITS) | ((bits >> _DEPTH_BIT) & (N_DEPTHS - 1))
        )

    def _played(self, track: Int64s, depth: Int64s) -> Int32s:
        """Milliseconds that each track is heard."""
        length = self._length_ms.take(track)
        played = self._tables.played_ms.take(depth) + self._tables.played_share.take(depth) * length.astype(np.float32)
        return np.maximum(np.minimum(played.astype(np.int32), length), 1)

    def move_on(self, moving: Moving, bits: Int64s) -> Int64s:
        """Draw what comes next and when; bits[n] are the events' own. Returns the moments at which sessions end."""
        word, remaining = moving.word, moving.remaining_ms
        following = self._tables.next_page.take(((word & STATE_MASK) << SLOT_BITS) | (bits & SLOT_MASK))
        to_song = following == _NEXT_SONG
        over = (to_song & ((word & LEFT_MASK) == 0)).nonzero()[0]
        last = moving.take(over) if len(over) else moving
        wait = self._wait(word, remaining, to_song, bits)
        moving.word = (word & ~PAGE_MASK) + following + ONE_ITEM
        moving.remaining_ms = np.maximum(remaining - wait, 0)
        moving.due_ms = moving.due_ms + wait
        leaving = (following == _LOGOUT).nonzero()[0]
        moving.word[leaving] &= ~LEFT_MASK  # no more songs: the session is over after this page
        return self._finish(moving, over, last, bits.take(over)) if len(over) else over

    def _wait(self, word: Int64s, remaining: Int32s, to_song: Bools, bits: Int64s) -> Int32s:
        """Milliseconds until the next event: the rest of the song, but where something else comes first."""
        wait = remaining.copy()
        other = (~(to_song & (remaining > 0))).nonzero()[0]
        rest, bits = remaining.take(other), bits.take(other)
        page = word.take(other) & PAGE_MASK
        think = self._tables.think_ms.take((page << THINK_BITS) | ((bits >> SLOT_BITS) & (N_THINK - 1)))
        late = ((think >= rest) & (rest > 0)).nonzero()[0]
        think[late] = 1 + ((field16(bits.take(late), 2) * rest.take(late)) >> SLOT_BITS)
        wait[other] = think
        return wait

    def _finish(self, moving: Moving, over: Int64s, last: Moving, bits: Int64s) -> Int64s:
        """The sessions at these positions have no more songs: say Logout, or end. `last` is how they were before."""
        more = third(bits)
        has_left = (last.word & PAGE_MASK) == _LOGOUT
        end_ms = last.due_ms + last.remaining_ms * ~has_left
        moving.due_ms[over] = self._gaps.next_ms(end_ms, last.row, (bits >> SLOT_BITS) & 0xFFFFFFFF)
        tracks, page = self._tables.tracks.take(field16(more, 1)), self._tables.first_page.take(field16(more, 2))
        says_logout = ~has_left & (field16(more, 0) < self._tables.logout_slots)
        logout = says_logout.nonzero()[0]
        goodbyes = moving.word.take(over.take(logout)) + (_LOGOUT - _NEXT_SONG)
        moving.word[over] = first_words((last.word >> SESSION_BIT) + 1, tracks.astype(np.int64), page)
        moving.remaining_ms[over] = 0
        moving.track = moving.track.copy()  # the old one belongs to the events that happened
        moving.track[over] = NO_TRACK
        self._say_goodbye(moving, over.take(logout), goodbyes, end_ms.take(logout), more.take(logout))
        return np.asarray(end_ms[~says_logout], np.int64)

    def _say_goodbye(self, moving: Moving, at: Int64s, words: Int64s, end_ms: Int64s, bits: Int64s) -> None:
        """Make Logout the next page at these positions, some time after the last song."""
        think = self._tables.think_ms.take((_LOGOUT << THINK_BITS) | ((bits >> _DEPTH_BIT) & (N_THINK - 1)))
        moving.word[at] = words
        moving.due_ms[at] = end_ms + think

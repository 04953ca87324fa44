"""Means that follow from a behaviour and a catalogue: how long songs and sessions last, how many events they have.

Used to start in the steady state and to predict a shard's events per second; no event is drawn here.
"""

from dataclasses import dataclass
from math import fsum

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s, Page
from loadgen.rng import N_SLOTS
from loadgen.simulate.behaviour import AGE_BANDS, Behaviour
from loadgen.simulate.behaviour_rules import before_first_song, first_pages, transition_matrix, visits
from loadgen.simulate.tables import N_DEPTHS, N_POSITIONS, N_THINK, Tables, session_survival

Floats = npt.NDArray[np.float64]
_DIGITS = 6
"""Means are rounded: events depend on them, and the last digit of a sum may depend on the processor."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Means of a behaviour.

    Attributes:
        survival: float64[most_tracks], the probability of at least 1, 2, 3 … tracks.
        played_ms: float64[6, 4], a song is heard, by age band and position in the session.
        opening_weights: float64[n_pages], ms of a session spent on each page before its first song.
        closing_ms: from the last song's end to the Logout, averaged over all sessions.
        pages_per_track: pages other than NextSong that follow a song.
        opening_pages: pages before the first song.
        closing_pages: Logouts per session.
    """

    survival: Floats
    played_ms: Floats
    opening_weights: Floats
    closing_ms: float
    pages_per_track: float
    opening_pages: float
    closing_pages: float

    @classmethod
    def of(cls, behaviour: Behaviour, tables: Tables, lengths_ms: Int64s) -> "Pace":
        """Work out the means; lengths_ms are those of typical plays."""
        think_ms = tables.think_ms.reshape(-1, N_THINK).mean(axis=1)
        matrix = transition_matrix(behaviour)
        opening = visits(before_first_song(behaviour), first_pages(behaviour))
        logout_prob = behaviour.session.logout_prob
        return cls(
            survival=session_survival(behaviour),
            played_ms=_played_ms(tables, lengths_ms),
            opening_weights=np.round(opening * think_ms, _DIGITS),
            closing_ms=logout_prob * float(think_ms[Page.LOGOUT]),
            pages_per_track=float(visits(matrix, matrix[Page.NEXT_SONG]).sum()),
            opening_pages=float(opening.sum()),
            closing_pages=logout_prob,
        )

    @property
    def opening_ms(self) -> float:
        """From a session's first event to its first song."""
        return round(fsum(self.opening_weights), _DIGITS)

    @property
    def tracks_per_session(self) -> float:
        """Tracks of a session."""
        return round(fsum(self.survival), _DIGITS)

    @property
    def events_per_session(self) -> float:
        """Events of a session."""
        return self.tracks_per_session * (1 + self.pages_per_track) + self.opening_pages + self.closing_pages

    @property
    def songs_ms(self) -> Floats:
        """The total duration of a session's songs: float64[6], by age band."""
        return np.round(np.array([fsum(weights) for weights in self.song_weights()]), _DIGITS)

    @property
    def session_ms(self) -> Floats:
        """The duration of a session: float64[6], by age band."""
        return self.songs_ms + self.opening_ms + self.closing_ms

    def song_weights(self) -> Floats:
        """Milliseconds of a session spent in its first, second, third … song: float64[6, most_tracks]."""
        position = np.minimum(np.arange(len(self.survival)), N_POSITIONS - 1)
        return np.asarray(self.played_ms[:, position] * self.survival, np.float64)


def _played_ms(tables: Tables, lengths_ms: Int64s) -> Floats:
    skip_prob = tables.skip_slots.reshape(len(AGE_BANDS), N_POSITIONS) / N_SLOTS
    length = float(lengths_ms.mean())
    cut = float(tables.played_ms[N_DEPTHS:].mean(dtype=np.float64))
    cut += float(tables.played_share[N_DEPTHS:].mean(dtype=np.float64)) * length
    return np.asarray(np.round(skip_prob * cut + (1.0 - skip_prob) * length, _DIGITS), np.float64)

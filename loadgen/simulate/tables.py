"""A behaviour as lookup tables: each draw of what a listener does next costs one gather, not a search.

In: a `Behaviour`. Out: arrays that are indexed with random bits, a few MB, prepared once per model. Entries are rounded
to whole milliseconds or slots, so that a last-digit difference between two machines' exp() changes nothing.

`cells` builds alias tables (Walker) of whole numbers: a uniform cell and 20 more random bits pick one of the cell's two
members, so the cost of a draw does not depend on the number of members, and all machines have the same cells.

Source: A. J. Walker, ACM TOMS 3 (1977); the construction is M. D. Vose's, IEEE TSE 17 (1991).
"""

from dataclasses import dataclass
from functools import cache
from math import erf, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from loadgen.event import MAX_PAGES, NO_TRACK, Int32s, Int64s, Page, UInt8s, UInt16s
from loadgen.rng import N_SLOTS, slots
from loadgen.simulate.behaviour import AGE_BANDS, Behaviour
from loadgen.simulate.behaviour_rules import before_first_song, first_pages, transition_matrix

MEMBER_BITS = 21
MAX_MEMBERS = 1 << MEMBER_BITS
THRESHOLD_BITS = 20
CELL_BITS = 28
"""Random bits that pick the cell."""
_FULL = 1 << THRESHOLD_BITS
_MEMBER_MASK = MAX_MEMBERS - 1
_CELL_MASK = (1 << CELL_BITS) - 1
_SCALE = 1 << 40


def cells(members: Int64s, weights: npt.NDArray[np.floating[Any]]) -> Int64s:
    """The alias table of members (int64, below MAX_MEMBERS) drawn in proportion to weights: int64[n]."""
    n = len(members)
    units = np.round(np.asarray(weights, np.float64) / np.sum(weights) * _SCALE).astype(np.int64) * n
    fair = int(units.sum()) // n
    left: list[int] = units.tolist()
    other = np.arange(n)
    threshold = np.full(n, _FULL)
    small = [i for i in range(n) if left[i] < fair]
    large = [i for i in range(n) if left[i] >= fair]
    while small and large:
        poor, rich = small.pop(), large[-1]
        other[poor] = rich
        threshold[poor] = left[poor] * _FULL // fair
        left[rich] -= fair - left[poor]
        if left[rich] < fair:
            small.append(large.pop())
    return (threshold << 2 * MEMBER_BITS) | (members[other] << MEMBER_BITS) | members


def pick(table: Int64s, first_cell: Int64s, n_cells: Int64s, bits: Int64s) -> Int64s:
    """Draw a member from the n_cells cells that begin at first_cell, with the low 48 of these random bits: int64."""
    cell = table.take(first_cell + (((bits & _CELL_MASK) * n_cells) >> CELL_BITS))
    is_other = ((bits >> CELL_BITS) & (_FULL - 1)) >= (cell >> 2 * MEMBER_BITS)
    return (cell >> is_other * np.int64(MEMBER_BITS)) & _MEMBER_MASK


THINK_BITS = 12
N_THINK = 1 << THINK_BITS
DEPTH_BITS = 12
N_DEPTHS = 1 << DEPTH_BITS
"""Resolution of how deep a skipped track is played."""
NO_SONG_YET = MAX_PAGES
"""Set beside the page in a listener's state until the session's first song."""
N_POSITIONS = 4
MIN_THINK_MS, MAX_THINK_MS = 200, 3_600_000
MIN_PLAY_MS = 400.0
FIVE_S, THIRTY_S = 5_000.0, 30_000.0


@cache
def normal_quantiles(n: int = N_THINK) -> npt.NDArray[np.float64]:
    """The standard normal distribution's quantiles at the middle of n equal steps: float64[n]."""
    inverse = NormalDist().inv_cdf
    return np.array([round(inverse((step + 0.5) / n), 9) for step in range(n)])


@cache
def _exponential_quantiles() -> npt.NDArray[np.float64]:
    survival = 1.0 - np.arange(N_SLOTS + 1) / N_SLOTS
    survival[-1] = 0.25 / N_SLOTS
    return np.asarray(np.round(-np.log(survival), 9), np.float64)


def exponential(bits32: Int64s) -> npt.NDArray[np.float64]:
    """Exponential numbers of mean one from 32 random bits each: exact quantiles, straight lines between them."""
    table = _exponential_quantiles()
    slot = bits32 >> 16
    low = table[slot]
    part = (bits32 & 0xFFFF) * (1.0 / N_SLOTS)
    return np.asarray(low + (table[slot + 1] - low) * part, np.float64)


def session_survival(behaviour: Behaviour) -> npt.NDArray[np.float64]:
    """The probability that a session has at least 1, 2, 3 … most_tracks tracks: float64[most_tracks]."""
    session = behaviour.session
    n_tracks = np.arange(1, session.most_tracks) + 0.5
    z = (np.log(n_tracks) - np.log(session.tracks_median)) / session.tracks_spread
    at_most = np.array([0.5 + 0.5 * erf(value / sqrt(2)) for value in z])
    at_most = session.single_track_prob + (1 - session.single_track_prob) * at_most
    return np.concatenate([[1.0], 1.0 - at_most])


@dataclass(frozen=True, slots=True)
class Tables:
    """A behaviour as lookup tables.

    Attributes:
        next_page: uint8[(NO_SONG_YET + n_pages) * 2**16], by page (with NO_SONG_YET) and 16 bits.
        think_ms: int32[n_pages * 2**12], by page and 12 bits.
        no_track: int32[n_pages], NO_TRACK for pages that are not about a track, 0 for the others.
        first_page: uint8[2**16], with NO_SONG_YET.
        tracks: uint16[2**16], tracks of a session.
        logout_slots: of 2**16, a session ends with Logout.
        skip_slots: int64[6 * 4], of 2**16, by age band and position in the session.
        played_ms, played_share: float32[2 * N_DEPTHS], a track of length l is played for ms + share * l; the first half
            for tracks that are not skipped, the second by how deep the skipped ones are played.
    """

    next_page: UInt8s
    think_ms: Int32s
    no_track: Int32s
    first_page: UInt8s
    tracks: UInt16s
    logout_slots: int
    skip_slots: Int64s
    played_ms: npt.NDArray[np.float32]
    played_share: npt.NDArray[np.float32]

    @classmethod
    def of(cls, behaviour: Behaviour) -> "Tables":
        """Prepare the tables of a behaviour."""
        played_ms, played_share = _depths(behaviour)
        survival = session_survival(behaviour)
        return cls(
            next_page=_next_page(behaviour),
            think_ms=_think_ms(behaviour),
            no_track=np.where(behaviour.page_table.have_track, 0, NO_TRACK).astype(np.int32),
            first_page=(slots(first_pages(behaviour)) | NO_SONG_YET).astype(np.uint8),
            tracks=(slots(-np.diff(survival, append=0.0)) + 1).astype(np.uint16),
            logout_slots=round(behaviour.session.logout_prob * N_SLOTS),
            skip_slots=_skip_slots(behaviour),
            played_ms=played_ms,
            played_share=played_share,
        )


def _next_page(behaviour: Behaviour) -> UInt8s:
    matrix, early = transition_matrix(behaviour), before_first_song(behaviour)
    n_pages = len(matrix)
    for rows in (matrix, early):
        rows[Page.LOGOUT, Page.NEXT_SONG] = 1.0  # the session is over: what comes next is never looked at
    table = np.zeros((NO_SONG_YET + n_pages, N_SLOTS), np.uint8)
    for page in range(n_pages):
        table[page] = slots(matrix[page])
        table[page | NO_SONG_YET] = slots(early[page])
    return table.reshape(-1)


def _think_ms(behaviour: Behaviour) -> Int32s:
    thinks = [behaviour.think[name] for name in behaviour.page_table.names]
    table = [1000.0 * think.median_s * np.exp(think.spread * normal_quantiles()) for think in thinks]
    return np.round(np.clip(table, MIN_THINK_MS, MAX_THINK_MS)).astype(np.int32).reshape(-1)


def _skip_slots(behaviour: Behaviour) -> Int64s:
    """int64[6 * 4]: of 2**16, by age band and position."""
    factors = np.array([behaviour.skip.by_age_factor[band] for band in AGE_BANDS])
    probs = np.minimum(factors[:, None] * np.array(behaviour.skip.by_position_prob), 1.0)
    return np.asarray(np.round(probs * N_SLOTS), np.int64).reshape(-1)


def _depths(behaviour: Behaviour) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    skip = behaviour.skip
    u = (np.arange(N_DEPTHS) + 0.5) / N_DEPTHS
    early = _between(u, 0.0, skip.within_5_s_prob, MIN_PLAY_MS, FIVE_S)
    soon = _between(u, skip.within_5_s_prob, skip.within_30_s_prob, FIVE_S, THIRTY_S)
    late = _between(u, skip.within_30_s_prob, 1.0, 0.0, 1.0) ** skip.late_exponent
    is_late = u >= skip.within_30_s_prob
    ms = np.where(u < skip.within_5_s_prob, early, np.where(is_late, THIRTY_S * (1 - late), soon))
    share = np.where(is_late, late, 0.0)
    whole = np.ones(N_DEPTHS)
    return _float32([0 * whole, np.round(ms)]), _float32([whole, np.round(share, 7)])


def _between(u: npt.NDArray[np.float64], low: float, high: float, first: float, last: float) -> npt.NDArray[np.float64]:
    """Where u is within low..high, mapped to first..last; clipped outside."""
    position = np.clip((u - low) / max(high - low, 1e-12), 0.0, 1.0)
    return np.asarray(first + (last - first) * position, np.float64)


def _float32(parts: list[Any]) -> npt.NDArray[np.float32]:
    return np.concatenate(parts).astype(np.float32)

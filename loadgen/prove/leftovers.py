"""What buckets leave over: events found that nobody promised there, and promised events that were not found there.

A changed byte in a user id, a session or an item moves an event into another bucket or gives it another identity; one
in the JSON itself takes its identity away. Such an event is altered, not lost and foreign: the two are paired here,
first by identity across all buckets, then by their text, half of which is still the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from loadgen.event import Int64s
from loadgen.prove.bucket import identity_of
from loadgen.prove.matching import ALONE, partners
from loadgen.prove.spill import ROW, Rows

MOST_TEXTS = 500
"""So many of each side are compared by their text at most; each has to be read, or made, once more."""
MOST_ROWS = 1 << 20
"""So many of each side are kept for pairing at most; more than that are no slips of single bytes."""
Texts = Callable[[list[int]], dict[int, bytes]]


@dataclass(slots=True)
class Leftovers:
    """Rows of both sides, gathered from bucket after bucket.

    Attributes:
        n_strange, n_absent: how many there are in all.
    """

    n_strange: int = 0
    n_absent: int = 0
    _strange: list[Rows] = field(default_factory=list)
    _absent: list[Rows] = field(default_factory=list)
    _room: dict[str, int] = field(default_factory=lambda: {"strange": MOST_ROWS, "absent": MOST_ROWS})

    def add(self, strange: Rows, absent: Rows) -> None:
        """Take in what a bucket leaves over."""
        self.n_strange += len(strange)
        self.n_absent += len(absent)
        for rows, kept, side in ((strange, self._strange, "strange"), (absent, self._absent, "absent")):
            some = rows[: self._room[side]]
            self._room[side] -= len(some)
            if len(some):
                kept.append(some)

    def pair(self, timeless: bool, found_texts: Texts, expected_texts: Texts) -> "Paired":
        """Pair what belongs together.

        Args:
            timeless: see bucket.look_at.
            found_texts, expected_texts: the texts at places of found and of expected rows.
        """
        strange, absent = _joined(self._strange), _joined(self._absent)
        pair = partners(identity_of(strange, timeless), identity_of(absent, timeless))
        if (pair == ALONE).any() and len(absent) > np.count_nonzero(pair != ALONE):
            _pair_by_text(strange, absent, pair, found_texts, expected_texts)
        is_left = np.ones(len(absent), np.bool_)
        is_left[pair[pair != ALONE]] = False
        is_paired = pair != ALONE
        return Paired(strange[is_paired], absent[pair[is_paired]], strange[~is_paired], absent[is_left])


@dataclass(frozen=True, slots=True)
class Paired:
    """Leftovers, paired.

    Attributes:
        altered, altered_from: rows found, and the promised rows that they were.
        foreign: rows found that nobody promised (of those that were kept).
        lost: promised rows that were not found (of those that were kept).
    """

    altered: Rows
    altered_from: Rows
    foreign: Rows
    lost: Rows


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate(parts) if parts else np.empty(0, ROW)


def _pair_by_text(strange: Rows, absent: Rows, pair: Int64s, found_texts: Texts, expected_texts: Texts) -> None:
    """Fill in `pair` for lines of equal length of which one half is the same."""
    is_free = np.ones(len(absent), np.bool_)
    is_free[pair[pair != ALONE]] = False
    ours, theirs = np.flatnonzero(pair == ALONE)[:MOST_TEXTS], np.flatnonzero(is_free)[:MOST_TEXTS]
    found = found_texts(strange["place"][ours].tolist())
    expected = expected_texts(absent["place"][theirs].tolist())
    free = {half: at for at in theirs.tolist() for half in _halves(expected.get(int(absent["place"][at])))}
    for at in ours.tolist():
        for half in _halves(found.get(int(strange["place"][at]))):
            other = free.get(half)
            if other is not None and is_free[other]:
                pair[at], is_free[other] = other, False
                break


def _halves(text: bytes | None) -> list[tuple[str, int, bytes]]:
    """The two halves of a text, with its length; none of a text that is not known."""
    if not text:
        return []
    middle = len(text) // 2
    return [("first", len(text), text[:middle]), ("second", len(text), text[middle:])]

"""One bucket of events: those found against those promised.

Rows of both go in, see spill.py; what became of each comes out. Pure: no file is read, nothing is made again.

Who is missing, who is too many, who came too late: comparing two lists of events as arrays.

In: keys of what was found and of what was expected; positions of events in the order in which they were found. Out:
partners, and what has none; events out of order. Nothing here knows what an event is.

What buckets leave over: events found that were not expected there, and expected events that were not found there.

A changed byte in a user id, a session or an item moves an event into another bucket or gives it another identity; one
in the JSON itself takes its identity away. Such an event is altered, not lost and foreign: the two are paired here,
first by identity across all buckets, then by their text, half of which is still the same. A record that was broken on
purpose in Avro or Protobuf does not tell its listener, unless by its key; it is sought among all that are missing.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loadgen.event import SESSIONS_PER_LISTENER, Int64s, UInt64s
from loadgen.fingerprint import GOLDEN, mix
from loadgen.verifier.observed import SHAPELESS, UNKNOWN
from loadgen.verifier.spill import MAY_BE_ABSENT, NUMBER_MASK, PLACE_BITS, ROW, Rows, may_be_absent


@dataclass(frozen=True, slots=True)
class MatchOutcome:
    """What became of the events of a bucket.

    Attributes:
        repeated: rows found that are promised, but not so often.
        altered: rows found, and in altered_from the promised rows that they were: same identity, other content.
        strange: rows found that were never promised; they may yet be altered ones of another bucket.
        absent: promised rows that were not found, and not found altered either.
        displaced: rows found after a later event of the same listener.
    """

    repeated: Rows
    altered: Rows
    altered_from: Rows
    strange: Rows
    absent: Rows
    displaced: Rows

    @property
    def is_clean(self) -> bool:
        """Whether every row found is a promised one, and none is there too often."""
        return len(self.repeated) + len(self.altered) + len(self.strange) == 0


def look_at(found: Rows, expected: Rows, groups: Int64s, timeless: bool) -> MatchOutcome:
    """Match them, first by key, then by identity; what is matched tells the order.

    Args:
        found: in the order of reading.
        expected: in the order of leaving.
        groups: see `EventSource.groups`.
        timeless: identities leave the time out.
    """
    required_first = np.argsort(may_be_absent(expected["place"]), kind="stable")  # of equal events, those are there
    partner = partners(found["key"], expected["key"][required_first])
    partner[partner != ALONE] = required_first[partner[partner != ALONE]]
    (lonely,) = np.nonzero(partner == ALONE)
    is_known = np.isin(found["key"][lonely], expected["key"])
    repeated, strange = lonely[is_known], lonely[~is_known]
    is_absent = np.ones(len(expected), np.bool_)
    is_absent[partner[partner != ALONE]] = False
    (absent,) = np.nonzero(is_absent)
    pair = partners(identity_of(found[strange], timeless), identity_of(expected[absent], timeless))
    is_altered = pair != ALONE
    partner[strange[is_altered]] = absent[pair[is_altered]]
    is_absent[absent[pair[is_altered]]] = False
    return MatchOutcome(
        repeated=found[repeated],
        altered=found[strange[is_altered]],
        altered_from=expected[absent[pair[is_altered]]],
        strange=found[strange[~is_altered]],
        absent=expected[is_absent],
        displaced=found[_displaced(found, expected, partner, groups)],
    )


def identity_of(rows: Rows, timeless: bool) -> UInt64s:
    """Which event each is, whatever its content."""
    minor = rows["minor"]
    if timeless:  # in the format `listen`, minor is the time
        minor = np.where(rows["major"] % SESSIONS_PER_LISTENER == 0, 0, minor)
    return identities(np.ascontiguousarray(rows["major"]), np.ascontiguousarray(minor))


def displaced_by_identity(rows: Rows, groups: Int64s) -> Int64s:
    """Rows found after a later event of the same listener, by what they say of themselves.

    Returns:
        int64, positions in `rows`.
    """
    (known,) = np.nonzero((rows["major"] != UNKNOWN) & (rows["minor"] != UNKNOWN))
    major, minor = rows["major"][known], rows["minor"][known]
    line = major // SESSIONS_PER_LISTENER * (groups.max(initial=0) + 1) + groups[unit_of(rows[known])]
    order = np.argsort(line, kind="stable")
    if not _falls(line[order], major[order], minor[order]):
        return np.zeros(0, np.int64)
    ascending = np.lexsort((minor, major))
    position = np.empty(len(known), np.int64)
    position[ascending] = np.cumsum(np.append(0, _is_new(major[ascending], minor[ascending])))[: len(known)]
    return known[displaced(line, position)]


def _falls(line: Int64s, major: Int64s, minor: Int64s) -> bool:
    """Whether an event of a line comes after a later one."""
    same, behind = line[1:] == line[:-1], major[1:] < major[:-1]
    behind |= (major[1:] == major[:-1]) & (minor[1:] < minor[:-1])
    return bool((same & behind).any())


def _is_new(major: Int64s, minor: Int64s) -> npt.NDArray[np.bool_]:
    """Which events are others than the one before, from the second on."""
    return np.asarray((major[1:] != major[:-1]) | (minor[1:] != minor[:-1]), np.bool_)


def _displaced(found: Rows, expected: Rows, partner: Int64s, groups: Int64s) -> Int64s:
    (rows,) = np.nonzero((partner != ALONE) & (found["key"] != SHAPELESS))
    matched = expected[_originals(expected)[partner[rows]]]
    listener = matched["major"] // SESSIONS_PER_LISTENER
    line = identities(listener, (unit_of(matched) << 32) + groups[unit_of(found[rows])])
    position = (matched["place"] & np.uint64(NUMBER_MASK)).view(np.int64)
    return rows[displaced(line, position)]


def _originals(expected: Rows) -> Int64s:
    """The position of each, of a copy that was made on purpose that of its original, right before it."""
    at = np.arange(len(expected))
    is_copy = np.append(False, expected["key"][1:] == expected["key"][:-1])[: len(expected)]
    return np.maximum.accumulate(np.where(is_copy, 0, at)) if len(at) else at


def unit_of(rows: Rows) -> Int64s:
    """The file or Kafka partition of each row found; of an expected one, its run and virtual shard."""
    unit: Int64s = ((rows["place"] & ~MAY_BE_ABSENT) >> np.uint64(PLACE_BITS)).view(np.int64)
    return unit


def listener_of(rows: Rows) -> Int64s:
    """The listener of each row; -1 where it does not tell."""
    known: Int64s = np.where(rows["major"] == UNKNOWN, -1, rows["major"] // SESSIONS_PER_LISTENER)
    return known


ALONE = -1


def partners(found: UInt64s, expected: UInt64s) -> Int64s:
    """Match equal keys, the first with the first, the second with the second: the position in `expected` of each found.

    Returns:
        int64[len(found)]; ALONE where there is nothing left to match with.
    """
    order, of_expected = np.argsort(found, kind="stable"), np.argsort(expected, kind="stable")
    keys, sought = expected[of_expected], found[order]
    first = np.searchsorted(keys, sought)
    n_equal = np.searchsorted(keys, sought, side="right") - first
    rank = _ranks(sought)
    matched = np.full(len(found), ALONE, np.int64)
    is_matched = rank < n_equal
    matched[order[is_matched]] = of_expected[(first + rank)[is_matched]]
    return matched


def _ranks(keys: UInt64s) -> Int64s:
    """How many equal keys come before each, in sorted keys."""
    at = np.arange(len(keys))
    is_first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    return at - np.maximum.accumulate(np.where(is_first, at, 0)) if len(keys) else at


def identities(major: Int64s, minor: Int64s) -> UInt64s:
    """One key for both: equal for equal ones."""
    return mix(major.view(np.uint64) * GOLDEN) ^ mix(minor.view(np.uint64) + GOLDEN)


def displaced(line: npt.NDArray[np.generic], position: Int64s) -> Int64s:
    """The fewest events that stand where they must not: without them each line ascends.

    Args:
        line: to which sequence (a listener's) each event belongs, in the order in which they were found.
        position: where it belongs in that sequence, int64; equal ones may follow each other.

    Returns:
        int64, ascending: positions in the arguments.
    """
    order = np.argsort(line, kind="stable")
    line, position = line[order], position[order]
    same = line[1:] == line[:-1]
    (falls,) = np.nonzero(same & (position[1:] < position[:-1]))
    if len(falls) == 0:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.append(True, ~same))
    ends = np.append(starts[1:], len(line))
    found = []
    for which in np.unique(np.searchsorted(starts, falls, side="right") - 1).tolist():
        start, end = int(starts[which]), int(ends[which])
        found += [start + at for at in _not_ascending(position[start:end].tolist())]
    return np.sort(order[found])


def _not_ascending(values: list[int]) -> list[int]:
    """What is outside the longest sequence that never falls (patience sorting, a loop over one listener's events)."""
    tails: list[int] = []
    tail_at: list[int] = []
    before: list[int] = []
    for at, value in enumerate(values):
        pile = bisect_right(tails, value)
        before.append(tail_at[pile - 1] if pile else ALONE)
        tails[pile : pile + 1] = [value]
        tail_at[pile : pile + 1] = [at]
    kept, at = set(), tail_at[-1]
    while at != ALONE:
        kept.add(at)
        at = before[at]
    return [at for at in range(len(values)) if at not in kept]


MOST_TEXTS = 500
"""At most this many of each side are compared by their text; each has to be read, or made, once more."""
MOST_ROWS = 1 << 20
"""At most this many of each side are kept for pairing; more than that are no slips of single bytes."""
Texts = Callable[[list[int]], dict[int, bytes]]


@dataclass(slots=True)
class Unmatched:
    """Rows of both sides, gathered from bucket after bucket.

    Attributes:
        n_strange, n_absent: how many there are in all.
    """

    n_strange: int = 0
    n_absent: int = 0
    _strange: list[Rows] = field(default_factory=list)
    _absent: list[Rows] = field(default_factory=list)
    _nameless: list[Rows] = field(default_factory=list)

    def add(self, strange: Rows, absent: Rows, has_listeners: bool = True) -> None:
        """Take in what a bucket leaves over; has_listeners: its rows tell the listener."""
        self.n_strange += len(strange)
        self.n_absent += len(absent)
        for rows, kept in ((strange, self._strange if has_listeners else self._nameless), (absent, self._absent)):
            some = rows[: MOST_ROWS - sum(map(len, kept))]
            if len(some):
                kept.append(some)

    def pair(self, timeless: bool, found_texts: Texts, expected_texts: Texts) -> "Paired":
        """Pair what belongs together.

        Args:
            timeless: see bucket.look_at.
            found_texts, expected_texts: the texts at places of found and of expected rows.
        """
        nameless, absent = _joined(self._nameless), _joined(self._absent)
        same = partners(nameless["key"], absent["key"])
        is_same, is_absent = same != ALONE, np.ones(len(absent), np.bool_)
        is_absent[same[is_same]] = False
        there, absent = absent[~is_absent], absent[is_absent]
        strange = _joined([*self._strange, nameless[~is_same]])
        pair = partners(identity_of(strange, timeless), identity_of(absent, timeless))
        if (pair == ALONE).any() and len(absent) > np.count_nonzero(pair != ALONE):
            _pair_by_text(strange, absent, pair, found_texts, expected_texts)
        is_left = np.ones(len(absent), np.bool_)
        is_left[pair[pair != ALONE]] = False
        is_paired = pair != ALONE
        return Paired(there, strange[is_paired], absent[pair[is_paired]], strange[~is_paired], absent[is_left])


@dataclass(frozen=True, slots=True)
class Paired:
    """Leftovers, paired.

    Attributes:
        there: promised rows that were found as they are, in values that do not tell the listener.
        altered, altered_from: rows found, and the promised rows that they were.
        foreign: rows found that were not expected (of those that were kept).
        lost: promised rows that were not found (of those that were kept).
    """

    there: Rows
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

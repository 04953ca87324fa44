"""One bucket of events: those found against those promised.

Rows of both go in, see spill.py; what became of each comes out. Pure: no file is read, nothing is made again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadgen.event import SESSIONS_PER_LISTENER, Int64s, UInt64s
from loadgen.prove.matching import ALONE, displaced, identities, partners
from loadgen.prove.seen import SHAPELESS, UNKNOWN
from loadgen.prove.spill import MAY_BE_ABSENT, NUMBER_MASK, PLACE_BITS, Rows, may_be_absent


@dataclass(frozen=True, slots=True)
class Outcome:
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


def look_at(found: Rows, expected: Rows, groups: Int64s, timeless: bool) -> Outcome:
    """Match them, first by key, then by identity; what is matched tells the order.

    Args:
        found: in the order of reading.
        expected: in the order of leaving.
        groups: see `Source.groups`.
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
    return Outcome(
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
    """The file or Kafka partition of each row found; of an expected one, its run and slice."""
    unit: Int64s = ((rows["place"] & ~MAY_BE_ABSENT) >> np.uint64(PLACE_BITS)).view(np.int64)
    return unit


def listener_of(rows: Rows) -> Int64s:
    """The listener of each row; -1 where it does not tell."""
    known: Int64s = np.where(rows["major"] == UNKNOWN, -1, rows["major"] // SESSIONS_PER_LISTENER)
    return known

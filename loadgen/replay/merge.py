"""Many parts, each in about the order of time, into one order, with a bounded number of events in memory.

    part 1  ▓▓▓▓▓▓▓▓░░        ▓ read and held
    part 2  ▓▓▓▓▓▓░░░░        ░ not read yet
    part 3      ▓▓▓▓░░

The part that is the furthest behind is read on until READ_AHEAD events are held; then the earlier half of them is given
on, but nothing that is later than where every part has been read to.

So parts that are sorted give a sorted whole. An event that stands behind later ones in its part finds its place if no
more than half of READ_AHEAD events lie between; one that is later still comes as soon as it is read, and is counted.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from loadgen.replay.records import ReadCounts, Records

READ_AHEAD, READ_AHEAD_BYTES = 1 << 17, 64 << 20
"""Events, and bytes of their values, that are held; whichever is reached first."""
MOST_GIVEN = 1 << 12
"""Events that are given on at a time: few, so that what it takes to read the next ones is spread over time."""
END_US = 1 << 62


class Part(Protocol):
    """A file, or a partition of a topic."""

    @property
    def from_us(self) -> int:
        """No event of it is earlier, as far as is known; µs since 1970."""

    @property
    def is_known(self) -> bool:
        """Whether that is the time of its first event, or nothing better can be known."""

    def look(self) -> None:
        """Find out; the part stays at its beginning."""

    def next(self) -> Records | None:
        """Its next events, perhaps none; None at its end. Raises LoadgenError."""


class _Front:
    """A part, and how far it has been read."""

    def __init__(self, part: Part) -> None:
        self.part, self.at_us = part, part.from_us


class _Held:
    """Events that have been read and not given on."""

    def __init__(self) -> None:
        self._parts: list[Records] = []
        self._n = self._n_bytes = 0

    def __len__(self) -> int:
        return self._n

    def add(self, records: Records) -> None:
        """Hold these, too."""
        if len(records):
            self._parts.append(records)
            self._n += len(records)
            self._n_bytes += records.n_bytes

    @property
    def share(self) -> float:
        """How full it is."""
        return max(self._n / READ_AHEAD, self._n_bytes / READ_AHEAD_BYTES)

    def sort(self) -> Records:
        """All of them, in order."""
        records = Records.concat(self._parts)
        if (records.time_us[1:] < records.time_us[:-1]).any():
            records = records.take(np.argsort(records.time_us, kind="stable"))
        self._parts = [records]
        return records

    def keep_from(self, records: Records, n: int) -> None:
        """Let go of the first n of what `sort` gave."""
        self.__init__()  # type: ignore[misc]  # as new
        self.add(records[n:])


def merged(parts: Sequence[Part], counts: ReadCounts) -> Iterator[Records]:
    """The events of all parts in the order of time, no more than MOST_GIVEN at a time.

    Args:
        parts: each at its beginning.
        counts: late events are counted there.

    Raises:
        LoadgenError: a part cannot be read.
    """
    fronts, held, given_us, fill = [_Front(part) for part in parts], _Held(), 0, 1.0
    is_alone = len(fronts) == 1
    while fronts or len(held):
        while fronts and held.share < fill:
            _read_on(fronts, held, is_alone)
        if not len(held):
            continue
        records = held.sort()
        until_us = min((front.at_us for front in fronts), default=END_US)
        most = len(records) if not fronts else (len(records) + 1) // 2
        n = min(most, int(np.searchsorted(records.time_us, until_us, side="right")))
        fill = 1.0 if n else held.share + 1.0  # what is held is all later than what some part still has
        held.keep_from(records, n)
        for start in range(0, n, MOST_GIVEN):
            some = records[start : min(start + MOST_GIVEN, n)]
            counts.late += int(np.count_nonzero(some.time_us < given_us))
            given_us = max(given_us, int(some.time_us[-1]))
            yield some
            if fronts and held.share < 1.0:
                _read_on(fronts, held, is_alone)


def _read_on(fronts: list[_Front], held: _Held, is_alone: bool) -> None:
    """Read the part that is the furthest behind."""
    front = min(fronts, key=lambda one: one.at_us)
    if not front.part.is_known and not is_alone:
        front.part.look()
        front.at_us = front.part.from_us
        return
    records = front.part.next()
    if records is None:
        fronts.remove(front)
    elif len(records):
        held.add(records)
        front.at_us = max(front.at_us, int(records.time_us.max()))

"""Which offsets of a topic were read, by the files that hold them: so that merged files bring nothing twice.

In: the names and sizes of batch files of one day, source and Kafka partition. Out: whether a file is read already, not
at all, or in part.

A compacted file holds just what the files hold that it replaces (`loadgen.consume.compact`): their lengths add up to
its length, or in Parquet, their rows to its rows. So a file in whose range others were read is read as a whole exactly
if the sizes say so.
"""

from bisect import bisect_left, bisect_right, insort
from typing import NamedTuple

from loadgen.store.layout import BatchName

NOT_KNOWN = -1


class Span(NamedTuple):
    """A batch file that was read, or is being read: its offsets, inclusive, and its size in bytes or rows.

    The size is NOT_KNOWN until a Parquet file is read."""

    first: int
    last: int
    size: int


class Lane:
    """The spans of one day, source and partition, none of which overlaps another one."""

    def __init__(self) -> None:
        """Nothing was read."""
        self._spans: list[Span] = []

    def covers(self, batch: BatchName) -> bool:
        """Whether it lies inside a file that was read."""
        place = bisect_right(self._spans, batch.first, key=_first)
        return place > 0 and batch.last <= self._spans[place - 1].last

    def inside(self, batch: BatchName) -> list[Span]:
        """The files that lie inside it."""
        begin = bisect_left(self._spans, batch.first, key=_first)
        end = bisect_right(self._spans, batch.last, key=_first)
        return [span for span in self._spans[begin:end] if span.last <= batch.last]

    def add(self, batch: BatchName, size: int) -> None:
        """This file is read, or being read; those inside it are a part of it."""
        for span in self.inside(batch):
            self._spans.remove(span)
        insort(self._spans, Span(batch.first, batch.last, size))

    def drop(self, batch: BatchName) -> None:
        """It was not read after all."""
        self._spans = [span for span in self._spans if (span.first, span.last) != (batch.first, batch.last)]


def _first(span: Span) -> int:
    return span.first

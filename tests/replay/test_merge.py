"""Parts in about the order of time become one order, with a bounded number of events in memory."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.replay import merge
from loadgen.replay.merge import merged
from loadgen.replay.records import ReadCounts, Records


def records(times: list[int]) -> Records:
    return Records(
        np.array(times, np.int64),
        pa.array([b"%d\n" % one for one in times], pa.binary()),
        pa.nulls(len(times), pa.binary()),
    )


@dataclass
class ListPart:
    """A part that gives three events at a time."""

    times: list[int]
    is_known: bool
    from_us: int = 0
    at: int = 0

    def look(self) -> None:
        self.is_known, self.from_us = True, self.times[0] if self.times else 0

    def next(self) -> Records | None:
        if self.at >= len(self.times):
            return None
        self.at += 3
        return records(self.times[self.at - 3 : self.at])


@pytest.fixture(autouse=True)
def few_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "READ_AHEAD", 20)
    monkeypatch.setattr(merge, "MOST_GIVEN", 4)


times = st.lists(st.integers(0, 200), max_size=60)


@given(st.lists(st.tuples(times.map(sorted), st.booleans()), max_size=8))
def test_sorted_parts_give_all_events_in_order(parts: list[tuple[list[int], bool]]) -> None:
    counts = ReadCounts()
    found = [one for some in merged([ListPart(*part) for part in parts], counts) for one in some.time_us.tolist()]
    assert found == sorted(one for part, _ in parts for one in part)
    assert counts.late == 0


@given(st.lists(times, max_size=5))
def test_of_parts_in_any_order_each_event_comes_once_and_the_late_ones_are_counted(
    parts: list[list[int]],
) -> None:
    counts = ReadCounts()
    found = [one for some in merged([ListPart(part, True) for part in parts], counts) for one in some.time_us.tolist()]
    assert sorted(found) == sorted(one for part in parts for one in part)
    latest = np.maximum.accumulate([0, *found])[:-1]
    assert counts.late == np.count_nonzero(np.array(found, np.int64) < latest)


@given(st.permutations(range(40)))
def test_an_event_that_stands_behind_few_later_ones_finds_its_place(order: list[int]) -> None:
    shuffled = [base * 8 + at % 8 for base in range(5) for at in order[base * 8 : base * 8 + 8]]
    part = sorted(range(len(shuffled)), key=lambda at: shuffled[at] // 8)  # blocks of eight, each in any order
    moved = [shuffled[at] for at in part]
    counts = ReadCounts()
    found = [one for some in merged([ListPart(moved, True)], counts) for one in some.time_us.tolist()]
    assert (found, counts.late) == (sorted(moved), 0)

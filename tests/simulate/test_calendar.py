"""The calendar gives exactly who is due, for any steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.simulate.calendar import MAX_LISTENERS, Calendar

N = 300


@given(
    st.lists(st.one_of(st.integers(0, 50), st.integers(1, 5_000), st.integers(1, 200_000)), min_size=1, max_size=40),
    st.sampled_from([0.01, 1.0, 100.0, 1e5]),
    st.integers(0, 1000),
)
def test_exactly_those_due_are_taken_whatever_the_steps(steps: list[int], events_per_s: float, seed: int) -> None:
    due = 1_000 + (np.arange(N) * 7_919 + seed * 104_729) % 90_000
    calendar, expected, now = Calendar(due.copy(), events_per_s), due.copy(), 1_000
    for number, step in enumerate(steps):
        until = now + step
        rows, due_ms = calendar.take(now, until)
        wanted = np.flatnonzero(expected < until)
        assert sorted(rows.tolist()) == wanted.tolist()
        assert np.array_equal(due_ms, expected[rows])
        later = until + (rows * 31 + number * 7_907) % 60_000
        expected[rows] = later
        calendar.put(rows, later)
        now = until


def test_a_calendar_of_nobody_is_empty() -> None:
    rows, due_ms = Calendar(np.empty(0, np.int64), 0.0).take(0, 10**12)
    assert len(rows) == len(due_ms) == 0


def test_more_listeners_than_a_key_has_bits_for_are_refused() -> None:
    everybody = np.broadcast_to(np.int64(0), MAX_LISTENERS + 1)
    with pytest.raises(ValueError, match=f"at most {MAX_LISTENERS} listeners, got {MAX_LISTENERS + 1}"):
        Calendar(everybody, 1.0)

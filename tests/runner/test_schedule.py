"""Events are due at absolute times: a late one never moves the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.event import Int64s
from loadgen.runner.assignment import CATCH_UP, CatchUpLimit, Unthrottled
from loadgen.simulate.schedule import NS_PER_S, NaturalSchedule, RateSchedule
from loadgen.simulate.shapes import Shape

T0_NS = 5_000_000_000_000


def times(*emit_ms: int) -> Int64s:
    return np.array(emit_ms, np.int64)


def test_at_natural_rate_simulated_time_is_divided_by_the_speed() -> None:
    schedule = NaturalSchedule(T0_NS, simulated_t0_ms=1_000, speed=4.0)
    assert (schedule.due_ns(times(1_000, 1_400, 5_000)) - T0_NS).tolist() == [0, 100_000_000, NS_PER_S]


def test_at_a_given_rate_event_k_is_due_k_over_rate_after_the_start_across_batches() -> None:
    schedule = RateSchedule(T0_NS, Shape.constant(200.0))
    first, second = schedule.due_ns(times(1, 2, 3)), schedule.due_ns(times(900, 901))
    assert (np.concatenate([first, second]) - T0_NS).tolist() == [k * 5_000_000 for k in range(5)]


@pytest.mark.parametrize("rate_per_s", [0.1, 3.0, 99_999.0, 1.7e6])
def test_a_million_events_of_any_rate_end_on_time(rate_per_s: float) -> None:
    schedule = RateSchedule(T0_NS, Shape.constant(rate_per_s), n_before=1_000_000)
    (due,) = schedule.due_ns(times(0))
    assert (due - T0_NS) / NS_PER_S == pytest.approx(1_000_000 / rate_per_s, rel=1e-9)


def test_without_a_pace_everything_is_due_at_once() -> None:
    due = Unthrottled().due_ns(times(5, 6, 700))
    assert len(np.unique(due)) == 1
    assert not Unthrottled().paced


@given(st.lists(st.integers(0, 3 * NS_PER_S), min_size=2, max_size=50))
def test_the_cursor_never_runs_ahead_of_the_clock_nor_faster_than_twice_its_speed(steps_ns: list[int]) -> None:
    cursor, now_ns = CatchUpLimit(T0_NS), T0_NS
    limit_ns = cursor.advance(now_ns)
    for step_ns in steps_ns:
        now_ns += step_ns
        before_ns, limit_ns = limit_ns, cursor.advance(now_ns)
        assert limit_ns <= now_ns
        assert before_ns <= limit_ns <= before_ns + CATCH_UP * step_ns


def test_a_worker_that_was_held_up_is_back_on_schedule_after_as_long_again() -> None:
    cursor = CatchUpLimit(T0_NS)
    cursor.advance(T0_NS)
    cursor.at_ns = T0_NS  # held up: a second passes during which nothing could be sent
    cursor.seen_ns = T0_NS + NS_PER_S
    assert cursor.advance(T0_NS + 2 * NS_PER_S) == T0_NS + 2 * NS_PER_S


def test_what_was_given_up_is_not_caught_up_with() -> None:
    cursor = CatchUpLimit(T0_NS)
    cursor.jump(T0_NS + 7)
    assert cursor.at_ns == T0_NS + 7
    cursor.jump(T0_NS)
    assert cursor.at_ns == T0_NS + 7

"""Load shapes: the rate, its integral, and the moment at which each event is due, are those of one curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.simulate.schedule import NEVER_NS, NS_PER_S, RateSchedule
from loadgen.simulate.shapes import Segment, Shape

T0_NS = 5_000_000_000_000
rates = st.one_of(st.just(0.0), st.floats(1e-3, 1e6))
lengths = st.floats(0.01, 5000.0)


@st.composite
def lines(draw: st.DrawFn) -> Segment:
    """From one rate to another, often to the same or nearly so."""
    length_s, start = draw(lengths), draw(rates)
    end = draw(st.one_of(rates, st.just(start), st.floats(1 - 1e-12, 1 + 1e-12).map(lambda factor: start * factor)))
    return Segment(length_s, start, (end - start) / length_s)


@st.composite
def waves(draw: st.DrawFn) -> Segment:
    """Up to as low as silence, beginning with a trough or a crest."""
    mean, share = draw(st.floats(1e-3, 1e6)), draw(st.one_of(st.just(1.0), st.floats(0.01, 1.0)))
    return Segment(draw(lengths), mean, 0.0, mean * share * draw(st.sampled_from([1, -1])), draw(lengths))


shapes = st.builds(Shape.of, st.lists(lines() | waves(), min_size=1, max_size=6), st.booleans()).filter(
    lambda shape: shape.peak_per_s > 0
)


def some_events(shape: Shape, until_s: float = 20_000.0, n: int = 60) -> np.ndarray:
    """Numbers of events that are due until then."""
    total = min(float(shape.integral(until_s)), 1e9)
    return np.unique(np.linspace(0, total, n).astype(np.int64))


@given(shapes)
def test_as_many_events_are_due_before_event_k_as_its_number_says(shape: Shape) -> None:
    k = some_events(shape)
    due_s = shape.invert(k)
    is_due = np.isfinite(due_s)
    np.testing.assert_allclose(shape.integral(due_s[is_due]), k[is_due], rtol=1e-9, atol=1e-6)


@given(shapes, st.lists(st.floats(0, 10_000.0), min_size=1, max_size=20))
def test_the_inverse_of_the_integral_is_the_time(shape: Shape, times_s: list[float]) -> None:
    at_s = np.array(times_s)
    counted = shape.integral(at_s)
    digits = 1e-10 + 1e-14 * counted  # what 64 bits can tell apart: a nanosecond, unless hardly any events come
    is_some = counted > digits
    assert (shape.invert(counted[is_some] - digits[is_some]) - 1e-9 <= at_s[is_some]).all()
    assert (at_s <= shape.invert(counted + digits) + 1e-9).all()


@given(shapes)
def test_events_are_due_one_after_another(shape: Shape) -> None:
    total = min(float(shape.integral(3000.0)), 1e8)
    for first in (0, int(total / 3), int(total)):
        due_ns = RateSchedule(T0_NS, shape, first).due_ns(np.zeros(500, np.int64))
        assert (np.diff(due_ns) >= 0).all()
        assert due_ns[0] >= T0_NS


@given(shapes)
def test_an_event_is_due_at_the_same_moment_whichever_are_asked_for_with_it(shape: Shape) -> None:
    k = some_events(shape, n=40)
    together, alone = shape.invert(k), np.array([float(shape.invert(one)) for one in k])
    assert together.tobytes() == alone.tobytes()


@given(shapes, st.floats(0, 5000.0))
def test_the_integral_is_that_of_the_rate(shape: Shape, start_s: float) -> None:
    periods_s = 2 * np.pi / shape.curves.omega[shape.curves.omega > 0]
    span_s = 5 * min([*periods_s.tolist(), *shape.length_s.tolist(), 1000.0])
    middle_s = start_s + (np.arange(20_000) + 0.5) / 20_000 * span_s
    expected = shape.rate_at(middle_s).mean() * span_s
    found = float(shape.integral(start_s + span_s) - shape.integral(start_s))
    digits = 1e-14 * float(shape.integral(start_s))
    assert found == pytest.approx(expected, rel=1e-3, abs=shape.peak_per_s * span_s / 1000 + digits)


@given(shapes)
def test_workers_share_a_shape_without_a_rest(shape: Shape) -> None:
    parts = [shape.part(n, 100) for n in (1, 29, 70)]
    at_s = np.linspace(0, 1000, 50)
    np.testing.assert_allclose(sum(part.integral(at_s) for part in parts), shape.integral(at_s), rtol=1e-9, atol=1e-9)
    assert sum(part.peak_per_s for part in parts) == pytest.approx(shape.peak_per_s)


@pytest.mark.parametrize("rate_per_s", [0.1, 3.0, 99_999.0, 1.7e6, 123_456.789])
def test_a_constant_rate_is_due_to_the_bit_as_it_always_was(rate_per_s: float) -> None:
    position = np.arange(1_000_000, 1_004_096)
    before = T0_NS + (position * (NS_PER_S / rate_per_s)).astype(np.int64)
    steps = [Segment(10.0, rate_per_s), Segment(5.0, rate_per_s)]
    for shape in (Shape.constant(rate_per_s), Shape.of(steps), Shape.of(steps, repeats=True)):
        assert RateSchedule(T0_NS, shape, 1_000_000).due_ns(np.zeros(4096, np.int64)).tolist() == before.tolist()
        assert RateSchedule(T0_NS, shape).scheduled(T0_NS + 3 * NS_PER_S) == 3 * rate_per_s


def test_known_moments_of_a_ramp_are_met_to_the_nanosecond() -> None:
    ramp = Shape.of([Segment(100.0, 0.0, 20.0)])  # F = 10 t²
    assert RateSchedule(0, ramp).due_ns(np.zeros(41, np.int64))[[0, 10, 40]].tolist() == [0, NS_PER_S, 2 * NS_PER_S]
    falling = Shape.of([Segment(10.0, 100.0, -10.0)])  # F = 100 t - 5 t²; 500 events in all
    due_ns = RateSchedule(0, falling).due_ns(np.zeros(501, np.int64))
    assert due_ns[[95, 320, 375, 499]].tolist() == [NS_PER_S, 4 * NS_PER_S, 5 * NS_PER_S, 9_552_786_405]
    assert due_ns[500] == NEVER_NS


def test_known_moments_of_a_wave_are_met_to_the_nanosecond() -> None:
    wave = Shape.of([Segment(np.inf, 100.0, 0.0, 100.0, 10.0)])
    assert wave.integral([2.5, 5, 10, 25]).tolist() == pytest.approx([250 - 500 / np.pi, 500, 1000, 2500])
    due_ns = RateSchedule(0, wave).due_ns(np.zeros(2001, np.int64))
    assert due_ns[[500, 1500]].tolist() == [5 * NS_PER_S, 15 * NS_PER_S]
    assert wave.rate_at([0, 5, 10]).tolist() == pytest.approx([0, 200, 0], abs=1e-9)
    crest = Shape.of([Segment(np.inf, 100.0, 0.0, -100.0, 10.0)])
    assert RateSchedule(0, crest).due_ns(np.zeros(1501, np.int64))[[0, 1000]].tolist() == [0, 10 * NS_PER_S]
    assert crest.rate_at([0, 5]).tolist() == pytest.approx([200, 0], abs=1e-9)


def test_nothing_is_due_in_a_silence_and_the_event_at_its_edge_comes_after_it() -> None:
    shape = Shape.of([Segment(1.0, 10.0), Segment(100.0, 0.0), Segment(1.0, 10.0)], repeats=True)
    assert shape.invert([9, 10, 19, 20, 30]).tolist() == pytest.approx([0.9, 101.0, 101.9, 102.0, 203.0])
    assert shape.integral([1.0, 50.0, 101.0]).tolist() == [10.0, 10.0, 10.0]


def test_after_its_end_a_shape_keeps_its_last_rate_or_begins_again() -> None:
    pieces = [Segment(10.0, 0.0, 10.0), Segment(10.0, 50.0)]
    goes_on, again = Shape.of(pieces), Shape.of(pieces, repeats=True)
    assert goes_on.rate_at([5, 15, 25, 1e6]).tolist() == [50, 50, 50, 50]
    assert again.rate_at([5, 15, 25, 45]).tolist() == [50, 50, 50, 50]
    assert again.rate_at([8, 28, 2008]).tolist() == pytest.approx([80, 80, 80])
    assert again.integral(2020.0) == pytest.approx(101 * 1000)
    assert goes_on.integral(30.0) == pytest.approx(1500)


def test_a_falling_line_that_goes_on_ends_in_silence() -> None:
    shape = Shape.of([Segment(10.0, 10.0, -1.0)])
    assert shape.invert([49, 51]).tolist() == [pytest.approx(10 - 2**0.5), np.inf]
    assert shape.rate_at(11.0) == 0


def test_a_slope_next_to_nothing_is_as_exact_as_none() -> None:
    k = np.arange(0, 100_000, 37)
    for slope in (1e-18, -1e-18, 1e-12):
        shape = Shape.of([Segment(1000.0, 1000.0, slope)])
        np.testing.assert_allclose(shape.invert(k), k / 1000.0, rtol=1e-12)


def test_a_shape_that_offers_less_than_can_be_told_from_nothing_never_has_an_event_due() -> None:
    trough = Segment(0.001, 5e-7, 0.0, 5e-7, 36500 * 86400.0)
    shape = Shape.of([trough], repeats=True)
    assert shape.cycle == 0
    assert shape.invert([0, 1, 1000]).tolist() == [float("inf")] * 3
    assert shape.integral([0.0, 1e9]).tolist() == [0.0, 0.0]

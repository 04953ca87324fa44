"""What phases mean in events per second, in runs of every kind of length."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.config import RunSettings
from loadgen.config.shape_files import NAMED, shape_spec
from loadgen.simulate.feed import offered
from loadgen.simulate.pacers import PacerShape
from loadgen.simulate.shapes import ENDLESS_S, Shape, shape_of

LOOK_S = 60.0
START_MS = 1_767_571_200_000


def shape(*phases: dict[str, Any], rate: float | None = 100.0, run_s: float | None = LOOK_S, **more: Any) -> Shape:
    """The shape of these phases."""
    return shape_of(shape_spec({"phase": list(phases), **more}), rate, run_s)


def at(found: Shape | PacerShape, *times_s: float) -> list[float]:
    return [round(rate, 6) for rate in found.rate_at(list(times_s)).tolist()]


@pytest.mark.parametrize(
    ("name", "rates", "events"),
    [
        ("constant", [100, 100, 100, 100, 100], 6000),
        ("ramp", [0, 25, 50, 75, 100], 3000),
        ("step", [20, 40, 60, 80, 100], 3600),
        ("spike", [10, 10, 100, 10, 10], 1788),
        ("soak", [0, 100, 100, 100, 100], 5850),
        ("sine", [10, 55, 100, 55, 10], 3300),
    ],
)
def test_a_shape_by_name_fills_the_run(name: str, rates: list[float], events: float) -> None:
    found = shape_of(shape_spec(name), 100.0, LOOK_S)
    times_s = [0.0, 15.0, 30.0, 45.0, LOOK_S - 1e-9]
    assert found.rate_at(times_s).tolist() == pytest.approx(rates, abs=1e-5)
    assert float(found.integral(LOOK_S)) == pytest.approx(events)
    assert found.peak_per_s == pytest.approx(100)


@pytest.mark.parametrize("name", NAMED)
@given(events=st.integers(1, 10**12), rate=st.floats(0.01, 1e7))
def test_a_run_of_so_many_events_is_one_whole_shape(name: str, events: int, rate: float) -> None:
    found = shape_of(shape_spec(name), rate, None, events)
    whole_s = float(found.start_s[-1]) if found.cycle_s == float("inf") else found.cycle_s
    if name == "constant":
        whole_s = events / rate
    assert float(found.integral(whole_s)) == pytest.approx(events, rel=1e-9)


def test_a_run_without_end_takes_ten_minutes_for_a_shape() -> None:
    waves = shape_of(shape_spec("sine"), 100.0)
    assert waves.cycle_s == pytest.approx(ENDLESS_S)
    assert at(waves, 100.0, 700.0, 100_300.0) == [100.0, 100.0, 100.0]
    assert at(shape_of(shape_spec("ramp"), 100.0), 300.0, 601.0, 1e6) == [50.0, 100.0, 100.0]


def test_levels_are_factors_of_the_rate_or_rates_and_times_are_seconds_or_parts_of_the_run() -> None:
    found = shape(
        {"kind": "hold", "at": 0.5, "for": 6},
        {"kind": "hold", "at": "20/s", "for": "10%"},
        {"kind": "hold", "at": "600/min", "for": "0.5m"},
    )
    assert at(found, 5.9, 6.1, 11.9, 12.1, 41.9, 99) == [50, 20, 20, 10, 10, 10]


def test_a_phase_goes_on_where_the_one_before_it_ended() -> None:
    found = shape(
        {"kind": "ramp", "to": 1, "for": 10},
        {"kind": "ramp", "to": 0.2, "for": 10},
        {"kind": "sine", "to": 0.6, "every": 5, "for": 10},
        {"kind": "ramp", "to": 0, "for": 10},
    )
    assert at(found, 5, 10, 15, 20, 22.5, 25, 30, 35, 41) == [50, 100, 60, 20, 60, 20, 20, 10, 0]


def test_steps_begin_at_the_first_rate_and_end_at_the_last() -> None:
    found = shape({"kind": "steps", "from": 1, "to": 0.2, "steps": 3, "for": 30})
    assert at(found, 0, 9, 11, 21, 29, 31) == [100, 100, 60, 20, 20, 20]
    assert at(shape({"kind": "steps", "to": 0.2, "steps": 1, "for": 30}), 0, 29, 31) == [20, 20, 20]


def test_a_series_is_followed_in_straight_lines_or_held() -> None:
    points = [[100, 0.1], [110, 1], [130, 0.5]]
    assert at(shape({"kind": "series", "points": points}), 0, 5, 10, 20, 30, 40) == [10, 55, 100, 75, 50, 50]
    held = {"kind": "series", "points": points, "between": "held"}
    assert at(shape(held), 0, 9.9, 10.1, 29.9, 30.1, 40) == [10, 10, 100, 100, 50, 50]
    assert at(shape(held, repeat=True), 9.9, 10.1, 29.9, 30.1) == [10, 100, 100, 10]


def test_a_shape_that_says_its_rates_itself_needs_none_and_is_made_as_high_as_one_that_is_given() -> None:
    phases = [{"kind": "hold", "at": "20/s", "for": 10}, {"kind": "ramp", "from": 0, "to": "40/s", "for": 10}]
    assert at(shape(*phases, rate=None), 5, 15, 21) == [20, 20, 40]
    assert at(shape(*phases, rate=1000.0), 5, 15, 21) == [500, 500, 1000]
    with pytest.raises(ValueError, match="spike needs a rate"):
        shape_of(shape_spec("spike"), None, LOOK_S)


def test_what_a_worker_must_offer_is_its_share_of_the_listeners(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("0,100\n60,300\n")
    settings = RunSettings.from_public({"start": START_MS, "shape": str(tmp_path / "day.csv"), "duration": 1})
    whole = offered(settings)
    assert isinstance(whole, Shape)
    assert at(whole, 0, 30, 60) == [100, 200, 300]
    assert offered(RunSettings.from_public({"start": START_MS})) is None
    constant = offered(RunSettings.from_public({"start": START_MS, "rate": "5/s"}))
    assert constant is not None
    assert constant.constant_per_s == 5

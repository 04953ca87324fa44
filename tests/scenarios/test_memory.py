"""Memory that grows is told from memory that fills up once."""

import pytest

from loadgen.scenarios.memory import MOST, Memory

HOUR_S = 3600


def _watched(slope: float = 0.0, hours: int = 10) -> Memory:
    memory = Memory()
    for at_s in range(0, hours * HOUR_S, 5):
        memory.see(at_s, int(100e6 + slope * at_s / HOUR_S + (50e6 if at_s > HOUR_S else 0)))
    return memory


def test_a_leak_is_seen_in_megabytes_an_hour() -> None:
    found = _watched(slope=2e6).as_json()
    assert found is not None
    assert found["growth_mb_per_hour"] == pytest.approx(2.0, abs=0.01)


def test_a_cache_that_fills_at_the_beginning_is_no_leak() -> None:
    found = _watched().as_json()
    assert found == {"first_mb": 100.0, "last_mb": 150.0, "most_mb": 150.0, "growth_mb_per_hour": 0.0}


def test_one_step_of_the_allocator_is_no_leak() -> None:
    memory = Memory()
    for at_s in range(0, HOUR_S, 5):
        memory.see(at_s, 100_000_000 + (3_000_000 if at_s > 0.9 * HOUR_S else 0))
    assert memory.growth_per_hour() == 0.0


def test_few_sizes_are_kept_however_long_it_takes() -> None:
    sizes = _watched(hours=100).sizes
    assert MOST / 4 < len(sizes) < MOST
    assert (sizes[0][0], sizes[-1][0]) == pytest.approx((0, 100 * HOUR_S), rel=0.02)


def test_nothing_is_said_before_anything_is_known() -> None:
    memory = Memory()
    memory.see(0.0, 0)
    assert memory.as_json() is None

"""Random numbers are uniform, independent, and depend on (seed, listener, counter) only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.rng import N_SLOTS, Purpose, draw, draw_for, field16, keys_of, second, slots, third
from tests.simulate.world import chi_square_deviation

IDS = np.arange(200_000, dtype=np.int64)
MAX_SIGMAS = 4.5


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_each_16_bit_field_of_a_draw_is_uniform(number: int) -> None:
    field = field16(draw_for(keys_of(1, IDS), Purpose.PERSON), number)
    counts = np.bincount(field >> 8, minlength=256)
    assert abs(chi_square_deviation(counts, np.full(256, 1 / 256))) < MAX_SIGMAS


@pytest.mark.parametrize("other", ["field", "second", "third", "purpose", "neighbour", "seed"])
def test_streams_are_uncorrelated(other: str) -> None:
    keys = keys_of(1, IDS)
    bits = draw_for(keys, Purpose.PERSON)
    others = {
        "field": field16(bits, 1),
        "second": field16(second(bits), 0),
        "third": field16(third(bits), 0),
        "purpose": field16(draw_for(keys, Purpose.HABITS), 0),
        "neighbour": np.roll(field16(bits, 0), 1),
        "seed": field16(draw_for(keys_of(2, IDS), Purpose.PERSON), 0),
    }
    correlation = np.corrcoef(field16(bits, 0), others[other])[0, 1]
    assert abs(correlation) < MAX_SIGMAS / np.sqrt(len(IDS))


def test_a_listeners_draw_does_not_depend_on_the_other_listeners() -> None:
    counter = np.array([65_537], np.uint64)
    assert np.array_equal(draw(keys_of(3, IDS[100:200]), counter), draw(keys_of(3, IDS), counter)[100:200])


def test_consecutive_counters_give_different_bits() -> None:
    keys = np.repeat(keys_of(3, IDS[:1]), 100_000)
    assert len(np.unique(draw(keys, np.arange(100_000, dtype=np.uint64)))) == 100_000


def test_a_negative_seed_is_a_seed() -> None:
    assert keys_of(-1, IDS[:1]) != keys_of(1, IDS[:1])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50).filter(lambda weights: sum(weights) > 1e-3))
def test_slots_are_shared_out_within_one_slot_of_what_is_due(weights: list[float]) -> None:
    counts = np.bincount(slots(np.array(weights)), minlength=len(weights))
    assert counts.sum() == N_SLOTS
    assert np.abs(counts - np.array(weights) / sum(weights) * N_SLOTS).max() <= 1 + 1e-6


def test_what_has_no_weight_gets_no_slot() -> None:
    assert set(slots(np.array([0.0, 0.3, 0.0, 0.7, 0.0]))) == {1, 3}


def test_many_small_weights_together_get_their_due() -> None:
    drawn = slots(np.concatenate([[1.0], np.full(100_000, 1e-5)]))
    assert np.count_nonzero(drawn > 0) == pytest.approx(N_SLOTS / 2, abs=1)

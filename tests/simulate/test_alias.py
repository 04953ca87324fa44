"""Alias tables draw each member in proportion to its weight."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadgen.rng import Purpose, draw_for, keys_of
from loadgen.simulate import tables
from tests.simulate.world import chi_square_deviation

BITS = draw_for(keys_of(1, np.arange(400_000, dtype=np.int64)), Purpose.TASTE)


def _draw(table: np.ndarray, first: int = 0) -> np.ndarray:
    n = len(BITS)
    return tables.pick(table, np.full(n, first), np.full(n, len(table) - first), BITS)


def test_members_come_as_often_as_they_weigh() -> None:
    weights = 1.0 / np.arange(1, 101)
    counts = np.bincount(_draw(tables.cells(np.arange(100), weights)), minlength=100)
    assert abs(chi_square_deviation(counts, weights / weights.sum())) < 4.5


def test_a_table_may_lie_behind_another() -> None:
    table = np.concatenate(
        [tables.cells(np.arange(5), np.ones(5)), tables.cells(np.array([70, 90]), np.array([1.0, 3.0]))]
    )
    drawn = _draw(table, first=5)
    assert set(drawn.tolist()) == {70, 90}
    assert abs((drawn == 90).mean() - 0.75) < 4.5 * np.sqrt(0.75 * 0.25 / len(BITS))


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60))
def test_the_cells_shares_add_up_to_the_weights(weights: list[float]) -> None:
    n, full = len(weights), 1 << tables.THRESHOLD_BITS
    table = tables.cells(np.arange(n), np.array(weights))
    mask = tables.MAX_MEMBERS - 1
    own, other, threshold = table & mask, (table >> tables.MEMBER_BITS) & mask, table >> 2 * tables.MEMBER_BITS
    share = np.bincount(own, threshold, n) + np.bincount(other, full - threshold, n)
    assert np.abs(share / (n * full) - np.array(weights) / sum(weights)).max() < 1e-5

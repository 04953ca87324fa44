"""Which transactions are aborted follows from the seed, the worker and the place alone."""

import numpy as np
import pytest

from loadgen.transactions import TransactionPlan


def test_a_block_is_aborted_as_a_whole_and_as_often_as_asked_for() -> None:
    plan = TransactionPlan(7, 10, 0.1)
    found = plan.is_aborted(np.arange(200_000)).reshape(-1, 10)
    assert (found == found[:, :1]).all()
    share, error = found[:, 0].mean(), np.sqrt(0.1 * 0.9 / 20_000)
    assert abs(share - 0.1) < 4 * error


@pytest.mark.parametrize(
    "other", [TransactionPlan(8, 10, 0.5), TransactionPlan(7, 10, 0.5, 1), TransactionPlan(7, 10, 0.5, 0, 1)]
)
def test_seeds_machines_and_workers_draw_apart(other: TransactionPlan) -> None:
    positions = np.arange(0, 10_000, 10)
    mine = TransactionPlan(7, 10, 0.5).is_aborted(positions)
    assert (mine == TransactionPlan(7, 10, 0.5).is_aborted(positions)).all()
    assert 0.4 < (mine == other.is_aborted(positions)).mean() < 0.6


@pytest.mark.parametrize(("prob", "expected"), [(0.0, False), (1.0, True)])
def test_none_and_all(prob: float, expected: bool) -> None:
    assert (TransactionPlan(1, 3, prob).is_aborted(np.arange(3000)) == expected).all()


def test_a_block_has_what_is_left_of_it() -> None:
    assert [TransactionPlan(1, 4, 0.0).n_left(position) for position in range(5)] == [4, 3, 2, 1, 4]

"""The search for the highest rate ends near it, whatever the trials say."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loadgen.runner.find_rate import CLOSE, MOST_PER_S, Search


def searched(search: Search, capacity_per_s: float) -> list[float]:
    """The rates that were tried where every trial up to this capacity passes."""
    tried: list[float] = []
    while (rate_per_s := search.next_per_s()) is not None:
        tried.append(rate_per_s)
        assert len(tried) < 100
        search.record(rate_per_s, rate_per_s <= capacity_per_s)
    return tried


def test_the_rate_grows_until_a_trial_fails_and_is_bisected_and_confirmed() -> None:
    search = Search(1000)
    assert searched(search, 3000) == [1000, 2000, 4000, 2828, 3363, 3084, 2953, 2953]
    assert search.best_per_s == 2953
    assert search.is_confirmed


@given(st.floats(1, 1e8), st.floats(1, 1e6))
def test_the_highest_rate_is_found_to_five_percent(capacity_per_s: float, lowest_per_s: float) -> None:
    search = Search(lowest_per_s)
    tried = searched(search, capacity_per_s)
    if capacity_per_s < lowest_per_s:
        assert (tried, search.best_per_s) == ([lowest_per_s], None)
        return
    assert search.best_per_s is not None
    assert search.is_confirmed
    assert capacity_per_s / CLOSE <= search.best_per_s <= capacity_per_s
    assert len(tried) <= 7 + 27  # a doubling each, four or five halvings of a factor of two, and once more


def test_a_machine_without_a_limit_is_searched_to_the_highest_rate_that_there_is() -> None:
    search = Search(1e8)
    assert searched(search, float("inf"))[-2:] == [MOST_PER_S, MOST_PER_S]
    assert search.best_per_s == MOST_PER_S


def test_a_rate_that_fails_the_second_time_counts_as_failed_with_all_above_it() -> None:
    search = Search(1000)
    for rate_per_s, passed in ((1000, True), (2000, True), (4000, False), (2828, True), (3363, False), (3084, False)):
        search.record(rate_per_s, passed)
    assert search.next_per_s() == 2953
    search.record(2953, False)
    assert search.next_per_s() == 2828
    search.record(2828, False)
    assert search.best_per_s == 2000
    assert search.next_per_s() == 2378


@given(st.lists(st.booleans(), min_size=200, max_size=200), st.floats(1, 1e5))
def test_trials_that_pass_by_chance_end_the_search_too(outcomes: list[bool], lowest_per_s: float) -> None:
    search = Search(lowest_per_s)
    passed: list[float] = []
    failed: list[float] = []
    for outcome in outcomes:
        rate_per_s = search.next_per_s()
        if rate_per_s is None:
            break
        assert rate_per_s >= lowest_per_s
        (passed if outcome else failed).append(rate_per_s)
        search.record(rate_per_s, outcome)
    assert search.next_per_s() is None
    assert all(later < earlier for earlier, later in pairwise(sorted(set(failed), reverse=True)))
    if search.best_per_s is not None:
        assert passed.count(search.best_per_s) >= 2
        assert search.best_per_s < min(failed, default=float("inf"))

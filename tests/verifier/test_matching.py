"""Matching as multisets, and the fewest events that stand where they must not."""

from collections import Counter
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadgen.verifier.unmatched import ALONE, displaced, identities, partners

KEYS = st.lists(st.integers(0, 5), max_size=30)


@given(KEYS, KEYS)
def test_equal_keys_are_matched_once_each_and_in_order(found: list[int], expected: list[int]) -> None:
    matched = partners(np.array(found, np.uint64), np.array(expected, np.uint64)).tolist()
    pairs = [(at, other) for at, other in enumerate(matched) if other != ALONE]
    assert all(found[at] == expected[other] for at, other in pairs)
    assert len({other for _, other in pairs}) == len(pairs) == (Counter(found) & Counter(expected)).total()
    for key in set(found):
        of_key = [other for at, other in pairs if found[at] == key]
        assert of_key == sorted(of_key)
        assert [at for at, _ in pairs if found[at] == key] == [at for at, one in enumerate(found) if one == key][
            : len(of_key)
        ]


def n_moves(values: list[int]) -> int:
    """The fewest to take away so that the rest never falls: by trying all."""
    for n_kept in range(len(values), 0, -1):
        if any(list(kept) == sorted(kept) for kept in combinations(values, n_kept)):
            return len(values) - n_kept
    return 0


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), max_size=16))
def test_no_fewer_events_could_be_moved_to_bring_every_line_into_order(events: list[tuple[int, int]]) -> None:
    line, position = np.array([one for one, _ in events], np.int64), np.array([at for _, at in events], np.int64)
    moved = displaced(line, position).tolist()
    assert len(moved) == sum(n_moves([at for one, at in events if one == which]) for which in (0, 1))
    for which in (0, 1):
        rest = [at for number, (one, at) in enumerate(events) if one == which and number not in moved]
        assert rest == sorted(rest)


def test_two_events_far_apart_that_changed_places_are_two_moves() -> None:
    position = np.arange(100)
    position[[20, 70]] = position[[70, 20]]
    assert displaced(np.zeros(100, np.int64), position).tolist() == [20, 70]


@given(st.lists(st.tuples(st.integers(-1, 2**62), st.integers(-1, 2**62)), max_size=50))
def test_identities_are_equal_for_equal_pairs_only(pairs: list[tuple[int, int]]) -> None:
    major, minor = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    assert len(set(identities(major, minor).tolist())) == len(set(pairs))

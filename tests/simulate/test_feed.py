"""Slices are shared out without gaps, and an exact number of events is the same for any number of workers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.event import N_VIRTUAL_SHARDS, EventBatch, rank_within
from loadgen.simulate.feed import (
    Feed,
    owned_listeners,
    owned_virtual_shards,
    virtual_shard_quotas,
    virtual_shard_users,
    window_for,
)


class TickingShard:
    """A stand-in for a shard: every listener has one event every `gap_ms`, shifted by its id."""

    def __init__(self, user_ids: np.ndarray, gap_ms: int = 1000) -> None:
        self.user_ids, self.gap_ms, self.now_ms = user_ids, gap_ms, 0

    def step(self, until_ms: int) -> EventBatch:
        pairs = [
            (ts, row)
            for row, user_id in enumerate(self.user_ids.tolist())
            for ts in range(user_id % self.gap_ms, until_ms, self.gap_ms)
            if ts >= self.now_ms
        ]
        self.now_ms = until_ms
        ts_ms, wide_row = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
        row, user_id = wide_row.astype(np.int32), self.user_ids[wide_row]
        zeros = np.zeros(len(row), np.uint8)
        return EventBatch(ts_ms, row, user_id, user_id, row, zeros, zeros, row, zeros)


def read_all(feed: Feed) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while (batch := feed.next_batch()) is not None:
        found += zip(batch.events.ts_ms.tolist(), batch.events.user_id.tolist(), strict=True)
    return found


@given(st.integers(1, 8), st.data())
def test_every_slice_has_exactly_one_owner(n_machines: int, data: st.DataObject) -> None:
    workers = [data.draw(st.integers(1, N_VIRTUAL_SHARDS // n_machines)) for _ in range(n_machines)]
    owned = [
        owned_virtual_shards(machine, n_machines, worker, workers[machine])
        for machine in range(n_machines)
        for worker in range(workers[machine])
    ]
    assert (np.sum(owned, axis=0) == 1).all()


@given(st.integers(1, 5000))
def test_slices_hold_all_listeners(users: int) -> None:
    ids = owned_listeners(users, np.ones(N_VIRTUAL_SHARDS, bool))
    assert ids.tolist() == list(range(users))
    assert (
        virtual_shard_users(users).tolist() == np.bincount(ids % N_VIRTUAL_SHARDS, minlength=N_VIRTUAL_SHARDS).tolist()
    )


@given(st.integers(1, 10**12), st.integers(1, 10_000_000))
def test_quotas_add_up_to_the_events_asked_for_and_are_zero_where_nobody_lives(events: int, users: int) -> None:
    quotas = virtual_shard_quotas(events, virtual_shard_users(users))
    assert int(quotas.sum()) == events
    assert (quotas[virtual_shard_users(users) == 0] == 0).all()
    share = quotas - events * virtual_shard_users(users) / users
    assert np.abs(share).max() <= 1 + 1e-6 * events


@pytest.mark.parametrize("n_workers", [1, 2, 3, 8])
def test_an_exact_number_of_events_is_the_same_set_for_any_number_of_workers(n_workers: int) -> None:
    users, events = 700, 3001
    found = []
    for worker in range(n_workers):
        owned = owned_virtual_shards(0, 1, worker, n_workers)
        shard = TickingShard(owned_listeners(users, owned))
        quotas = np.where(owned, virtual_shard_quotas(events, virtual_shard_users(users)), 0)
        found += read_all(Feed(shard, 37 * (worker + 1), quotas=quotas))  # type: ignore[arg-type]
    assert len(found) == events
    alone = Feed(TickingShard(np.arange(users)), 1000, quotas=virtual_shard_quotas(events, virtual_shard_users(users)))  # type: ignore[arg-type]
    assert sorted(found) == sorted(read_all(alone))


def test_a_feed_ends_at_the_end_of_the_simulated_window() -> None:
    found = read_all(Feed(TickingShard(np.arange(10)), 300, end_ms=2_005))  # type: ignore[arg-type]
    assert max(ts for ts, _ in found) == 2_004
    assert len(found) == 25


@given(st.lists(st.integers(0, 4), max_size=60))
def test_ranks_count_equal_labels_in_order(labels: list[int]) -> None:
    ranks, counts = rank_within(np.array(labels, np.int64), 5)
    assert ranks.tolist() == [labels[:i].count(label) for i, label in enumerate(labels)]
    assert counts.tolist() == [labels.count(label) for label in range(5)]


def test_a_window_holds_about_the_events_asked_for() -> None:
    assert window_for(500.0, 8192) == 16_384
    assert window_for(500.0, 8192, most_s=1.0) == 1_000
    assert window_for(0.0, 8192) == 86_400_000
    assert window_for(1e9, 1) == 1

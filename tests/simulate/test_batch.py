"""Events are sorted by (ts, user), whichever way they are sorted."""

from dataclasses import fields

import numpy as np

from loadgen.event import EventBatch
from loadgen.rng import Purpose, draw_for, keys_of
from loadgen.simulate.shard import Happened, to_batch

N = 5_000
ABOUT_A_TRACK = np.zeros(2, np.int32)
BITS = draw_for(keys_of(1, np.arange(N, dtype=np.int64)), Purpose.TASTE)


def _batch(n_rows: int) -> EventBatch:
    row = BITS & 1023
    due_ms = (BITS >> 10) & 15  # many at the same time
    word = (np.arange(N) << 40) | (1 << 24) | 1
    happened = Happened(row, due_ms, word, (row + 500) << 32, np.arange(N, dtype=np.int32))
    parts = [
        Happened(*(getattr(happened, field.name)[half] for field in fields(Happened)))
        for half in (slice(0, N // 2), slice(N // 2, N))
    ]
    return to_batch(parts, 0, 16 if n_rows < 2**40 else 2**40, n_rows, ABOUT_A_TRACK)


def test_events_are_sorted_by_time_then_listener() -> None:
    batch = _batch(1024)
    order = batch.ts_ms * 10_000 + batch.user_id
    assert (np.diff(order) >= 0).all()
    assert np.array_equal(batch.user_id, batch.row + 500)
    assert np.array_equal(BITS[batch.track] & 1023, batch.row)


def test_keys_too_long_for_one_number_sort_the_same() -> None:
    short, long = _batch(1024), _batch(2**40)
    assert np.array_equal(short.ts_ms, long.ts_ms)
    assert np.array_equal(short.user_id, long.user_id)
    assert sorted(short.track.tolist()) == sorted(long.track.tolist()) == list(range(N))


def test_no_events_make_an_empty_batch_of_the_right_types() -> None:
    empty, full = to_batch([], 0, 10, 5, ABOUT_A_TRACK), _batch(1024)
    for field in fields(EventBatch):
        assert len(getattr(empty, field.name)) == 0
        assert getattr(empty, field.name).dtype == getattr(full, field.name).dtype

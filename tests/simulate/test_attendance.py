"""Listeners come and go: sessions begin properly, nobody is twice online, and who is offline says nothing."""

import numpy as np
import pytest

from loadgen.event import SESSIONS_PER_LISTENER, EventBatch
from loadgen.simulate.dynamic_population import SESSIONS_PER_TOKEN, TASTES, DynamicPopulation
from tests.simulate import world
from tests.simulate.world import CATALOG, joined, settings

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
EVERYBODY = (10**9,) * len(TASTES)
NOBODY = (0,) * len(TASTES)


def _attendance(users: int = 400, fencing_token: int = 0, index: int = 0, count: int = 1) -> DynamicPopulation:
    chosen = settings(users=users)
    ids = np.arange(users, dtype=np.int64)
    return DynamicPopulation(chosen, CATALOG, ids[ids % 256 % count == index], fencing_token=fencing_token)


def _minutes(shard: DynamicPopulation, n_minutes: int) -> EventBatch:
    return shard.step(shard.now_ms + n_minutes * MINUTE_MS)


def _by_listener(batches: list[EventBatch]) -> EventBatch:
    batch = joined(batches)
    return batch.take(np.lexsort((batch.item, batch.session_id, batch.user_id)))


@pytest.fixture(scope="module")
def restless() -> list[EventBatch]:
    """Every ten minutes another number is online, for twenty hours."""
    shard, rng, found = _attendance(), np.random.default_rng(3), []
    for _ in range(120):
        shard.attend(rng.integers(0, 200, len(TASTES)).tolist())
        found.append(_minutes(shard, 10))
    return found


def test_nobody_says_anything_before_somebody_comes() -> None:
    assert len(_minutes(_attendance(), 600)) == 0


def test_items_of_a_session_are_counted_from_one_without_gaps_whoever_comes_and_goes(
    restless: list[EventBatch],
) -> None:
    events = _by_listener(restless)
    is_first = np.concatenate([[True], events.session_id[1:] != events.session_id[:-1]])
    assert (events.item[is_first] == 1).all()
    assert (np.diff(events.item)[~is_first[1:]] == 1).all()


def test_a_session_is_never_taken_up_again_after_another_has_begun(restless: list[EventBatch]) -> None:
    batch = joined(restless)
    in_time = batch.take(np.lexsort((np.arange(len(batch)), batch.user_id)))
    same_user = in_time.user_id[1:] == in_time.user_id[:-1]
    assert (np.diff(in_time.ts_ms)[same_user] >= 0).all()
    assert (np.diff(in_time.session_id)[same_user] >= 0).all()


def test_who_has_gone_says_nothing_until_it_comes_again_and_then_begins_a_session() -> None:
    shard = _attendance()
    shard.attend(EVERYBODY)
    before = _minutes(shard, 30)
    shard.attend(NOBODY)
    assert len(_minutes(shard, 30)) == 0
    shard.attend(EVERYBODY)
    after = _minutes(shard, 5)
    assert set(after.user_id.tolist()) == set(range(400))
    assert not np.isin(after.session_id, before.session_id).any()


def test_as_many_of_each_taste_are_online_as_are_wanted_and_no_others() -> None:
    shard = _attendance()
    assert shard.attend((20, 0, 7))
    events = _minutes(shard, 240)
    users = np.unique(events.user_id)
    tastes = np.bincount(shard.listeners.taste[users], minlength=len(TASTES))
    assert (tastes.tolist(), shard.online, shard.active(shard.now_ms)) == ([20, 0, 7], (20, 0, 7), 27)
    assert not shard.attend((20, 0, 7))


def test_more_than_there_are_is_all_there_are() -> None:
    shard = _attendance()
    shard.attend(EVERYBODY)
    assert shard.online == shard.most
    assert sum(shard.most) == 400


def test_a_new_listener_begins_within_a_second() -> None:
    shard = _attendance()
    _minutes(shard, 1)
    came_ms = shard.now_ms
    shard.attend(EVERYBODY)
    first = _minutes(shard, 1)
    users, at = np.unique(first.user_id, return_index=True)
    assert len(users) == 400
    assert (first.item[at] == 1).all()
    assert first.ts_ms[at].max() < came_ms + 1000


def test_all_online_cause_as_many_events_as_a_shard_of_them() -> None:
    shard = _attendance(users=2000)
    expected_per_s = world.shard(settings(users=2000)).events_per_s
    shard.attend(EVERYBODY)
    _minutes(shard, 60)
    counts = np.array([len(_minutes(shard, 10)) for _ in range(30)])
    error = counts.std(ddof=1) / np.sqrt(len(counts))
    assert abs(counts.mean() - expected_per_s * 600) < 5 * error + 0.02 * expected_per_s * 600


def test_events_are_the_same_for_any_number_of_shards() -> None:
    found = set()
    for count in (1, 2, 3):
        parts = []
        for index in range(count):
            shard = _attendance(index=index, count=count)
            shard.attend(EVERYBODY)
            parts += [shard.step(shard.now_ms + HOUR_MS // count) for _ in range(count)]
        events = _by_listener(parts)
        found.add(b"".join(column.tobytes() for column in (events.ts_ms, events.session_id, events.page, events.track)))
    assert len(found) == 1


def test_the_sessions_of_another_life_have_other_numbers() -> None:
    numbers = []
    for fencing_token in (0, 1):
        shard = _attendance(fencing_token=fencing_token)
        shard.attend(EVERYBODY)
        numbers.append(_minutes(shard, 600).session_id % SESSIONS_PER_LISTENER)
    assert numbers[0].max() < SESSIONS_PER_TOKEN < numbers[1].min()

"""The start is the steady state: listeners are found where a long run leaves them."""

import numpy as np
import pytest

from loadgen.event import EventBatch, Page
from loadgen.simulate.choice import Chooser
from loadgen.simulate.start import typical_lengths
from tests.simulate.world import BEHAVIOUR, CATALOG, DAY_MS, MONDAY_MS, joined, run, settings, shard

N = 20_000
MAX_SIGMAS = 4.5
SECOND_MS = 1_000


@pytest.fixture(scope="module")
def typical() -> np.ndarray:
    return typical_lengths(settings(), CATALOG, Chooser(CATALOG, BEHAVIOUR))


def test_typical_lengths_are_those_of_the_songs_played(typical: np.ndarray) -> None:
    batch = run(shard(settings(users=3_000)), DAY_MS // 8, DAY_MS // 8)
    played = CATALOG.length_ms[batch.track[batch.page == Page.NEXT_SONG]]
    assert typical.mean() == pytest.approx(played.mean(), rel=0.01)
    assert np.median(typical) == pytest.approx(np.median(played), rel=0.02)


def test_typical_lengths_do_not_depend_on_the_size_of_the_population(typical: np.ndarray) -> None:
    assert np.array_equal(typical, typical_lengths(settings(users=9), CATALOG, Chooser(CATALOG, BEHAVIOUR)))


def test_events_and_pages_flow_evenly_from_the_first_seconds() -> None:
    one = shard(settings(users=N))
    tens = [one.step(MONDAY_MS + (number + 1) * 10 * SECOND_MS) for number in range(120)]
    n_events = np.array([len(ten) for ten in tens])
    rest = n_events[12:].mean()
    assert np.abs(n_events[:12] - rest).max() < MAX_SIGMAS * np.sqrt(rest)
    early, late = (np.bincount(joined(part).page, minlength=9) for part in (tens[:12], tens[12:]))
    expected = late / 9
    error = np.sqrt(expected + expected / 9)
    assert (np.abs(early - expected) < MAX_SIGMAS * error).all()


def test_as_many_listen_at_the_start_as_hours_later() -> None:
    one = shard(settings(users=N))
    at_first = one.active(MONDAY_MS)
    one.step(MONDAY_MS + DAY_MS // 4)
    assert abs(at_first - one.active(one.now_ms)) < MAX_SIGMAS * np.sqrt(2 * N * 0.96 * 0.04)


def test_sessions_under_way_are_at_any_item_as_they_are_hours_later() -> None:
    one = shard(settings(users=N))
    at_first = _one_item_each(one.step(MONDAY_MS + 60 * SECOND_MS))
    one.step(MONDAY_MS + DAY_MS // 4)
    later = _one_item_each(one.step(MONDAY_MS + DAY_MS // 4 + 60 * SECOND_MS))
    for item in (2, 5, 12, 30, 70, 280):
        share, expected = np.mean(at_first <= item), np.mean(later <= item)
        error = np.sqrt(expected * (1 - expected) * (1 / len(at_first) + 1 / len(later)))
        assert abs(share - expected) < MAX_SIGMAS * error


def _one_item_each(batch: EventBatch) -> np.ndarray:
    """The item of each listener's first event: independent of one another."""
    return batch.item[np.unique(batch.user_id, return_index=True)[1]]

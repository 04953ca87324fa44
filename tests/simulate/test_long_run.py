"""Listeners join, leave, begin and cease to pay, and rest on holidays, each at the rate that the behaviour says."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from loadgen.event import EventBatch
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import Presence, SimulationSettings
from tests.simulate.world import BEHAVIOUR, CATALOG, DAY_MS, MONDAY_MS, joined, run

USERS = 2000
N_ERRORS = 4


def shard_with(
    users: int = USERS, presence: Presence = "online", part: int = 0, parts: int = 1, **changes: Any
) -> Shard:
    """A shard whose behaviour has these values in long_run; gaps of a day, so that months are quick."""
    content = BEHAVIOUR.model_dump()
    content["long_run"] |= changes
    content["online"]["gap_mean_s"] = 86_400.0
    content["session"] |= {"tracks_median": 1.0, "tracks_spread": 0.1}
    chosen = SimulationSettings(users, 5, MONDAY_MS, presence, Behaviour.model_validate(content))
    ids = np.arange(users)
    return Shard(chosen, CATALOG, ids[ids % 256 % parts == part])


def first_of(events: EventBatch) -> np.ndarray:
    """The day of each listener's first event; of those that have one."""
    _, first = np.unique(events.row, return_index=True)
    return (events.ts_ms[first] - MONDAY_MS) / DAY_MS


def test_nothing_changes_unless_it_is_switched_on() -> None:
    assert not BEHAVIOUR.long_run.is_on
    plain = run(shard_with(300), 5 * DAY_MS, DAY_MS)
    later = run(shard_with(300, leave_per_year=1e-7), 5 * DAY_MS, DAY_MS)
    for column in fields(EventBatch):
        assert (getattr(plain, column.name) == getattr(later, column.name)).all(), column.name


def test_listeners_join_evenly_and_none_is_heard_before_it_is_registered() -> None:
    shard = shard_with(join_share=0.5, join_days=40.0)
    events = run(shard, 60 * DAY_MS, 2 * DAY_MS)
    registered_ms = shard.listeners.registered_day.astype(np.int64) * DAY_MS
    assert (events.ts_ms >= registered_ms[events.row]).all()
    joined_late = registered_ms >= MONDAY_MS
    assert joined_late.mean() == pytest.approx(0.5, abs=N_ERRORS * 0.5 / np.sqrt(USERS))
    days = (registered_ms[joined_late] - MONDAY_MS) / DAY_MS + 0.5
    assert days.mean() == pytest.approx(20, abs=N_ERRORS * 40 / np.sqrt(12 * len(days)))
    begun = np.histogram(first_of(events), [0, 10, 20, 30, 40, 60])[0]
    expected = [0.5 * USERS + 0.5 * USERS * 0.225, *[0.5 * USERS * 0.25] * 3, 0.5 * USERS * 0.025]
    assert begun.sum() == USERS
    assert begun == pytest.approx(expected, abs=N_ERRORS * np.sqrt(USERS * 0.125))


def test_listeners_leave_for_good_at_the_given_rate() -> None:
    events = run(shard_with(leave_per_year=0.9), 200 * DAY_MS, 5 * DAY_MS)
    last_day = np.zeros(USERS)
    np.maximum.at(last_day, events.row, (events.ts_ms - MONDAY_MS) / DAY_MS)
    stays = np.exp(np.log(0.1) * 180 / 365.25)  # who is heard in the last 20 days, of gaps of one day
    there = (last_day > 180).mean()
    assert there == pytest.approx(stays, abs=N_ERRORS * 0.5 / np.sqrt(USERS))


def test_levels_change_once_at_most_and_at_the_given_rates() -> None:
    shard = shard_with(upgrade_per_year=0.6, downgrade_per_year=0.3)
    events = run(shard, 120 * DAY_MS, 5 * DAY_MS)
    order = np.lexsort((events.ts_ms, events.row))
    row, level = events.row[order], events.level[order]
    changes = np.bincount(row[1:], weights=(row[1:] == row[:-1]) & (level[1:] != level[:-1]), minlength=USERS)
    assert changes.max() == 1
    for first, per_year in ((0, 0.6), (1, 0.3)):
        of_level = shard.listeners.level == first
        changed = 1 - (1 - per_year) ** (119 / 365.25)
        error = np.sqrt(changed * (1 - changed) / of_level.sum())
        assert changes[of_level].mean() == pytest.approx(changed, abs=N_ERRORS * error)


@pytest.mark.parametrize("presence", ["online", pytest.param("everyday", marks=pytest.mark.slow)])
def test_fewer_sessions_begin_on_holidays(presence: Presence) -> None:
    shard = shard_with(presence=presence, holidays=["06-25"], holiday_factor=0.4)
    events = run(shard, 21 * DAY_MS, DAY_MS)
    begun = events.take(events.item == 1)
    offsets = np.array([shard_local(shard, row) for row in range(USERS)])
    day = (begun.ts_ms + offsets[begun.row] - MONDAY_MS) // DAY_MS
    counts = np.bincount(day[(day >= 1) & (day < 20)].astype(int), minlength=20)
    ratio = counts[9] / ((counts[2] + counts[16]) / 2)  # Wednesdays; 2025-06-25 is the second of three
    assert ratio == pytest.approx(0.4, abs=0.08)


def shard_local(shard: Shard, row: int) -> int:
    """How far the clocks of a listener's city are ahead of UTC in June, ms."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from loadgen.places import CITIES

    zone = ZoneInfo(CITIES[shard.listeners.city[row]].zone)
    offset = datetime(2025, 6, 25, tzinfo=UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds() * 1000)


def test_the_events_are_the_same_for_any_number_of_shards() -> None:
    changes: dict[str, Any] = {
        "join_share": 0.3, "join_days": 10.0, "leave_per_year": 0.9, "upgrade_per_year": 0.9, "downgrade_per_year": 0.9,
        "holidays": ["06-20"], "holiday_factor": 0.5,
    }  # fmt: skip
    whole = run(shard_with(400, **changes), 20 * DAY_MS, DAY_MS)
    parts = joined([run(shard_with(400, part=i, parts=3, **changes), 20 * DAY_MS, 3 * DAY_MS) for i in range(3)])
    order = np.lexsort((parts.user_id, parts.ts_ms))
    for column in ("ts_ms", "user_id", "session_id", "item", "page", "level", "track", "skipped"):
        assert (getattr(parts, column)[order] == getattr(whole, column)).all(), column


@pytest.mark.parametrize("holiday", ["02-29", "13-01", "1-1", "x", "2026-01-01"])
def test_a_holiday_that_not_every_year_has_is_refused(holiday: str) -> None:
    content = BEHAVIOUR.model_dump()
    content["long_run"]["holidays"] = [holiday]
    with pytest.raises(ValueError, match="write for example 12-25"):
        Behaviour.model_validate(content)

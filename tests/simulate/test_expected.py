"""What is worked out from the settings is what a simulation does, within four standard errors."""

import numpy as np
import pytest

from loadgen.event import PAGES, EventBatch, Page
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.model import Expected, Model
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import Presence, SimulationSettings
from tests.simulate.world import BEHAVIOUR, CATALOG, DAY_MS, MONDAY_MS, run, settings

USERS = 3000
HOUR_MS = DAY_MS // 24
N_ERRORS = 4
SPANS_MS: dict[Presence, int] = {"online": 6 * HOUR_MS, "everyday": 14 * DAY_MS}


@pytest.fixture(scope="module", params=["online", "everyday"])
def both(request: pytest.FixtureRequest) -> tuple[Expected, EventBatch, Shard, int]:
    """What is expected of a simulation, and what it does."""
    chosen, span_ms = settings(USERS, request.param), SPANS_MS[request.param]
    shard = Shard(chosen, CATALOG, np.arange(USERS))
    return Expected.of(chosen, Model.of(chosen, CATALOG)), run(shard, span_ms, span_ms // 20), shard, span_ms


def error_of(values: np.ndarray) -> float:
    """The standard error of the mean of values that are independent: one for each listener."""
    return float(values.std() / np.sqrt(len(values)))


def test_events_come_at_the_expected_rate(both: tuple[Expected, EventBatch, Shard, int]) -> None:
    expected, events, _, span_ms = both
    per_listener = np.bincount(events.row, minlength=USERS) / (span_ms / 1000)
    assert per_listener.mean() == pytest.approx(expected.events_per_s / USERS, abs=N_ERRORS * error_of(per_listener))


def test_pages_come_in_the_expected_mix(both: tuple[Expected, EventBatch, Shard, int]) -> None:
    expected, events, _, _ = both
    assert sum(expected.pages.values()) == pytest.approx(1)
    per_listener = np.bincount(events.row, minlength=USERS)
    for page, name in enumerate(PAGES.names):
        of_page = np.bincount(events.row[events.page == page], minlength=USERS)
        residual = of_page - expected.pages[name] * per_listener  # of a ratio: mean zero where the share is right
        assert abs(residual.mean()) < N_ERRORS * error_of(residual), name


def test_sessions_have_the_expected_number_of_songs(both: tuple[Expected, EventBatch, Shard, int]) -> None:
    expected, events, _, _ = both
    songs = np.bincount(events.row[events.page == Page.NEXT_SONG], minlength=USERS)
    begun = np.bincount(events.row[events.item == 1], minlength=USERS)
    residual = songs - expected.songs_per_session * begun
    assert abs(residual.mean()) < N_ERRORS * error_of(residual)


def test_as_many_pay_as_expected_and_play_their_share(both: tuple[Expected, EventBatch, Shard, int]) -> None:
    expected, events, shard, _ = both
    pays = shard.listeners.level.astype(np.float64)
    assert pays.mean() == pytest.approx(expected.paid_listeners, abs=N_ERRORS * error_of(pays))
    songs = np.bincount(events.row[events.page == Page.NEXT_SONG], minlength=USERS)
    residual = songs * (pays - expected.paid_plays)
    assert abs(residual.mean()) < N_ERRORS * error_of(residual)


def test_it_is_told_in_few_digits() -> None:
    chosen = settings(1000, "everyday")
    told = Expected.of(chosen, Model.of(chosen, CATALOG)).as_json()
    assert set(told) == {"events_per_s", "pages", "songs_per_session", "paid_listeners", "paid_plays"}
    assert set(told["pages"]) == set(PAGES.names)
    assert all(len(f"{value:g}") <= 9 for value in [*told["pages"].values(), told["events_per_s"]])


def test_it_says_what_it_leaves_out() -> None:
    content = BEHAVIOUR.model_dump()
    content["long_run"] |= {"leave_per_year": 0.3}
    chosen = SimulationSettings(100, 5, MONDAY_MS, "online", Behaviour.model_validate(content))
    assert "who joins and leaves" in Expected.of(chosen, Model.of(chosen, CATALOG)).as_json()["leaves_out"]

"""What listeners do, seen from outside: the same for any shards and steps, by the rules of pages and songs."""

import hashlib
from dataclasses import fields

import numpy as np
import pytest

from loadgen.event import (
    NO_TRACK,
    SESSIONS_PER_LISTENER,
    TRACK_PAGES,
    EventBatch,
    Page,
)
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import Presence
from tests.simulate.world import BEHAVIOUR, CATALOG, DAY_MS, MONDAY_MS, joined, run, settings, shard

HOUR_MS = 3_600_000
MAX_SIGMAS = 4.5


def _sorted(batch: EventBatch) -> EventBatch:
    return batch.take(np.lexsort((batch.user_id, batch.ts_ms)))


def _fingerprint(batch: EventBatch) -> str:
    """Of everything but `row`, which depends on the shard."""
    columns = [getattr(batch, field.name) for field in fields(EventBatch) if field.name != "row"]
    return hashlib.sha256(b"".join(np.ascontiguousarray(column).tobytes() for column in columns)).hexdigest()


@pytest.mark.parametrize(("presence", "duration_ms"), [("online", HOUR_MS), ("everyday", DAY_MS)])
def test_events_are_the_same_for_any_number_of_shards_and_any_steps(presence: Presence, duration_ms: int) -> None:
    chosen = settings(users=300, presence=presence)
    found = set()
    for count, n_steps in ((1, 1), (1, 500), (2, 7), (3, 100), (8, 20)):
        parts = [run(shard(chosen, index, count), duration_ms, duration_ms // n_steps + 1) for index in range(count)]
        found.add(_fingerprint(_sorted(joined(parts))))
    assert len(found) == 1


def test_another_seed_gives_other_events() -> None:
    first, other = (run(shard(settings(users=50, seed=seed)), HOUR_MS, HOUR_MS) for seed in (1, 2))
    assert _fingerprint(first) != _fingerprint(other)


@pytest.fixture(scope="module", params=["online", "everyday"])
def history(request: pytest.FixtureRequest) -> EventBatch:
    """Two days (everyday: twenty) of 300 listeners, sorted by listener, then time."""
    n_days = 2 if request.param == "online" else 20
    batch = run(shard(settings(users=300, presence=request.param)), n_days * DAY_MS, DAY_MS // 3)
    return batch.take(np.lexsort((batch.ts_ms, batch.user_id)))


def _pairs(history: EventBatch) -> tuple[EventBatch, EventBatch]:
    """Each event of a session and the one after it."""
    same = np.flatnonzero(history.session_id[1:] == history.session_id[:-1])
    return history.take(same), history.take(same + 1)


def _turns(history: EventBatch) -> tuple[EventBatch, EventBatch]:
    """The last event of a session and the first of the listener's next."""
    turn = (history.session_id[1:] != history.session_id[:-1]) & (history.user_id[1:] == history.user_id[:-1])
    at = np.flatnonzero(turn)
    return history.take(at), history.take(at + 1)


def test_a_batch_is_sorted_by_time_and_listener() -> None:
    batch = shard(settings()).step(MONDAY_MS + HOUR_MS)
    order = batch.ts_ms * 1_000 + batch.user_id
    assert (np.diff(order) > 0).all()
    assert batch.ts_ms[0] >= MONDAY_MS
    assert batch.ts_ms[-1] < MONDAY_MS + HOUR_MS


def test_row_points_to_the_listener() -> None:
    one = shard(settings(), 1, 3)
    batch = one.step(MONDAY_MS + HOUR_MS)
    assert np.array_equal(one.listeners.user_id[batch.row], batch.user_id)
    assert np.array_equal(one.listeners.level[batch.row], batch.level)


def test_a_listeners_events_are_never_at_the_same_time(history: EventBatch) -> None:
    same = history.user_id[1:] == history.user_id[:-1]
    assert (np.diff(history.ts_ms)[same] > 0).all()


def test_items_count_up_without_gaps(history: EventBatch) -> None:
    before, after = _pairs(history)
    assert np.array_equal(after.item, before.item + 1)


def test_sessions_begin_with_item_one_and_count_up(history: EventBatch) -> None:
    last, first = _turns(history)
    assert (first.item == 1).all()
    assert np.array_equal(first.session_id, last.session_id + 1)
    assert np.array_equal(history.session_id // SESSIONS_PER_LISTENER, history.user_id)
    assert (history.session_id % SESSIONS_PER_LISTENER).min() == 1


def test_nothing_follows_a_logout(history: EventBatch) -> None:
    before, _ = _pairs(history)
    assert (before.page != Page.LOGOUT).all()
    last, _ = _turns(history)
    share = (last.page == Page.LOGOUT).mean()
    error = np.sqrt(0.21 / len(last))
    assert BEHAVIOUR.session.logout_prob - MAX_SIGMAS * error < share < BEHAVIOUR.session.logout_prob + 0.05


def test_track_pages_carry_a_track_and_no_others(history: EventBatch) -> None:
    has_track = history.track != NO_TRACK
    assert np.array_equal(has_track, np.isin(history.page, TRACK_PAGES))
    assert history.track.max() < len(CATALOG.length_ms)


def test_likes_and_playlist_adds_are_about_the_song_that_plays(history: EventBatch) -> None:
    song = np.maximum.accumulate(np.where(history.page == Page.NEXT_SONG, np.arange(len(history)), -1))
    acts = np.flatnonzero(np.isin(history.page, [Page.THUMBS_UP, Page.THUMBS_DOWN, Page.ADD_TO_PLAYLIST]))
    acts = acts[(song[acts] >= 0) & (history.session_id[song[acts]] == history.session_id[acts])]
    assert len(acts) > 100
    assert np.array_equal(history.track[acts], history.track[song[acts]])


def _songs(history: EventBatch) -> tuple[EventBatch, EventBatch]:
    """Each song of a session and the next song of that session."""
    return _pairs(history.take(np.flatnonzero(history.page == Page.NEXT_SONG)))


def test_the_next_song_waits_for_the_end_unless_the_listener_skips(history: EventBatch) -> None:
    song, following = _songs(history)
    heard_ms = following.ts_ms - song.ts_ms
    length_ms = CATALOG.length_ms[song.track]
    cut = following.skipped == 1
    assert (heard_ms[~cut] >= length_ms[~cut]).all()
    assert (heard_ms[cut] <= length_ms[cut]).all()
    assert np.mean(heard_ms[~cut] == length_ms[~cut]) > 0.95  # the rest left the song's last page open a little longer


def test_only_songs_after_a_skip_are_marked_as_skipping(history: EventBatch) -> None:
    assert (history.page[history.skipped == 1] == Page.NEXT_SONG).all()
    assert (history.skipped[history.item == 1] == 0).all()


def test_half_the_songs_are_skipped_fewer_at_first_more_by_teens() -> None:
    one = shard(settings(users=3_000))
    batch = run(one, 5 * HOUR_MS, HOUR_MS)
    song, following = _songs(batch.take(np.lexsort((batch.ts_ms, batch.user_id))))
    decade = one.listeners.age[song.row] // 10
    share = [following.skipped[decade == d].mean() for d in (1, 3)]
    assert 0.446 < following.skipped.mean() < 0.526
    assert share[0] > 0.5
    assert share[0] > share[1] + 0.1
    first = song.item <= 2
    assert following.skipped[first].mean() < following.skipped[~first].mean() - 0.05


def test_pages_come_in_the_published_proportions() -> None:
    batch = run(shard(settings(users=4_000)), 4 * HOUR_MS, HOUR_MS)
    counts = np.bincount(batch.page, minlength=9) / np.count_nonzero(batch.page == Page.NEXT_SONG)
    assert 0.77 < np.mean(batch.page == Page.NEXT_SONG) < 0.81
    assert 0.015 < counts[Page.THUMBS_UP] < 0.025
    assert 0.0015 < counts[Page.THUMBS_DOWN] < 0.004
    assert 0.02 < counts[Page.ADD_TO_PLAYLIST] < 0.04
    assert (counts > 0).all()


def test_sessions_are_as_long_as_published(history: EventBatch) -> None:
    songs = history.take(np.flatnonzero(history.page == Page.NEXT_SONG))
    whole = (songs.session_id % SESSIONS_PER_LISTENER > 1) & (songs.ts_ms < history.ts_ms.max() - DAY_MS // 3)
    _, n_tracks = np.unique(songs.session_id[whole], return_counts=True)
    assert 9 < n_tracks.mean() < 14
    assert 5 <= np.median(n_tracks) <= 8
    assert 0.14 < (n_tracks == 1).mean() < 0.23
    longer = [np.count_nonzero(n_tracks >= n) for n in (10, 20)]
    assert 0.42 < longer[1] / longer[0] < 0.58


@pytest.mark.parametrize("presence", ["online", "everyday"])
def test_the_expected_rate_is_the_rate(presence: Presence) -> None:
    duration_ms = HOUR_MS if presence == "online" else 7 * DAY_MS
    one = shard(settings(users=4_000, presence=presence))
    batch = run(one, duration_ms, duration_ms // 7)
    assert len(batch) / (duration_ms / 1000) == pytest.approx(one.events_per_s, rel=0.1)


def test_fifty_thousand_online_listeners_cause_about_500_events_a_second() -> None:
    assert 475 < shard(settings(users=50_000)).events_per_s < 525


def test_online_begins_in_the_steady_state() -> None:
    one = shard(settings(users=30_000))
    minutes = [one.step(MONDAY_MS + (number + 1) * 60_000) for number in range(20)]
    n_events = np.array([len(minute) for minute in minutes])
    rest = n_events[2:].mean()
    for early in (0, 1):
        assert abs(n_events[early] - rest) < MAX_SIGMAS * np.sqrt(rest)
        share = np.mean(minutes[early].page == Page.NEXT_SONG)
        later = np.mean(joined(minutes[2:]).page == Page.NEXT_SONG)
        assert abs(share - later) < MAX_SIGMAS * np.sqrt(0.17 / n_events[early])


@pytest.mark.slow
def test_everyday_begins_as_busy_as_a_week_later_at_the_same_hour() -> None:
    one = shard(settings(users=20_000, presence="everyday"))
    first = len(one.step(MONDAY_MS + 2 * HOUR_MS))
    one.step(MONDAY_MS + 7 * DAY_MS)
    later = len(one.step(MONDAY_MS + 7 * DAY_MS + 2 * HOUR_MS))
    # Events come in sessions: their number varies as much as that of sessions does, times the events in one.
    per_session = 30
    assert abs(first - later) < MAX_SIGMAS * np.sqrt((first + later) * per_session)


def test_songs_under_way_at_the_start_belong_to_sessions_under_way() -> None:
    batch = shard(settings(users=5_000)).step(MONDAY_MS + 60_000)
    assert 0.8 < (batch.item > 1).mean() < 1
    assert batch.item.max() > 100


@pytest.mark.parametrize("presence", ["online", "everyday"])
def test_active_counts_those_between_the_first_event_and_the_end_of_the_last_song(presence: Presence) -> None:
    one = shard(settings(users=400, presence=presence))
    batch = run(one, DAY_MS, HOUR_MS)
    now_ms = one.now_ms
    active = one.active(now_ms)
    batch = batch.take(np.lexsort((batch.ts_ms, batch.user_id)))
    later = run(one, DAY_MS, HOUR_MS)
    later = later.take(np.lexsort((later.ts_ms, later.user_id)))
    certainly, perhaps = 0, 0
    for user in range(400):
        before, after = batch.session_id[batch.user_id == user], later.session_id[later.user_id == user]
        goes_on = len(before) and len(after) and before[-1] == after[0]
        at = np.flatnonzero(batch.user_id == user)
        said_goodbye = not len(at) or batch.page[at[-1]] == Page.LOGOUT
        recent = len(at) and now_ms - batch.ts_ms[at[-1]] < CATALOG.length_ms.max()
        certainly += bool(goes_on)
        perhaps += bool(goes_on or (recent and not said_goodbye))
    assert certainly <= active <= perhaps


@pytest.mark.slow
def test_active_stays_exact_over_many_steps() -> None:
    fine, coarse = (shard(settings(users=400)) for _ in range(2))
    run(fine, 3 * HOUR_MS, 1_000)
    run(coarse, 3 * HOUR_MS, 3 * HOUR_MS)
    assert fine.active(fine.now_ms) == coarse.active(coarse.now_ms)
    assert 0.85 * 400 < fine.active(fine.now_ms) <= 400


def test_time_does_not_go_backwards() -> None:
    one = shard(settings())
    one.step(MONDAY_MS + 1_000)
    with pytest.raises(ValueError, match="time goes forwards only"):
        one.step(MONDAY_MS)


def test_a_step_of_no_time_has_no_events() -> None:
    one = shard(settings())
    assert len(one.step(MONDAY_MS)) == 0
    assert one.now_ms == MONDAY_MS


@pytest.mark.parametrize("presence", ["online", "everyday"])
def test_a_shard_without_listeners_is_silent(presence: Presence) -> None:
    nobody = Shard(settings(presence=presence), CATALOG, np.empty(0, np.int64))
    assert len(nobody.step(MONDAY_MS + DAY_MS)) == 0
    assert nobody.active(nobody.now_ms) == 0
    assert nobody.events_per_s == 0


def test_one_listener_is_enough() -> None:
    batch = run(shard(settings(users=1)), DAY_MS, HOUR_MS)
    assert len(batch) > 100
    assert set(batch.user_id.tolist()) == {0}

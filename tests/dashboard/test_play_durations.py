"""A play lasts until its session's next track or logout, at most as long as the track; memory has a bound."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.dashboard import play_durations as module
from loadgen.dashboard.play_durations import PlayDurations
from loadgen.dashboard.rows import Normaliser
from tests.dashboard.records import FIRST_MS, binned, lines, listened, record

NORMALISER = Normaliser()
GOLDEN = Path(__file__).parents[1] / "golden" / "full.jsonl"


def at(second: float, action: str, length: float | None = 200.0, session: int = 1, **fields: Any) -> dict[str, Any]:
    """An event of a session."""
    return record(
        round(second), ts=FIRST_MS + round(second * 1000), userId=5, sessionId=session, action=action, length=length
    ) | ({"page": {"logout": "Logout", "like": "Thumbs Up", "home": "Home"}.get(action, "NextSong")} | fields)


def figures_of(*pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """What is counted of these pieces, one after the other."""
    found = PlayDurations()
    for piece in pieces:
        for one in NORMALISER.of_lines(lines(piece)):
            found.add(one.rows)
    return found.figures()


def durations_s(*pieces: list[dict[str, Any]]) -> tuple[float, int, int]:
    """The sum of the durations, how many there are, and how many plays have no end."""
    figures = figures_of(*pieces)
    n_plays = sum(figures["counts"])
    return round((figures["mean_s"] or 0.0) * n_plays, 3), n_plays, figures["n_open"]


def test_a_track_that_is_skipped_counts_for_as_long_as_it_was_heard() -> None:
    assert durations_s([at(0, "play"), at(12.5, "skip")]) == (12.5, 1, 1)


def test_a_track_never_lasts_longer_than_it_is() -> None:
    assert durations_s([at(0, "play"), at(5000, "play")]) == (200.0, 1, 1)


def test_what_a_listener_does_while_a_track_plays_does_not_end_it() -> None:
    assert durations_s([at(0, "play"), at(10, "like"), at(20, "home", None), at(150, "play")]) == (150.0, 1, 1)


def test_a_logout_ends_the_last_track_of_a_session() -> None:
    assert durations_s([at(0, "play"), at(40, "logout", None)]) == (40.0, 1, 0)


def test_a_play_goes_on_from_one_piece_to_the_next_and_sessions_are_apart() -> None:
    first = [at(0, "play"), at(1, "play", session=2)]
    assert durations_s(first, [at(30, "play")], [at(50, "logout", None, session=2)]) == (79.0, 2, 1)
    assert durations_s([at(0, "play"), at(7, "play", userId=6)]) == (0.0, 0, 2)


def test_a_track_without_a_length_ends_the_one_before_and_is_not_counted_itself() -> None:
    assert durations_s([at(0, "play"), at(30, "play", None), at(90, "play")]) == (30.0, 1, 1)


def test_an_event_that_is_delivered_twice_counts_once() -> None:
    twice = [at(0, "play"), at(0, "play")]
    assert durations_s(twice, [at(60, "skip")], [at(60, "skip")]) == (60.0, 1, 1)


def test_a_session_that_another_run_has_begun_again_does_not_end_what_was_open_in_the_first() -> None:
    first = [at(0, "play", itemInSession=1), at(50, "play", itemInSession=3)]
    second = [at(900, "play", itemInSession=1), at(950, "play", itemInSession=3)]
    assert durations_s(first, second) == durations_s([*first, *second]) == (100.0, 2, 2)


def test_without_sessions_a_listeners_own_order_counts() -> None:
    listen = {"artist": "B", "track": "T", "genre": "Jazz", "platform": "Deezer", "device": "TV", "country": "FR"}
    rows = [
        {**listen, "user": user, "timestamp": f"2026-01-05T00:00:{second:02}Z", "duration": 30, "action": "play"}
        for user, second in (("ana", 0), ("bo", 1), ("ana", 11), ("bo", 50))
    ]
    assert durations_s(rows) == (41.0, 2, 2)


def test_nothing_has_no_mean() -> None:
    assert figures_of() == {"bin_s": 1, "counts": [0] * 21, "mean_s": None, "n_open": 0}


@pytest.mark.parametrize(("lasts_s", "bin_s"), [(15, 1), (39, 2), (60, 5), (190, 10), (400, 30), (4000, 30)])
def test_the_bins_are_as_wide_as_the_data(lasts_s: int, bin_s: int) -> None:
    plays = [at(step * lasts_s, "play", 9999.0) for step in range(10)] + [at(10 * lasts_s, "logout", None)]
    figures = figures_of(plays)
    assert figures["bin_s"] == bin_s
    assert figures["counts"][min(lasts_s // bin_s, 20)] == 10


marks = st.builds(
    at,
    st.integers(0, 3000),
    st.sampled_from(["play", "skip", "logout", "like", "home"]),
    st.none() | st.integers(0, 700).map(float),
    st.integers(1, 3),
)


@settings(max_examples=35)
@given(st.lists(marks, max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_durations_equal_a_recount_wherever_the_pieces_end(records: list[dict[str, Any]], cuts: list[int]) -> None:
    by_time: dict[Any, dict[str, Any]] = {}
    for one in records:  # of a session's events at the same time, only one
        by_time.setdefault((one["ts"], one["sessionId"]), one)
    ordered = [by_time[key] for key in sorted(by_time)]
    ends = [0, *sorted(min(cut, len(ordered)) for cut in cuts), len(ordered)]
    found = figures_of(*(ordered[begin:end] for begin, end in pairwise(ends)))
    expected = listened(ordered)
    assert (found["bin_s"], found["counts"]) == binned(expected)
    assert (found["mean_s"] or 0.0) * len(expected) == pytest.approx(sum(expected))


def test_of_too_many_open_plays_those_open_longest_are_given_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 3)
    plays = [at(second, "play", session=second) for second in range(5)]
    ends = [at(100, "logout", None, session=session) for session in range(5)]
    assert durations_s(plays) == (0.0, 0, 5)
    assert durations_s(plays, ends) == (98.0 + 97.0 + 96.0, 3, 2)


def test_many_events_and_many_open_plays_cost_no_step_each() -> None:
    n_rows = 200_000
    ones = np.arange(n_rows)
    rows = pa.table(
        {
            "session": ones,
            "listener": ones.astype(np.uint64),
            "ts_ms": FIRST_MS + ones,
            "action": pa.array(["play"]).take(pa.array(np.zeros(n_rows, np.int64))),
            "duration_s": np.full(n_rows, 100.0),
            "item": ones,
        }
    )
    found = PlayDurations()
    for _ in range(3):
        found.add(rows)  # the same events again
    assert (sum(found.figures()["counts"]), found.figures()["n_open"]) == (0, n_rows)


def test_the_simulations_own_plays_are_heard_for_less_than_the_tracks_last() -> None:
    records = [orjson.loads(line) for line in GOLDEN.read_bytes().splitlines()]
    expected = listened(records)
    total_s, n_plays, n_open = durations_s(records[:300], records[300:])
    assert (total_s, n_plays) == pytest.approx((sum(expected), len(expected)), abs=1e-3)
    assert n_plays > 100
    n_started = sum(one["page"] == "NextSong" for one in records)
    assert n_plays + n_open == n_started

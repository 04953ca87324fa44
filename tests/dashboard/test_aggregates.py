"""Every figure equals a plain recount, whatever the order and the pieces in which events come."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.dashboard import aggregates
from loadgen.dashboard.aggregates import (
    MOST_SHOWN_LETTERS,
    N_BUCKETS,
    SMALLEST_MERGE,
    Aggregates,
    Distinct,
    TimeBuckets,
)
from loadgen.dashboard.rows import Normaliser
from tests.dashboard.records import FIRST_MS, PAGES, as_recounted, lines, over_time, record, recount, some

NORMALISER = Normaliser()
texts = st.sampled_from(["Rock", "Pop", "", "서울", "<script>", 'a"b', "x" * 300])
times = st.integers(FIRST_MS, FIRST_MS + 7_200_000)
durations = st.floats(0, 2000, allow_nan=False)


def activity(**fields: Any) -> dict[str, Any]:
    """A record of the format `activity` of these fields."""
    return {"location": "Seoul, KR", **{name: value for name, value in fields.items() if value is not None}}


activities = st.builds(
    activity,
    ts=times,
    userId=st.integers(0, 20),
    page=st.sampled_from(sorted(PAGES)),
    artist=st.none() | texts,
    song=st.none() | texts,
    length=st.none() | durations,
)
fulls = st.builds(
    record,
    st.integers(0, 5000),
    genre=st.none() | texts,
    action=st.sampled_from(["play", "skip", "like", "home"]),
    length=durations,
    artist=texts,
)


def counted(*pieces: bytes) -> dict[str, Any]:
    """The figures of these lines."""
    aggregates = Aggregates()
    for piece in pieces:
        for one in NORMALISER.of_lines(piece):
            aggregates.add(one)
    return aggregates.figures()


@settings(max_examples=30)
@given(st.lists(st.lists(activities | fulls, min_size=1, max_size=40), min_size=1, max_size=4))
def test_figures_equal_a_recount_of_the_records_one_by_one(pieces: list[list[dict[str, Any]]]) -> None:
    records = [one for piece in pieces for one in piece]
    figures, expected = counted(*map(lines, pieces)), recount(records)
    found = as_recounted(figures)
    for panel in ("genres", "platforms", "actions", "countries", "top_artists", "top_tracks"):
        cut = Counter[str]()
        for value, count in expected.pop(panel).items():
            cut[value[: aggregates.MOST_VALUE_LETTERS]] += count
        shown = found.pop(panel)
        assert all(cut[value] == count for value, count in shown.items()), panel
        assert list(shown.values()) == [count for _, count in cut.most_common(len(shown))], panel
        assert len(shown) == min(len(cut), 10), panel
    del found["durations"], expected["durations"]  # they go by the order of a session's events: see test_play_durations
    assert found == expected


def test_all_three_formats_are_counted_together() -> None:
    listen = {"user": "ana", "artist": "B", "track": "T", "timestamp": "2026-01-05T00:00:07.5Z", "duration": 61}
    listen |= {"genre": "Jazz", "platform": "Deezer", "device": "TV", "action": "play", "country": "FR"}
    records = [record(1), activity(ts=FIRST_MS, userId=1, page="Search"), listen]
    found = as_recounted(counted(lines(records)))
    assert found == {**recount(records), "genres": {"Pop": 1, "Jazz": 1}}


def test_what_is_no_event_is_counted_apart() -> None:
    bad = [b"no json", b"[1]", b'{"a":1}', b'{"ts":"x"}', b'{"ts":-5}', b'{"ts":253402300800000}', b"\xff\xfe", b"{"]
    figures = counted(lines([record(1), *bad, b"", b"  ", record(2)]))
    assert (figures["totals"]["events"], figures["totals"]["unreadable"]) == (2, len(bad))


def test_a_line_that_is_too_long_costs_only_itself() -> None:
    figures = counted(lines([record(1), b'{"ts":1,"artist":"' + b"x" * (40 << 20) + b'"}', record(2)]))
    assert (figures["totals"]["events"], figures["totals"]["unreadable"]) == (2, 1)


def test_nothing_gives_figures_too() -> None:
    figures = Aggregates().figures()
    assert (figures["newest_ms"], figures["last_minute"], figures["newest"]) == (None, 0, [])
    assert (figures["timeline"]["first_ms"], figures["timeline"]["counts"]) == (None, [])


def test_long_texts_are_cut_before_they_are_kept() -> None:
    figures = counted(lines([record(1, genre="g" * 5000, song="s" * 5000)]))
    assert figures["groups"]["genres"]["top"] == [("g" * aggregates.MOST_VALUE_LETTERS, 1)]
    assert figures["newest"][0]["title"] == "s" * MOST_SHOWN_LETTERS


def test_numbers_that_javascript_would_round_are_shown_as_text() -> None:
    figures = counted(lines([record(1, userId=2**63 + 1, sessionId=2**60 + 1)]))
    assert (figures["newest"][0]["listener"], figures["newest"][0]["session"]) == (str(2**63 + 1), str(2**60 + 1))


def test_of_too_many_different_values_the_late_ones_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregates, "MOST_VALUES", 3)
    counted_groups = aggregates.Groups()
    for piece in NORMALISER.of_lines(lines([record(n, genre=f"g{n}") for n in range(5)])):
        counted_groups.add(piece.rows["genre"])
    figures = counted_groups.figures(10)
    assert (len(figures["top"]), figures["n_events"], counted_groups.others) == (3, 5, 2)


def test_figures_cost_the_same_after_ten_thousand_events_as_after_a_hundred() -> None:
    few, many = counted(some(0, 99)), counted(*(some(first, first + 999) for first in range(0, 10_000, 1000)))
    assert [len(one["newest"]) for one in (few, many)] == [50, 50]
    assert all(len(one["timeline"]["counts"]) <= N_BUCKETS for one in (few, many))


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 300), max_size=50), max_size=8), st.integers(1, 100))
def test_different_hashes_are_counted_exactly(pieces: list[list[int]], smallest_merge: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loadgen.dashboard.aggregates.SMALLEST_MERGE", smallest_merge)
        distinct, seen = Distinct(), set[int]()
        for piece in pieces:
            distinct.add(np.array(piece, np.uint64))
            seen.update(piece)
            assert len(distinct) == len(seen)


def test_a_million_hashes_stay_exact_across_merges() -> None:
    hashes = np.random.default_rng(1).integers(0, 1 << 63, 400_000, np.uint64)
    distinct = Distinct()
    for first in range(0, 400_000, 50_000):
        distinct.add(np.concatenate([hashes[first : first + 50_000], hashes[:1000]]))
    assert len(distinct) == len(np.unique(hashes)) > 4 * SMALLEST_MERGE


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 9_000_000), min_size=1, max_size=30), min_size=1, max_size=6))
def test_a_window_is_exact_in_any_order(pieces: list[list[int]]) -> None:
    window = TimeBuckets()
    for piece in pieces:
        window.add(np.array(piece, np.int64))
    everything = [ms for piece in pieces for ms in piece]
    newest_s = max(everything) // 1000
    assert window.last_minute() == sum(newest_s - 60 < ms // 1000 for ms in everything)
    found = window.timeline()
    width_s, expected = over_time(everything)
    first = (found.first_ms or 0) // (width_s * 1000)
    assert (found.bucket_s, found.n_before) == (width_s, len(everything) - sum(expected.values()))
    assert {first + place: count for place, count in enumerate(found.counts) if count} == expected


@pytest.mark.parametrize(
    ("lasts_s", "bucket_s"), [(30, 1), (60, 1), (300, 5), (3600, 60), (86_400, 3600), (30 * 86_400, 86_400)]
)
def test_the_chart_is_as_wide_as_the_data(lasts_s: int, bucket_s: int) -> None:
    window = TimeBuckets()
    window.add(FIRST_MS + np.arange(0, lasts_s * 1000, max(1, lasts_s // 30) * 1000))
    found = window.timeline()
    assert (found.first_ms, found.bucket_s) == (FIRST_MS // (bucket_s * 1000) * bucket_s * 1000, bucket_s)
    assert len(found.counts) <= N_BUCKETS
    assert found.counts[0] > 0 < found.counts[-1]


def test_one_stray_time_does_not_widen_the_chart() -> None:
    window = TimeBuckets()
    window.add(np.append(FIRST_MS + np.arange(200) * 100, 0))
    assert (window.timeline().bucket_s, window.timeline().n_before) == (1, 1)


def test_only_tracks_that_were_started_count_for_the_top_artists_and_tracks() -> None:
    records = [record(n, action=action, artist="A", song="S") for n, action in enumerate(["play", "skip", "like"])]
    played = counted(lines(records))["played"]
    assert (played["top_artists"]["top"], played["top_tracks"]["top"]) == ([("A", 2)], [("S · A", 2)])


def test_of_events_of_one_time_the_later_ones_are_shown() -> None:
    early, late = ([record(n, ts=FIRST_MS, song=f"{when} {n}") for n in range(50)] for when in ("early", "late"))
    shown = counted(lines(early), lines(late))["newest"]
    assert {event["title"] for event in shown} == {f"late {n}" for n in range(50)}


def test_a_track_added_to_a_playlist_is_named_and_is_no_play() -> None:
    full = (Path(__file__).parents[1] / "golden" / "full.jsonl").read_bytes().splitlines(keepends=True)
    (added, *_) = (line for line in full if b'"action":"add_to_playlist"' in line)
    figures = counted(added)
    (event,) = figures["newest"]
    assert (event["title"], event["artist"]) == (orjson.loads(added)["song"], orjson.loads(added)["artist"])
    assert (sum(figures["durations"]["counts"]), figures["durations"]["n_open"]) == (0, 0)
    n_plays = sum(b'"page":"NextSong"' in line for line in full)
    durations = counted(b"".join(full))["durations"]
    assert sum(durations["counts"]) + durations["n_open"] == n_plays

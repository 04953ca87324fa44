"""Pages that a behaviour adds: their rules, and what listeners do on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadgen.errors import UsageError
from loadgen.event import MAX_PAGES, NO_TRACK, PAGES, EventBatch, Page
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.model import Expected, Model
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import Presence, SimulationSettings
from tests.simulate.world import BEHAVIOUR, CATALOG, DAY_MS, MONDAY_MS, joined, run

TWO_PAGES = """
[pages.Lyrics]
like = "Browse"

[pages."Share Track"]
like = "Add to Playlist"
method = "POST"
action = "share"

[transitions.NextSong]
NextSong = 0.80
Lyrics = 0.10
"Share Track" = 0.04
"Thumbs Up" = 0.01
"Thumbs Down" = 0.01
"Add to Playlist" = 0.01
Home = 0.02
Search = 0.005
Browse = 0.003
Settings = 0.002

[transitions]
Browse = { NextSong = 0.80, "Share Track" = 0.20 }
Lyrics = { NextSong = 0.80, Lyrics = 0.05, "Share Track" = 0.10, Browse = 0.05 }
"Share Track" = { NextSong = 0.90, Home = 0.10 }

[think]
Lyrics = { median_s = 12.0, spread = 0.8 }
"Share Track" = { median_s = 5.0, spread = 0.8 }
"""
LYRICS, SHARE = len(PAGES), len(PAGES) + 1


def _load(folder: Path, text: str) -> Behaviour:
    path = folder / "own.toml"
    path.write_text(text)
    return Behaviour.load(path)


@pytest.fixture(scope="module")
def behaviour(tmp_path_factory: pytest.TempPathFactory) -> Behaviour:
    return _load(tmp_path_factory.mktemp("behaviour"), TWO_PAGES)


def test_without_pages_of_its_own_a_behaviour_has_the_built_in_ones() -> None:
    assert BEHAVIOUR.page_table == PAGES


def test_own_pages_come_behind_the_built_in_ones(behaviour: Behaviour) -> None:
    pages = behaviour.page_table
    assert pages.names == (*PAGES.names, "Lyrics", "Share Track")
    assert pages.methods == (*PAGES.methods, "GET", "POST")
    assert pages.actions == (*PAGES.actions, "lyrics", "share")
    assert pages.like == (*Page, Page.BROWSE, Page.ADD_TO_PLAYLIST)
    assert pages.have_track[LYRICS:].tolist() == [False, True]


def _own(name: str, **keys: str) -> str:
    """A page that everything leads to, and that leads on."""
    page, given = json.dumps(name), {"like": "Browse", **keys}
    says = ", ".join(f"{key} = {json.dumps(value)}" for key, value in given.items())
    return (
        f"pages = {{ {page} = {{ {says} }} }}\n[transitions]\n{page} = {{ NextSong = 1.0 }}\n"
        f"Search = {{ NextSong = 0.9, {page} = 0.1 }}\n[think]\n{page} = {{ median_s = 5.0, spread = 0.8 }}\n"
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (_own("Lyrics", like="NextSong"), "no other page can be like NextSong, which begins a track"),
        (_own("Lyrics", like="Logout"), "no other page can be like Logout, which ends the session"),
        (_own("Lyrics", like="Disco"), "must be a built-in page; write one of Home"),
        (_own("Lyrics", method="get"), "pages.Lyrics.method"),
        (_own("Lyrics", action=""), "pages.Lyrics.action"),
        (_own("Lyrics", colour="red"), "pages.Lyrics.colour"),
        (_own("Lyrics", action="skip"), "pages.Lyrics.action: must differ from that of every other page, got 'skip'"),
        (_own("Lyrics", action="like"), "pages.Lyrics.action: must differ from that of every other page, got 'like'"),
        (_own("Play", action="start"), "pages.Play: must not be read as the built-in action 'play'"),
        (_own("browse"), "pages.browse: the name must differ from that of every other page in more than case"),
        (_own("x" * 41), "1..40 printable characters"),
        (_own(""), "1..40 printable characters"),
        (_own(" Lyrics"), "without spaces at the ends"),
        (_own("Ly\trics"), "1..40 printable characters"),
        ("[pages.Lyrics]\nmethod = 'GET'", "pages.Lyrics.like: Field required"),
        ("[pages.Lyrics]\nlike = 'Browse'", "the row Lyrics is missing"),
        ("[pages.Lyrics]\nlike = 'Browse'", "think: Lyrics is missing"),
        (_own("Lyrics").replace("NextSong = 0.9, ", "NextSong = 0.9, Home = 0.1 } #"), "Lyrics cannot be reached"),
        (_own("Lyrics").replace("NextSong = 1.0", "Lyrics = 1.0"), "Lyrics must lead on to NextSong or Logout"),
        ("[transitions]\nSearch = { Lyrics = 1.0 }", "unknown page; write one of Home"),
        ("pages = 3", "pages: Input should be a valid dictionary"),
    ],
)
def test_a_broken_rule_of_pages_is_named(tmp_path: Path, text: str, rule: str) -> None:
    with pytest.raises(UsageError) as error:
        _load(tmp_path, text)
    assert rule in str(error.value)


def test_two_own_pages_differ_in_more_than_case_and_in_their_actions(tmp_path: Path) -> None:
    twice = TWO_PAGES.replace('"Share Track"', "lyrics")
    with pytest.raises(UsageError, match=r"pages\.lyrics: the name must differ"):
        _load(tmp_path, twice)
    with pytest.raises(UsageError, match=r"pages\.Share Track\.action: must differ .* got 'lyrics'"):
        _load(tmp_path, TWO_PAGES.replace('"share"', '"lyrics"'))


def _with(n_pages: int) -> str:
    names = [f"P{number}" for number in range(n_pages)]
    shares = ", ".join(f"{name} = {0.5 / n_pages:.9f}" for name in names)
    rest = 1.0 - n_pages * float(f"{0.5 / n_pages:.9f}")
    pages = "".join(f'[pages.{name}]\nlike = "Thumbs Up"\n' for name in names)
    rows = "".join(f"{name} = {{ NextSong = 1.0 }}\n" for name in names)
    thinks = "".join(f"{name} = {{ median_s = 5.0, spread = 0.8 }}\n" for name in names)
    return f"{pages}[transitions]\nSearch = {{ NextSong = {rest:.9f}, {shares} }}\n{rows}[think]\n{thinks}"


def test_there_are_at_most_32_pages(tmp_path: Path) -> None:
    most = MAX_PAGES - len(PAGES)
    full = _load(tmp_path, _with(most))
    shard = Shard(SimulationSettings(300, 1, MONDAY_MS, "online", full), CATALOG, np.arange(300))
    assert set(run(shard, DAY_MS, DAY_MS).page.tolist()) == set(range(MAX_PAGES))
    with pytest.raises(UsageError, match=f"at most {most} besides the built-in ones, got {most + 1}"):
        _load(tmp_path, _with(most + 1))


def _events(behaviour: Behaviour, presence: Presence = "online", n_shards: int = 1, users: int = 200) -> EventBatch:
    """A quarter of a day."""
    chosen = SimulationSettings(users, 7, MONDAY_MS, presence, behaviour)
    model, ids = Model.of(chosen, CATALOG), np.arange(users, dtype=np.int64)
    shards = [Shard(chosen, CATALOG, ids[ids % 256 % n_shards == index], model) for index in range(n_shards)]
    found = joined([run(shard, DAY_MS // 4, DAY_MS // 4 // n_shards) for shard in shards])
    return found.take(np.lexsort((found.ts_ms, found.user_id)))


@pytest.mark.parametrize("presence", ["online", "everyday"])
def test_events_are_the_same_for_any_number_of_shards(behaviour: Behaviour, presence: Presence) -> None:
    whole = _events(behaviour, presence)
    assert {LYRICS, SHARE} <= set(whole.page.tolist())
    for n_shards in (2, 3, 8):
        split = _events(behaviour, presence, n_shards)
        for column in ("ts_ms", "user_id", "session_id", "item", "page", "level", "track", "skipped"):
            assert np.array_equal(getattr(split, column), getattr(whole, column)), column


def test_a_page_like_one_about_a_track_names_the_track_that_was_played_last(behaviour: Behaviour) -> None:
    events = _events(behaviour)
    song = np.maximum.accumulate(np.where(events.page == Page.NEXT_SONG, np.arange(len(events)), -1))
    shared = np.flatnonzero((events.page == SHARE) & (song >= 0))
    known = shared[events.session_id[song[shared]] == events.session_id[shared]]
    assert len(known) > 1000
    assert np.array_equal(events.track[known], events.track[song[known]])
    assert (events.track[events.page == LYRICS] == NO_TRACK).all()
    assert (events.track[events.page == SHARE] != NO_TRACK).all()


def test_before_a_sessions_first_song_a_page_about_a_track_is_a_song(behaviour: Behaviour) -> None:
    content: dict[str, Any] = behaviour.model_dump()
    content["session"]["first_page"] = {"Lyrics": 0.5, "Share Track": 0.5}
    events = _events(Behaviour.of(content))
    assert set(events.page[events.item == 1].tolist()) == {LYRICS, int(Page.NEXT_SONG)}
    song = np.maximum.accumulate(np.where(events.page == Page.NEXT_SONG, np.arange(len(events)), 0))
    shared = np.flatnonzero((events.page == SHARE) & np.isin(events.session_id, events.session_id[events.item == 1]))
    assert len(shared) > 1000
    assert np.array_equal(events.session_id[song[shared]], events.session_id[shared])


def test_own_pages_come_as_often_as_expected(behaviour: Behaviour) -> None:
    chosen = SimulationSettings(2000, 7, MONDAY_MS, "online", behaviour)
    expected = Expected.of(chosen, Model.of(chosen, CATALOG)).pages
    events = _events(behaviour, users=2000)
    for page, name in ((LYRICS, "Lyrics"), (SHARE, "Share Track")):
        assert (events.page == page).mean() == pytest.approx(expected[name], rel=0.03)


def test_a_behaviour_with_pages_survives_its_json(behaviour: Behaviour) -> None:
    assert Behaviour.of(json.loads(behaviour.model_dump_json())) == behaviour

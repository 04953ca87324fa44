"""A behaviour file is read over the shipped one; every problem is told at once, and nothing else is ever raised."""

import json
import math
import pickle
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from loadgen.config.names import Profile
from loadgen.errors import UsageError
from loadgen.event import PAGES, Page
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import SimulationSettings
from tests.simulate.world import BEHAVIOUR, CATALOG, DAY_MS, MONDAY_MS, run


def _load(folder: Path, text: str | bytes) -> Behaviour:
    path = folder / "behaviour.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Behaviour.load(path)


def _problem(folder: Path, text: str | bytes) -> str | None:
    """What is said about a file; None where it is taken. Any error but UsageError is the test's failure."""
    try:
        _load(folder, text)
    except UsageError as error:
        return str(error)
    return None


def test_the_shipped_behaviour_is_valid_and_names_every_page() -> None:
    assert set(BEHAVIOUR.think) == set(PAGES.names)
    assert set(BEHAVIOUR.transitions) == set(PAGES.names) - {"Logout"}


def test_a_behaviour_travels_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(BEHAVIOUR)) == BEHAVIOUR


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    changed = _load(tmp_path, "[session]\nlogout_prob = 0.5\n[online]\ngap_mean_s = 5\n")
    assert changed.session.logout_prob == 0.5
    assert changed.online.gap_mean_s == 5
    assert changed.session.tracks_median == BEHAVIOUR.session.tracks_median
    assert changed.transitions == BEHAVIOUR.transitions


def test_a_byte_order_mark_in_front_of_a_file_is_passed_over(tmp_path: Path) -> None:
    assert _load(tmp_path, "\ufeff[session]\r\nlogout_prob = 0.5\r\n").session.logout_prob == 0.5


def test_a_row_replaces_the_whole_row(tmp_path: Path) -> None:
    changed = _load(tmp_path, "[transitions]\nHome = { NextSong = 0.5, Settings = 0.5 }\n")
    assert changed.transitions["Home"] == {"NextSong": 0.5, "Settings": 0.5}


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = """
        colour = "red"
        [transitions]
        Home = { NextSong = 0.5, Foo = 0.5 }
        Search = { NextSong = 0.4 }
        [session]
        logout_prob = "often"
        most_tracks = -3
        """
    with pytest.raises(UsageError) as error:
        _load(tmp_path, text)
    lines = str(error.value).splitlines()
    for key in ("colour", "transitions.Home.Foo", "transitions.Search", "session.logout_prob", "session.most_tracks"):
        assert any(key in line for line in lines), key
    assert any("sum to 0.4" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[transitions]\nHome = { NextSong = 1.5, Search = -0.5 }", "greater than or equal to 0"),
        ("[transitions]\nHome = { NextSong = nan }", "finite"),
        ("[transitions]\nHome = { NextSong = true }", "valid number"),
        ("[transitions]\nLogout = { Home = 1.0 }", "Logout ends the session"),
        ("[transitions]\nHome = { Search = 1.0 }\nSearch = { Home = 1.0 }", "must lead on to NextSong or Logout"),
        ("[transitions]\nSearch = { Search = 0.99, NextSong = 0.01 }", "at most 20 pages"),
        ("[session]\nfirst_page = { Logout = 1.0 }", "cannot begin with Logout"),
        ("[everyday]\nweekday = [1.0, 2.0]", "at least 24 items"),
        ("[everyday]\ndays = [0, 0, 0, 0, 0, 0, 0]", "above zero"),
        ("[skip]\nby_age_factor = { teens = 1.0 }", "thirties is missing"),
        ("[skip]\nwithin_5_s_prob = 0.9", "within_30_s_prob"),
        ("[population]\npaid_from_age = [30, 20]", "ages must rise"),
        ("[population]\nactivity_plays = [9.0, 3.0]", "must rise"),
        ("[population]\nplatforms = {}", "at least 1 item"),
        ("[choice]\ntilt_factors = [1.0]", "equally long"),
        ("[choice]\nmixed = { chart = 0.5, disco = 0.5 }", "choice.mixed.disco"),
        ("transitions = 3", "valid dictionary"),
        ("a = [", "must be TOML"),
        (b"\xff\xfe", "must be TOML"),
        ("a = " + "[" * 5000, "must be TOML"),
        ("[online]\ngap_mean_s = 1" + "0" * 400, "gap_mean_s"),
    ],
)
def test_a_broken_rule_is_named(tmp_path: Path, text: str | bytes, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        _load(tmp_path, text)


def test_a_page_that_no_row_leads_to_is_named(tmp_path: Path) -> None:
    rows = {page: {"NextSong": 1.0} for page in PAGES.names[:-1]}
    body = "\n".join(f"{json.dumps(page)} = {{ NextSong = 1.0 }}" for page in rows)
    with pytest.raises(UsageError, match="Settings cannot be reached"):
        _load(tmp_path, f"[transitions]\n{body}\n")


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be readable"):
        Behaviour.load(tmp_path / "none.toml")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value)


_SCALARS = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.sampled_from(PAGES.names), st.text('abc\u00e9 "\\', max_size=5)
)
_KEYS = st.one_of(st.sampled_from([*PAGES.names, "teens", "chart", "median_s", "spread"]), st.text("xyz.", max_size=4))
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=8), st.dictionaries(_KEYS, inner, max_size=5)),
    max_leaves=12,
)
_PLACES = st.sampled_from(
    [(section, key) for section, table in BEHAVIOUR.model_dump().items() for key in table]
    + [("pages", "Lyrics"), ("x", "y")]
    + [("x", "y"), ("pages", "Lyrics")]
)


@examples(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=_PLACES, value=_VALUES)
def test_any_value_at_any_place_is_taken_or_refused(tmp_path: Path, place: tuple[str, str], value: Any) -> None:
    section, key = place
    problem = _problem(tmp_path, f"[{section}]\n{json.dumps(key)} = {_toml(value)}\n")
    assert problem is None or section in problem or "TOML" in problem


@examples(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes_are_taken_or_refused(tmp_path: Path, content: bytes) -> None:
    problem = _problem(tmp_path, content)
    assert problem is None or "behaviour file" in problem


_ODD_NUMBERS = [
    ("session", "single_track_prob = 1.0"),
    ("session", "most_tracks = 1"),
    ("session", "most_tracks = 1000\ntracks_median = 500.0\ntracks_spread = 3.0"),
    ("session", "first_page = { NextSong = 1.0 }"),
    ("session", 'first_page = { "Thumbs Up" = 1.0 }'),
    ("session", "logout_prob = 1.0"),
    ("skip", "by_position_prob = [1.0, 1.0, 1.0, 1.0]"),
    ("skip", "by_position_prob = [0.0, 0.0, 0.0, 0.0]"),
    ("skip", "within_5_s_prob = 0.0\nwithin_30_s_prob = 0.0"),
    ("skip", "within_5_s_prob = 1.0\nwithin_30_s_prob = 1.0"),
    ("online", "gap_mean_s = 0.001"),
    ("population", "paid_prob = 1.0"),
    ("population", "plays_median = 0.001\nplays_spread = 0.01"),
    ("population", "plays_median = 300.0\nplays_spread = 3.0"),
    ("population", "paid_by_age = [0, 0, 0, 0, 0, 0, 0]"),
    ("population", "registered_years = 0.0"),
    ("choice", "repertoire = { ranks = 1, exponent = 0.0, days_to_change = 1e5, days_to_change_last = 0.01 }"),
    ("choice", "tilt_shares = [0.0, 1.0, 0.0]"),
    ("everyday", f"weekday = {[0.0] * 23 + [1.0]}"),
]


@pytest.mark.parametrize(("section", "body"), _ODD_NUMBERS)
@pytest.mark.parametrize("presence", ["online", "everyday"])
def test_whatever_is_accepted_can_be_simulated(tmp_path: Path, section: str, body: str, presence: Any) -> None:
    odd = _load(tmp_path, f"[{section}]\n{body}\n")
    one = Shard(SimulationSettings(300, 1, MONDAY_MS, presence, odd), CATALOG, np.arange(300, dtype=np.int64))
    events = run(one, DAY_MS // 8, DAY_MS // 40)
    order = (events.ts_ms * 300 + events.user_id).tolist()
    assert order == sorted(set(order))
    assert one.events_per_s > 0


@pytest.mark.parametrize("profile", get_args(Profile))
def test_every_profile_is_a_behaviour_that_keeps_the_buckets_of_the_specification(profile: Profile) -> None:
    behaviour = Behaviour.load(None, profile)
    for taste in ("mainstream", "indie", "mixed"):
        assert getattr(behaviour.choice, taste) == getattr(Behaviour.load(None).choice, taste)


def test_every_profile_is_a_file_and_the_other_way_round() -> None:
    files = resources.files("loadgen.simulate").joinpath("profiles").iterdir()
    assert {file.name for file in files} == {f"{name}.toml" for name in get_args(Profile) if name != "default"}


def test_a_file_goes_before_the_profile(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[session]\ntracks_median = 3.0\n")
    found = Behaviour.load(tmp_path / "mine.toml", "sleepy-sunday")
    assert found.session.tracks_median == 3.0
    assert found.session.logout_prob == Behaviour.load(None, "sleepy-sunday").session.logout_prob


def test_the_crowds_differ_as_their_names_say() -> None:
    crowds = {name: Behaviour.load(None, name) for name in get_args(Profile)}
    worlds = {name: SimulationSettings(800, 3, MONDAY_MS, "everyday", behaviour) for name, behaviour in crowds.items()}
    found = {}
    for name, chosen in worlds.items():
        shard = Shard(chosen, CATALOG, np.arange(chosen.users))
        events = run(shard, 14 * DAY_MS, DAY_MS)
        songs = events.take(events.page == Page.NEXT_SONG)
        genre = CATALOG.artist_genre[np.searchsorted(CATALOG.first_track, songs.track, side="right") - 1]
        found[name] = {
            "k-pop": (genre == CATALOG.genres.index("K-Pop")).mean(),
            "skips": songs.skipped.mean(),
            "plays": float(len(songs)),
            "songs": len(songs) / (events.item == 1).sum(),
        }
    k_pop, sleepy, usual = found["k-pop-release-day"], found["sleepy-sunday"], found["default"]
    assert k_pop["k-pop"] > 1.5 * usual["k-pop"]
    assert k_pop["plays"] > 1.1 * usual["plays"] > 1.1 * sleepy["plays"]
    assert sleepy["songs"] > 1.4 * usual["songs"]
    assert sleepy["skips"] < 0.6 * usual["skips"]

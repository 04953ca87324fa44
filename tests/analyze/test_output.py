"""What becomes of figures: CSV files, a report, charts."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.analyze.charts import Letters, charts_of
from loadgen.analyze.figures import Count, ListeningFigures, Quantiles
from loadgen.analyze.output import FORMULA, harmless, report_of, tables_of
from tests.analyze.reading import LINES, figures_of, wrote

ODD = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    'a "b", c',
    "line\nbreak",
    "\x1b[31mred",
    "아이유",
    "宇多田ヒカル",
    "Björk",
    "$x^2$",
]
PNG = b"\x89PNG\r\n\x1a\n"


def figures(**changed: Any) -> ListeningFigures:
    """Figures of nothing, but for these."""
    empty: dict[str, Any] = dict.fromkeys(("events", "plays", "unreadable", "listeners", "artists", "tracks"), 0)
    empty |= {name: [] for name in ("genres", "platforms", "actions", "countries", "top_artists", "top_tracks")}
    empty |= {name: Quantiles() for name in ("durations_s", "session_events", "session_minutes")}
    empty |= {"sessions": 0, "first_ms": None, "last_ms": None, "top_by_tier": {}, "played_s": 0.0, "step_min": 1}
    empty |= {"duration_bins": [0] * 21, "hours": [0] * 24, "over_time": [], "skip_share": None}
    return ListeningFigures(**{**empty, **changed})


def counts(names: list[str]) -> list[Count]:
    """A count for each."""
    return [Count(name, 2 * place + 2, place + 1) for place, name in enumerate(names)]


def rows(text: str) -> list[list[str]]:
    """The rows of a CSV text."""
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_a_table_has_a_row_for_each_name_with_its_share() -> None:
    tables = tables_of(figures(genres=counts(["Rock", "K-Pop, J-Pop"]), actions=counts(["play"])))
    assert set(tables) == {"genres", "platforms", "countries", "events"}
    assert tables["genres"] == ('genre,events,plays,share\r\nRock,2,1,0.333333\r\n"K-Pop, J-Pop",4,2,0.666667\r\n')
    assert tables["events"] == "action,events,plays,share\r\nplay,2,1,1.000000\r\n"
    assert tables["countries"] == "country,events,plays,share\r\n"


@given(names=st.lists(st.text() | st.sampled_from(ODD)))
def test_any_name_comes_back_and_none_is_a_formula(names: list[str]) -> None:
    table = rows(tables_of(figures(platforms=counts(names)))["platforms"])[1:]
    assert [row[0].removeprefix("'") for row in table] == [name.removeprefix("'") for name in names]
    assert not any(row[0].startswith(FORMULA) for row in table)


@pytest.mark.parametrize("name", ["Rock", "", "'x", "1=1", "R&B"])
def test_a_harmless_name_stays_as_it_is(name: str) -> None:
    assert harmless(name) == name


def test_the_report_says_every_figure(tmp_path: Path) -> None:
    found = figures_of(wrote(tmp_path / "x.jsonl", LINES["full"]))
    text = report_of(_figures(found), "golden", 10)
    for name in ("events", "listeners", "artists", "tracks", "sessions"):
        assert f"{name:<12}{found[name]:>16,}" in text
    for title in ("Top genres", "Top artists", "Top artists of tier indie", "Events by hour", "length in minutes"):
        assert title in text
    assert f"{found['skip_share']:.1%}" in text


def test_the_report_of_nothing_has_dashes() -> None:
    text = report_of(figures(), "empty", 10)
    assert "time span   –" in text
    assert "None" not in text


def test_the_report_obeys_no_commands_of_names() -> None:
    text = report_of(figures(genres=counts(ODD), top_by_tier={"\x1b]0;x\x07": counts(["a"])}), "t\r\nitle", 20)
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert "아이유" in text


@pytest.mark.filterwarnings("error")
def test_any_figures_can_be_drawn() -> None:
    odd = counts([*ODD, "ไทย", "😀", "x" * 200, "\ud7ff\U0010ffff"])
    one = figures(over_time=[(0, 1, 1)], duration_bins=[0] * 20 + [1], durations_s=replace(Quantiles(), n=1, p50=615.0))
    many = figures(genres=odd, top_artists=odd, actions=odd, over_time=[(0, 5, 3), (10**12, 1, 0)], step_min=40_320)
    for these in (figures(), one, many):
        charts = charts_of(these)
        assert set(charts) == {"genres", "platforms", "actions", "artists", "durations", "over_time"}
        assert all(content.startswith(PNG) for content in charts.values())


def test_a_bar_is_as_long_as_its_value() -> None:
    from matplotlib.figure import Figure

    from loadgen.analyze.charts import _bars, _durations, _over_time

    axes: Any = Figure().subplots()
    _bars(axes, "Top genres", counts(["a", "b", "c"]), "plays", Letters())
    assert [bar.get_width() for bar in axes.patches] == [1, 2, 3]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    axes = Figure().subplots()
    _durations(axes, figures(duration_bins=[1, *[0] * 19, 4]))
    assert [bar.get_height() for bar in axes.patches] == [1, *[0] * 19, 4]
    axes = Figure().subplots()
    _over_time(axes, figures(over_time=[(0, 5, 2), (120_000, 7, 3)], step_min=1))
    assert [list(steps.get_data().values) for steps in axes.patches] == [[5, 0, 7], [2, 0, 3]]


def _figures(found: dict[str, Any]) -> ListeningFigures:
    """Figures of their JSON types."""
    lists = ("genres", "platforms", "actions", "countries", "top_artists", "top_tracks")
    spreads = ("durations_s", "session_events", "session_minutes")
    tiers = {tier: [Count(**one) for one in some] for tier, some in found["top_by_tier"].items()}
    typed = {name: [Count(**one) for one in found[name]] for name in lists}
    return ListeningFigures(
        **{**found, **typed, **{name: Quantiles(**found[name]) for name in spreads}, "top_by_tier": tiers}
    )

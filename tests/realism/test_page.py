"""The page of `loadgen realism`: all that the text says, well-formed, and no chart without a curve."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from loadgen.analyze import drawing
from loadgen.realism import curves
from loadgen.realism.curves import Picture, pictures_of
from loadgen.realism.observed import ObservedListening
from loadgen.realism.report import HEAD, RealismReport, TargetResult, extent_of, judge, page_of, shown, verdict
from loadgen.realism.statistics import STATISTICS
from loadgen.realism.targets import Sample, load_targets
from tests.report.test_page import Reader

SHIPPED = load_targets(None)
ENOUGH, FEW = Sample(1_000_000, 1000.0), Sample(10, 1.0)
EXTENT = "7 events of 2 listeners in 1.0 days"
HOSTILE = "<script>window.owned = 1</script>"
NONE = np.zeros(0, np.int64)
NOTHING = ObservedListening(
    first_ms=0,
    last_ms=0,
    events=np.zeros(5, np.int64),
    plays=NONE,
    paid=NONE,
    ages=NONE,
    paid_plays=np.zeros(2, np.int64),
    sizes=NONE,
    skips={"position": NONE, "age": NONE, "level": NONE, "skipped": NONE, "n": NONE},
    played=np.zeros(1001, np.int64),
    next_s=np.zeros(3600, np.int64),
    artists=NONE,
    tier_plays=np.zeros(4, np.int64),
    mainstream=np.zeros(0),
    pairs=0,
    paired=0,
    length_ms=0,
    n_lengths=0,
    hours={"zone": NONE, "quarter": NONE, "plays": NONE},
)


def in_band(sample: Sample = ENOUGH) -> list[TargetResult]:
    """The shipped targets, if every statistic were at the low end of its band, and the others 0.5."""
    values = dict.fromkeys(STATISTICS, 0.5) | {
        number.statistic: number.low
        for target in SHIPPED.targets
        for number in target.numbers
        if number.low is not None
    }
    return judge(SHIPPED.targets, values, sample)


def every(value: float | None) -> list[TargetResult]:
    """The shipped targets, if every statistic had this value."""
    return judge(SHIPPED.targets, dict.fromkeys(STATISTICS, value), ENOUGH)


def page(judged: list[TargetResult], *pictures: Picture, unread: tuple[str, ...] = ()) -> str:
    """The page of these targets."""
    return page_of(RealismReport(EXTENT, judged, unread), pictures)


def cells(text: str) -> list[list[str]]:
    """The texts of every row of the table's body."""
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [[unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.split(r"</t[hd]>", row)[:-1]] for row in rows]


def test_the_page_has_a_row_for_each_number_of_each_target() -> None:
    rows = cells(page(in_band()))
    expected = [(target, number) for target in SHIPPED.targets for number in target.numbers]
    assert [row[:2] for row in rows] == [[target.name, number.statistic] for target, number in expected]
    for row, (target, number) in zip(rows, expected, strict=True):
        assert len(row) == len(HEAD)
        assert row[4:6] == [shown(number.low), shown(number.high)]
        assert row[6] == number.published + target.source


@pytest.mark.parametrize(
    ("judged", "state", "result"),
    [
        (in_band(), "passed", "✓ passed"),
        (every(1e9), "failed", "✗ failed"),
        (in_band(FEW), "open", "? needs more data"),
        (every(None), "failed", "not told by these events"),
    ],
    ids=["passed", "failed", "too few", "not told"],
)
def test_the_verdict_and_the_results_are_those_of_the_text(judged: list[TargetResult], state: str, result: str) -> None:
    text = page(judged)
    reader = Reader(text)
    (place,) = [one for one in reader.of("section") if one.get("id") == "verdict"]
    assert place["data-state"] == state
    assert all(words.lower() in reader.texts["verdict"].lower() for words in verdict(judged).split("; "))
    gated = [row[2] for row, (_, number) in zip(cells(text), _numbers(judged), strict=True) if number]
    assert all(one.startswith(result) for one in gated)


def _numbers(judged: list[TargetResult]) -> list[tuple[str, bool]]:
    """Each statistic, and whether it has a band."""
    return [(number.statistic, number.low is not None) for one in judged for number in one.target.numbers]


def test_the_page_is_whole_and_well_formed_and_asks_no_network() -> None:
    text = page(in_band(FEW))
    reader = Reader(text)
    assert reader.unclosed == []
    assert text.rstrip().endswith("</html>")
    assert not re.search(r"https?://|<pre|<script", text)
    assert EXTENT in text
    ids = [one["id"] for _, one in reader.elements if one.get("id")]
    assert len(ids) == len(set(ids))
    assert [one for one in reader.of("div") if one.get("class") == "scroll"]  # wide tables scroll, and are not cut off


def test_a_file_that_could_not_be_read_is_named_and_is_no_pass() -> None:
    reader = Reader(page(in_band(), unread=("broken.parquet",)))
    assert "broken.parquet" in reader.texts["verdict"]
    assert [one["data-state"] for one in reader.of("section") if one.get("id") == "verdict"] == ["failed"]


def test_texts_of_a_users_targets_never_become_markup() -> None:
    hostile = SHIPPED.targets[0].model_copy(update={"name": HOSTILE, "source": HOSTILE})
    text = page(judge([hostile], dict.fromkeys(STATISTICS, 0.4), ENOUGH), unread=(HOSTILE,))
    assert HOSTILE not in text
    assert Reader(text).of("script") == []


def test_there_is_a_picture_only_of_curves_that_the_events_tell() -> None:
    assert list(pictures_of(NOTHING, SHIPPED.curves)) == []
    pictures = list(pictures_of(replace(NOTHING, sizes=np.array([5, 3, 1])), SHIPPED.curves))
    assert [one.key for one in pictures] == ["sessions", "hazard"]
    images = Reader(page(in_band(), *pictures)).of("img")
    assert [one["alt"] for one in images] == [one.words for one in pictures]
    assert "30Music" in pictures[0].words


def test_a_day_without_plays_at_night_has_no_picture() -> None:
    """The curve of the day is relative to the night."""
    quarters = np.array([day * 96 + 48 for day in range(20_000, 20_014)])
    hours = {"zone": np.zeros(14, np.int64), "quarter": quarters, "plays": np.ones(14, np.int64)}
    first_ms, last_ms = 20_000 * 86_400_000, 20_014 * 86_400_000 - 1
    assert list(pictures_of(replace(NOTHING, hours=hours, first_ms=first_ms, last_ms=last_ms), {})) == []


@pytest.mark.parametrize("sizes", [[500], [400, 100], [400, 90, 10], [50, 40, 30, 20] * 30])
def test_the_axes_of_short_curves_have_plain_numbers_and_several(sizes: list[int]) -> None:
    with drawing.style():
        figure = drawing.figure_of(4.4, 3.4, 160, "constrained")
        axes = figure.subplots()
        assert curves.drawn(
            axes, curves.CURVES["sessions"], replace(NOTHING, sizes=np.array(sizes)), SHIPPED.curves["sessions"]
        )
        figure.canvas.draw()
        low, high = axes.get_xlim()
        shown = [one for one in axes.xaxis.get_ticklabels(which="both") if low <= one.get_position()[0] <= high]
        texts = [one.get_text() for one in shown if one.get_text()]
    assert len(texts) >= 2
    assert all(re.fullmatch(r"\d+", text) for text in texts), texts


def test_a_published_points_label_stands_on_the_side_that_has_room() -> None:
    with drawing.style():
        axes = drawing.figure_of(4.4, 3.4, 160, "constrained").subplots()
        points = SHIPPED.curves["sessions"]
        curves.drawn(axes, curves.CURVES["sessions"], replace(NOTHING, sizes=np.array([400, 90, 10])), points)
        sides = {note.get_text(): (note.xy[0], note.get_horizontalalignment()) for note in axes.texts}
        middles = {
            text: axes.transAxes.inverted().transform(axes.transData.transform((x, 1.0)))[0]
            for text, (x, _) in sides.items()
        }
    assert {text: side for text, (_, side) in sides.items()} == {
        text: "right" if middle > curves.MIDDLE else "left" for text, middle in middles.items()
    }
    assert set(dict(sides.values()).values()) == {"left", "right"}


@pytest.mark.parametrize(
    ("lasts_s", "said"), [(1.04, "1s"), (1.26, "1.3s"), (30.02, "30s"), (5400, "1h30m"), (86_400, "1.0 days")]
)
def test_the_extent_of_short_samples_is_said_in_their_own_unit(lasts_s: float, said: str) -> None:
    assert extent_of(15_000, Sample(7, lasts_s / 86_400)) == f"15,000 events of 7 listeners in {said}"

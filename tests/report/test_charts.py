"""The charts have a point for each window, with its figures."""

from typing import Any

import orjson
import pytest

from loadgen.record import RunRecord
from loadgen.report.charts import LEAST_MS, Chart, charts_of, from_zero, log_ms, nines
from tests.report.manifests import manifest, run_of, summary, window


def run(**changes: Any) -> RunRecord:
    """A run whose manifest is changed in these things."""
    return run_of(manifest(**changes), "m.json")


def by_key(*runs: RunRecord) -> dict[str, Chart]:
    """The charts of these runs."""
    return {chart.key: chart for chart in charts_of(runs)}


def lines_of(chart: Chart) -> dict[str, dict[str, Any]]:
    """The lines of a chart, by their names."""
    return {line["name"]: line for line in chart.figure["data"]}


def test_a_run_has_all_charts_in_this_order_and_they_are_json() -> None:
    charts = by_key(run())
    assert list(charts) == [
        *("rate", "latency-intended-to-ack", "latency-ack", "latency-schedule-lag", "spectrum"),
        *("in-flight", "active", "cpu"),
    ]
    assert all(orjson.dumps(chart.figure) for chart in charts.values())
    assert all(chart.figure["layout"]["yaxis"]["title"]["text"] for chart in charts.values())
    assert all(chart.figure["layout"]["xaxis"]["title"]["text"] for chart in charts.values())


def test_each_line_over_time_has_the_figures_of_each_window() -> None:
    charts = by_key(run())
    rate = lines_of(charts["rate"])
    assert list(rate) == ["achieved", "offered", "scheduled"]
    assert rate["achieved"]["y"] == [1000.0 - place for place in range(20)]
    assert rate["offered"]["y"] == [1000.0] * 20
    assert rate["scheduled"]["y"] == [1000.25] * 20
    assert rate["achieved"]["x"] == [place + 0.5 for place in range(20)]
    ack = lines_of(charts["latency-ack"])
    assert {name: line["y"][0] for name, line in ack.items()} == {"p50": 10.0, "p90": 20.0, "p99": 30.0, "max": 40.0}
    assert lines_of(charts["in-flight"])["in flight"]["y"] == [40 + place for place in range(20)]
    assert lines_of(charts["cpu"])["cpu"]["y"] == [0.5] * 20


def test_the_three_latencies_have_one_axis() -> None:
    charts = by_key(run())
    axes = [charts[f"latency-{name}"].figure["layout"]["yaxis"] for name in ("intended-to-ack", "ack", "schedule-lag")]
    assert axes[0] == axes[1] == axes[2]
    low, high = axes[0]["range"]
    assert 10**low <= 1.0  # the median of the schedule lag
    assert 10**high >= 80.0  # the maximum from the intended time


def test_a_window_without_events_is_a_gap_and_a_zero_is_drawn_at_the_least() -> None:
    empty = dict.fromkeys(("p50", "p90", "p99", "p999", "max"))
    zeros = dict.fromkeys(("p50", "p90", "p99", "p999", "max"), 0.0)
    windows = [window(0, ack_ms=empty), window(1, ack_ms=zeros), window(2)]
    assert lines_of(by_key(run(history=windows))["latency-ack"])["p50"]["y"] == [None, LEAST_MS, 10.0]


def test_a_window_in_which_events_are_only_waited_for_has_no_rate_of_offers() -> None:
    windows = [window(0), window(1, offered_s=0.5, planned=500), window(2, offered_s=0.0, planned=0, scheduled=0.0)]
    rate = lines_of(by_key(run(history=windows))["rate"])
    assert rate["offered"]["y"] == [1000.0, 1000.0, None]
    assert rate["scheduled"]["y"] == [1000.25, 2000.5, None]
    assert rate["achieved"]["y"] == [1000.0, 999.0, 998.0]


def test_a_run_without_a_schedule_shows_none_and_what_failed_is_shown_where_it_did() -> None:
    windows = [window(place, scheduled=None, failed=place) for place in range(3)]
    rate = lines_of(by_key(run(history=windows))["rate"])
    assert list(rate) == ["achieved", "offered", "failed or dropped"]
    assert rate["failed or dropped"]["y"] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("length_s", "title", "first"),
    [
        (1.0, "seconds since the start", 0.5),
        (60.0, "minutes since the start", 0.5),
        (3600.0, "hours since the start", 0.5),
    ],
)
def test_the_axis_of_time_has_the_unit_that_suits(length_s: float, title: str, first: float) -> None:
    windows = [window(0, start_s=place * length_s, end_s=(place + 1) * length_s) for place in range(20)]
    rate = by_key(run(history=windows))["rate"]
    assert rate.figure["layout"]["xaxis"]["title"]["text"] == title
    assert lines_of(rate)["achieved"]["x"][0] == first
    assert rate.figure["layout"]["xaxis"]["range"] == [0, 20.0]


def test_stalls_and_the_warm_up_are_marked() -> None:
    stalls = [{"from_s": 7.0, "to_s": 12.0, "due": 5}]
    marks = by_key(run(summary=summary(stalls=stalls, measured_from_s=3.0)))["cpu"].figure["layout"]["shapes"]
    assert [(mark["label"]["text"], mark["x0"], mark["x1"]) for mark in marks] == [
        ("stall", 7.0, 12.0),
        ("warm-up", 0.0, 3.0),
    ]


def test_the_spectrum_has_the_three_histograms() -> None:
    spectrum = lines_of(by_key(run())["spectrum"])
    assert list(spectrum) == ["intended to ack", "send to ack", "schedule lag"]
    assert all(len(line["x"]) == len(line["y"]) for line in spectrum.values())
    assert {(line["x"][0], line["x"][-1]) for line in spectrum.values()} == {(1.0, 20_000.0)}
    assert by_key(run(schedule_lag=None, sinks={})).get("spectrum") is None


def test_a_single_event_can_be_drawn() -> None:
    one = {"buckets": [640], "counts": [1], "sum_s": 0.002, "max_s": 0.002}
    assert lines_of(by_key(run(schedule_lag=one, sinks={}))["spectrum"])["schedule lag"]["y"][-1] == 2.0


def test_two_runs_are_laid_over_each_other() -> None:
    short = run(history=[window(place) for place in range(5)])
    charts = by_key(run(), short)
    rate = lines_of(charts["rate"])
    assert (len(rate["achieved · A"]["y"]), len(rate["achieved · B"]["y"])) == (20, 5)
    assert rate["achieved · A"]["line"]["color"] != rate["achieved · B"]["line"]["color"]
    assert charts["rate"].figure["layout"]["shapes"] == []
    ack = lines_of(charts["latency-ack"])
    assert [name for name, line in ack.items() if "visible" not in line] == ["p50 · A", "p99 · A", "p50 · B", "p99 · B"]
    assert list(lines_of(charts["cpu"])) == ["A", "B"]
    same = run()
    assert len(lines_of(by_key(same, same)["rate"])) == 6


def test_a_run_without_history_is_compared_by_its_spectrum_alone() -> None:
    assert list(by_key(run(history=[]))) == ["spectrum"]
    assert list(by_key(run(history=[], sinks={}, schedule_lag=None))) == []
    assert len(lines_of(by_key(run(), run(history=[]))["cpu"])["B"]["y"]) == 0


def test_ticks_say_their_own_unit() -> None:
    assert log_ms(0.5, 20_000.0)["ticktext"] == ["100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s"]
    assert log_ms(3.0, 40.0)["ticktext"][:6] == ["1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms"]
    assert nines(20_000.0)["ticktext"] == ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]


def test_a_run_of_one_window_is_a_line_over_all_of_it_and_not_a_dot() -> None:
    charts = by_key(run(history=[window(0)]))
    for chart in (chart for key, chart in charts.items() if key != "spectrum"):
        assert chart.figure["layout"]["xaxis"]["range"] == [0, 1.0]
        for line in chart.figure["data"]:
            assert (line["x"], len(line["y"])) == ([0.0, 1.0], 2), (chart.key, line["name"])
            assert line["y"][0] == line["y"][1]
    assert lines_of(charts["rate"])["achieved"]["y"] == [1000.0, 1000.0]


@pytest.mark.parametrize(
    ("most", "unit", "expected"),
    [
        (0, "events", {"tickformat": "", "dtick": 1, "range": [0, 1.05]}),
        (4, "listeners", {"tickformat": "", "dtick": 1, "range": [0, 4.2]}),
        (0.4, "events/s", {"tickformat": ""}),
        (2000, "events", {"tickformat": "~s"}),
    ],
)
def test_small_numbers_are_no_thousandths_and_there_is_no_half_event(
    most: float, unit: str, expected: dict[str, Any]
) -> None:
    axis = from_zero(unit, most)
    assert {name: axis[name] for name in axis if name in ("tickformat", "dtick", "range")} == expected


def test_a_run_whose_groups_are_watched_has_a_chart_of_their_lag() -> None:
    history = [window(place, lag={"app": 100 * place} | ({} if place else {"other": 7})) for place in range(4)]
    chart = by_key(run(history=history))["lag"]
    assert {name: line["y"] for name, line in lines_of(chart).items()} == {
        "app": [0, 100, 200, 300],
        "other": [7, None, None, None],
    }
    assert "app 0 to 300 and other 7 to 7" in chart.summary

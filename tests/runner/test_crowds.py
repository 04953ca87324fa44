"""Runs with several crowds: one ledger, a line for each crowd, and the same proof."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from loadgen.config import RunSettings
from loadgen.config.thresholds import threshold
from loadgen.histogram import Histogram, Histograms
from loadgen.ledger import CrowdTally, Outcome
from loadgen.runner.crowds import Crowds, CrowdState, merged, of_their_own
from loadgen.runner.thresholds import Thresholds, value_of
from tests.runner.plans import START_MS
from tests.runner.program import lines_in, run_here, start, wait_until
from tests.runner.windows import window
from tests.simulate.test_pages import TWO_PAGES
from tests.verifier.runs import START, counts_of, ran, verified

CROWDS = """
[run]
users = 2000
output = "out.jsonl"
workers = 2
[[run.crowd]]
name = "commuters"
share = 0.7
rate = "1500/s"
shape = "spike"
[[run.crowd]]
name = "fans"
share = 0.3
profile = "k-pop-release-day"
rate = "900/s"
start = 1
stop = 2
"""


def written(folder: Path, text: str = CROWDS) -> tuple[str, ...]:
    (folder / "crowds.toml").write_text(text)
    return ("--config", "crowds.toml")


def test_a_run_has_one_ledger_the_figures_of_each_crowd_and_is_proved(tmp_path: Path) -> None:
    kept = ("p99(latency, crowd=fans) < 20s", "delivered(crowd=fans) >= 899", "failed(crowd=commuters) == 0")
    flags = [word for text in kept for word in ("--threshold", text)]
    manifest = ran(tmp_path, *written(tmp_path), "--duration", "3s", "--impair", "late=0.05", *flags)
    record = orjson.loads(manifest.read_bytes())
    crowds = {crowd["name"]: crowd for crowd in record["summary"]["crowds"]}
    expected = {"commuters": 1500 * 0.298 * 3, "fans": 900}
    assert {name: crowd["delivered"] for name, crowd in crowds.items()} == pytest.approx(expected, abs=3)
    assert sum(crowd["planned"] for crowd in crowds.values()) == record["summary"]["planned"]
    assert (crowds["fans"]["users"], crowds["fans"]["target_per_s"]) == (600, pytest.approx(900))
    for name in crowds:
        over_time = [one["crowds"][name]["delivered"] for one in record["history"]]
        assert sum(over_time) == crowds[name]["delivered"]
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    assert verified(manifest, files=[str(tmp_path / "out.jsonl")]).findings.is_proved
    (tmp_path / "out.jsonl").write_bytes(b"".join(lines[:100] + lines[101:]))
    report = verified(manifest, files=[str(tmp_path / "out.jsonl")])
    assert counts_of(report) == {"lost": 1}
    assert report.shown[0].expected == lines[100][:-1]


def test_a_worker_that_dies_leaves_the_crowds_figures_and_the_proof_whole(tmp_path: Path) -> None:
    text = CROWDS.replace('output = "out.jsonl"', 'folder = "out"').replace('shape = "spike"', "")
    config = written(tmp_path, text)
    program = start(tmp_path, *START, *config, "--events", "6000", "--quiet")
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 1000)
    program.kill_a_worker()
    code, summary, shown = program.end()
    assert summary["restarts"] == 1, shown
    assert code == 0 or "MISSED" in shown  # the successor may be too late on a busy machine
    assert sum(crowd["planned"] for crowd in summary["crowds"]) == summary["planned"]
    assert sum(crowd["delivered"] for crowd in summary["crowds"]) == summary["delivered"]
    assert summary["delivered"] == len(set(lines_in(tmp_path / "out"))) == 6000
    assert verified(tmp_path / summary["manifest"], files=[str(tmp_path / "out")]).findings.is_proved


def test_crowds_that_stop_before_a_number_of_events_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    text = CROWDS.replace('shape = "spike"', "stop = 2")
    code, _, shown = run_here(tmp_path, *written(tmp_path, text), "--events", "9000")
    assert code == 2
    assert "the crowds must offer --events 9,000 before all have stopped or are silent, got 3,900" in shown
    assert not (tmp_path / "out.jsonl").exists()


def test_behaviours_with_other_pages_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pages.toml").write_text(TWO_PAGES)
    text = CROWDS.replace('profile = "k-pop-release-day"', 'behaviour = "pages.toml"')
    code, _, shown = run_here(tmp_path, *written(tmp_path, text))
    assert (code, "crowd fans must have the same pages as crowd commuters" in shown) == (2, True), shown


def crowds_of(**others: Any) -> Crowds:
    tables = [{"name": "a", "share": 0.5, "rate": 10}, {"name": "b", "share": 0.5, "rate": 20, "start": 5, "stop": 9}]
    given = {"start": START_MS, "users": 100, "duration": "20s", "discard": True, "crowd": tables}
    return Crowds(RunSettings.from_public({**given, **others}))


def tally_of(*delivered: int, planned: tuple[int, ...] = (), failed: int = 0) -> CrowdTally:
    """So many events of each crowd are delivered, after a second, and `failed` of the first have failed."""
    tally = CrowdTally.of(len(delivered))
    each = np.repeat(np.arange(len(delivered)), delivered).astype(np.uint8)
    tally.complete(Outcome.DELIVERED, each)
    tally.complete(Outcome.FAILED, np.zeros(failed, np.uint8))
    tally.intended_to_ack_s.record(np.ones(len(each)), each)
    tally.forget_in_flight()
    tally.planned += np.array(planned or [0] * len(delivered))
    return tally


def states(crowds: Crowds, *tallies: CrowdTally, every_s: float = 1.0) -> list[CrowdState]:
    return [crowds.state(tally, at * every_s, at * every_s) for at, tally in enumerate(tallies)]


def test_windows_have_what_was_added_and_add_up() -> None:
    crowds = crowds_of()
    first, second, third = states(crowds, tally_of(0, 0), tally_of(5, 2, failed=1), tally_of(9, 2, planned=(3, 0)))
    one, two = first.until(second), second.until(third)
    assert (one["a"].delivered, one["a"].failed, one["b"].delivered, two["a"].delivered) == (5, 1, 2, 4)
    assert (len(one["a"].intended_to_ack), two["a"].in_flight, two["b"].in_flight) == (5, 3, 0)
    whole = merged([one, two])
    assert (whole["a"].delivered, whole["a"].scheduled, whole["a"].on_s) == (9, 20, 2)
    assert of_their_own(whole)["a"].unfinished == 3


def test_a_rate_is_that_of_the_time_in_which_the_crowd_is_on() -> None:
    crowds = crowds_of()
    before, after = states(crowds, tally_of(0, 0), tally_of(100, 60), every_s=10.0)
    whole = window(0, 10, crowds=before.until(after))
    figures = {text: value_of(threshold(f"{text} > 1").figure, whole) for text in ("rate(crowd=a)", "rate(crowd=b)")}
    assert figures == {"rate(crowd=a)": 10.0, "rate(crowd=b)": 15.0}
    assert value_of(threshold("target(crowd=b) > 1").figure, whole) == 20.0
    assert value_of(threshold("p99(latency, crowd=b) < 9s").figure, whole) == pytest.approx(1.0, rel=0.01)
    record = crowds.records(tally_of(100, 60), before.until(after))[1]
    assert (record.achieved_per_s, record.target_per_s, record.delivered) == (15.0, 20.0, 60)


def test_a_rolling_rate_is_not_judged_before_the_crowd_begins_nor_after_it_stops() -> None:
    crowds = crowds_of()
    counts = [max(0, min(at, 9) - 5) * 20 for at in range(21)]
    listed = states(crowds, *(tally_of(at * 10, count) for at, count in enumerate(counts)))
    found = Thresholds([threshold("rate(crowd=b) >= 0.9 * target(crowd=b) over 2s")], 0.0, lambda: None)
    for at in range(20):
        part = listed[at].until(listed[at + 1])
        found.watch(window(at, at + 1, crowds=part))
    assert not any(found.broken().values())
    (judged,) = found.judged(window(0, 20, crowds=listed[0].until(listed[20])))
    assert (judged.passed, judged.value) == (True, 20.0)
    slow = Thresholds([threshold("rate(crowd=b) >= 30 over 2s")], 0.0, lambda: None)
    for at in range(20):
        slow.watch(window(at, at + 1, crowds=listed[at].until(listed[at + 1])))
    assert any(slow.broken().values())


def test_histograms_by_group_are_those_of_each_group_alone() -> None:
    generator = np.random.default_rng(5)
    values_s, group = generator.exponential(0.1, 20_000), generator.integers(0, 3, 20_000).astype(np.uint8)
    found, other = Histograms(3), Histograms(3)
    for at in range(0, 15_000, 1000):
        found.record(values_s[at : at + 1000], group[at : at + 1000])
    values_s[15_000:16_000] = 0.25  # these were sent together
    other.record(values_s[15_000:16_000], group[15_000:16_000])
    other.record(values_s[16_000:], group[16_000:])
    found.merge(other)
    for number in range(3):
        alone = Histogram()
        alone.record(values_s[group == number])
        one = found.one(number)
        assert (one.counts == alone.counts).all()
        assert one.max_s == alone.max_s
        assert one.sum_s == pytest.approx(alone.sum_s)


def test_the_report_has_a_row_and_a_line_for_each_crowd(tmp_path: Path) -> None:
    flags = ("--duration", "2s", "--report", "run.html", "--discard")
    text = CROWDS.replace('output = "out.jsonl"\n', "").replace("stop = 2\n", "")
    ran(tmp_path, *written(tmp_path, text), *flags)
    page = (tmp_path / "run.html").read_text()
    for wanted in ('id="crowds"', "Rate by crowd", "Latency by crowd, p99", "commuters", "fans"):
        assert wanted in page

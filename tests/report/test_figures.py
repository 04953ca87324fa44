"""The difference of two runs: by how much, and whether that is better or worse."""

from typing import Any

import pytest

from loadgen.ledger import cost_us
from loadgen.record import RunRecord
from loadgen.report.figures import FIGURES, Difference, differences
from tests.report.manifests import manifest, run_of, summary

BY_KEY = {figure.key: figure for figure in FIGURES}


def run(**changes: Any) -> RunRecord:
    """A run whose summary is changed in these things."""
    return run_of(manifest(summary=summary(**changes)), "m.json")


@pytest.mark.parametrize(
    ("key", "a", "b", "change", "mark"),
    [
        ("achieved_per_s", 1000.0, 1100.0, "+10.0 %", "▲ better"),
        ("achieved_per_s", 1000.0, 900.0, "-10.0 %", "▼ worse"),
        ("ack_ms.p99", 30.0, 15.0, "-50.0 %", "▼ better"),
        ("ack_ms.p99", 30.0, 45.0, "+50.0 %", "▲ worse"),
        ("ack_ms.p99", 1.0, 2500.0, "×2,500", "▲ worse"),
        ("achieved_per_s", 1000.0, 992.0, "-0.8 %", "≈ within noise"),
        ("ack_ms.p99", 30.0, 31.0, "+3.3 %", "≈ within noise"),
        ("failed", 100, 101, "+1.0 %", "▲ worse"),
        ("cpu_us_per_event", 2.0, 2.0009, "0.0 %", "equal"),
        ("planned", 100, 200, "+100.0 %", "▲"),
        ("failed", 0, 5, "from 0", "▲ worse"),
        ("failed", 5, 0, "-100.0 %", "▼ better"),
        ("failed", 0, 0, "0.0 %", "equal"),
        ("target_per_s", None, 5.0, "–", "–"),
    ],
)
def test_a_difference_says_its_direction_and_its_meaning(
    key: str, a: float | None, b: float | None, change: str, mark: str
) -> None:
    found = Difference(BY_KEY[key], a, b)
    assert (found.change_words, found.mark) == (change, mark)


def test_every_figure_is_that_of_the_summary() -> None:
    one = run()
    values = {figure.key: figure.of(one) for figure in FIGURES}
    assert values["achieved_per_s"] == 999.5
    assert values["share_of_target"] == 0.9995
    assert values["intended_to_ack_ms.p999"] == 44.5
    assert values["schedule_lag_ms.max"] == 5.0
    assert values["cpu_us_per_event"] == 500.0
    assert values["cores"] == 0.5
    assert len(BY_KEY) == len(FIGURES)


def test_what_neither_run_knows_and_what_rarely_happens_is_left_out() -> None:
    free = run(target_per_s=None)
    keys = [found.figure.key for found in differences(free, free)]
    assert not {"target_per_s", "share_of_target", "restarts", "repeated_possibly"} & set(keys)
    assert "failed" in keys
    keys = [found.figure.key for found in differences(run(restarts=1), run(target_per_s=None))]
    assert {"target_per_s", "restarts"} <= set(keys)


def test_an_empty_run_has_no_shares_and_no_cost_per_event() -> None:
    empty = run(planned=0, delivered=0, target_per_s=0.0, elapsed_s=0.0)
    values = {figure.key: figure.of(empty) for figure in FIGURES}
    assert (values["share_of_target"], values["cpu_us_per_event"], values["cores"]) == (None, None, None)


@pytest.mark.parametrize(
    ("cpu_s", "n_planned", "cost"),
    [(10.0, 100_000, 100.0), (4.9, 100_000, None), (10.0, 9_999, None), (0.0, 0, None), (0.3, 90, None)],
)
def test_what_an_event_costs_is_told_where_the_cpu_time_went_to_events(
    cpu_s: float, n_planned: int, cost: float | None
) -> None:
    assert cost_us(cpu_s, n_planned, elapsed_s=10.0, n_workers=2) == cost

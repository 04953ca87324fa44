"""Thresholds are kept or broken as they say: at the end, every second, or over the last seconds."""

import math
from typing import Any

import pytest

from loadgen.config.thresholds import threshold
from loadgen.runner.history import Window
from loadgen.runner.thresholds import ThresholdResult, Thresholds, value_of
from tests.runner.windows import window


def seconds(**columns: list[Any]) -> list[Window]:
    """A window a second with these values, one of each column."""
    n = len(next(iter(columns.values())))
    return [window(at, at + 1, **{name: values[at] for name, values in columns.items()}) for at in range(n)]


class Run:
    """Thresholds that are told windows, and what they say."""

    def __init__(self, *exprs: str, warm_up_s: float = 0.0) -> None:
        self.stops = 0
        self.thresholds = Thresholds([threshold(expr) for expr in exprs], warm_up_s, self._stop)

    def _stop(self) -> None:
        self.stops += 1

    def told(self, windows: list[Window]) -> "Run":
        """Watch them all."""
        for one in windows:
            self.thresholds.watch(one)
        return self

    def judged(self, whole: Window) -> ThresholdResult:
        """What became of the only one."""
        (found,) = self.thresholds.judged(whole)
        return found


LATENCIES = [0.010] * 50 + [0.020] * 40 + [0.100] * 9 + [1.0]
WHOLE = window(
    2.0,
    12.0,
    offered_s=8.0,
    scheduled=1600.0,
    planned=1000,
    delivered=900,
    failed=60,
    dropped=30,
    unfinished=10,
    ack=LATENCIES,
    intended_to_ack=[2 * one for one in LATENCIES],
    schedule_lag=[0.005] * 10,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p50(ack)", 0.010),
        ("p90(ack)", 0.020),
        ("p95(ack)", 0.100),
        ("p99(ack)", 0.100),
        ("p99.9(ack)", 1.0),
        ("p999(ack)", 1.0),
        ("max(ack)", 1.0),
        ("mean(ack)", (0.5 + 0.8 + 0.9 + 1.0) / 100),
        ("p50(latency)", 0.020),
        ("p50(intended_to_ack)", 0.020),
        ("max(schedule_lag)", 0.005),
        ("planned", 1000),
        ("delivered", 900),
        ("failed", 60),
        ("dropped", 30),
        ("unfinished", 10),
        ("rate", 90.0),
        ("target", 200.0),
    ],
)
def test_each_figure_is_what_its_name_says(name: str, value: float) -> None:
    figure = threshold(f"{name} < {'1s' if '(' in name else '1'}").figure
    assert value_of(figure, WHOLE) == pytest.approx(value, rel=0.01)
    judged = Run(f"{name} <= 1000 * {name}").judged(WHOLE)
    assert judged.passed
    assert judged.limit == pytest.approx(1000 * judged.value)


@pytest.mark.parametrize(
    ("op", "holds"),
    [("<", (1, 0, 0)), ("<=", (1, 1, 0)), (">", (0, 0, 1)), (">=", (0, 1, 1)), ("==", (0, 1, 0)), ("!=", (1, 0, 1))],
)
def test_the_operators_hold_below_at_and_above_the_limit(op: str, holds: tuple[int, int, int]) -> None:
    for failed, expected in zip((59, 60, 61), holds, strict=True):
        for expr in (f"failed {op} 60", f"failed {op} 6% * planned", f"failed {op} 60 over 3s"):
            run = Run(expr).told(seconds(failed=[20, 20, failed - 40]))
            judged = run.judged(window(0, 3, failed=failed, planned=1000))
            assert judged.passed == bool(expected), (expr, failed)
            assert judged.value == failed
            assert judged.limit == 60


def test_a_window_breaks_it_for_good_and_the_worst_is_remembered() -> None:
    latencies = [[0.01], [0.01], [0.3], [0.01], [0.01], [0.01], [0.7], [0.01], [0.01], [0.01]]
    run = Run("max(ack) < 200ms over 2s").told(seconds(ack=latencies))
    judged = run.judged(window(0, 10, ack=[0.01]))
    assert not judged.passed
    assert (judged.value, judged.at_s, judged.worst, judged.worst_at_s) == pytest.approx((0.3, 3.0, 0.7, 7.0), rel=0.01)
    assert judged.sentence() == ("max(ack) < 200ms over 2s is broken: 300.0 ms at 3.0 s, at worst 700.0 ms at 7.0 s")
    assert judged.record().model_dump() == {
        "expr": "max(ack) < 200ms over 2s",
        "passed": False,
        "value": 300.0,
        "limit": 200.0,
        "worst": 700.0,
        "unit": "ms",
        "at_s": 3.0,
        "worst_at_s": 7.0,
    }


def test_a_rolling_window_is_of_the_last_seconds_and_not_of_single_ones() -> None:
    delivered = [100, 100, 40, 100, 100, 60, 60, 100, 100]
    whole = window(0, 9, delivered=sum(delivered))
    judged = Run("rate >= 75 over 3s").told(seconds(delivered=delivered)).judged(whole)
    assert not judged.passed
    assert (judged.value, judged.at_s) == pytest.approx((220 / 3, 7.0))
    assert Run("rate >= 73 over 3s").told(seconds(delivered=delivered)).judged(whole).passed
    kept = Run("rate >= 50 over 2s").told(seconds(delivered=delivered)).judged(whole)
    assert (kept.passed, kept.value, kept.worst, kept.worst_at_s) == (True, 100.0, 60.0, 7.0)
    assert kept.sentence() == "rate >= 50 over 2s: 100.0/s, at worst 60.0/s at 7.0 s"
    assert math.isnan(kept.at_s)


def test_it_is_judged_once_the_window_has_passed_after_the_warm_up() -> None:
    bad_start = seconds(ack=[[9.0], [9.0], [9.0], [0.1], [0.1], [0.1]])
    assert Run("max(ack) < 1s over 2s", warm_up_s=2.5).told(bad_start).judged(window(3, 6, ack=[0.1])).passed
    early = Run("max(ack) < 1s over 2s", warm_up_s=1.5).told(bad_start)
    assert early.judged(window(2, 6, ack=[9.0])).at_s == 4.0  # of the seconds 2 to 4
    counts = Run("failed == 0", warm_up_s=2.0).told(seconds(failed=[5, 5, 0, 0]))
    assert counts.judged(window(2, 4)).passed


def test_a_run_shorter_than_the_window_is_judged_over_what_there_was() -> None:
    run = Run("rate >= 100 over 30s").told(seconds(delivered=[50, 50]))
    judged = run.judged(window(0, 2.5, delivered=100))
    assert not judged.passed
    assert judged.sentence() == "rate >= 100 over 30s is broken: 40.0/s over the 2.5 s that there were at 2.5 s"
    kept = run.thresholds.judged(window(0, 2.5, delivered=1000))[0]
    assert kept.sentence() == "rate >= 100 over 30s: 400.0/s over the 2.5 s that there were"


def test_an_upper_limit_of_a_count_or_a_maximum_is_broken_the_second_it_is() -> None:
    windows = seconds(failed=[0, 1, 0, 2], ack=[[0.1], [0.2], [2.0], [3.0]])
    whole = window(0, 4, failed=3, ack=[0.1, 0.2, 2.0, 3.0])
    failed = Run("failed == 0").told(windows).judged(whole)
    assert (failed.passed, failed.value, failed.at_s, failed.worst, failed.worst_at_s) == (False, 1, 2.0, 3, 4.0)
    assert failed.sentence() == "failed == 0 is broken: 1 at 2.0 s, at worst 3 at 4.0 s"
    slow = Run("max(ack) <= 1s").told(windows).judged(whole)
    assert (slow.value, slow.at_s, slow.worst) == pytest.approx((2.0, 3.0, 3.0), rel=0.01)
    assert Run("failed < 4").told(windows).judged(whole).passed
    assert not Run("failed == 4").told(windows).judged(whole).passed  # too few are known at the end only


def test_abort_ends_the_run_once_and_only_when_it_is_broken() -> None:
    windows = seconds(failed=[0, 1, 0, 2], ack=[[0.1], [0.2], [2.0], [0.1]], in_flight=[0, 7, 0, 0])
    for expr, stops_after in [
        ("failed == 0 abort", 2),
        ("failed <= 2 abort", 4),
        ("failed <= 3 abort", None),
        ("failed == 0", None),
        ("max(ack) < 1s abort", 3),
        ("p99(ack) < 1s over 2s abort", 3),
        ("mean(ack) < 1s over 3s abort", None),
        ("in_flight < 7 abort", 2),
    ]:
        run, stopped_after = Run(expr), None
        for n, one in enumerate(windows, 1):
            run.told([one])
            stopped_after = stopped_after or (n if run.stops else None)
        assert stopped_after == stops_after, expr
        assert run.stops <= 1, expr


@pytest.mark.parametrize("name", ["in_flight", "active"])
def test_a_gauge_is_judged_every_second_or_as_a_mean_of_several(name: str) -> None:
    windows, whole = seconds(**{name: [10, 90, 20, 30]}), window(0, 4)
    each = Run(f"{name} < 50").told(windows).judged(whole)
    assert (each.passed, each.value, each.at_s) == (False, 90, 2.0)
    assert Run(f"{name} < 91").told(windows).judged(whole).passed
    mean = Run(f"{name} < 56 over 2s").told(windows).judged(whole)
    assert (mean.passed, mean.worst, mean.value) == (True, 55, 25)


def test_no_event_no_latency_to_judge_and_that_is_shown() -> None:
    judged = Run("p99(ack) < 1ms over 1s").told(seconds(planned=[1, 2, 3])).judged(window(0, 3))
    assert judged.passed
    assert judged.sentence() == "p99(ack) < 1ms over 1s: no data"
    assert (judged.record().model_dump()["value"], judged.record().model_dump()["at_s"]) == (None, None)
    assert Run("p99(ack) <= 2 * p99(schedule_lag)").judged(window(0, 3, ack=[9.0])).passed
    gap = Run("max(ack) < 1s over 1s").told(seconds(ack=[[0.1], [], [5.0], []]))
    assert gap.judged(window(0, 4, ack=[5.0])).at_s == 3.0


@pytest.mark.parametrize("expr", ["rate >= 90 over 2s", "delivered >= 150 over 2s", "in_flight >= 1", "active >= 1"])
def test_what_is_offered_no_more_breaks_no_lower_limit(expr: str) -> None:
    going = seconds(delivered=[100, 100, 100], in_flight=[5, 5, 5], active=[9, 9, 9])
    drain = [window(at, at + 1, offered_s=0.0, delivered=1) for at in (3, 4)]
    assert Run(expr).told([*going, *drain]).judged(window(0, 5, delivered=302)).passed
    assert not Run(expr).told([*going, window(3, 4), window(4, 5)]).judged(window(0, 5, delivered=300)).passed


def test_latencies_and_failures_count_while_the_last_events_are_waited_for() -> None:
    drain = [window(at, at + 1, offered_s=0.0, failed=1, ack=[6.0]) for at in (3, 4)]
    for expr in ("failed == 0 over 1s", "max(ack) < 5s over 1s", "failed <= 1% * planned over 2s"):
        run = Run(expr).told([*seconds(planned=[9, 9, 9]), *drain])
        assert not run.judged(window(0, 5, planned=27)).passed, expr


def test_a_reference_is_of_the_same_window() -> None:
    windows = seconds(delivered=[100, 190, 290], scheduled=[100.0, 200.0, 300.0])
    whole = window(0, 3, delivered=580, scheduled=600.0)
    judged = Run("rate >= 0.95 * target over 1s").told(windows).judged(whole)
    assert judged.passed
    assert judged.limit == pytest.approx(285)
    assert judged.sentence().startswith("rate >= 0.95 * target over 1s: 290.0/s, against 285.0/s, at worst")
    assert Run("rate >= 0.96 * target over 1s").told(windows).judged(whole).at_s == 2.0
    assert Run("rate >= 0.96 * target").told(windows).judged(whole).passed

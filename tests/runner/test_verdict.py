"""What a run's figures mean: the rate, what limited it, and nothing that was not measured."""

from dataclasses import replace

import numpy as np
import pytest

from loadgen.config.thresholds import threshold
from loadgen.runner.messages import Activity, Seconds, empty_snapshot
from loadgen.runner.stalls import Stall
from loadgen.runner.thresholds import Thresholds
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import Verdict, judge, summary, verdict_lines
from tests.runner.test_totals import snapshot, sum_of, tally
from tests.runner.windows import recorded, verdict_of, window

SPEC_KEYS = [
    *("planned", "delivered", "failed", "dropped", "unfinished", "aborted", "repeated_possibly", "bytes", "elapsed_s"),
    "cpu_s",
    *("target_per_s", "achieved_per_s", "schedule_lag_ms", "ack_ms", "intended_to_ack_ms", "limited_by", "seed"),
    *("manifest", "exit_reason"),
]
MORE_KEYS = [
    "restarts",
    "impaired",
    "sinks",
    "scheduled",
    "measured_from_s",
    "stalls",
    "thresholds",
    "groups",
    "end_to_end_ms",
    "far_end",
    "crowds",
    "cut_short",
    "recording",
]


@pytest.mark.parametrize(
    ("scheduled", "offered_s", "late", "dropped", "kept"),
    [
        (1000, 10.0, 0, 0, True),  # on target and on time
        (1010, 10.0, 1000, 0, True),  # 1 % below
        (1011, 10.0, 1000, 0, False),  # more than 1 % below, and late
        (1000, 5.0, 0, 0, True),  # half the target, since the last reports came so late; all was sent on time
        (1000, 5.0, 10, 0, True),
        (1000, 5.0, 11, 0, False),  # more than 1 % was sent late
        (2000, 10.0, 0, 0, False),  # what was sent was on time, half of what was due was never sent
        (2000, 10.0, 0, 1000, False),  # or was given up
        (1060, 10.0, 0, 0, True),  # the events of the last half second were not sent when the run was told to end
        (1070, 10.0, 0, 0, False),
    ],
)
def test_a_schedule_is_kept_when_the_rate_or_the_times_were_right(
    scheduled: int, offered_s: float, late: int, dropped: int, kept: bool
) -> None:
    lags_s = [1.1] * late + [0.9] * (1000 - late)
    measured = window(0, 10, scheduled=scheduled, offered_s=offered_s, planned=1000 + dropped, delivered=1000)
    measured = replace(measured, dropped=dropped, schedule_lag=recorded(lags_s))
    verdict = judge(Totals(seconds=Seconds(generate=9.0)), measured, 10.0, "duration")
    assert verdict.achieved_per_s == 100.0
    assert verdict.target_per_s == pytest.approx(scheduled / offered_s)
    assert verdict.limited_by == ("schedule" if kept else "generator CPU")
    assert verdict.kept == (not verdict.missed_target) == kept


def test_without_a_schedule_there_is_no_target_to_miss() -> None:
    verdict = verdict_of(sum_of([snapshot("files", delivered=1000)]), 10.0)
    assert verdict.target_per_s is None
    assert verdict.limited_by == "disk"
    assert not verdict.missed_target


def test_a_run_without_events_kept_its_schedule_and_achieved_nothing() -> None:
    verdict = verdict_of(Totals(), 0.0, 0.0, "duration")
    assert (verdict.limited_by, verdict.achieved_per_s, verdict.target_per_s) == ("schedule", 0.0, 0.0)
    assert verdict.kept


def test_a_generator_that_sent_nothing_of_what_was_due_did_not_keep_its_schedule() -> None:
    verdict = verdict_of(Totals(), 10.0, 100.0, "duration")
    assert verdict.missed_target
    assert verdict.limited_by == "unknown"


@pytest.mark.parametrize(
    ("sink", "seconds", "slow_s", "cause"),
    [
        ("kafka", Seconds(generate=5, send=1, full=2), 0.0, "generator CPU"),
        ("kafka", Seconds(generate=1, send=2, full=2.7), 0.0, "generator CPU"),
        ("kafka", Seconds(generate=1, send=2, full=2.9), 0.0, "unknown"),  # about the same
        ("kafka", Seconds(generate=1, send=2, full=3.2), 0.0, "unknown"),
        ("kafka", Seconds(generate=1, send=2, full=3.4), 0.0, "full queue"),
        ("kafka", Seconds(generate=1, send=1, full=5), 2.5, "full queue"),
        ("kafka", Seconds(generate=1, send=1, full=5), 2.6, "broker round trip"),
        ("kafka", Seconds(idle=60), 0.0, "unknown"),  # nothing measured
        ("files", Seconds(generate=5, send=4, full=0), 0.0, "generator CPU"),
        ("files", Seconds(generate=5, send=5, full=0), 0.0, "unknown"),
        ("files", Seconds(generate=5, send=6, full=0), 0.0, "disk"),
        ("stream", Seconds(generate=5, send=3, full=3), 0.0, "disk"),
        ("null", Seconds(generate=5, send=1, idle=60), 0.0, "generator CPU"),
        ("null", Seconds(), 0.0, "unknown"),
    ],
)
def test_what_the_workers_clearly_spent_their_time_on_is_what_limited_the_run(
    sink: str, seconds: Seconds, slow_s: float, cause: str
) -> None:
    totals = Totals(tallies={sink: tally(delivered=10)}, seconds=seconds, slow_s=slow_s)
    assert verdict_of(totals, 1.0).limited_by == cause


def test_events_in_flight_when_the_warm_up_ended_make_no_rate() -> None:
    # 900 events were in flight at 2 s; 8,000 were planned after that
    measured = window(2, 6, scheduled=8000, planned=8000, delivered=8880, failed=20, schedule_lag=[0.1])
    verdict = judge(Totals(), measured, 6.0, "duration")
    assert verdict.achieved_per_s == pytest.approx((8000 - 20) / 4)
    assert verdict.target_per_s == 2000.0
    assert (verdict.measured.delivered, verdict.measured.failed) == (7980, 20)


def test_what_is_in_flight_at_the_end_is_unfinished() -> None:
    verdict = judge(Totals(), window(planned=10, delivered=7, unfinished=1, in_flight=2), 1.0, "interrupted")
    assert (verdict.measured.delivered, verdict.measured.unfinished) == (7, 3)


def test_a_run_that_ended_in_its_warm_up_claims_nothing() -> None:
    totals = Totals(seconds=Seconds(generate=9.0))
    asked = Thresholds([threshold("failed == 0")], 10.0, lambda: None)
    verdict = judge(totals, window(3, 3), 3.0, "events", thresholds=asked)
    assert verdict.in_warm_up
    assert not verdict.kept
    assert not verdict.missed_target
    assert verdict.limited_by == "unknown"
    assert [judged.passed for judged in verdict.thresholds] == [False]
    lines = list(verdict_lines(totals, verdict))
    assert "the run ended in its warm-up: nothing was measured; lower --warm-up, or let it run longer" in lines
    assert lines[-1] == "✗ failed == 0: no data, the run ended in its warm-up"
    assert summary(totals, verdict, 1, "m.json").model_dump()["measured_from_s"] is None


def test_a_stall_in_the_warm_up_is_not_in_the_verdict() -> None:
    stalls = [Stall(0.0, 2.0, 5), Stall(1.5, 3.5, 5), Stall(5.0, 6.0, 5)]
    assert judge(Totals(), window(2.0, 9.0), 9.0, "events", stalls=stalls).stalls == stalls[1:]


def lines_of(**values: object) -> list[str]:
    """The verdict on a run of ten seconds at 100/s."""
    given = {"scheduled": 1000.0, "planned": 1000, "delivered": 1000, "schedule_lag": [0.001] * 1000} | values
    stalls = given.pop("stalls", ())
    totals = sum_of([snapshot("kafka", delivered=1000)])
    return list(verdict_lines(totals, judge(totals, window(0, 10, **given), 10.0, "events", stalls=stalls)))  # type: ignore[arg-type]


def test_the_latency_is_the_one_from_the_intended_time_and_says_so_where_the_other_is_less() -> None:
    hidden = lines_of(intended_to_ack=[0.02] * 90 + [4.0] * 10, ack=[0.02] * 100)
    assert hidden[1] == (
        "latency 20.1 / 4,000.0 / 4,000.0 ms from the intended time to the ack; 20.0 / 20.0 / 20.0 ms from the send, "
        "which hides how long events waited before: p999 is 4,000.0 ms, not 20.0 ms"
    )
    shown = lines_of(intended_to_ack=[0.025] * 100, ack=[0.02] * 100)
    assert shown[1] == "latency 25.0 / 25.0 / 25.0 ms from the intended time to the ack"


def test_the_longest_stall_is_named_and_the_others_are_counted() -> None:
    stalls = [Stall(1.0, 2.5, 300), Stall(12.04, 17.1, 60_000), Stall(20.0, 21.0, 1)]
    named = "nothing was delivered from 12.0 s to 17.1 s (5.1 s) although 60,000 events were due"
    assert lines_of(stalls=stalls[1:2])[1] == named
    assert lines_of(stalls=stalls[1:])[1] == f"{named}; 1 more such stretch"
    assert lines_of(stalls=stalls)[1] == f"{named}; 2 more such stretches"
    totals = sum_of([snapshot("kafka", delivered=1000)])
    unpaced = list(verdict_lines(totals, verdict_of(totals, 30.0, stalls=stalls[1:2])))
    assert any("although 60,000 events were in flight" in line for line in unpaced)


def test_a_target_that_was_missed_is_said_with_the_cause_or_that_it_is_not_clear() -> None:
    def limit(totals: Totals, target_per_s: float | None) -> str:
        totals.tallies = {"kafka": tally(delivered=500)}
        return next(line for line in verdict_lines(totals, verdict_of(totals, 10.0, target_per_s)) if "limited" in line)

    busy, unclear = Totals(seconds=Seconds(full=5.0)), Totals()
    assert limit(busy, 100.0) == "the generator MISSED its own target, 50.0% of it was achieved: limited by full queue"
    assert limit(unclear, 100.0).endswith("50.0% of it was achieved: what limited it is not clear")
    assert limit(busy, None) == "limited by full queue"
    assert limit(unclear, None) == "what limited it is not clear"


def test_the_summary_has_the_documented_keys_first_and_in_their_order() -> None:
    first, second = snapshot("kafka", "files", delivered=1000, failed=3), empty_snapshot()
    first.impaired, second.impaired = {"late": 2, "drop": 1}, {"late": 3, "drop": 0}
    totals = sum_of([first, second])
    verdict = replace(verdict_of(totals, 2.00049, 500.1234), achieved_per_s=499.9999, stalls=[Stall(0.5, 1.75, 7)])
    found = summary(totals, verdict, 42, "m.json").model_dump()
    assert list(found) == SPEC_KEYS + MORE_KEYS
    assert (found["planned"], found["delivered"], found["failed"], found["bytes"]) == (1003, 1000, 3, 100_000)
    assert (found["elapsed_s"], found["target_per_s"], found["achieved_per_s"]) == (2.0, 500.123, 500.0)
    assert (found["scheduled"], found["measured_from_s"]) == (1000.492, 0.0)
    assert found["impaired"] == {"late": 5, "drop": 1}
    assert found["stalls"] == [{"from_s": 0.5, "to_s": 1.75, "due": 7}]
    counts = {"planned": 1003, "delivered": 1000, "failed": 3, "dropped": 0, "unfinished": 0, "aborted": 0}
    assert found["sinks"]["files"] == counts
    for name, value_ms in (("schedule_lag_ms", 1.0), ("ack_ms", 4.0), ("intended_to_ack_ms", 9.0)):
        assert list(found[name]) == ["p50", "p90", "p99", "p999", "max"]
        assert list(found[name].values()) == pytest.approx([value_ms] * 5, rel=0.01)


def test_after_a_warm_up_the_summary_has_the_latencies_of_the_rest_and_the_counts_of_all() -> None:
    totals = sum_of([snapshot("kafka", delivered=1000)])
    measured = window(5, 10, planned=400, delivered=400, ack=[0.5] * 400, intended_to_ack=[0.6] * 400)
    found = summary(totals, judge(totals, measured, 10.0, "events", paced=False), 1, "m.json").model_dump()
    assert (found["planned"], found["delivered"], found["achieved_per_s"]) == (1000, 1000, 80.0)
    assert (found["ack_ms"]["max"], found["intended_to_ack_ms"]["max"]) == (500.0, 600.0)
    assert found["schedule_lag_ms"]["p50"] is None


def test_a_summary_without_events_has_no_numbers_that_are_not_numbers() -> None:
    asked = Thresholds([threshold("p99(ack) < 1s"), threshold("p99(ack) < 1s over 5s")], 0.0, lambda: None)
    totals = Totals(scheduled=np.nan)
    found = summary(totals, verdict_of(totals, 0.0, None, "interrupted", thresholds=asked), 1, "m.json").model_dump()
    assert list(found) == SPEC_KEYS + MORE_KEYS
    assert found["target_per_s"] is found["scheduled"] is None
    assert set(found["ack_ms"].values()) == {None}
    assert [(one["value"], one["worst"], one["at_s"]) for one in found["thresholds"]] == [(None, None, None)] * 2
    assert [one["passed"] for one in found["thresholds"]] == [True, True]


def test_a_verdict_is_kept_only_where_target_and_thresholds_are() -> None:
    def kept(expr: str, target_per_s: float) -> bool:
        asked = Thresholds([threshold("failed == 0"), threshold(expr)], 0.0, lambda: None)
        verdict: Verdict = verdict_of(sum_of([snapshot("kafka", delivered=100)]), 5.0, target_per_s, thresholds=asked)
        return verdict.kept

    assert kept("delivered == 100", 20.0)
    assert not kept("delivered == 101", 20.0)
    assert not kept("delivered == 100", 40.0)


@pytest.mark.parametrize(
    ("events", "cpu_s", "is_shown"),
    [
        (100_000, 10.0, True),
        (100_000, 4.9, False),  # two workers that mostly waited: it is what waiting costs
        (9_999, 10.0, False),  # it is what starting costs
        (0, 0.5, False),
    ],
)
def test_what_an_event_costs_is_shown_where_events_are_what_the_cpu_time_went_to(
    events: int, cpu_s: float, is_shown: bool
) -> None:
    totals = sum_of([snapshot("kafka", delivered=events)])
    totals.cpu_s, totals.activities = cpu_s, [Activity(), Activity()]
    rates = next(verdict_lines(totals, verdict_of(totals, 10.0, 1000.0)))
    assert (f"{cpu_s / max(events, 1) * 1e6:.2f} µs CPU an event" in rates) == is_shown


@pytest.mark.parametrize("reason", ["error", "interrupted twice"])
def test_of_a_run_that_was_broken_off_nothing_is_said_of_its_schedule(reason: str) -> None:
    totals = sum_of([snapshot("kafka", delivered=1000)])
    verdict = judge(
        totals, window(0, 10, scheduled=1000, planned=1000, delivered=1000), 10.0, reason, cut_short="so far"
    )
    lines = list(verdict_lines(totals, verdict))
    assert lines[0] == "so far"
    assert not any("schedule was kept" in line or "MISSED" in line for line in lines)
    assert (verdict.kept, verdict.missed_target, verdict.limited_by) == (False, False, "unknown")
    assert "every event that was planned until then was delivered" in lines


def test_a_run_that_was_stopped_speaks_for_no_more_than_was_run() -> None:
    totals = sum_of([snapshot("kafka", delivered=1000)])
    measured = window(0, 10, scheduled=1000, planned=1000, delivered=1000)
    verdict = judge(totals, measured, 10.0, "terminated early", cut_short="stopped after 10.0 s of 60.0 s: SIGTERM")
    lines = list(verdict_lines(totals, verdict))
    assert lines[0] == "stopped after 10.0 s of 60.0 s: SIGTERM"
    assert lines[-2:] == [
        "until then the schedule was kept: the offered load is what was asked for",
        "every event that was planned until then was delivered",
    ]
    assert verdict.kept

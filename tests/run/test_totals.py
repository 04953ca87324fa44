"""The totals are the sum of the workers, and the verdict follows from them."""

import numpy as np
import pytest

from loadgen.histogram import Histogram
from loadgen.ledger import Outcome, Tally
from loadgen.run.messages import Seconds, Snapshot, empty_snapshot
from loadgen.run.totals import Totals, Verdict, judge, settled_only, sum_of, summary

SPEC_KEYS = [
    *("planned", "delivered", "failed", "dropped", "unfinished", "repeated_possibly", "bytes", "elapsed_s", "cpu_s"),
    *("target_per_s", "achieved_per_s", "schedule_lag_ms", "ack_ms", "intended_to_ack_ms", "limited_by", "seed"),
    *("manifest", "exit_reason"),
]
MORE_KEYS = ["restarts", "impaired", "sinks"]


def tally(delivered: int = 0, failed: int = 0, in_flight: int = 0) -> Tally:
    found = Tally(in_flight=in_flight, bytes_delivered=100 * delivered)
    found.by_page[Outcome.DELIVERED, 1] = delivered
    found.by_page[Outcome.FAILED, 2] = failed
    found.ack_s.record(np.full(delivered, 0.004))
    found.intended_to_ack_s.record(np.full(delivered, 0.009))
    return found


def snapshot(*names: str, lag_s: float = 0.001, **values: int) -> Snapshot:
    lag = Histogram()
    lag.record(np.full(values.get("delivered", 0), lag_s))
    found = empty_snapshot()
    found.tallies = {name: tally(**values) for name in names}
    found.schedule_lag_s, found.active, found.simulated_ms, found.cpu_s = lag, 7, 1000 + len(names), 0.25
    found.seconds = Seconds(generate=1.0, send=2.0, full=3.0, idle=4.0)
    return found


def test_totals_are_the_sum_of_the_workers() -> None:
    first, second = snapshot("files", delivered=10, failed=1), snapshot("files", delivered=5, in_flight=2)
    second.simulated_ms, second.round_trip_s = 5000, 0.2
    totals = sum_of([first, second])
    assert totals.headline.counts() == {"planned": 18, "delivered": 15, "failed": 1, "dropped": 0, "unfinished": 2}
    assert (totals.headline.bytes_delivered, totals.active, totals.simulated_ms) == (1500, 14, 5000)
    assert (totals.cpu_s, totals.round_trip_s, len(totals.schedule_lag_s)) == (0.5, 0.2, 15)
    assert totals.seconds == Seconds(generate=2.0, send=4.0, full=6.0, idle=8.0)


def test_adding_up_changes_no_snapshot() -> None:
    first = snapshot("files", delivered=10)
    sum_of([first, first])
    assert first.tallies["files"].planned == 10


def test_a_dead_workers_events_in_flight_are_left_to_its_successor() -> None:
    dead = settled_only(snapshot("kafka", "files", delivered=10, in_flight=5))
    assert [found.planned for found in dead.tallies.values()] == [10, 10]
    assert dead.active == 0


def test_a_run_is_perfect_only_when_every_sink_delivered_every_event() -> None:
    assert sum_of([snapshot("kafka", "files", delivered=3)]).perfect
    assert Totals().perfect
    totals = sum_of([snapshot("kafka", delivered=3)])
    totals.tallies["files"] = tally(delivered=2, in_flight=1)
    assert not totals.perfect
    totals.tallies["files"] = tally(delivered=2, failed=1)
    assert not totals.perfect


@pytest.mark.parametrize(
    ("target_per_s", "lag_s", "kept"),
    [
        (100.0, 0.010, True),  # on target and on time
        (101.0, 5.000, True),  # 1 % below
        (101.1, 5.000, False),  # more than 1 % below, and late
        (200.0, 0.900, True),  # half the target over a short run, but every event was on time
        (200.0, 1.100, False),
        (None, 0.000, False),  # no schedule: something else is the limit
    ],
)
def test_a_schedule_is_kept_when_the_rate_or_the_times_were_right(
    target_per_s: float | None, lag_s: float, kept: bool
) -> None:
    totals = sum_of([snapshot("files", delivered=1000, lag_s=lag_s)])
    verdict = judge(totals, 10.0, target_per_s, "duration")
    assert verdict.achieved_per_s == 100.0
    assert (verdict.limited_by == "schedule") == kept
    assert (verdict.elapsed_s, verdict.target_per_s, verdict.exit_reason) == (10.0, target_per_s, "duration")


def test_a_run_without_events_kept_its_schedule_and_achieved_nothing() -> None:
    verdict = judge(Totals(), 0.0, 0.0, "duration")
    assert (verdict.limited_by, verdict.achieved_per_s) == ("schedule", 0.0)


@pytest.mark.parametrize(
    ("sink", "seconds", "round_trip_s", "cause"),
    [
        ("kafka", Seconds(generate=5, send=1, full=2), float("nan"), "generator CPU"),
        ("kafka", Seconds(generate=1, send=2, full=2.9), 0.1, "generator CPU"),
        ("kafka", Seconds(generate=1, send=1, full=5), 0.1, "full queue"),
        ("kafka", Seconds(generate=1, send=1, full=5), 0.6, "broker round trip"),
        ("files", Seconds(generate=5, send=4, full=0), float("nan"), "generator CPU"),
        ("files", Seconds(generate=5, send=6, full=0), float("nan"), "disk"),
        ("stream", Seconds(generate=5, send=3, full=3), float("nan"), "disk"),
        ("null", Seconds(generate=5, send=1, idle=60), float("nan"), "generator CPU"),
    ],
)
def test_what_the_workers_spent_their_time_on_is_what_limited_the_run(
    sink: str, seconds: Seconds, round_trip_s: float, cause: str
) -> None:
    totals = Totals(tallies={sink: tally(delivered=10)}, seconds=seconds, round_trip_s=round_trip_s)
    assert judge(totals, 1.0, None, "events").limited_by == cause


def test_the_summary_has_the_documented_keys_first_and_in_their_order() -> None:
    totals = sum_of([snapshot("kafka", "files", delivered=1000, failed=3)])
    totals.add_impaired({"late": 2, "drop": 1})
    totals.add_impaired({"late": 3, "drop": 0})
    found = summary(totals, Verdict(2.00049, 500.1234, 499.9999, "schedule", "events"), 42, "m.json")
    assert list(found) == SPEC_KEYS + MORE_KEYS
    assert (found["planned"], found["delivered"], found["failed"], found["bytes"]) == (1003, 1000, 3, 100_000)
    assert (found["elapsed_s"], found["target_per_s"], found["achieved_per_s"]) == (2.0, 500.123, 500.0)
    assert found["impaired"] == {"late": 5, "drop": 1}
    assert found["sinks"]["files"] == {"planned": 1003, "delivered": 1000, "failed": 3, "dropped": 0, "unfinished": 0}
    for name, value_ms in (("schedule_lag_ms", 1.0), ("ack_ms", 4.0), ("intended_to_ack_ms", 9.0)):
        assert list(found[name]) == ["p50", "p90", "p99", "p999", "max"]
        assert list(found[name].values()) == pytest.approx([value_ms] * 5, rel=0.01)


def test_a_summary_without_events_has_no_numbers_that_are_not_numbers() -> None:
    found = summary(Totals(), judge(Totals(), 0.0, None, "interrupted"), 1, "m.json")
    assert list(found) == SPEC_KEYS + MORE_KEYS
    assert found["target_per_s"] is None
    assert set(found["ack_ms"].values()) == {None}

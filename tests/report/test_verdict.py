"""The verdict passes when all promises were kept, and says which were not."""

from typing import Any

import pytest

from loadgen.record import RunRecord
from loadgen.report.verdict import exit_reason, outcome, passed, statements
from tests.report.manifests import manifest, run_of, summary


def run(**changes: Any) -> RunRecord:
    """A run whose summary is changed in these things."""
    return run_of(manifest(summary=summary(**changes)), "m.json")


def words(one: RunRecord, kind: str) -> list[str]:
    """Its statements of this kind."""
    return [said.words for said in statements(one) if said.kind == kind]


def test_a_run_that_kept_everything_has_passed() -> None:
    good = run(thresholds=[{"expr": "failed == 0", "passed": True}])
    assert passed(good)
    assert outcome(good) == "Passed: every promise was kept"
    assert words(good, "good") == [
        "Every planned event was delivered: 20,000.",
        "The schedule was kept: target 1,000.0/s, achieved 999.5/s (99.95 %).",
        "All thresholds held: failed == 0.",
    ]
    assert exit_reason(good) == "Ended by: duration (its time was up)."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"limited_by": "disk", "achieved_per_s": 500.0},
            "The schedule was missed: target 1,000.0/s, achieved 500.0/s (50.00 %), limited by disk.",
        ),
        (
            {"limited_by": "unknown"},
            "The schedule was missed: target 1,000.0/s, achieved 999.5/s (99.95 %), what limited it is not clear.",
        ),
        ({"measured_from_s": None}, "The run ended in its warm-up: nothing was measured."),
        (
            {"thresholds": [{"expr": "p99(ack) < 1ms", "passed": False}, {"expr": "failed == 0", "passed": True}]},
            "1 of 2 thresholds are broken: p99(ack) < 1ms.",
        ),
    ],
)
def test_a_broken_promise_is_named(changes: dict[str, Any], said: str) -> None:
    bad = run(**changes)
    assert not passed(bad)
    assert outcome(bad) == "Failed: not every promise was kept"
    assert words(bad, "bad") == [said]


def test_events_that_were_not_delivered_are_counted_for_each_sink() -> None:
    content = manifest()
    content["sinks"]["files"] = {"planned": 10, "delivered": 6, "failed": 1, "dropped": 0, "unfinished": 3}
    bad = run_of(content, "m.json")
    assert words(bad, "good")[0] == "Every planned event was delivered to kafka: 20,000."
    assert words(bad, "bad") == ["6 of 10 planned events were delivered to files (60.00 %): 1 failed, 3 unfinished."]


def test_an_error_and_a_run_that_was_killed_are_failures() -> None:
    bad = run_of(manifest(error="the disk is full", reached="r.reached"), "m.json")
    assert words(bad, "bad") == ["the disk is full", "The run did not come to its end: it was killed, or goes on."]


def test_a_run_without_a_schedule_promises_no_rate() -> None:
    free = run(target_per_s=None, limited_by="generator CPU")
    assert passed(free)
    assert "As fast as possible: achieved 999.5/s, limited by generator CPU." in words(free, "hint")


def test_a_run_that_was_stopped_by_hand_says_so() -> None:
    stopped = run(exit_reason="interrupted")
    assert outcome(stopped) == "Stopped by Ctrl-C; until then every promise was kept"
    assert exit_reason(stopped) == "Ended by: interrupted (Ctrl-C, and a clean drain)."


def test_a_run_that_did_not_come_to_its_end_speaks_for_no_more_than_was_run() -> None:
    stopped = run(exit_reason="terminated early", cut_short="stopped after 12.0 s of 60.0 s: SIGTERM")
    assert not passed(stopped)
    assert outcome(stopped) == "Stopped before its end by SIGTERM; until then every promise was kept"
    assert words(stopped, "bad") == ["Stopped after 12.0 s of 60.0 s: SIGTERM."]
    assert words(stopped, "good") == [
        "Every event that was planned until then was delivered: 20,000.",
        "Until then the schedule was kept: target 1,000.0/s, achieved 999.5/s (99.95 %).",
    ]
    assert exit_reason(stopped) == "Ended by: terminated early (SIGTERM, and a clean drain)."


def test_a_run_that_was_stopped_before_its_first_event_claims_no_rate() -> None:
    stopped = run(exit_reason="terminated early", cut_short="stopped before its first event: SIGTERM", planned=0)
    assert "No event was planned until then." in words(stopped, "hint")
    assert not any("schedule" in said.words for said in statements(stopped))


def test_of_a_run_that_was_broken_off_nothing_is_said_of_its_schedule() -> None:
    broken = run(exit_reason="error", limited_by="unknown", cut_short="stopped after 12.0 s of 60.0 s: an error")
    assert outcome(broken) == "Failed: not every promise was kept"
    assert not any("schedule" in said.words for said in statements(broken))
    assert words(broken, "hint") == ["Until it was broken off: target 1,000.0/s, achieved 999.5/s (99.95 %)."]


def test_stalls_restarts_impairments_and_the_warm_up_are_mentioned() -> None:
    stalls = [{"from_s": 3.0, "to_s": 4.5, "due": 10}, {"from_s": 7.0, "to_s": 12.25, "due": 5250}]
    one = run(stalls=stalls, restarts=2, repeated_possibly=77, impaired={"late": 5, "drop": 0}, measured_from_s=3.5)
    assert words(one, "warn") == [
        "Nothing was delivered from 7 s to 12.25 s after the start, although 5,250 events were due. "
        "It was the longest of 2 such stretches.",
        "Workers restarted: 2; at most 77 events were sent twice.",
    ]
    assert words(one, "hint") == [
        "Spoilt on purpose: 5 late.",
        "The first 3.5 s are warm-up: target, achieved rate and latencies leave them out.",
    ]
    assert passed(one)


def test_a_watched_group_is_told_of_and_breaks_nothing_by_itself() -> None:
    group = {"name": "app", "lag": 12, "behind_s": 0.5, "most_lag": 1234, "most_behind_s": 2.5}
    caught_up = {**group, "name": "b", "lag": 0, "catch_up_s": 3.25}
    lost = {**group, "name": "c", "error": "no answer in 5 s"}
    one = run(groups=[group, caught_up, lost])
    assert passed(one)
    assert words(one, "hint")[:3] == [
        "Group app was at most 1,234 messages and 2.5 s behind; at the end 12 messages.",
        "Group b was at most 1,234 messages and 2.5 s behind; caught up 3.25 s after the load.",
        "Group c was at most 1,234 messages and 2.5 s behind; then it was not known any more (no answer in 5 s).",
    ]

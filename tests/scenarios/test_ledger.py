"""The ledger adds up, for each worker and for the sum, whatever becomes of workers."""

import numpy as np
import pytest

from loadgen.event import PAGES
from loadgen.ledger import Outcome, Tally
from loadgen.runner.messages import Snapshot, empty_snapshot
from loadgen.runner.verdict import verdict_lines
from loadgen.scenarios.engine import EngineShard
from loadgen.scenarios.ledger import StressLedger
from loadgen.scenarios.settings import settings_of
from tests.scenarios.worlds import options

NEVER = 0.0


def _snapshot(
    n_delivered: int, n_in_flight: int = 0, at_ns: int = 10**9, done: bool = False, error: str = ""
) -> Snapshot:
    tally = Tally()
    tally.complete(Outcome.DELIVERED, np.zeros(n_delivered, np.uint8))
    tally.in_flight = n_in_flight
    found = empty_snapshot()
    found.tallies, found.at_ns, found.scheduled_ns, found.active, found.done = {"kafka": tally}, at_ns, at_ns, 5, done
    found.scheduled, found.error = float(n_delivered + n_in_flight), error
    return found


@pytest.fixture
def accounts() -> StressLedger:
    found = StressLedger(settings_of(options("--threshold", "failed == 0"), EngineShard()), lambda: None)
    for number, worker in enumerate("ab"):
        found.open(worker, EngineShard(number, 2)).allowed = 1000
    return found


def test_the_sum_is_that_of_the_workers_last_reports(accounts: StressLedger) -> None:
    accounts.take("a", _snapshot(10), NEVER)
    accounts.take("a", _snapshot(30, 5), NEVER)
    accounts.take("b", _snapshot(7, done=True), NEVER)
    ledger = accounts.record("ledger.json", 10, 1).model_dump()
    assert (ledger["summary"]["planned"], ledger["summary"]["delivered"], ledger["summary"]["unfinished"]) == (
        42,
        37,
        5,
    )
    assert [worker["end"] for worker in ledger["workers"]] == ["running", "drained"]
    assert ledger["possibly_more"] == 0


def test_pages_that_the_behaviour_adds_are_counted_by_name() -> None:
    pages = (*PAGES.names, "Lyrics")
    stress = StressLedger(settings_of(options(), EngineShard()), lambda: None, pages)
    stress.open("a", EngineShard(0, 1))
    snapshot = _snapshot(3)
    snapshot.tallies["kafka"].complete(Outcome.DELIVERED, np.full(4, len(PAGES), np.uint8))
    stress.take("a", snapshot, NEVER)
    delivered = stress.record("ledger.json", 10, 1).sinks["kafka"].by_page["delivered"]
    assert delivered == dict.fromkeys(pages, 0) | {"Home": 3, "Lyrics": 4}


def test_of_a_lost_worker_what_was_in_flight_is_unfinished_and_what_it_may_have_sent_since_is_bounded(
    accounts: StressLedger,
) -> None:
    accounts.take("a", _snapshot(100, 20), NEVER)
    accounts.lose("a")
    ledger = accounts.record("ledger.json", 10, 1).model_dump()
    (lost, _) = ledger["workers"]
    assert (lost["end"], lost["unfinished"], lost["possibly_more"]) == ("lost", 20, 880)
    assert accounts.failed
    assert accounts.evaluation.totals().active == 0


def test_a_worker_that_is_lost_before_its_first_report_has_counts_too(accounts: StressLedger) -> None:
    accounts.lose("a")
    lost = accounts.record("ledger.json", 10, 1).model_dump()["workers"][0]
    assert {outcome: lost[outcome] for outcome in Tally().counts()} == Tally().counts()
    assert (lost["end"], lost["possibly_more"]) == ("lost", 1000)


def test_one_that_finds_its_way_back_and_drains_is_exact_again(accounts: StressLedger) -> None:
    accounts.take("a", _snapshot(100, 20), NEVER)
    accounts.lose("a")
    accounts.take("a", _snapshot(125, done=True), NEVER)
    lost, _ = accounts.record("ledger.json", 10, 1).model_dump()["workers"]
    assert (lost["end"], lost["delivered"], lost["possibly_more"]) == ("drained", 125, 0)


def test_a_worker_that_left_early_does_not_hold_back_the_clock(accounts: StressLedger) -> None:
    accounts.take("a", _snapshot(10, at_ns=2 * 10**9, done=True), 1.0)
    accounts.take("b", _snapshot(100, at_ns=11 * 10**9), 10.0)
    totals = accounts.evaluation.totals()
    assert (totals.moments.taken_ns, totals.moments.scheduled_ns) == ([11 * 10**9], [11 * 10**9])
    accounts.take("b", _snapshot(110, at_ns=12 * 10**9, done=True), 11.0)
    accounts.end()
    verdict = accounts.verdict()
    assert verdict.achieved_per_s == pytest.approx(120 / 11)
    assert verdict.target_per_s == pytest.approx(120 / 11)
    assert [judged.passed for judged in verdict.thresholds] == [True]


def test_where_a_worker_failed_the_verdict_speaks_for_no_more_than_was_run(accounts: StressLedger) -> None:
    accounts.take("a", _snapshot(10, at_ns=2 * 10**9, done=True, error="the engine failed: ValueError: two words"), 1.0)
    accounts.take("b", _snapshot(110, at_ns=12 * 10**9, done=True), 11.0)
    accounts.end()
    verdict = accounts.verdict()
    assert verdict.exit_reason == "error"
    assert verdict.cut_short == "broken off: 1 of 2 workers failed; a: the engine failed: ValueError: two words"
    lines = list(verdict_lines(accounts.evaluation.totals(), verdict))
    assert not any("schedule was kept" in line or line == "every planned event was delivered" for line in lines)

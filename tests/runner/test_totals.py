"""The totals are the sum of the workers."""

import numpy as np

from loadgen.histogram import Histogram
from loadgen.ledger import Outcome, Tally
from loadgen.runner.messages import Seconds, Snapshot, empty_snapshot
from loadgen.runner.totals import Totals, WorkerReports, without_in_flight


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


def sum_of(snapshots: list[Snapshot]) -> Totals:
    return Totals.of(WorkerReports(last=snapshot) for snapshot in snapshots)


def test_totals_are_the_sum_of_the_workers() -> None:
    first, second = snapshot("files", delivered=10, failed=1), snapshot("files", delivered=5, in_flight=2)
    second.simulated_ms, second.round_trip_s = 5000, 0.2
    totals = sum_of([first, second])
    assert totals.primary_sink.counts() == {
        "planned": 18,
        "delivered": 15,
        "failed": 1,
        "dropped": 0,
        "unfinished": 2,
        "aborted": 0,
    }
    assert (totals.primary_sink.bytes_delivered, totals.active, totals.simulated_ms) == (1500, 14, 5000)
    assert (totals.cpu_s, totals.round_trip_s, len(totals.schedule_lag_s)) == (0.5, 0.2, 15)
    assert totals.seconds == Seconds(generate=2.0, send=4.0, full=6.0, idle=8.0)


def test_adding_up_changes_no_snapshot() -> None:
    first = snapshot("files", delivered=10)
    sum_of([first, first])
    assert first.tallies["files"].planned == 10


def test_a_dead_workers_events_in_flight_are_left_to_its_successor() -> None:
    dead = without_in_flight(snapshot("kafka", "files", delivered=10, in_flight=5))
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

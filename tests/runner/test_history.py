"""The run over time: windows without a gap, whose sums are the run's, whatever becomes of the workers."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.histogram import Histogram, Sparse
from loadgen.ledger import Outcome, Tally
from loadgen.runner import history as history_module
from loadgen.runner.history import LATENCIES, History, Window, merged
from loadgen.runner.messages import Snapshot, empty_snapshot
from loadgen.runner.team import Team, WorkerHandle
from loadgen.runner.totals import Totals, without_in_flight
from loadgen.verifier.worker_progress import WorkerProgress
from tests.runner.windows import window

T0_NS = 5_000_000_000_000
COUNTS = ("planned", "delivered", "failed", "n_bytes")


@dataclass
class Worker:
    """A worker that delivers what it is told, each event with a latency of its own."""

    rate_per_s: float = 100.0
    tally: Tally = field(default_factory=Tally)
    lag: Histogram = field(default_factory=Histogram)

    def offer(self, delivered: int, failed: int = 0, in_flight: int = 0, latency_s: float = 0.01) -> None:
        """So many more events end, and so many are in flight now."""
        self.tally.by_page[Outcome.DELIVERED, 0] += delivered
        self.tally.by_page[Outcome.FAILED, 1] += failed
        self.tally.in_flight = in_flight
        self.tally.bytes_delivered += 250 * delivered
        self.tally.ack_s.record(np.full(delivered, latency_s))
        self.tally.intended_to_ack_s.record(np.full(delivered, 2 * latency_s))
        self.lag.record(np.full(delivered + failed, 0.001))

    def snapshot(self, at_s: float, offered_s: float | None = None) -> Snapshot:
        """What it says at this moment."""
        found = empty_snapshot()
        found.tallies = {"kafka": Tally()}
        found.tallies["kafka"].merge(self.tally)
        found.schedule_lag_s, found.cpu_s, found.active = self.lag.copy(), 0.1 * at_s, 5
        found.at_ns = T0_NS + int(at_s * 1e9)
        found.scheduled_ns = T0_NS + int((at_s if offered_s is None else offered_s) * 1e9)
        found.scheduled = (found.scheduled_ns - T0_NS) / 1e9 * self.rate_per_s
        return found


def team_of(*snapshots: Snapshot) -> Team:
    """A team whose members last said this; it has no processes."""
    team = Team.__new__(Team)
    nothing: Any = None
    team.members = [
        WorkerHandle(index, nothing, nothing, WorkerProgress(), last=one) for index, one in enumerate(snapshots)
    ]
    return team


def told(history: History, *snapshots: Snapshot) -> Totals:
    """Let a history know what workers say."""
    totals = Totals.of(team_of(*snapshots).members)
    history.watch(totals, T0_NS)
    return totals


def steady(history: History, seconds: float, step_s: float = 0.5, n_per_step: int = 50) -> Totals:
    """A run of one worker, to its end."""
    worker = Worker()
    for step in range(1, round(seconds / step_s) + 1):
        worker.offer(n_per_step, failed=step % 2, in_flight=3, latency_s=0.001 * step)
        totals = told(history, worker.snapshot(step * step_s))
    history.end(totals, T0_NS)
    return totals


def summed(windows: list[Window], name: str) -> float:
    return float(sum(getattr(one, name) for one in windows))


def assert_whole(windows: list[Window], totals: Totals, end_s: float) -> None:
    """No gap, and the sums are those of the run."""
    assert windows[0].start_s == 0.0
    assert windows[-1].end_s == pytest.approx(end_s)
    assert all(before.end_s == after.start_s for before, after in pairwise(windows))
    assert (
        summed(windows, "planned") - windows[-1].in_flight + totals.primary_sink.in_flight
        == totals.primary_sink.planned
    )
    assert summed(windows, "delivered") == totals.primary_sink.count(Outcome.DELIVERED)
    assert summed(windows, "failed") == totals.primary_sink.count(Outcome.FAILED)
    assert summed(windows, "n_bytes") == totals.primary_sink.bytes_delivered
    assert summed(windows, "scheduled") == pytest.approx(totals.scheduled)
    assert summed(windows, "offered_s") == pytest.approx(totals.moments.offered_s(T0_NS))
    assert summed(windows, "cpu_s") == pytest.approx(totals.cpu_s)
    wholes = (totals.schedule_lag_s, totals.primary_sink.ack_s, totals.primary_sink.intended_to_ack_s)
    for name, whole in zip(LATENCIES, (*wholes, Histogram()), strict=True):
        parts = Histogram()
        for one in windows:
            parts.merge(getattr(one, name).full())
        assert (parts.counts == whole.counts).all(), name
        assert parts.sum_s == pytest.approx(whole.sum_s)


def test_there_is_a_window_a_second_without_a_gap_and_their_sums_are_the_runs() -> None:
    history = History()
    totals = steady(history, 12.0)
    assert_whole(history.windows, totals, 12.0)
    assert [round(one.length_s, 6) for one in history.windows] == [1.0] * 12
    assert {one.delivered for one in history.windows} == {100}
    third = history.windows[2]  # of what was reported at 2.5 and at 3.0 s
    assert third.ack.max_s == pytest.approx(0.006)
    assert third.ack.quantile_s(0.5) == pytest.approx(0.005, rel=0.01)
    assert (third.in_flight, third.active, third.scheduled) == (3, 5, 100.0)


def test_a_window_that_would_be_a_little_too_short_is_taken_and_one_far_too_short_is_not() -> None:
    history = History()
    worker = Worker()
    ends_s = [0.5, 0.7, 0.8, 1.7, 2.4, 4.9]
    for at_s in ends_s:
        worker.offer(10)
        totals = told(history, worker.snapshot(at_s))
    history.end(totals, T0_NS)
    assert [round(one.end_s, 3) for one in history.windows] == [0.8, 1.7, 4.9]
    assert_whole(history.windows, totals, 4.9)


def test_the_last_moment_of_a_run_is_part_of_its_last_window() -> None:
    history = History()
    worker = Worker()
    for at_s in (0.5, 1.0, 1.1):
        worker.offer(10)
        totals = told(history, worker.snapshot(at_s))
    history.end(totals, T0_NS)
    assert [round(one.end_s, 3) for one in history.windows] == [1.1]
    assert_whole(history.windows, totals, 1.1)


def test_a_run_of_less_than_a_window_has_one_and_one_without_a_word_has_none() -> None:
    short, silent = History(), History()
    worker = Worker()
    worker.offer(7)
    short.end(told(short, worker.snapshot(0.2)), T0_NS)
    silent.end(told(silent, empty_snapshot()), T0_NS)
    assert [(one.start_s, one.delivered) for one in short.windows] == [(0.0, 7)]
    assert silent.windows == []


def test_a_long_run_has_longer_windows_with_the_same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MOST", 8)
    history, plain = History(), History()
    totals = steady(history, 61.0)
    assert len(history.windows) <= 8
    assert_whole(history.windows, totals, 61.0)
    assert {round(one.length_s) for one in history.windows[:-1]} == {16}
    assert [one.in_flight for one in history.windows] == [3] * len(history.windows)
    steady(plain, 61.0)
    assert history.measured(totals, T0_NS).delivered == plain.measured(totals, T0_NS).delivered == 6100


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.data())
def test_merging_neighbours_in_any_order_is_the_same(counts: list[int], data: st.DataObject) -> None:
    parts = [
        window(at, at + 1, planned=n, delivered=n, scheduled=1.5 * n, in_flight=n, ack=[0.001 * (n + 1)] * n)
        for at, n in enumerate(counts)
    ]
    cut = data.draw(st.integers(1, len(parts)))
    at_once = merged(parts)
    in_two = merged([merged(parts[:cut]), *([merged(parts[cut:])] if parts[cut:] else [])])
    assert (in_two.planned, in_two.scheduled, in_two.in_flight) == (sum(counts), 1.5 * sum(counts), counts[-1])
    assert at_once.record() == in_two.record()
    assert at_once.ack.counts.tolist() == in_two.ack.counts.tolist()
    assert (at_once.ack.max_s, at_once.ack.sum_s) == pytest.approx((in_two.ack.max_s, in_two.ack.sum_s))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9), st.floats(0.05, 2.5)), min_size=1, max_size=30))
def test_whenever_workers_report_nothing_is_lost_or_counted_twice(steps: list[tuple[int, int, float]]) -> None:
    history = History()
    worker, at_s = Worker(), 0.0
    for delivered, failed, step_s in steps:
        at_s += step_s
        worker.offer(delivered, failed, in_flight=9)  # fewer would be fewer planned, which only a death brings about
        totals = told(history, worker.snapshot(at_s))
    history.end(totals, T0_NS)
    assert_whole(history.windows, totals, at_s)


def test_what_a_worker_that_died_had_settled_stays_and_its_successor_adds_to_it() -> None:
    history = History()
    dead, alive = Worker(), Worker()
    for at_s in (0.5, 1.0, 1.5):
        for worker in (dead, alive):
            worker.offer(50, in_flight=20)
        team = team_of(dead.snapshot(at_s), alive.snapshot(at_s))
        history.watch(Totals.of(team.members), T0_NS)
    member, successor = team.members[0], Worker()
    assert member.last
    member.finalized, member.last = [without_in_flight(member.last)], None
    for at_s in (2.0, 2.5, 3.0, 3.5, 4.0):  # the successor is ready after three seconds
        alive.offer(50, in_flight=20)
        team.members[1].last = alive.snapshot(at_s)
        if at_s >= 3.0:
            successor.offer(90, in_flight=20)
            member.last = successor.snapshot(at_s)
        history.watch(Totals.of(team.members), T0_NS)
    totals = Totals.of(team.members)
    history.end(totals, T0_NS)
    assert_whole_but_planned(history.windows, totals)
    assert all(min(one.planned, one.delivered, one.length_s, one.offered_s) >= 0 for one in history.windows)
    assert totals.primary_sink.count(Outcome.DELIVERED) == 150 + 3 * 90 + 8 * 50


def assert_whole_but_planned(windows: list[Window], totals: Totals) -> None:
    """As above; what was in flight in a worker that died is planned again, and may be in two windows."""
    in_flight_lost = 20
    more = summed(windows, "planned") - totals.primary_sink.planned
    assert 0 <= more <= in_flight_lost
    assert summed(windows, "delivered") == totals.primary_sink.count(Outcome.DELIVERED)
    assert summed(windows, "scheduled") == pytest.approx(totals.scheduled)
    assert all(before.end_s == after.start_s for before, after in pairwise(windows))


def test_what_happened_in_the_warm_up_is_in_the_windows_and_in_no_figure() -> None:
    history = History(warm_up_s=2.9)
    totals = steady(history, 8.0)
    assert_whole(history.windows, totals, 8.0)
    found = history.measured(totals, T0_NS)
    assert (found.start_s, found.end_s, found.delivered, found.scheduled) == (3.0, 8.0, 500, 500.0)
    assert found.offered_s == pytest.approx(5.0)
    assert len(found.ack) == len(found.intended_to_ack) == 500
    assert found.ack.quantile_s(1e-9) == pytest.approx(0.007, rel=0.01)  # of what was reported at 3.5 s
    assert found.planned == totals.primary_sink.planned - history.windows[2].in_flight - 300 - 3


def test_while_the_warm_up_goes_on_nothing_is_measured() -> None:
    history = History(warm_up_s=30.0)
    totals = steady(history, 8.0)
    found = history.measured(totals, T0_NS)
    assert (found.length_s, found.delivered, len(found.ack)) == (0.0, 0, 0)
    assert found.start_s == 8.0


def test_without_a_warm_up_all_is_measured_with_the_exact_maximum() -> None:
    history = History()
    totals = steady(history, 3.0)
    found = history.measured(totals, T0_NS)
    assert (found.start_s, found.delivered, found.planned) == (0.0, 300, totals.primary_sink.planned)
    assert found.ack.max_s == totals.primary_sink.ack_s.max_s == 0.006


def test_once_events_are_only_waited_for_time_goes_on_and_what_is_offered_does_not() -> None:
    history = History()
    worker = Worker()
    worker.offer(100, in_flight=50)
    told(history, worker.snapshot(1.0))
    worker.offer(50)
    totals = told(history, worker.snapshot(3.0, offered_s=1.5))
    history.end(totals, T0_NS)
    assert [(one.length_s, one.offered_s, one.scheduled) for one in history.windows] == [(1, 1, 100), (2, 0.5, 50)]


def test_listeners_hear_of_every_second_also_where_the_windows_that_are_kept_are_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_module, "MOST", 4)
    heard: list[Window] = []
    history = History(0.0, [heard.append])
    totals = steady(history, 20.0)
    assert len(history.windows) < 8
    assert [round(one.length_s, 6) for one in heard] == [1.0] * 20
    assert_whole(heard, totals, 20.0)


def test_a_window_in_json_has_counts_percentiles_and_none_where_there_is_nothing() -> None:
    found = window(1.0004, 2.0, scheduled=float("nan"), delivered=3, ack=[0.1, 0.2, 0.3]).record().model_dump()
    assert found["scheduled"] is None
    assert (found["start_s"], found["offered_s"], found["delivered"]) == (1.0, 1.0, 3)
    assert found["ack_ms"]["max"] == 300.0
    assert found["intended_to_ack_ms"]["p99"] is None
    assert isinstance(window().ack, Sparse)


def test_a_window_ends_when_all_workers_are_heard_and_not_with_the_first() -> None:
    history, workers = History(), [Worker(), Worker(), Worker()]
    team = team_of(*(worker.snapshot(1e-9) for worker in workers))
    for step in range(1, 9):
        for place, worker in enumerate(workers):
            worker.offer(10)
            team.members[place].last = worker.snapshot(step / 2)
            history.watch(Totals.of(team.members), T0_NS)
    assert [round(one.end_s, 6) for one in history.windows] == [1.0, 2.0, 3.0, 4.0]
    assert [one.delivered for one in history.windows] == [60] * 4


def test_a_worker_that_is_silent_holds_no_window_back_for_long() -> None:
    history, alive = History(), Worker()
    team = team_of(Worker().snapshot(0.01), alive.snapshot(0.01))
    for step in range(1, 25):
        alive.offer(10)
        team.members[1].last = alive.snapshot(step / 2)
        history.watch(Totals.of(team.members), T0_NS)
    assert len(history.windows) >= 4
    assert summed(history.windows, "delivered") >= 200


def test_time_goes_on_for_the_others_when_a_worker_has_ended() -> None:
    history, early, late = History(), Worker(), Worker()
    team = team_of(early.snapshot(0.01), late.snapshot(0.01))
    for step in range(1, 13):
        late.offer(10)
        team.members[1].last = late.snapshot(step / 2)
        if step <= 3:
            early.offer(10)
            team.members[0].last = early.snapshot(step / 2)
            team.members[0].last.done = step == 3
        history.watch(Totals.of(team.members), T0_NS)
    team.members[1].last = late.snapshot(6.2)
    team.members[1].last.done = True
    totals = Totals.of(team.members)
    history.end(totals, T0_NS)
    assert_whole(history.windows, totals, 6.2)
    assert [one.delivered for one in history.windows[2:5]] == [20] * 3
    assert [round(one.length_s, 6) for one in history.windows[2:5]] == [1.0] * 3

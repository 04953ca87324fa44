"""Stalls are found where all workers stood still although events waited, exactly, and nowhere else."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.ledger import Outcome, Tally
from loadgen.runner import stalls as stalls_module
from loadgen.runner.messages import Activity
from loadgen.runner.stalls import Stall, Stalls
from loadgen.runner.totals import Moments, Totals

T0_NS = 7_000_000_000_000
LOOK_S = 0.01
RATE_PER_S = 100.0


@dataclass
class Worker:
    """A worker that looks every 10 ms, and whose events are delivered unless the broker stands still.

    Attributes:
        still: stretches (from, to) in which it sees no delivery, seconds.
        idle: stretches in which nothing is sent.
        away: stretches in which it does not look.
    """

    still: list[tuple[float, float]] = field(default_factory=list)
    idle: list[tuple[float, float]] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)
    activity: Activity = field(default_factory=Activity)
    delivered: int = 0
    in_flight: int = 0

    def look(self, at_s: float) -> None:
        """One turn of its loop."""
        if _is_in(at_s, self.away):
            return
        if not _is_in(at_s, self.still):
            self.delivered, self.in_flight = self.delivered + self.in_flight, 0
        self.activity.see(T0_NS + int(at_s * 1e9), self.delivered, self.in_flight)
        self.in_flight += not _is_in(at_s, self.idle)  # sent now, delivered next time


def _is_in(at_s: float, stretches: list[tuple[float, float]]) -> bool:
    return any(start_s <= at_s < end_s for start_s, end_s in stretches)


def stalls_of(*workers: Worker, until_s: float = 10.0, is_paced: bool = True, every_s: float = 0.5) -> list[Stall]:
    """What is found of these workers, which report twice a second, one after another."""
    found, told = Stalls(), [(worker, Activity(), Tally()) for worker in workers]
    for step in range(1, round(until_s / LOOK_S) + 1):
        at_s = step * LOOK_S
        for place, worker in enumerate(workers):
            worker.look(at_s)
            if step % round(every_s / LOOK_S) == 0 and not _is_in(at_s, worker.away):
                tally = Tally(in_flight=worker.in_flight)
                tally.by_page[Outcome.DELIVERED, 0] = worker.delivered
                told[place] = (worker, worker.activity.taken(), tally)
                found.watch(totals_of(told, at_s, is_paced), T0_NS)
    found.end(totals_of(told, until_s, is_paced), T0_NS, T0_NS + int(until_s * 1e9))
    return found.found


def totals_of(told: list[tuple[Worker, Activity, Tally]], at_s: float, is_paced: bool) -> Totals:
    """The sum of what the workers said last."""
    totals = Totals(scheduled=at_s * RATE_PER_S * len(told) if is_paced else float("nan"))
    for _, activity, tally in told:
        totals.tallies.setdefault("kafka", Tally()).merge(tally)
        totals.activities.append(activity)
        totals.moments.taken_ns.append(T0_NS + int(at_s * 1e9))
    return totals


def assert_spans(found: list[Stall], *spans: tuple[float, float]) -> None:
    """The stalls are these (from, to), to a few looks."""
    moments = [at_s for stall in found for at_s in (stall.start_s, stall.end_s)]
    assert moments == pytest.approx([at_s for span in spans for at_s in span], abs=3 * LOOK_S)


def test_a_run_that_goes_on_has_no_stall() -> None:
    assert stalls_of(Worker(), Worker()) == []


@pytest.mark.parametrize("stretch", [(3.0, 8.0), (3.21, 4.23), (3.0, 6.51), (0.0, 2.0)])
def test_a_stall_is_found_to_the_moment_and_what_was_due_is_counted(stretch: tuple[float, float]) -> None:
    (stall,) = found = stalls_of(Worker(still=[stretch]), Worker(still=[stretch]))
    assert_spans(found, stretch)
    assert stall.n_due == pytest.approx(2 * RATE_PER_S * stall.length_s, rel=0.05, abs=3)


def test_short_stretches_are_none_and_several_are_told_apart() -> None:
    assert stalls_of(Worker(still=[(2.0, 2.9), (4.0, 4.95)])) == []
    found = stalls_of(Worker(still=[(2.0, 3.2), (3.3, 5.0), (7.0, 8.5)]))
    assert_spans(found, (2.0, 3.2), (3.3, 5.0), (7.0, 8.5))


def test_one_worker_that_delivers_is_no_stall_of_the_run() -> None:
    assert stalls_of(Worker(still=[(2.0, 6.0)]), Worker()) == []
    assert stalls_of(Worker(still=[(2.0, 4.0)]), Worker(still=[(3.1, 5.0)])) == []
    found = stalls_of(Worker(still=[(2.0, 5.0)]), Worker(still=[(3.0, 7.0)]))
    assert_spans(found, (3.0, 5.0))


def test_a_worker_that_has_nothing_to_send_neither_stalls_nor_hides_a_stall() -> None:
    assert stalls_of(Worker(idle=[(2.0, 9.0)])) == []
    found = stalls_of(Worker(still=[(3.0, 6.0)]), Worker(idle=[(0.0, 10.0)]))
    assert_spans(found, (3.0, 6.0))


def test_a_stall_begins_when_events_begin_to_wait() -> None:
    found = stalls_of(Worker(idle=[(2.0, 4.0)], still=[(2.5, 6.0)]))
    assert_spans(found, (4.0, 6.0))


def test_what_is_never_delivered_is_a_stall_to_the_end() -> None:
    (stall,) = found = stalls_of(Worker(still=[(4.0, 99.0)]))
    assert_spans(found, (4.0, 10.0))
    assert stall.n_due == pytest.approx(RATE_PER_S * 6, abs=3)


def test_a_worker_that_was_held_up_itself_has_stalled() -> None:
    assert_spans(stalls_of(Worker(away=[(3.0, 5.5)])), (3.0, 5.5))


def test_a_worker_that_is_heard_late_shortens_a_stall_to_what_it_was() -> None:
    before = Activity(50, T0_NS + 1_000_000_000)
    found = Stalls()

    def hear(first: Activity, second: Activity, n_delivered: int, at_s: float) -> None:
        tally = Tally(in_flight=9)
        tally.by_page[Outcome.DELIVERED, 0] = n_delivered
        totals = Totals(tallies={"kafka": tally}, scheduled=900.0, activities=[first, second])
        totals.moments.taken_ns = [T0_NS + int(at_s * 1e9)]
        found.watch(totals, T0_NS)

    def activity(resumed_s: float, waited_s: float) -> Activity:
        resumed_ns, waited_ns = (T0_NS + int(at_s * 1e9) for at_s in (resumed_s, waited_s))
        return Activity(70, resumed_ns, 0, resumed_ns, waited_ns, resumed_ns)

    hear(before, before, 100, 1.0)
    ours = activity(6.0, 1.0)
    hear(ours, before, 120, 6.0)
    assert_spans(found.found, (1.0, 6.0))
    hear(ours, activity(3.5, 1.0), 140, 6.1)
    assert_spans(found.found, (1.0, 3.5))
    hear(ours, activity(1.5, 1.0), 140, 6.1)
    assert found.found == []


def test_without_a_schedule_the_events_in_flight_count() -> None:
    (stall,) = stalls_of(Worker(still=[(3.0, 5.0)]), is_paced=False)
    assert stall.n_due == pytest.approx(200, abs=55)  # as of the last word during the stall


@pytest.mark.parametrize(
    ("scheduled", "n_stalls"), [((math.nan, math.nan), 0), ((200.0, 200.0), 0), ((200.0, 300.0), 1)]
)
def test_where_nothing_is_due_there_is_no_stall(scheduled: tuple[float, float], n_stalls: int) -> None:
    found, activity = Stalls(), Activity()
    for at_s, n_delivered, asked in zip((1.0, 4.0), (200, 300), scheduled, strict=True):  # it did not look in between
        activity.see(T0_NS + int(at_s * 1e9), n_delivered, 0)
        tally = Tally()
        tally.by_page[Outcome.DELIVERED, 0] = n_delivered
        totals = Totals(
            tallies={"files": tally}, activities=[activity.taken()], moments=Moments([T0_NS + int(at_s * 1e9)])
        )
        totals.scheduled = asked
        found.watch(totals, T0_NS)
    assert len(found.found) == n_stalls


def test_a_worker_that_only_made_what_comes_next_did_not_wait() -> None:
    activity = Activity()
    activity.see(T0_NS, 5, 0)
    activity.look_up(T0_NS + 3_000_000_000)
    activity.see(T0_NS + 3_000_000_001, 9, 0)
    assert (activity.waited_ns, activity.waiting_ns) == (0, 0)


def test_of_very_many_stalls_the_longest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls_module, "MOST", 3)
    still = [(2.0 * n + 0.5, 2.0 * n + 1.55 + 0.05 * (n % 5)) for n in range(9)]
    found = stalls_of(Worker(still=still), until_s=19.0)
    lengths = sorted((end_s - start_s for start_s, end_s in still), reverse=True)[:3]
    assert sorted((stall.length_s for stall in found), reverse=True) == pytest.approx(lengths, abs=3 * LOOK_S)
    assert [stall.start_s for stall in found] == sorted(stall.start_s for stall in found)


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3), st.integers(0, 5)), max_size=60))
def test_a_pulse_never_says_that_it_waited_longer_than_it_looked(steps: list[tuple[int, int, int]]) -> None:
    activity, now_ns, delivered = Activity(), T0_NS, 0
    for step_ms, more, waiting in steps:
        now_ns += step_ms * 1_000_000
        delivered += more
        activity.see(now_ns, delivered, waiting)
        assert activity.seen_ns == now_ns
        assert activity.waiting_ns <= now_ns
        assert (activity.waiting_ns > 0) == (waiting > 0)
        assert activity.waited_ns <= activity.resumed_ns <= activity.delivered_ns <= now_ns
        assert activity.taken().n_delivered == delivered

"""Every planned event is counted under exactly one outcome, or in flight, whatever happens in whatever order."""

from copy import deepcopy

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadgen.event import MAX_PAGES, N_VIRTUAL_SHARDS
from loadgen.histogram import Sparse
from loadgen.ledger import Fingerprint, Outcome, Tally

pages = st.lists(st.integers(0, MAX_PAGES - 1), max_size=20)
outcomes = st.sampled_from(Outcome)
steps = st.lists(st.tuples(st.sampled_from(["accept", "settle", "refuse"]), outcomes, pages), max_size=30)


def completed(by_outcome: list[tuple[Outcome, list[int]]], bytes_delivered: int = 0, in_flight: int = 0) -> Tally:
    tally = Tally(bytes_delivered=bytes_delivered, in_flight=in_flight)
    for outcome, some_pages in by_outcome:
        tally.complete(outcome, np.array(some_pages, np.uint8))
        hashes = np.array([hash((outcome, page)) & (2**64 - 1) for page in some_pages], np.uint64)
        tally.fingerprint.add(np.array(some_pages, np.uint16), hashes)
        tally.ack_s.record(np.array(some_pages, np.float64))
    return tally


tallies = st.builds(
    completed, st.lists(st.tuples(outcomes, pages), max_size=5), st.integers(0, 10**12), st.integers(0, 10**6)
)


def as_values(tally: Tally) -> tuple[object, ...]:
    fingerprint = tally.fingerprint
    histograms = (Sparse.of(tally.ack_s).as_json(), Sparse.of(tally.intended_to_ack_s).as_json())
    counts = (tally.by_page.tolist(), tally.bytes_delivered, tally.in_flight)
    return (*counts, fingerprint.count.tolist(), fingerprint.total.tolist(), *histograms)


@given(steps)
def test_every_planned_event_is_accounted_for_after_every_step(steps: list[tuple[str, Outcome, list[int]]]) -> None:
    tally, n_planned, waiting = Tally(), 0, []
    for what, outcome, some_pages in steps:
        if what == "accept":
            tally.in_flight += len(some_pages)
            waiting += some_pages
            n_planned += len(some_pages)
        elif what == "settle":
            reported, waiting = waiting[: len(some_pages)], waiting[len(some_pages) :]
            tally.in_flight -= len(reported)
            tally.complete(outcome, np.array(reported, np.uint8))
        else:
            tally.complete(outcome, np.array(some_pages, np.uint8))
            n_planned += len(some_pages)
        counts = tally.counts()
        assert tally.planned == counts["planned"] == n_planned
        assert n_planned == sum(counts[outcome.name.lower()] for outcome in Outcome)
        assert n_planned == sum(tally.count(outcome) for outcome in Outcome) + len(waiting)


@given(tallies, tallies, tallies)
def test_merging_is_associative_and_loses_nothing(a: Tally, b: Tally, c: Tally) -> None:
    left, right = deepcopy(a), deepcopy(b)
    left.merge(b)
    left.merge(c)
    right.merge(c)
    together = deepcopy(a)
    together.merge(right)
    assert as_values(left) == as_values(together)
    assert left.planned == a.planned + b.planned + c.planned
    assert len(left.ack_s) == len(a.ack_s) + len(b.ack_s) + len(c.ack_s)


def test_an_event_in_flight_counts_as_unfinished_in_the_summary_and_is_not_settled() -> None:
    tally = completed([(Outcome.DELIVERED, [1, 1]), (Outcome.FAILED, [8]), (Outcome.UNFINISHED, [0])], in_flight=3)
    assert tally.counts() == {"planned": 7, "delivered": 2, "failed": 1, "dropped": 0, "unfinished": 4, "aborted": 0}
    assert tally.by_page[Outcome.DELIVERED].tolist() == [0, 2, *[0] * (MAX_PAGES - 2)]


def test_a_fingerprint_does_not_depend_on_the_order_and_is_kept_by_slice() -> None:
    rng = np.random.default_rng(1)
    slices = rng.integers(0, N_VIRTUAL_SHARDS, 5000).astype(np.uint16)
    hashes = rng.integers(0, 2**64, 5000, dtype=np.uint64)
    forwards, backwards, halves = Fingerprint(), Fingerprint(), Fingerprint()
    forwards.add(slices, hashes)
    backwards.add(slices[::-1], hashes[::-1])
    other = Fingerprint()
    halves.add(slices[:1000], hashes[:1000])
    other.add(slices[1000:], hashes[1000:])
    halves.merge(other)
    for found in (backwards, halves):
        assert found.count.tolist() == forwards.count.tolist()
        assert found.total.tolist() == forwards.total.tolist()
    for number in (0, 17, 255):
        chosen = hashes[slices == number].tolist()
        assert forwards.total[number] == sum(chosen) % 2**64
        assert forwards.count[number] == len(chosen)

"""Events are recognised by their headers, each counted once, whatever order and company they come in."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.kafka.event_ids import HEADER, N_BYTES, EventIds, Positions, run_tag, without_ids
from loadgen.kafka.far_end import Recogniser
from loadgen.kafka.seen_events import PAGE_BITS, SeenEvents

RUN = run_tag("20261129-141952-146a")
OTHER = run_tag("20261129-141952-146b")
PAGE = 1 << PAGE_BITS


def ids(*events: tuple[int, int, int]) -> EventIds:
    """Of (virtual shard, position, due_ns)."""
    return EventIds(*np.array(events, np.int64).reshape(-1, 3).T)


def headers(of: EventIds, run: int = RUN, *others: tuple[str, bytes]) -> list[list[tuple[str, bytes]]]:
    """As a consumer gives them, with others before."""
    return [[*others, (HEADER, value)] for value in of.headers(run).to_pylist()]


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**62))))
def test_a_header_says_which_event_it_is_and_when_it_was_due(events: list[tuple[int, int, int]]) -> None:
    values = ids(*events).headers(RUN).to_pylist()
    assert all(len(value) == N_BYTES and value.decode().isalnum() for value in values)
    found = EventIds.read(values, RUN)
    assert list(zip(found.virtual_shard, found.position, found.due_ns, strict=True)) == events
    assert len(EventIds.read(values, OTHER)) == 0


def test_what_is_no_such_header_is_left_out() -> None:
    (good,) = ids((7, 8, 9)).headers(RUN).to_pylist()
    bad = [b"", good[1:], b"y" + good[1:], good[:-1] + b"g", good[:-1] + b"F", good + b"0", b"\xff" * N_BYTES]
    assert EventIds.read([*bad, good, *bad], RUN).position.tolist() == [8]
    assert len(EventIds.read(bad, RUN)) == 0


def test_positions_go_on_from_batch_to_batch() -> None:
    positions = Positions()
    first = positions.of(np.array([3, 3, 250, 3], np.uint16))
    second = positions.of(np.array([250, 3], np.uint16))
    assert (first.tolist(), second.tolist()) == ([0, 1, 0, 2], [1, 3])


def test_other_headers_of_a_message_stay() -> None:
    assert without_ids([("a", b"1"), (HEADER, b"x")]) == [("a", b"1")]
    assert without_ids([(HEADER, b"x")]) is None
    assert without_ids(None) is None


@settings(max_examples=40)
@given(st.data())
def test_each_event_is_new_once_in_any_order_and_any_split(data: st.DataObject) -> None:
    place = st.tuples(st.integers(0, 3), st.integers(0, 3 * PAGE))
    batches = data.draw(st.lists(st.lists(place, max_size=40), max_size=8))
    seen, expected = SeenEvents(), set[tuple[int, int]]()
    for batch in batches:
        shard, position = np.array(batch, np.int64).reshape(-1, 2).T
        is_new = seen.add(shard, position)
        for one, found in zip(batch, is_new.tolist(), strict=True):
            assert found == (one not in expected)
            expected.add(one)
    asked = [(shard, position) for shard in range(4) for position in (0, 1, PAGE - 1, PAGE, 3 * PAGE, 9 * PAGE)]
    asked += sorted(expected)
    has = seen.has(*np.array(asked, np.int64).T)
    assert has.tolist() == [one in expected for one in asked]


def test_pages_whose_events_were_all_seen_take_no_memory_and_still_tell_repetitions() -> None:
    seen, rng = SeenEvents(), np.random.default_rng(1)
    n_pages = 300
    late = np.arange(0, n_pages * PAGE, 10 * PAGE)  # one of every tenth page comes last
    order = np.setdiff1d(np.arange(n_pages * PAGE), late)
    for part in np.array_split(order, 40):
        part = rng.permutation(part)
        assert seen.add(np.full(len(part), 200), part).all()
    assert seen.n_pages == 64  # of 300: 30 are open, and those that are being filled
    assert not seen.add(np.full(len(order), 200), order).any()
    assert seen.add(np.full(len(late), 200), late).all()
    assert not seen.add(np.full(len(late), 200), late).any()


@settings(max_examples=40)
@given(st.data())
def test_lost_repeated_late_and_others_are_counted_exactly(data: st.DataObject) -> None:
    n_events = data.draw(st.integers(1, 60))
    events = [(number % 5, number // 5, number * 1_000_000) for number in range(n_events)]
    copies = data.draw(st.lists(st.integers(0, 3), min_size=n_events, max_size=n_events))
    sent: list[Any] = [
        one for number, event in enumerate(events) for one in headers(ids(event), RUN, ("first", b"")) * copies[number]
    ]
    others: list[Any] = [None, [], [("a", b"1")], [(HEADER, b"?")], *headers(ids((1, 1, 1)), OTHER), [(HEADER, None)]]
    mixed = data.draw(st.permutations(sent + others))
    recogniser = Recogniser(RUN, late_s=0.030)
    cut = data.draw(st.integers(0, len(mixed)))
    for part in (mixed[:cut], mixed[cut:]):
        recogniser.take(part, arrived_ns=60_000_000)
    report = recogniser.report
    latencies_ms = [60 - number for number in range(n_events) if copies[number]]
    assert report.seen == len(latencies_ms)
    assert report.repeated == len(sent) - report.seen
    assert report.unrecognised == len(others)
    assert report.late == sum(latency_ms > 30 for latency_ms in latencies_ms)
    assert len(report.latency_s) == report.seen
    assert round(report.latency_s.max_s * 1000, 6) == max(latencies_ms, default=0)

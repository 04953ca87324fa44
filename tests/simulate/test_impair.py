"""Impairments do to events what their names say, as often as asked for, and nothing else."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.config import Impairments
from loadgen.event import SESSIONS_PER_LISTENER, EventBatch
from loadgen.rng import keys_of
from loadgen.simulate.impair import KINDS, LATE_MEAN_S, MARKS, MAX_HELD, Impairer, OutgoingBatch, n_impaired, unimpaired

ALL = Impairments(drop=0.1, duplicate=0.1, late=0.2, reorder=0.3, malform=0.1)
END_MS = 600_000


def some_events(n: int, n_listeners: int, end_ms: int = END_MS, seed: int = 1) -> EventBatch:
    """n events of so many listeners, sorted by (ts_ms, user_id), with ties where the time is short."""
    rng = np.random.default_rng(seed)
    ts_ms = np.sort(rng.integers(0, end_ms, n))
    row = rng.integers(0, n_listeners, n)
    row = row[np.lexsort((row, ts_ms))]
    in_sequence = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=n_listeners)
    nth = np.empty(n, np.int64)
    nth[in_sequence] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    session_id = row * SESSIONS_PER_LISTENER + 1 + nth // 20
    code = rng.integers(0, 100, n)
    return EventBatch(
        ts_ms=ts_ms,
        row=row.astype(np.int32),
        user_id=row,
        session_id=session_id,
        item=(1 + nth % 20).astype(np.int32),
        page=(code % 9).astype(np.uint8),
        level=(code % 2).astype(np.uint8),
        track=code.astype(np.int32),
        skipped=(code % 2).astype(np.uint8),
    )


def impairer(probabilities: Impairments, n_listeners: int = 10_000) -> Impairer:
    return Impairer(probabilities, keys_of(7, np.arange(n_listeners)))


def leave(
    impairer: Impairer, batch: EventBatch, cuts_ms: Sequence[int] = (), end_ms: int = END_MS
) -> list[OutgoingBatch]:
    """All that leaves, window by window; the windows end at cuts_ms and at the end."""
    found, at = [], 0
    for cut_ms in [*sorted(cuts_ms), end_ms]:
        until = int(np.searchsorted(batch.ts_ms, cut_ms))
        found.append(impairer.impair(batch.take(slice(at, until)), cut_ms))
        at = until
    if (rest := impairer.rest()) is not None:
        found.append(rest)
    assert impairer.rest() is None
    return found


def ids(batch: EventBatch) -> list[tuple[int, int]]:
    """What names each event."""
    return list(zip(batch.session_id.tolist(), batch.item.tolist(), strict=True))


def counts_of(found: list[OutgoingBatch]) -> Counter[str]:
    """Events of each kind of KINDS."""
    counts = Counter[str]()
    for part in found:
        counts.update(n_impaired(part, slice(0, len(part))))
    return counts


def order_of(found: list[OutgoingBatch]) -> list[tuple[int, int, int]]:
    """The events in the order of leaving: session, item, what was done."""
    return [(*name, int(mark)) for part in found for name, mark in zip(ids(part.events), part.marks, strict=True)]


def times_of(found: list[OutgoingBatch]) -> dict[tuple[int, int], int]:
    """When each event left."""
    return {name: int(ms) for part in found for name, ms in zip(ids(part.events), part.emit_ms, strict=True)}


def of_kind(kind: str, batch: EventBatch, prob: float) -> list[OutgoingBatch]:
    """All that leaves, impaired in one way alone."""
    return leave(impairer(Impairments.model_validate({kind: prob})), batch)


cuts = st.lists(st.integers(0, END_MS), max_size=12)


@given(cuts, st.sampled_from([200, END_MS]))
def test_events_leave_in_the_same_order_whatever_the_batches(cuts_ms: list[int], end_ms: int) -> None:
    batch = some_events(600, 7, end_ms)  # 200 ms: many events of the same millisecond, of the same listener too
    whole, parts = leave(impairer(ALL), batch), leave(impairer(ALL), batch, cuts_ms)
    assert order_of(whole) == order_of(parts)
    assert counts_of(whole) == counts_of(parts)


@pytest.mark.parametrize(("window_ms", "end_ms"), [(3000, 3000), (7, 3000), (100, 3000), (1, 3000), (333, 9999)])
def test_events_that_leave_at_the_same_moment_have_one_order(
    window_ms: int, end_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadgen.simulate.impair.LATE_MEAN_S", 0.5)  # many late events meet others that are on time
    batch = some_events(5000, 7, 3000)
    whole, parts = leave(impairer(ALL), batch), leave(impairer(ALL), batch, range(window_ms, 3000, window_ms), end_ms)
    assert order_of(parts) == order_of(whole)
    assert counts_of(parts) == counts_of(whole)


@pytest.mark.parametrize("n_shards", [2, 3, 8])
def test_a_listeners_events_leave_in_the_same_order_whatever_the_shards(n_shards: int) -> None:
    batch = some_events(5000, 40)
    whole = leave(impairer(ALL), batch)
    together, counts = order_of(whole), Counter[str]()
    for shard in range(n_shards):
        mine = batch.take(np.flatnonzero(batch.user_id % n_shards == shard))
        mine.row = (mine.user_id // n_shards).astype(np.int32)
        alone = Impairer(ALL, keys_of(7, np.arange(shard, 40, n_shards)))
        left = leave(alone, mine, [shard * 1000, 300_000])
        found = order_of(left)
        counts.update(counts_of(left))
        for user_id in range(shard, 40, n_shards):
            expected = [event for event in together if event[0] // SESSIONS_PER_LISTENER == user_id]
            assert [event for event in found if event[0] // SESSIONS_PER_LISTENER == user_id] == expected
    assert counts == counts_of(whole)


@given(cuts, st.integers(0, 2**32))
def test_nothing_is_lost_but_what_is_dropped_and_nothing_changes(cuts_ms: list[int], seed: int) -> None:
    batch = some_events(400, 5, seed=seed)
    found = leave(impairer(ALL), batch, cuts_ms)
    dropped = set(ids(batch)) - {event[:2] for event in order_of(of_kind("drop", batch, ALL.drop))}
    copies = Counter(event[:2] for event in order_of(of_kind("duplicate", batch, ALL.duplicate)))
    expected = {name: n_copies for name, n_copies in copies.items() if name not in dropped}
    assert Counter(event[:2] for event in order_of(found)) == expected
    position = {name: at for at, name in enumerate(ids(batch))}
    for part in found:
        original = batch.take(np.array([position[name] for name in ids(part.events)], np.int64))
        for column in EventBatch.__slots__:
            assert getattr(part.events, column).tolist() == getattr(original, column).tolist()


@given(cuts)
def test_each_batch_leaves_in_the_order_of_time_and_inside_its_window(cuts_ms: list[int]) -> None:
    found = leave(impairer(ALL), some_events(400, 5), cuts_ms)
    windows = [0, *sorted(cuts_ms), END_MS, 2**62]
    for part, (from_ms, until_ms) in zip(found, pairwise(windows), strict=False):
        assert (np.diff(part.emit_ms) >= 0).all()
        assert ((part.emit_ms >= from_ms) & (part.emit_ms < until_ms)).all()


@pytest.mark.parametrize("prob", [0.001, 0.01, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_share_is_the_probability(kind: str, prob: float) -> None:
    n = 200_000
    batch = some_events(n, 100)
    alone = impairer(Impairments.model_validate({kind: prob}))
    among_others = impairer(ALL.model_copy(update={kind: prob}))
    found = leave(alone, batch)
    n_alone, n_among_others = counts_of(found), counts_of(leave(among_others, batch))
    assert abs(n_alone[kind] - n * prob) <= 4 * np.sqrt(n * prob * (1 - prob))
    assert [other for other in KINDS if n_alone[other]] == [kind]
    n_left = n if kind == "drop" else n * (1 - ALL.drop) * (1 if kind == "duplicate" else 1 + ALL.duplicate)
    # the two copies of an event share its fate: what counts lines varies by up to (1 + 3 d) / (1 + d) more
    assert abs(n_among_others[kind] - n_left * prob) <= 4 * np.sqrt(1.2 * n_left * prob)
    assert abs(sum(map(len, found)) - n) == (n_alone[kind] if kind in ("drop", "duplicate") else 0)


@pytest.mark.parametrize("kind", ["drop", "duplicate", "malform"])
def test_what_happens_to_an_event_does_not_depend_on_the_other_impairments(kind: str) -> None:
    batch = some_events(20_000, 100)
    alone = order_of(of_kind(kind, batch, 0.1))
    both = order_of(leave(impairer(Impairments.model_validate({"late": 0.3, kind: 0.1})), batch))
    assert sorted((*name, mark & ~MARKS["late"]) for *name, mark in both) == sorted(alone)


def test_late_events_leave_two_minutes_later_on_average_with_an_exponential_spread() -> None:
    batch = some_events(200_000, 100)
    (*_, rest) = found = of_kind("late", batch, 0.1)
    late = [part.take(np.flatnonzero(part.marked("late"))) for part in found]
    delay_s = np.concatenate([part.emit_ms - part.events.ts_ms for part in late]) / 1000
    n = len(delay_s)
    assert n > 19_000
    assert delay_s.min() > 0
    assert abs(delay_s.mean() - LATE_MEAN_S) <= 4 * LATE_MEAN_S / np.sqrt(n)
    assert abs((delay_s > LATE_MEAN_S).mean() - np.exp(-1)) <= 4 * np.sqrt(np.exp(-1) * (1 - np.exp(-1)) / n)
    assert len(rest) > 0
    on_time = [part.take(np.flatnonzero(~part.marked("late"))) for part in found]
    assert all((part.emit_ms == part.events.ts_ms).all() for part in on_time)


def moved_behind_the_next(batch: EventBatch, moved: set[tuple[int, int]]) -> dict[int, list[tuple[int, int]]]:
    """The order of each listener's events when each of `moved` goes behind the next that does not: slow and plain."""
    orders: dict[int, list[tuple[int, int]]] = {}
    waiting: dict[int, list[tuple[int, int]]] = {}
    for user_id, name in zip(batch.user_id.tolist(), ids(batch), strict=True):
        if name in moved:
            waiting.setdefault(user_id, []).append(name)
        else:
            orders.setdefault(user_id, []).extend([name, *waiting.pop(user_id, [])])
    for user_id, names in waiting.items():
        orders.setdefault(user_id, []).extend(names)
    return orders


@pytest.mark.parametrize("prob", [0.02, 0.3, 0.8, 1.0])
def test_a_reordered_event_leaves_right_after_its_listeners_next_event(prob: float) -> None:
    batch = some_events(4000, 12)
    found = order_of(leave(impairer(Impairments(reorder=prob)), batch, range(0, END_MS, 7777)))
    moved = {event[:2] for event in found if event[2] == MARKS["reorder"]}
    expected = moved_behind_the_next(batch, moved)
    for user_id, order in expected.items():
        assert [event[:2] for event in found if event[0] // SESSIONS_PER_LISTENER == user_id] == order
    place = {event[:2]: at for at, event in enumerate(found)}
    for name in moved:
        assert any(other > name and place[other] < place[name] for other in expected[name[0] // SESSIONS_PER_LISTENER])


def test_a_reordered_event_leaves_with_the_one_that_overtakes_it_also_where_that_one_is_late() -> None:
    batch = some_events(4000, 12)
    happened_ms = dict(zip(ids(batch), batch.ts_ms.tolist(), strict=True))
    delays = {name: ms - happened_ms[name] for name, ms in times_of(of_kind("late", batch, 0.5)).items()}
    found = leave(impairer(Impairments(late=0.5, reorder=0.2)), batch, range(0, END_MS, 7777))
    moved = {event[:2] for event in order_of(found) if event[2] & MARKS["reorder"]}
    left_ms = times_of(found)
    assert len(moved) > 600
    for order in moved_behind_the_next(batch, moved).values():
        leader = order[0]
        for name in order:
            leader = leader if name in moved else name
            if name in moved:
                assert left_ms[name] == left_ms[leader] + delays[name]


def test_a_copy_leaves_right_behind_its_original_and_only_the_copy_counts_as_duplicate() -> None:
    found = order_of(leave(impairer(ALL), some_events(5000, 20), range(0, END_MS, 999)))
    copies = [at for at, event in enumerate(found) if event[2] & MARKS["duplicate"]]
    assert len(copies) > 300
    assert all((*found[at][:2], found[at][2] & ~MARKS["duplicate"]) == found[at - 1] for at in copies)


def test_counts_are_of_what_has_left_at_any_moment() -> None:
    batch, spoiler = some_events(5000, 20, 3000), impairer(ALL)
    kept = {event[:2] for event in order_of(of_kind("drop", batch, ALL.drop))}
    dropped_ms = [ms for name, ms in zip(ids(batch), batch.ts_ms.tolist(), strict=True) if name not in kept]
    leaving = spoiler.impair(batch, END_MS)
    counts = Counter[str]()
    for start, stop in pairwise([0, 1, 2, 700, 3000]):
        counts.update(n_impaired(leaving, slice(start, stop)))
        left = leaving.take(slice(0, stop))
        n_dropped = sum(ms <= left.emit_ms[-1] for ms in dropped_ms)
        assert counts == {"drop": n_dropped, **{kind: int(left.marked(kind).sum()) for kind in MARKS}}
    counts.update(n_impaired(leaving, slice(3000, len(leaving))))  # and those that were dropped behind the last one
    assert counts["drop"] == len(dropped_ms)


def test_where_all_are_dropped_they_are_counted() -> None:
    leaving = impairer(Impairments(drop=1.0)).impair(some_events(50, 5), END_MS)
    assert n_impaired(leaving, slice(0, 0)) == dict.fromkeys(KINDS, 0) | {"drop": 50}


@pytest.mark.parametrize("kind", KINDS)
def test_with_probability_one_it_happens_to_every_event(kind: str) -> None:
    n, n_listeners = 5000, 30
    batch, spoiler = some_events(n, n_listeners), impairer(Impairments.model_validate({kind: 1.0}))
    found = leave(spoiler, batch, range(0, END_MS, 50_000))
    counts = counts_of(found)
    n_left = {"drop": 0, "duplicate": 2 * n}.get(kind, n)
    assert sum(map(len, found)) == n_left
    if kind == "reorder":  # every ninth overtakes eight; the last few of a listener wait in vain
        most = n * MAX_HELD / (MAX_HELD + 1)
        assert most - n_listeners * MAX_HELD <= counts[kind] < most
    else:
        assert counts[kind] == n
    assert sum(counts.values()) == counts[kind]


def test_with_probability_zero_everything_stays_as_it_is() -> None:
    batch, spoiler = some_events(5000, 30), impairer(Impairments())
    (leaving,) = leave(spoiler, batch)
    same = unimpaired(batch)
    assert leaving.emit_ms.tolist() == same.emit_ms.tolist()
    assert not leaving.marks.any()
    for column in EventBatch.__slots__:
        assert getattr(leaving.events, column).tolist() == getattr(batch, column).tolist()
    assert not any(counts_of([leaving]).values())


def test_events_that_nothing_overtakes_leave_at_the_end_and_do_not_count_as_reordered() -> None:
    batch = some_events(10, 10_000)  # no listener has two
    spoiler = impairer(Impairments(reorder=1.0))
    first = spoiler.impair(batch, END_MS)
    rest = spoiler.rest()
    assert len(first) == 0
    assert rest is not None
    assert ids(rest.events) == ids(batch)
    assert (rest.emit_ms == END_MS).all()
    assert not any(counts_of([first, rest]).values())


def test_a_window_without_events_lets_go_what_is_due() -> None:
    spoiler = impairer(Impairments(late=1.0))
    batch = some_events(1000, 10, 1000)
    empty = batch.take(slice(0, 0))
    n_left = [len(spoiler.impair(batch, 1000))]
    n_left += [len(spoiler.impair(empty, end_ms)) for end_ms in range(10_000, END_MS, 10_000)]
    rest = spoiler.rest()
    assert sum(n_left) + (len(rest) if rest else 0) == 1000
    assert n_left[0] < 20
    assert min(n_left[1:10]) > 0

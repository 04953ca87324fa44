"""Progress names each event by its place, and knows of each whether it may be absent."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import progress
from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.ledger import Outcome
from loadgen.progress import Progress

events = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 7, 255]), st.sampled_from(list(Outcome))), max_size=60
)


@given(ended=events, n_parts=st.integers(1, 5))
def test_each_event_that_was_not_acknowledged_may_be_absent_and_no_other(
    ended: list[tuple[int, int, Outcome]], n_parts: int
) -> None:
    made, places = Progress.start(3), dict[tuple[int, int], int]()
    expected = []
    for partition, virtual_shard, outcome in ended:
        place = places.get((partition, virtual_shard), 0)
        places[partition, virtual_shard] = place + 1
        expected.append((partition, virtual_shard, place, outcome not in (Outcome.DELIVERED, Outcome.ABORTED)))
    for partition in range(3):
        mine = [(virtual_shard, outcome) for where, virtual_shard, outcome in ended if where == partition]
        for part in np.array_split(np.array(mine, np.int64).reshape(-1, 2), n_parts):
            made.advance(partition, part[:, 0].astype(np.uint16), part[:, 1].astype(np.uint8))
    read = Progress.from_json(orjson.loads(orjson.dumps(made.as_json())))
    n_aborted = [sum(at == where and outcome is Outcome.ABORTED for at, _, outcome in ended) for where in range(3)]
    for found in (made, read):
        assert found.is_complete
        assert found.aborted.tolist() == n_aborted
        for partition, virtual_shard, place, may_be_absent in expected:
            where = np.array([partition], np.uint16), np.array([virtual_shard]), np.array([place])
            assert found.may_be_absent(*where).tolist() == [may_be_absent]
        for (partition, virtual_shard), n_events in places.items():
            beyond = np.array([partition], np.uint16), np.array([virtual_shard]), np.array([n_events])
            assert found.may_be_absent(*beyond).tolist() == [True]


def test_what_was_delivered_ahead_of_an_open_event_must_be_there() -> None:
    made = Progress.start(1)
    made.advance(0, np.zeros(5, np.uint16))
    made.set_ahead([(0, np.zeros(2, np.uint16), np.array([7, 8]))])
    places = np.arange(4, 10)
    found = made.may_be_absent(np.zeros(6, np.uint16), np.zeros(6, np.int64), places)
    assert dict(zip(places.tolist(), found.tolist(), strict=True)) == {
        4: False, 5: True, 6: True, 7: False, 8: False, 9: True
    }  # fmt: skip


def test_workers_and_successors_add_up() -> None:
    one, other, successor = (Progress.start(2) for _ in range(3))
    one.advance(0, np.array([1, 1], np.uint16))
    other.advance(1, np.array([2], np.uint16), np.array([Outcome.FAILED], np.uint8))
    successor.advance(0, np.array([1, 1, 1], np.uint16))
    successor.advance(1, np.array([2], np.uint16), np.array([Outcome.ABORTED], np.uint8))
    for more in (other, successor):
        one.merge(more)
    assert one.aborted.tolist() == [0, 1]
    assert (one.ended[0, 1], one.ended[1, 2], one.ended.sum()) == (3, 1, 4)
    assert one.may_be_absent(np.array([1], np.uint16), np.array([2]), np.array([0])).tolist() == [True]


def test_more_gaps_than_are_kept_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MOST_RANGES", 10)
    made = Progress.start(1)
    made.advance(0, np.zeros(40, np.uint16), np.tile([Outcome.DELIVERED, Outcome.DROPPED], 20).astype(np.uint8))
    assert not made.is_complete
    assert not Progress.from_json(made.as_json()).is_complete


def test_gaps_that_touch_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MOST_RANGES", 10)
    made = Progress.start(1)
    for _ in range(50):
        made.advance(0, np.full(100, 3, np.uint16), np.full(100, Outcome.DROPPED, np.uint8))
    assert made.is_complete
    assert made.as_json()["absent"] == ["0 3 0 5000"]


@pytest.mark.parametrize(
    "change",
    [{"ended": ["1 2"]}, {"ended": ["-1 " * 255 + "0"]}, {"partitions": 5}, {"complete": None},
     {"absent": ["0 1 2"]}, {"absent": ["9 0 0 1"]}, {"ahead": [f"0 {N_VIRTUAL_SHARDS} 0 1"]}, {"absent": ["a b c d"]}],
)  # fmt: skip
def test_what_is_no_progress_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Progress.from_json({**Progress.start(1).as_json(), **change})

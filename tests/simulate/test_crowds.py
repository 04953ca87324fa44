"""Several crowds in one stream: which events there are, how many of each crowd, and when they are due."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.config import RunSettings
from loadgen.config.crowds import crowd_users, largest_remainder
from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.simulate.crowd_load import CrowdLoad, TotalLoad, crowd_loads
from loadgen.simulate.feed import offered, owned_virtual_shards, paced_schedule, whole_load
from loadgen.simulate.impair import OutgoingBatch, n_impaired
from loadgen.simulate.shapes import Shape
from loadgen.stream import EventStream, ShardStream
from tests.runner.plans import START_MS
from tests.runner.program import TRACKS

PROFILES = ("default", "sleepy-sunday", "k-pop-release-day")
Event = tuple[bytes, int]


def settings_of(**given: Any) -> RunSettings:
    return RunSettings.from_public({"start": START_MS, "tracks": TRACKS, "discard": True, **given})


def streams(whole: EventStream, workers: int, **options: Any) -> Iterator[ShardStream]:
    """The stream of each worker, with its schedule where there is one."""
    chosen = whole.settings
    for worker in range(workers):
        owned = owned_virtual_shards(0, 1, worker, workers)
        stream = whole.part(owned, **options)
        if not chosen.unpaced:
            stream.start(paced_schedule(chosen, owned, 0), 0, 0)
        yield stream


def events(whole: EventStream, workers: int) -> list[Event]:
    """All events with the numbers of their crowds, sorted; the due times of each worker must ascend."""
    found: list[Event] = []
    for stream in streams(whole, workers):
        last_ns = 0
        for outgoing in stream:
            if len(outgoing) == 0:
                continue
            if not whole.settings.unpaced:
                assert (np.diff(outgoing.due_ns, prepend=last_ns) >= 0).all()
                last_ns = int(outgoing.due_ns[-1])
            encoded = stream.encode(outgoing)
            assert encoded.crowd is not None
            found += zip(encoded.lines.to_pylist(), encoded.crowd.tolist(), strict=True)
    return sorted(found)


@st.composite
def runs(draw: st.DrawFn) -> dict[str, Any]:
    """Settings with crowds at random: rates together or of their own, natural, or as fast as possible."""
    kind = draw(st.sampled_from(["together", "own", "natural", "max"]))
    weights = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    crowds: list[dict[str, Any]] = []
    for number, weight in enumerate(weights):
        crowd: dict[str, Any] = {"name": f"c{number}", "share": f"{weight}/{sum(weights)}"}
        crowd["profile"] = draw(st.sampled_from(PROFILES))
        if kind == "own":
            crowd["rate"] = draw(st.integers(20, 300))
        if kind in ("together", "own"):
            crowd |= draw(st.sampled_from([{}, {"shape": "sine"}, {"shape": "spike"}]))
        if kind != "max" and number:  # the first one goes on
            crowd |= draw(st.sampled_from([{}, {"start": 0.4}, {"stop": 1.5}, {"start": "300ms", "stop": 2}]))
        crowds.append(crowd)
    wholes: dict[str, dict[str, Any]] = {"together": {"rate": 400}, "natural": {"speed": 3000}, "max": {"rate": "max"}}
    whole = wholes.get(kind, {})
    impair = draw(st.sampled_from(["", "late=0.1,reorder=0.1", "duplicate=0.2,malform=0.1"]))
    users, n_events = draw(st.integers(40, 300)), draw(st.integers(100, 400))
    return {"users": users, "events": n_events, "crowd": crowds, **whole, **({"impair": impair} if impair else {})}


@settings(max_examples=4)
@given(runs())
def test_the_events_are_the_same_for_any_number_of_workers_and_add_up_exactly(given: dict[str, Any]) -> None:
    chosen = settings_of(**given)
    whole = EventStream(chosen)
    expected = events(whole, 1)
    if "duplicate" not in given.get("impair", ""):
        assert len(expected) == chosen.events
    for workers in (2, 3, 5):
        assert events(whole, workers) == expected


def test_the_order_does_not_depend_on_how_many_events_come_at_a_time() -> None:
    crowds = [{"name": "a", "share": 0.6, "rate": 500}, {"name": "b", "share": 0.4, "rate": 300, "start": 0.2}]
    whole = EventStream(settings_of(users=100, events=900, crowd=crowds))

    def order(n_events: int | None) -> list[bytes]:
        (stream,) = streams(whole, 1, n_events=n_events)
        return [line for outgoing in stream for line in stream.encode(outgoing).lines.to_pylist()]

    assert order(None) == order(7) == order(100)


def test_a_crowd_has_the_next_listeners_after_the_crowd_before_it_and_their_sum_is_exact() -> None:
    crowds = [{"name": name, "share": "1/3"} for name in "abc"]
    chosen = settings_of(users=100, events=3000, rate="max", crowd=crowds)
    assert crowd_users(chosen.crowd, chosen.users) == [34, 33, 33]
    (stream,) = streams(EventStream(chosen), 1)
    batches = [(outgoing.events.user_id, stream.encode(outgoing).crowd) for outgoing in stream]
    user_id, crowd = (np.concatenate(column) for column in zip(*batches, strict=True))
    assert (crowd == np.searchsorted([34, 67], user_id, side="right")).all()
    assert np.bincount(crowd).tolist() == [1020, 990, 990]


@given(st.lists(st.fractions(0, 1).filter(bool), min_size=1, max_size=16), st.integers(0, 10**7))
def test_largest_remainders_add_up_and_are_off_by_less_than_one(weights: list[Fraction], total: int) -> None:
    found = largest_remainder(weights, total)
    assert sum(found) == total
    assert all(abs(n - weight * total / sum(weights)) < 1 for n, weight in zip(found, weights, strict=True))


def test_parts_of_a_rate_add_up_to_the_rate_at_any_time_and_a_crowd_only_counts_while_it_is_on() -> None:
    crowds = [{"name": "a", "share": "1/3"}, {"name": "b", "share": "1/6"}, {"name": "c", "share": 0.5}]
    chosen = settings_of(users=601, rate=1000, shape="spike", duration="10s", crowd=crowds)
    at_s = np.linspace(0, 10, 101)
    whole, total = whole_load(chosen), offered(chosen)
    assert whole is not None
    assert total is not None
    assert np.allclose(total.integral(at_s), whole.integral(at_s), rtol=1e-12)
    load = CrowdLoad(Shape.constant(100), 2.0, 2.0, 5.0)
    assert load.integral([0, 2, 3, 5, 9]).tolist() == [0, 0, 100, 300, 300]
    assert load.invert([0, 100, 299, 300]).tolist() == [2, 3, 4.99, np.inf]
    assert load.rate_at([1.9, 2, 4.9, 5]).tolist() == [0, 100, 100, 0]
    assert TotalLoad([load, load.part(1, 2)]).invert([0, 449, 450]).tolist() == pytest.approx(
        [2, 2 + 449 / 150, np.inf]
    )


def test_a_number_of_events_is_split_by_what_each_crowd_offers_until_then() -> None:
    crowds = [
        {"name": "a", "share": 0.5, "rate": 100},
        {"name": "b", "share": 0.5, "rate": 300, "start": 1, "stop": 2},
    ]
    chosen = settings_of(users=64, events=1000, crowd=crowds)
    assert crowd_loads(chosen, None) is not None
    counts = np.bincount([crowd for _, crowd in events(EventStream(chosen), 3)])
    assert counts.tolist() == [700, 300]


def test_crowds_with_devices_of_their_own_keep_their_words(tmp_path: Any) -> None:
    (tmp_path / "phones.toml").write_text(
        "[population]\nplatforms = {iOS = 0.5, Toaster = 0.5}\ndevices = {toaster = 1.0}\n"
    )
    crowds = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "behaviour": str(tmp_path / "phones.toml")}]
    chosen = settings_of(users=60, events=600, rate="max", format="full", crowd=crowds)
    found = EventStream(chosen).to_arrow().to_pylist()
    devices = [{event["device"] for event in found if (event["userId"] >= 30) is is_b} for is_b in (False, True)]
    assert devices[1] == {"toaster"}
    assert "toaster" not in devices[0]


def test_what_is_dropped_on_purpose_is_counted_once_in_any_parts() -> None:
    crowds = [{"name": "a", "share": 0.5, "rate": 900}, {"name": "b", "share": 0.5, "rate": 100}]
    chosen = settings_of(users=100, events=2000, crowd=crowds, impair="drop=0.3")
    (stream,) = streams(EventStream(chosen), 1)
    n_dropped = n_left = 0
    for outgoing in stream:
        n_left += len(outgoing)
        cuts = np.unique([0, *np.arange(3, len(outgoing), 7), len(outgoing)]).tolist() or [0]
        parts = [slice(a, b) for a, b in pairwise(cuts)] or [slice(0, 0)]
        each = [n_impaired(outgoing, part)["drop"] for part in parts]
        assert min(each) >= 0
        n_dropped += sum(each)
    assert n_left + n_dropped == 2000


def test_an_empty_batch_has_every_column() -> None:
    crowds = [{"name": "a", "share": 1}]
    chosen = settings_of(users=N_VIRTUAL_SHARDS, events=1, rate="max", crowd=crowds)
    for stream in streams(EventStream(chosen), 2):
        for outgoing in stream:
            assert isinstance(outgoing, OutgoingBatch)
            assert len(stream.encode(outgoing)) == len(outgoing)

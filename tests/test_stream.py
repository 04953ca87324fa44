"""Events are made in one place: the same for any split over streams and any size of batch."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.kafka.partition import hash_of_keys
from loadgen.simulate.catalog_file import load
from loadgen.simulate.feed import Owned, paced_schedule
from loadgen.stream import EventStream, ShardStream
from tests.runner.plans import plan_of

ALL: Owned = np.ones(N_VIRTUAL_SHARDS, np.bool_)
SPOILT = {"impair": "late=0.1,duplicate=0.1,reorder=0.1,drop=0.1,malform=0.1"}


def events(**settings: Any) -> EventStream:
    plan = plan_of(users=600, **settings)
    return EventStream(plan.settings, plan.simulation, load(plan.catalog_path), plan.model)


def lines_of(stream: ShardStream) -> list[bytes]:
    return [line for outgoing in stream for line in stream.encode(outgoing).lines.to_pylist()]


def test_any_split_over_streams_and_any_size_of_batch_makes_the_same_events() -> None:
    made = events(events=4000, **SPOILT)
    odd = np.arange(N_VIRTUAL_SHARDS) % 2 == 1
    whole = sorted(lines_of(made.part(ALL)))
    halves = sorted(line for owned in (odd, ~odd) for line in lines_of(made.part(owned, n_events=97)))
    assert whole == halves
    assert len(whole) > 3000


def test_a_batch_that_was_made_before_the_start_is_the_first_and_gets_its_due_times() -> None:
    made = events(events=2000, rate=1000.0, timestamps="wall", duration=60)
    at_once, warmed = (made.part(ALL) for _ in range(2))
    warmed.warm_up(2)
    for stream in (at_once, warmed):
        stream.start(paced_schedule(made.settings, ALL, 5_000_000), 5_000_000, 1_000)
    first = warmed.next()
    assert first is not None
    assert first.due_ns[:3].tolist() == [5_000_000, 6_000_000, 7_000_000]
    assert first.events.ts_ms[:3].tolist() == [1000, 1001, 1002]
    assert (warmed.encode(first).due_ns == first.due_ns).all()
    assert warmed.encode(first).lines.to_pylist() + lines_of(warmed) == lines_of(at_once)


def test_some_events_of_a_batch_have_the_lines_and_hashes_that_they_have_in_it() -> None:
    stream = events(events=1000).part(ALL)
    outgoing = stream.next()
    assert outgoing is not None
    rows = np.arange(1, len(outgoing), 3)
    whole, some = stream.encode(outgoing), stream.encode(outgoing.take(rows))
    assert some.lines.to_pylist() == whole.take(rows).lines.to_pylist()
    assert (some.hash == whole.hash[rows]).all()


@pytest.mark.parametrize("key", ["user", "session", "artist", "none"])
def test_the_partition_of_an_event_is_known_before_it_is_encoded(key: str) -> None:
    made = events(events=2000, **SPOILT)
    keyed = EventStream(made.settings.model_copy(update={"key": key}), made.simulation, made.catalog, made.model)
    stream = keyed.part(ALL)
    outgoing = stream.next()
    assert outgoing is not None
    encoded = stream.encode(outgoing)
    keys = [b"%d" % user_id for user_id in encoded.user_id.tolist()]
    if encoded.key is not None:
        keys = [key or listener for key, listener in zip(encoded.key.to_pylist(), keys, strict=True)]
    expected = hash_of_keys(pa.array(keys, pa.binary())).tolist()
    assert stream.key_hashes(outgoing.events).tolist() == encoded.key_hash.tolist() == expected

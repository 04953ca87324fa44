"""Recorded events are due when they happened, however fast they are replayed."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loadgen.config import ReplaySettings
from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.kafka.event_ids import HEADER, EventIds, run_tag
from loadgen.replay.records import no_headers, with_own_header
from loadgen.runner.assignment import ShardAssignment
from loadgen.runner.messages import Go, ReplayPlan, Seconds
from loadgen.runner.recorded import DueTimes, RecordedEvents
from loadgen.runner.replay import first_time_us, recording_of
from loadgen.simulate.catalog_file import load
from loadgen.simulate.feed import paced_schedule
from loadgen.simulate.schedule import NS_PER_S
from loadgen.stream import EventStream
from tests.runner.plans import START_MS, plan_of

T0_NS = 5 * NS_PER_S
LENGTH_S = 20


def spike(path: Path) -> None:
    """What `loadgen run --shape spike --timestamps wall --output` records, without waiting for it."""
    given = {"shape": "spike", "rate": "2k/s", "duration": f"{LENGTH_S}s", "timestamps": "wall"}
    plan = plan_of(**given)
    owned = np.ones(N_VIRTUAL_SHARDS, np.bool_)
    stream = EventStream(plan.settings, plan.simulation, load(plan.catalog_path), plan.model).part(owned)
    stream.start(paced_schedule(plan.settings, owned, 0), 0, START_MS)
    with path.open("wb") as file:
        for outgoing in stream:
            encoded = stream.encode(outgoing)
            is_in_time = encoded.due_ns < LENGTH_S * NS_PER_S
            file.write(encoded.take(np.flatnonzero(is_in_time)).buffer())
            if not is_in_time.all():
                return


def source_of(path: Path, **settings: Any) -> RecordedEvents:
    """The events of a file."""
    replayed = ReplaySettings.from_public({"sources": [str(path)], "discard": True, **settings})
    recording = recording_of(replayed)
    plan = ReplayPlan(
        run_id="r",
        settings=replayed,
        kafka=None,
        topic_ends=None,
        stream=False,
        recording=recording,
        first_us=first_time_us(recording, replayed),
    )
    return RecordedEvents(ShardAssignment(plan, 0), Seconds())


def due_ns(source: RecordedEvents) -> Int64s:
    """When each of its events is due."""
    source.warm_up()
    source.start(Go(T0_NS, START_MS))
    found = []
    while not source.is_over:
        batch = source.next(0)
        if batch is not None and batch[1] is not None:
            found.append(batch[1].due_ns)
    source.end()
    return np.concatenate(found)


@pytest.mark.parametrize("speed", [1, 10])
def test_each_second_of_a_recorded_spike_is_offered_as_it_was(tmp_path: Path, speed: int) -> None:
    spike(tmp_path / "in.jsonl")
    times_ms = np.array([int(line[6:19]) for line in (tmp_path / "in.jsonl").read_bytes().splitlines()])
    recorded = Counter(((times_ms - times_ms.min()) // 1000).tolist())
    source = source_of(tmp_path / "in.jsonl", speed=speed)
    due = due_ns(source)
    assert (np.diff(due) >= 0).all()
    offered = Counter(((due - T0_NS) * speed // NS_PER_S).tolist())
    assert max(recorded.values()) > 8 * min(recorded[second] for second in range(LENGTH_S - 1))
    assert offered == recorded  # 0.5 % is allowed
    assert source.scheduled(T0_NS + LENGTH_S * NS_PER_S) == len(times_ms)


def test_what_is_not_read_yet_is_scheduled_at_the_rate_until_there() -> None:
    due = DueTimes()
    due.add(np.arange(0, 1000, 10))
    due.add(np.arange(1000, 2000, 10))
    assert due.count(995, 0, [], False) == 100
    assert due.count(3980, 0, [], False) == pytest.approx(400)
    assert due.count(3980, 0, [np.arange(2000, 4000, 10)], False) == 398
    assert due.count(3980, 0, [], True) == 200


def test_events_without_a_key_take_turns_and_the_others_follow_their_keys(tmp_path: Path) -> None:
    lines = [b'{"ts":%d%s}' % (START_MS + k, b',"userId":7' if k % 2 else b"") for k in range(40)]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    source = source_of(tmp_path / "in.jsonl", message_time="now", speed=2)
    source.warm_up()
    source.start(Go(T0_NS, 1_800_000_000_000))
    batch = None
    while batch is None:
        batch = source.next(0)
    source.end()
    encoded = batch[1]
    assert encoded is not None
    assert encoded.key is not None
    assert encoded.key.to_pylist() == [b"7" if k % 2 else None for k in range(40)]
    assert len(set(encoded.key_hash[1::2].tolist())) == 1
    assert encoded.key_hash[::2].tolist() == list(range(20))
    assert encoded.ts_ms.tolist() == [1_800_000_000_000 + k // 2 for k in range(40)]


def test_headers_name_the_events_that_are_watched_behind_the_system_under_test(tmp_path: Path) -> None:
    lines = [b'{"ts":%d,"userId":%d}' % (START_MS + k, k) for k in range(20)]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    source = source_of(tmp_path / "in.jsonl", brokers="a:1", topic="t", watch_topic="out", discard=False)
    source.warm_up()
    source.start(Go(T0_NS, START_MS))
    batch = None
    while batch is None:
        batch = source.next(0)
    source.end()
    assert batch[1] is not None
    headers = batch[1].headers
    assert headers is not None
    found = EventIds.read(headers.field(HEADER).to_pylist(), run_tag("r"))
    assert found.due_ns.tolist() == batch[1].due_ns.tolist()
    recorded = pa.array([[{"name": HEADER, "value": b"old"}, {"name": "a", "value": None}]], no_headers(0).type)
    assert with_own_header(recorded, HEADER, headers.field(HEADER)[:1]).to_pylist() == [
        [{"name": "a", "value": None}, {"name": HEADER, "value": headers.field(HEADER)[0].as_py()}]
    ]

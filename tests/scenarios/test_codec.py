"""A snapshot comes out at the master as it went in at the worker."""

import dataclasses
from typing import Any

import msgpack
import numpy as np

from loadgen.histogram import Histogram, Sparse
from loadgen.ledger import Outcome, Tally
from loadgen.runner.messages import Seconds, Snapshot
from loadgen.scenarios.codec import packed, unpacked


def _snapshot() -> Snapshot:
    tally, lag = Tally(), Histogram()
    tally.complete(Outcome.DELIVERED, np.array([0, 1, 1], np.uint8))
    tally.fingerprint.add(np.array([3, 3, 255], np.uint16), np.array([2**64 - 1, 5, 7], np.uint64))
    tally.ack_s.record(np.array([0.01, 0.02, 1.5]))
    tally.bytes_delivered, tally.in_flight = 750, 4
    lag.record(np.array([0.001]))
    return Snapshot(
        tallies={"kafka": tally},
        completed={},
        file_bytes={},
        schedule_lag_s=lag,
        active=17,
        served_ns=990,
        simulated_ms=123,
        cpu_s=1.5,
        seconds=Seconds(1, 2, 3, 4),
        slow_s=0.25,
        scheduled=7.0,
        scheduled_ns=1000,
        at_ns=1000,
        error="x",
    )


def _plain(value: Any) -> Any:
    """What can be compared: a histogram as what it holds."""
    if isinstance(value, Histogram):
        return Sparse.of(value).as_json()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return _plain(_fields(value)) if dataclasses.is_dataclass(value) else value


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def test_a_snapshot_survives_the_wire() -> None:
    sent = _snapshot()
    found = unpacked(msgpack.loads(msgpack.dumps(packed(sent))), at_ns=1000)
    np.testing.assert_equal(_plain(found), _plain(sent))


def test_its_times_are_on_the_clock_of_who_reads_it_and_what_has_no_time_keeps_none() -> None:
    found = unpacked(packed(_snapshot()), at_ns=5_000_000)
    assert (found.at_ns, found.served_ns, found.scheduled_ns) == (5_000_000, 4_999_990, 5_000_000)
    assert found.ended_ns == 0

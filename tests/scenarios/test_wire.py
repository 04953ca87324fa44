"""A snapshot comes out at the master as it went in at the worker."""

import dataclasses

import msgpack
import numpy as np

from loadgen.histogram import Histogram
from loadgen.ledger import Outcome, Tally
from loadgen.run.messages import Pulse, Seconds, Snapshot
from loadgen.scenarios.wire import packed, unpacked


def _snapshot() -> Snapshot:
    tally, lag = Tally(), Histogram()
    tally.settle(Outcome.DELIVERED, np.array([0, 1, 1], np.uint8))
    tally.fingerprint.add(np.array([3, 3, 255], np.uint16), np.array([2**64 - 1, 5, 7], np.uint64))
    tally.ack_s.record(np.array([0.01, 0.02, 1.5]))
    tally.bytes_delivered, tally.in_flight = 750, 4
    lag.record(np.array([0.001]))
    pulse = Pulse(n_delivered=3, delivered_ns=900, seen_ns=1000)
    return Snapshot(
        {"kafka": tally}, {}, {}, lag, 17, 990, 123, 1.5, Seconds(1, 2, 3, 4), 7.0, 1000, 1000, pulse=pulse, error="x"
    )


def test_a_snapshot_survives_the_wire() -> None:
    sent = _snapshot()
    found = unpacked(msgpack.loads(msgpack.dumps(packed(sent))), at_ns=1000)
    np.testing.assert_equal(dataclasses.asdict(found), dataclasses.asdict(sent))


def test_its_times_are_on_the_clock_of_who_reads_it_and_what_has_no_time_keeps_none() -> None:
    found = unpacked(packed(_snapshot()), at_ns=5_000_000)
    assert (found.at_ns, found.served_ns, found.scheduled_ns) == (5_000_000, 4_999_990, 5_000_000)
    assert (found.pulse.delivered_ns, found.pulse.waiting_ns, found.ended_ns) == (4_999_900, 0, 0)

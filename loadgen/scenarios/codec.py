"""Snapshots between hosts: what a worker reports to the master, as JSON types.

In: a worker's `Snapshot`. Out: the same at the master, without its activity, and with times on the master's clock. The
monotonic clocks of two hosts are unrelated, so a snapshot travels with ages, not with times.
"""

from typing import Any

import numpy as np

from loadgen.histogram import Sparse
from loadgen.ledger import Fingerprint, Tally
from loadgen.runner.messages import Seconds, Snapshot

_PLAIN = ("active", "simulated_ms", "cpu_s", "slow_s", "scheduled", "round_trip_s", "done", "error", "error_kind")
_TIMES = ("served_ns", "scheduled_ns", "ended_ns")
_SECONDS = ("generate", "send", "full", "idle")


def packed(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as JSON types (and nan), with its times as ages before `at_ns`."""
    plain = {name: getattr(snapshot, name) for name in _PLAIN}
    times = {name: _before(snapshot.at_ns, getattr(snapshot, name)) for name in _TIMES}
    return {
        **plain,
        **times,
        "seconds": {name: getattr(snapshot.seconds, name) for name in _SECONDS},
        "lag": Sparse.of(snapshot.schedule_lag_s).as_json(),
        "tallies": {name: _packed_tally(tally) for name, tally in snapshot.tallies.items()},
    }


def unpacked(content: dict[str, Any], at_ns: int) -> Snapshot:
    """The snapshot from `packed`, as if it had been taken at this time.monotonic_ns()."""
    plain: dict[str, Any] = {name: content[name] for name in _PLAIN}
    times: dict[str, Any] = {name: _after(at_ns, content[name]) for name in _TIMES}
    return Snapshot(
        tallies={name: _tally(tally) for name, tally in content["tallies"].items()},
        completed={},
        file_bytes={},
        schedule_lag_s=Sparse.from_json(content["lag"]).full(),
        seconds=Seconds(**content["seconds"]),
        at_ns=at_ns,
        **plain,
        **times,
    )


def _before(at_ns: int, time_ns: int) -> int | None:
    """The age, ns; None for 0, which means no time."""
    return at_ns - time_ns if time_ns else None


def _after(at_ns: int, before_ns: int | None) -> int:
    return 0 if before_ns is None else at_ns - before_ns


def _packed_tally(tally: Tally) -> dict[str, Any]:
    return {
        "by_page": tally.by_page.tolist(),
        "bytes": tally.bytes_delivered,
        "in_flight": tally.in_flight,
        "count": tally.fingerprint.count.tolist(),
        "total": tally.fingerprint.total.tolist(),
        "ack": Sparse.of(tally.ack_s).as_json(),
        "intended": Sparse.of(tally.intended_to_ack_s).as_json(),
    }


def _tally(content: dict[str, Any]) -> Tally:
    fingerprint = Fingerprint(np.array(content["count"], np.int64), np.array(content["total"], np.uint64))
    return Tally(
        by_page=np.array(content["by_page"], np.int64),
        bytes_delivered=content["bytes"],
        in_flight=content["in_flight"],
        fingerprint=fingerprint,
        ack_s=Sparse.from_json(content["ack"]).full(),
        intended_to_ack_s=Sparse.from_json(content["intended"]).full(),
    )

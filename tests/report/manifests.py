"""Manifests of runs that never were: figures that a test can foretell."""

from typing import Any

import numpy as np
import orjson

from loadgen.config import RunSettings
from loadgen.event import PAGES
from loadgen.histogram import Histogram, Sparse
from loadgen.record import RunRecord, parse

N_EVENTS = 20_000
PER_S = 1000


def spread(seed: int, middle_ms: float) -> dict[str, Any]:
    """A histogram of N_EVENTS durations around this one."""
    found = Histogram()
    found.record(np.random.default_rng(seed).lognormal(np.log(middle_ms / 1e3), 0.5, N_EVENTS))
    return Sparse.of(found).as_json()


def window(place: int, middle_ms: float = 10.0, **changes: Any) -> dict[str, Any]:
    """The window of a second that begins so many seconds after the start."""
    percentiles = {"p50": middle_ms, "p90": middle_ms * 2, "p99": middle_ms * 3, "p999": None, "max": middle_ms * 4}
    return {
        "start_s": float(place),
        "end_s": place + 1.0,
        "offered_s": 1.0,
        "scheduled": PER_S + 0.25,
        "planned": PER_S,
        "delivered": PER_S - place,
        "failed": 0,
        "dropped": 0,
        "unfinished": 0,
        "n_bytes": 250 * PER_S,
        "cpu_s": 0.5,
        "in_flight": 40 + place,
        "active": 900,
        "schedule_lag_ms": {name: value and value / 10 for name, value in percentiles.items()},
        "ack_ms": percentiles,
        "intended_to_ack_ms": {name: value and value * 2 for name, value in percentiles.items()},
        **changes,
    }


def summary(**changes: Any) -> dict[str, Any]:
    """What `loadgen run --json` prints."""
    counts = {"planned": N_EVENTS, "delivered": N_EVENTS, "failed": 0, "dropped": 0, "unfinished": 0}
    return {
        **counts,
        "repeated_possibly": 0,
        "bytes": 250 * N_EVENTS,
        "elapsed_s": 20.0,
        "cpu_s": 10.0,
        "target_per_s": 1000.0,
        "achieved_per_s": 999.5,
        "schedule_lag_ms": {"p50": 1.0, "p90": 2.0, "p99": 3.0, "p999": 4.0, "max": 5.0},
        "ack_ms": {"p50": 10.0, "p90": 20.0, "p99": 30.0, "p999": 40.0, "max": 50.0},
        "intended_to_ack_ms": {"p50": 11.5, "p90": 22.5, "p99": 33.5, "p999": 44.5, "max": 1234.5},
        "limited_by": "schedule",
        "seed": 7,
        "manifest": "",
        "exit_reason": "duration",
        "restarts": 0,
        "impaired": {},
        "sinks": {"kafka": counts},
        "measured_from_s": 0.0,
        "stalls": [],
        "thresholds": [],
        **changes,
    }


def settings(**changes: Any) -> dict[str, Any]:
    """Those of a run, as the manifest keeps them."""
    given = {"brokers": "kafka:9092", "users": 5000, "workers": 2, "rate": 1000.0, "start_ms": 1_795_355_260_884}
    return RunSettings(**{**given, **changes}).public_dict()


def manifest(**changes: Any) -> dict[str, Any]:
    """A whole manifest; `changes` replace parts of it."""
    counts = {"planned": N_EVENTS, "delivered": N_EVENTS, "failed": 0, "dropped": 0, "unfinished": 0}
    by_page = {name: N_EVENTS // 2 >> place for place, name in enumerate(PAGES.names)}
    half = {"planned": 10_000, "delivered": 10_000, "failed": 0, "dropped": 0, "unfinished": 0}
    workers = [{"index": place, "restarts": 0, "repeated_possibly": 0, "sinks": {"kafka": half}} for place in range(2)]
    sink = {"bytes": 250 * N_EVENTS, "by_page": {"delivered": by_page}}
    return {
        "manifest_version": 3,
        "run_id": "20261122-101500-3fa9",
        "seed": 7,
        "start_ms": 1_795_355_260_884,
        "t0_wall_ms": 1_795_355_262_207,
        "settings": settings(),
        "versions": {"python": "3.11.7", "loadgen": "0.1.0"},
        "machine": {"system": "Linux", "processor": "Abacus", "cores": 4, "memory_gib": 16.0},
        "summary": summary(),
        "sinks": {"kafka": {**counts, **sink, "ack": spread(1, 10.0), "intended_to_ack": spread(2, 20.0)}},
        "workers": workers,
        "schedule_lag": spread(3, 1.0),
        "history": [window(place) for place in range(20)],
        "error": None,
        **changes,
    }


def run_of(content: dict[str, Any], path: str) -> RunRecord:
    """The record of the run that this manifest describes."""
    return parse(orjson.dumps(content), path)

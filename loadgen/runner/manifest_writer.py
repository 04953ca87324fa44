"""Writes the manifest of a run, while it goes on and when it is over.

In: results, the last one and those so far. Out: the manifest; beside one that is not the last, the file of the workers'
own counts, see loadgen/verifier/worker_progress.py. So a run that is killed, the coordinator too, can be verified: what
its last report counts as delivered must be there, what was planned since may be, and nothing may be there twice.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from loadgen.errors import OutputUnwritable
from loadgen.histogram import Sparse
from loadgen.ledger import Tally
from loadgen.runner.coordinator import Result
from loadgen.runner.history import LATENCIES, Window
from loadgen.runner.machine import machine
from loadgen.runner.messages import Plan
from loadgen.runner.outputs import sink_names
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import summary
from loadgen.verifier.manifest import planned_json, sink_json, versions, write_manifest
from loadgen.verifier.worker_progress import path_beside

EVERY_S = 2.0


@dataclass(slots=True)
class ManifestWriter:
    """Writes the manifest of a run from time to time.

    Attributes:
        plan: of the run.
        so_far: what could be said if the run ended now.
        kept_s: when it was written last, on the monotonic clock.
        decided: what was so before the run began; worked out once, for a shape may have 100,000 points.
    """

    plan: Plan
    so_far: Callable[[], Result]
    kept_s: float = float("-inf")
    decided: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.decided = _decided(self.plan)

    def watch(self, _totals: Totals, _elapsed_s: float) -> None:
        """Write it if it is time to; where it cannot be written, the run says so at its end."""
        if time.monotonic() - self.kept_s < EVERY_S:
            return
        self.kept_s = time.monotonic()
        path = self.plan.settings.manifest_path(self.plan.run_id)
        with suppress(OutputUnwritable):
            now = self.decided | _found(self.so_far(), self.plan)
            write_manifest(path, now | {"reached": path_beside(path).name})


def manifest_of(result: Result, plan: Plan) -> dict[str, Any]:
    """What the manifest says."""
    return _decided(plan) | _found(result, plan)


def _decided(plan: Plan) -> dict[str, Any]:
    """What was so before the run began."""
    settings = plan.settings
    return {
        "run_id": plan.run_id,
        "seed": settings.seed,
        "start_ms": settings.start_ms,
        "format": settings.format,
        "settings": settings.public_dict(),
        "behaviour": plan.simulation.behaviour.model_dump(mode="json"),
        "versions": versions(),
        "machine": machine(),
        "catalog": {"digest": plan.catalog_digest, "tracks": settings.tracks, "name": settings.catalog},
    }


def _found(result: Result, plan: Plan) -> dict[str, Any]:
    """What became of it."""
    return {
        "t0_wall_ms": result.t0_wall_ms,
        "summary": summary(result.totals, result.verdict, plan.settings.seed, ""),
        "planned": planned_json(result.planned),
        "sinks": {name: sink_json(tally, result.progress.get(name)) for name, tally in _tallies(result, plan).items()},
        "workers": result.workers,
        "schedule_lag": Sparse.of(result.totals.schedule_lag_s).as_json(),
        "measured": _measured(result.verdict.measured),
        "error": str(result.error) if result.error else None,
    }


def _measured(window: Window) -> dict[str, Any]:
    """The run without its warm-up: what `Window.as_json` says, and the whole histograms."""
    return window.as_json() | {name: getattr(window, name).as_json() for name in LATENCIES}


def history_of(result: Result) -> list[dict[str, Any]]:
    """How the run went over time, which the manifest says at its end: a list of `Window`s."""
    return [window.as_json() for window in result.history.windows]


def _tallies(result: Result, plan: Plan) -> dict[str, Tally]:
    """The ledger of each sink; an empty one of those that workers have sent to and not reported yet."""
    return {name: Tally() for name in sink_names(plan) if name != "null"} | result.totals.tallies

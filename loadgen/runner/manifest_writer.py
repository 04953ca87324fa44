"""Writes the manifest of a run, while it goes on and when it is over.

A manifest that is not the last names the file of the workers' own counts beside it, see
loadgen/verifier/worker_progress.py. So a run whose every process is killed can be verified: what its last manifest
counts as delivered must be there, what was planned since may be, and nothing may be there twice.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loadgen.errors import OutputUnwritable
from loadgen.ledger import Tally
from loadgen.progress import Progress
from loadgen.record import (
    MANIFEST_VERSION,
    CatalogRecord,
    HistogramRecord,
    RunRecord,
    ShardCounts,
    SinkRecord,
    TopicRecord,
    versions,
    write,
)
from loadgen.runner.coordinator import Result
from loadgen.runner.machine import machine
from loadgen.runner.messages import Plan, ReplayPlan, SimulationPlan
from loadgen.runner.outputs import sink_names
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import summary
from loadgen.verifier.worker_progress import path_beside

EVERY_S = 2.0


@dataclass(slots=True)
class ManifestWriter:
    """Writes the manifest of a run from time to time.

    Attributes:
        plan: of the run.
        so_far: the result if the run ended now.
        written_s: when it was written last, on the monotonic clock.
        settings, of_events: of the run, as JSON; made once, because a shape may have 100,000 points.
    """

    plan: Plan
    so_far: Callable[[], Result]
    written_s: float = float("-inf")
    settings: dict[str, Any] = field(init=False)
    of_events: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.settings = self.plan.settings.public_dict()
        self.of_events = _of_events(self.plan)

    def watch(self, _totals: Totals, _elapsed_s: float) -> None:
        """Write it if it is time to; where it cannot be written, the run says so at its end."""
        if time.monotonic() - self.written_s < EVERY_S:
            return
        self.written_s = time.monotonic()
        path = self.plan.settings.manifest_path(self.plan.run_id)
        with suppress(OutputUnwritable):
            write(path, self._record().model_copy(update={"reached": path_beside(path).name}))

    def final(self) -> RunRecord:
        """The record of the run that has ended, with its history."""
        history = [window.record() for window in self.so_far().history.windows]
        path = str(self.plan.settings.manifest_path(self.plan.run_id))
        return self._record().model_copy(update={"history": history, "path": path})

    def _record(self) -> RunRecord:
        result, plan = self.so_far(), self.plan
        return RunRecord(
            manifest_version=MANIFEST_VERSION,
            run_id=plan.run_id,
            settings=self.settings,
            versions=versions(),
            machine=machine(),
            t0_wall_ms=result.t0_wall_ms,
            summary=summary(result.totals, result.verdict, self.of_events.get("seed"), ""),
            planned=ShardCounts.of(result.planned),
            sinks=self._sinks(result),
            workers=result.workers,
            schedule_lag=HistogramRecord.of(result.totals.schedule_lag_s),
            measured=result.verdict.measured.measured(),
            error=str(result.error) if result.error else None,
            **self.of_events,
            **self._schema(),
            **self._topics(),
        )

    def _schema(self) -> dict[str, Any]:
        schema, key_schema = self.plan.schema, self.plan.key_schema
        of_key = {} if key_schema is None else {"key_schema_id": key_schema.id, "key_subject": key_schema.subject}
        if schema is None:
            return of_key
        return of_key | {
            "encoding": schema.name,
            "schema_id": schema.id,
            "subject": schema.subject,
            "schema_text": schema.text,
        }

    def _topics(self) -> dict[str, Any]:
        topics, pages = self.plan.topics, self.plan.pages
        if topics is None:
            return {}
        records = [
            TopicRecord(name=name, partitions=n, pages=[pages[page] for page in np.flatnonzero(topics.pages(name))])
            for name, n in zip(topics.names, topics.n_partitions, strict=True)
        ]
        return {"topics": records}

    def _sinks(self, result: Result) -> dict[str, SinkRecord]:
        """The ledger of each sink; an empty one of those that workers have sent to and not reported yet."""
        expected = {name: Tally() for name in sink_names(self.plan) if name != "null"}
        tallies, start = expected | result.totals.tallies, Progress.start(len(self.plan.topic_ends or {}) or 1)
        pages = self.plan.pages
        records = {
            name: SinkRecord.of(tally, result.progress.get(name, start), pages) for name, tally in tallies.items()
        }
        if isinstance(self.plan, ReplayPlan):  # nothing can be compared with them
            update = {"fingerprint": None, "progress": None}
            return {name: record.model_copy(update=update) for name, record in records.items()}
        return records


def _of_events(plan: Plan) -> dict[str, Any]:
    """What the events are, from which `verify` makes them again."""
    settings = plan.settings
    if isinstance(plan, ReplayPlan):
        return {}
    assert isinstance(plan, SimulationPlan)
    crowd_behaviours = {one.name: one.simulation.behaviour.model_dump(mode="json") for one in plan.crowds}
    return {
        "seed": settings.seed,
        "start_ms": settings.start_ms,
        "format": settings.format,
        "fields": settings.wire_format.definition,
        "behaviour": plan.simulation.behaviour.model_dump(mode="json"),
        **({"crowd_behaviours": crowd_behaviours} if crowd_behaviours else {}),
        "catalog": CatalogRecord(digest=plan.catalog_digest, tracks=settings.tracks, name=settings.catalog),
    }

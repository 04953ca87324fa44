"""The ledger of a test with Locust: the last report of each worker, the sum, the verdict, and what happened to workers.

In: snapshots of workers, under the names that Locust gives them, and lost workers. Out: totals, a verdict, and the
ledger as JSON. planned = delivered + failed + dropped + unfinished holds for each worker and for the sum; of a worker
that was killed it holds for its last report, and `possibly_more` bounds what it may have sent after that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loadgen.config import RunSettings
from loadgen.event import PAGES
from loadgen.ledger import Tally
from loadgen.record import LEDGER_VERSION, SinkRecord, StressRecord, StressWorkerRecord, WorkerEvent, versions
from loadgen.runner.evaluation import RunEvaluation
from loadgen.runner.machine import machine
from loadgen.runner.messages import Snapshot
from loadgen.runner.totals import WorkerReports
from loadgen.runner.verdict import Verdict, summary
from loadgen.scenarios.engine import EngineShard
from loadgen.scenarios.memory import Memory
from loadgen.simulate.schedule import NS_PER_S


@dataclass(slots=True)
class WorkerStats(WorkerReports):
    """One worker of the test.

    Attributes:
        worker: its name.
        part: which listeners it had.
        begun_s, ended_s: of the test: its first and its last report.
        allowed: the limit of planned events that its lease set, in total.
        end: "" while it is running; then "drained", "failed" or "lost".
        memory: of its process.
    """

    worker: str
    part: EngineShard
    begun_s: float
    ended_s: float
    allowed: int = 0
    end: str = ""
    memory: Memory = field(default_factory=Memory)

    @property
    def done(self) -> bool:
        """Whether no more reports are expected."""
        return bool(self.end)

    @property
    def possibly_more(self) -> int:
        """Events that it may have sent after its last report, at most."""
        n_planned = sum(tally.planned for tally in self.last.tallies.values()) if self.last else 0
        return max(0, self.allowed - n_planned) if self.end == "lost" else 0

    def record(self) -> StressWorkerRecord:
        """Counts, and how it ended."""
        tallies = self.last.tallies if self.last else {}
        return StressWorkerRecord(
            worker=self.worker,
            shard=f"{self.part.shard}/{self.part.of}",
            life=self.part.fencing_token,
            from_s=round(self.begun_s, 3),
            until_s=round(self.ended_s, 3),
            **next(iter(tallies.values()), Tally()).counts(),
            end=self.end or "running",
            possibly_more=self.possibly_more,
            error=(self.last.error if self.last else "") or None,
            memory=self.memory.as_json(),
        )


class StressLedger:
    """The reports of all workers of a test, the lost ones too.

    Attributes:
        by_worker: name → its reports.
        evaluation: of their sum.
        happened: to workers, in words.
        reason: why the test ended.
        cut_short: how far a test came that was stopped before its end; empty for others.
    """

    def __init__(self, settings: RunSettings, stop: Callable[[], None], pages: tuple[str, ...] = PAGES.names) -> None:
        """Begin.

        Args:
            settings: of the test; its shard means nothing.
            stop: ends the test, when a threshold that says `abort` is broken.
            pages: the names of its pages.
        """
        self._settings, self._pages = settings, pages
        self.by_worker: dict[str, WorkerStats] = {}
        self.evaluation = RunEvaluation(settings, self.by_worker.values(), stop, is_elastic=True)
        self.happened: list[WorkerEvent] = []
        self.reason, self.cut_short = "end", ""
        self._began_ns = time.monotonic_ns()

    def now_s(self) -> float:
        """Seconds of the test."""
        return (time.monotonic_ns() - self._began_ns) / NS_PER_S

    def open(self, worker: str, part: EngineShard) -> WorkerStats:
        """The stats of a worker; new ones where it has none."""
        if worker not in self.by_worker:
            now_s = self.now_s()
            self.by_worker[worker] = WorkerStats(worker, part, now_s, now_s)
            again = ", whose former worker is gone" if part.fencing_token else ""
            self.note(worker, f"has shard {part.shard}/{part.of}{again}")
        return self.by_worker[worker]

    def note(self, worker: str, what: str) -> None:
        """Record what happened."""
        self.happened.append(WorkerEvent(at_s=round(self.now_s(), 3), worker=worker, what=what))

    def take(self, worker: str, snapshot: Snapshot, age_s: float, own_bytes: int = 0) -> None:
        """Take a worker's latest snapshot; its engine began age_s before it."""
        stats = self.by_worker[worker]
        stats.last, stats.ended_s = snapshot, self.now_s()
        stats.memory.see(stats.ended_s, own_bytes)
        if self.evaluation.t0_ns == 0:
            t0_wall_ms = time.time_ns() // 1_000_000 - int(age_s * 1000)
            self.evaluation.start(snapshot.at_ns - int(age_s * NS_PER_S), t0_wall_ms)
        if snapshot.done and stats.end in ("", "lost"):  # a lost one may come back
            stats.end = "failed" if snapshot.error else "drained"
            self.note(worker, f"failed: {snapshot.error}" if snapshot.error else "drained, and sent its last report")

    def close(self, worker: str) -> None:
        """A worker has left; it may have had no engine."""
        stats = self.by_worker.get(worker)
        if stats is not None and not stats.end:
            stats.end = "drained"
            self.note(worker, "left before its engine was ready")

    def lose(self, worker: str) -> None:
        """A worker's lease has expired, so it sends nothing more: what it had in flight is unfinished."""
        stats = self.by_worker[worker]
        if not stats.end:
            stats.end = "lost"
            if stats.last:
                stats.last.active = 0
            self.note(worker, f"fell silent; up to {stats.possibly_more:,} events more than it reported may be sent")

    def running(self) -> list[WorkerStats]:
        """Those from which reports are expected."""
        return [stats for stats in self.by_worker.values() if not stats.end]

    def verdict(self) -> Verdict:
        """The verdict; where a worker failed, on no more than what was run."""
        failed = [stats for stats in self.by_worker.values() if stats.end == "failed"]
        cut_short, reason = self.cut_short, self.reason
        if failed and failed[0].last:
            error = f"{failed[0].worker}: {failed[0].last.error}"
            reason, cut_short = "error", f"broken off: {len(failed)} of {len(self.by_worker)} workers failed; {error}"
        return self.evaluation.verdict(self.evaluation.totals(), self._elapsed_s(), reason, cut_short)

    def end(self) -> None:
        """No more snapshots come."""
        self.evaluation.end(self.evaluation.totals(), self._elapsed_s())

    def _elapsed_s(self) -> float:
        """Seconds from the schedule's zero to the last snapshot."""
        last_ns = max((stats.last.at_ns for stats in self.by_worker.values() if stats.last), default=0)
        return max(0, last_ns - self.evaluation.t0_ns) / NS_PER_S

    @property
    def failed(self) -> bool:
        """Whether a worker failed or was lost."""
        return any(stats.end in ("failed", "lost") for stats in self.by_worker.values())

    def record(self, path: str, users: int, cohort: int) -> StressRecord:
        """The ledger as it is written."""
        totals, verdict, settings = self.evaluation.totals(), self.verdict(), self._settings
        return StressRecord(
            ledger_version=LEDGER_VERSION,
            seed=settings.seed,
            t0_wall_ms=self.evaluation.t0_wall_ms or None,
            users=users,
            cohort=cohort,
            settings=settings.public_dict(),
            versions=versions(),
            machine=machine(),
            summary=summary(totals, verdict, settings.seed, path),
            possibly_more=sum(stats.possibly_more for stats in self.by_worker.values()),
            sinks={name: SinkRecord.of(tally, pages=self._pages) for name, tally in totals.tallies.items()},
            workers=[stats.record() for stats in self.by_worker.values()],
            happened=self.happened,
            history=[window.record() for window in self.evaluation.history.windows],
        )

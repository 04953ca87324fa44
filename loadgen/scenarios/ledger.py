"""The ledger of a test with Locust: what each worker said last, the sum, the thresholds, and what happened to whom.

In: snapshots of workers, under the names that Locust gives them, and "it fell silent". Out: totals, a verdict, and the
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
from loadgen.runner.history import History
from loadgen.runner.machine import machine
from loadgen.runner.messages import Snapshot
from loadgen.runner.thresholds import Thresholds
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import Verdict, judge, summary
from loadgen.scenarios.engine import EngineShard
from loadgen.scenarios.memory import Memory
from loadgen.simulate.schedule import NS_PER_S


@dataclass(slots=True)
class WorkerStats:
    """One worker's.

    Attributes:
        worker: its name.
        part: which listeners it had.
        begun_s, ended_s: of the test; when it was heard first and last.
        allowed: so many events its lease let it plan in all.
        last: its latest snapshot.
        end: "" while it goes on; then "drained", "failed" or "lost".
        memory: of its process.
    """

    worker: str
    part: EngineShard
    begun_s: float
    ended_s: float
    allowed: int = 0
    last: Snapshot | None = None
    end: str = ""
    memory: Memory = field(default_factory=Memory)

    @property
    def n_planned(self) -> int:
        """Events, by its last report."""
        return sum(tally.planned for tally in self.last.tallies.values()) if self.last else 0

    @property
    def possibly_more(self) -> int:
        """Events that it may have sent after its last report, at most."""
        return max(0, self.allowed - self.n_planned) if self.end == "lost" else 0

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


@dataclass(slots=True)
class StressLedger:
    """Those of all workers of a test, the lost ones too.

    Attributes:
        settings: of the test; its shard means nothing.
        stop: ends the test, when a threshold that says so is broken.
        pages: the names of its pages.
        by_worker: name → account.
        happened: what became of workers, in words.
        reason: why the test ended.
        cut_short: how far a test came that was stopped before its end; empty for others.
    """

    settings: RunSettings
    stop: Callable[[], None]
    pages: tuple[str, ...] = PAGES.names
    by_worker: dict[str, WorkerStats] = field(default_factory=dict)
    happened: list[WorkerEvent] = field(default_factory=list)
    reason: str = "end"
    cut_short: str = ""
    _began_ns: int = field(default_factory=time.monotonic_ns)
    _t0_ns: int = 0
    _t0_wall_ms: int = 0
    _thresholds: Thresholds = field(init=False)
    _history: History = field(init=False)

    def __post_init__(self) -> None:
        self._thresholds = Thresholds(self.settings.threshold, self.settings.warm_up_s, self.stop)
        self._history = History(self.settings.warm_up_s, [self._thresholds.watch])

    def now_s(self) -> float:
        """Seconds of the test."""
        return (time.monotonic_ns() - self._began_ns) / NS_PER_S

    def open(self, worker: str, part: EngineShard) -> WorkerStats:
        """The account of a worker; a new one where it has none."""
        if worker not in self.by_worker:
            now_s = self.now_s()
            self.by_worker[worker] = WorkerStats(worker, part, now_s, now_s)
            again = ", whose former worker is gone" if part.fencing_token else ""
            self.note(worker, f"has shard {part.shard}/{part.of}{again}")
        return self.by_worker[worker]

    def note(self, worker: str, what: str) -> None:
        """Put down what happened."""
        self.happened.append(WorkerEvent(at_s=round(self.now_s(), 3), worker=worker, what=what))

    def take(self, worker: str, snapshot: Snapshot, age_s: float, own_bytes: int = 0) -> None:
        """A worker's latest snapshot; its engine began age_s before it."""
        account = self.by_worker[worker]
        account.last, account.ended_s = snapshot, self.now_s()
        account.memory.see(account.ended_s, own_bytes)
        if self._t0_ns == 0:
            self._t0_ns = snapshot.at_ns - int(age_s * NS_PER_S)
            self._t0_wall_ms = time.time_ns() // 1_000_000 - int(age_s * 1000)
        if snapshot.done and account.end in ("", "lost"):  # one that was cut off may find its way back
            account.end = "failed" if snapshot.error else "drained"
            self.note(worker, f"failed: {snapshot.error}" if snapshot.error else "drained, and said its last word")

    def close(self, worker: str) -> None:
        """A worker ends, and has had no more to say than it said."""
        account = self.by_worker.get(worker)
        if account is not None and not account.end:
            account.end = "drained"
            self.note(worker, "left before its engine was ready")

    def lose(self, worker: str) -> None:
        """A worker is silent for so long that it sends nothing more: what it had in flight is unfinished."""
        account = self.by_worker[worker]
        if not account.end:
            account.end = "lost"
            if account.last:
                account.last.active = 0
            self.note(worker, f"fell silent; up to {account.possibly_more:,} events more than it reported may be sent")

    def going_on(self) -> list[WorkerStats]:
        """Those that have not said their last word."""
        return [account for account in self.by_worker.values() if not account.end]

    def watch(self) -> None:
        """Let a second's window end, when it is time; a threshold may break."""
        if self._t0_ns:
            self._history.watch(self.totals(), self._t0_ns)

    def totals(self) -> Totals:
        """The sum over all workers; of the moment that those tell of that go on."""
        totals, going_on = Totals(), []
        for stats in self.by_worker.values():
            if stats.last is not None:
                totals.add_worker([stats.last])
                going_on += [] if stats.end else [stats.last]
        totals.tell_of(going_on)
        return totals

    def verdict(self) -> Verdict:
        """What became of it; where a worker failed, it speaks for no more than was run."""
        failed = [account for account in self.by_worker.values() if account.end == "failed" and account.last]
        cut_short, reason = self.cut_short, "error" if failed else self.reason
        if failed and failed[0].last:
            error = f"{failed[0].worker}: {failed[0].last.error}"
            cut_short = f"broken off: {len(failed)} of {len(self.by_worker)} workers failed; {error}"
        totals = self.totals()
        last_ns = max((account.last.at_ns for account in self.by_worker.values() if account.last), default=0)
        elapsed_s = max(0, last_ns - self._t0_ns) / NS_PER_S
        measured = self._history.measured(totals, self._t0_ns)
        paced = not self.settings.unpaced
        return judge(totals, measured, elapsed_s, reason, paced=paced, thresholds=self._thresholds, cut_short=cut_short)

    def end(self) -> None:
        """No more snapshots come."""
        if self._t0_ns:
            self._history.end(self.totals(), self._t0_ns)

    @property
    def failed(self) -> bool:
        """Whether a worker failed or was lost."""
        return any(account.end in ("failed", "lost") for account in self.by_worker.values())

    def record(self, path: str, users: int, cohort: int) -> StressRecord:
        """The ledger as it is written."""
        totals, verdict = self.totals(), self.verdict()
        return StressRecord(
            ledger_version=LEDGER_VERSION,
            seed=self.settings.seed,
            t0_wall_ms=self._t0_wall_ms or None,
            users=users,
            cohort=cohort,
            settings=self.settings.public_dict(),
            versions=versions(),
            machine=machine(),
            summary=summary(totals, verdict, self.settings.seed, path),
            possibly_more=sum(account.possibly_more for account in self.by_worker.values()),
            sinks={name: SinkRecord.of(tally, pages=self.pages) for name, tally in totals.tallies.items()},
            workers=[account.record() for account in self.by_worker.values()],
            happened=self.happened,
            history=[window.record() for window in self._history.windows],
        )

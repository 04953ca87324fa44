"""The parent process of a run: starts the team, keeps time, adds up what it hears, ends it in order.

A `Plan` goes in; `Totals`, a `Verdict` and an exit reason come out. It writes the one output file where there is one,
and tells the screen and the metrics endpoint what it knows; it never touches an event of its own.
"""

import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from loadgen import errors
from loadgen.errors import LoadgenError, ReaderGone, SinkError, TopicMissing, TopicRecreated, WorkerDied
from loadgen.event import Int64s
from loadgen.kafka.watch import TopicWatch
from loadgen.progress import Progress
from loadgen.record import WorkerRecord
from loadgen.runner.console import RunConsole
from loadgen.runner.history import History
from loadgen.runner.messages import Chunk, Drain, FromWorker, Go, Plan, Ready, Samples, Snapshot, Written
from loadgen.runner.stalls import Stalls
from loadgen.runner.team import Team, WorkerHandle
from loadgen.runner.thresholds import Thresholds
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import Verdict, cut_short, judge
from loadgen.signals import listening, number_in, reason_of
from loadgen.simulate.schedule import NS_PER_S
from loadgen.sink.stream import OutputFile

START_DELAY_S = 0.05
"""From "all are ready" to the schedule's zero: long enough that every worker has heard."""
HEAR_S = 0.1
OVERTIME_S = 2.0
"""Workers know when their time is up; one that has not ended so long after is told."""
GRACE_S = 5.0
"""A drained worker gets this much longer than its own deadline before it is killed."""
Watcher = Callable[[Totals, float], None]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        totals: the ledger and everything else that was counted.
        verdict: what it means.
        workers: the ledger of each worker.
        planned: int64[N_VIRTUAL_SHARDS], events of each virtual shard that were planned.
        progress: sink name → how far it came.
        history: how it went over time.
        t0_wall_ms: the schedule's zero, ms since 1970; None where the workers' clock was never started.
        error: what went wrong, or None.
    """

    totals: Totals
    verdict: Verdict
    workers: list[WorkerRecord]
    planned: Int64s
    progress: dict[str, Progress]
    history: History
    t0_wall_ms: int | None
    error: LoadgenError | None


class Coordinator:
    """Runs a plan to its end."""

    def __init__(
        self,
        plan: Plan,
        team: Team,
        screen: RunConsole,
        output: OutputFile | None,
        watchers: list[Watcher],
        watch: TopicWatch | None = None,
    ) -> None:
        self._settings = settings = plan.settings
        self._thresholds = Thresholds(settings.threshold, settings.warm_up_s, lambda: self.stop("threshold"))
        self._history = History(settings.warm_up_s, [self._thresholds.watch])
        self._stalls = Stalls()
        self._team, self._screen, self._output, self._watchers = team, screen, output, watchers
        self._topic_watch = watch
        self._unwritten: deque[tuple[WorkerHandle, int]] = deque()
        self._go: Go | None = None
        self._totals: Totals | None = None
        self._reason = ""
        self._error: LoadgenError | None = None
        self._kill_at_s = float("inf")
        self._acknowledged = 0
        self._n_signals, self._is_stopping = 0, False
        self._signal = signal.SIGINT
        self._stopped_s: float | None = None

    def run(self) -> Result:
        """Start the workers' clock when all are ready, and see the run to its end."""
        with listening(self._on_signal):
            try:
                while not all(member.done for member in self._team.members):
                    self._turn()
            except KeyboardInterrupt:
                self._reason = "interrupted twice"
                self._error = LoadgenError(
                    "ended at once, without waiting for events in flight; one Ctrl-C would have waited"
                )
            finally:
                self._close()
                if self._go is not None:
                    self._end_records(self._team.totals(), self._go.t0_ns)
        return self._result(self._ended_by())

    def add_watcher(self, watcher: Watcher) -> None:
        """Have another one told the totals a few times a second."""
        self._watchers.append(watcher)

    def stop(self, reason: str) -> None:
        """End the run in order, for this reason, unless it ends already."""
        if not self._reason and not all(member.done for member in self._team.members):
            self._drain(reason)

    def broken(self) -> dict[str, bool]:
        """Each threshold, and whether it is broken by now; may be asked in any thread."""
        return self._thresholds.broken()

    def so_far(self) -> Result:
        """What could be said if the run ended now."""
        return self._result("running")

    def _turn(self) -> None:
        for member, message in self._team.hear(HEAR_S):
            self._take(member, message)
        self._write_back()
        if self._topic_watch and self._topic_watch.error:
            self._fail(self._topic_watch.error)
        self._keep_time()
        if self._go is None and not self._reason and all(member.ready for member in self._team.members):
            self._start()
        if self._go is not None:
            self._totals = self._totals or self._team.totals()
            self._history.watch(self._totals, self._go.t0_ns)
            self._stalls.watch(self._totals, self._go.t0_ns)
            for watcher in [self._screen.progress, *self._watchers]:
                watcher(self._totals, self._elapsed_s())

    def _take(self, member: WorkerHandle, message: FromWorker | None) -> None:
        """Act on one message of a worker."""
        if not isinstance(message, Chunk):  # lines come often, and change no totals
            self._totals = None
        if message is None:
            self._on_death(member)
        elif isinstance(message, Ready):
            member.ready = True
            if self._go is not None:
                self._team.tell_one(member, self._go)
        elif isinstance(message, Samples):
            self._screen.samples(message.lines)
        elif isinstance(message, Chunk):
            self._write(member, message)
        elif isinstance(message, Snapshot) and message.error:
            self._fail(getattr(errors, message.error_kind, LoadgenError)(message.error))

    def _start(self) -> None:
        t0_ns = time.monotonic_ns() + int(START_DELAY_S * NS_PER_S)
        self._go = Go(t0_ns, time.time_ns() // 1_000_000 + int(START_DELAY_S * 1000))
        self._team.tell(self._go)

    def _keep_time(self) -> None:
        """End the run when its time is up, and kill what does not end."""
        duration_s = self._settings.duration_s
        if self._n_signals and not self._is_stopping:
            self._is_stopping = True
            self._screen.note("stopping: waiting for events in flight; once more ends at once")
            if not self._reason:
                self._drain(reason_of(self._signal, is_early=False))
        if not self._reason and duration_s is not None and self._elapsed_s() >= duration_s + OVERTIME_S:
            self._drain("duration")
        if time.monotonic() > self._kill_at_s:
            for member in self._team.members:
                if not member.done:
                    member.process.kill()

    def _drain(self, reason: str) -> None:
        self._reason = reason
        self._stopped_s = self._elapsed_s() if self._go and self._stopped_s is None else self._stopped_s
        is_hopeless = self._error and (self._output or isinstance(self._error, (TopicMissing, TopicRecreated)))
        timeout_s = 0.0 if is_hopeless else self._settings.drain_timeout_s
        self._team.tell(Drain(timeout_s))
        self._kill_at_s = time.monotonic() + timeout_s + GRACE_S

    def _fail(self, error: LoadgenError) -> None:
        if self._error is None:
            self._error = error
            self._drain("reader gone" if isinstance(error, ReaderGone) else "error")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """First time: `_keep_time` drains. Second time: end at once, with the ledger as it is. Then it does end."""
        self._n_signals += 1
        if self._n_signals == 1:
            self._signal = signal.Signals(number)
        if self._n_signals == 2:
            raise KeyboardInterrupt

    def _on_death(self, member: WorkerHandle) -> None:
        self._totals = None
        if self._reason:
            self._team.bury(member)
            return
        try:
            if self._settings.on_worker_death == "fail":
                raise WorkerDied(f"worker {member.index} died; --on-worker-death restart would have gone on")
            self._team.restart(member)
            self._screen.note(f"worker {member.index} died; its successor goes on from its last report")
        except WorkerDied as error:
            self._team.bury(member)
            self._fail(error)

    def _write(self, member: WorkerHandle, chunk: Chunk) -> None:
        """Write a chunk to the output; once the output has failed, take chunks in and let them go unacknowledged."""
        try:
            data = member.connection.recv_bytes()
        except (EOFError, OSError):  # it died between saying that lines follow and sending all of them
            self._on_death(member)
            return
        if self._output is None or self._error is not None:
            return
        try:
            self._unwritten.append((member, chunk.n_events))
            self._output.write(data, chunk.n_events)
        except SinkError as error:
            self._fail(error)

    def _write_back(self) -> None:
        """Acknowledge the chunks that are in the file for certain."""
        if self._output is None or self._error is not None:
            return
        try:
            self._output.poll()
        except SinkError as error:
            self._fail(error)
            return
        while self._unwritten and self._acknowledged + self._unwritten[0][1] <= self._output.n_written:
            member, n_events = self._unwritten.popleft()
            self._acknowledged += n_events
            self._team.tell_one(member, Written(n_events))

    def _ended_by(self) -> str:
        """Why the run ended: a signal ends early what had an end of its own, and had not reached it."""
        number = number_in(self._reason)
        if number is None or self._settings.goes_on:
            return self._reason
        return "" if self._team.complete else reason_of(number, is_early=True)

    def _cut_short(self, reason: str, totals: Totals) -> str:
        """See `Verdict.cut_short`."""
        is_done = self._settings.goes_on and number_in(reason) is not None
        if reason in ("", "running", "duration") or self._team.complete or is_done:
            return ""
        stopped_s = self._elapsed_s() if self._go and self._stopped_s is None else self._stopped_s
        return cut_short(self._settings, reason, stopped_s, totals.primary_sink.planned, totals.simulated_ms)

    def _limit_reached(self, elapsed_s: float) -> str:
        """Which of the limits that were asked for has ended the run."""
        settings = self._settings
        if settings.duration_s is not None and elapsed_s >= settings.duration_s:
            return "duration"
        return "events" if settings.events is not None else "end"

    def _elapsed_s(self) -> float:
        return max(0.0, (time.monotonic_ns() - self._go.t0_ns) / NS_PER_S) if self._go else 0.0

    def _close(self) -> None:
        """End the processes and the output; what a killed worker had in flight is unfinished."""
        self._team.end()
        for member in self._team.members:
            if not member.done:
                self._team.bury(member)
        if self._output is not None:
            try:
                self._output.close()
            except SinkError as error:
                self._error = self._error or error

    def _end_records(self, totals: Totals, t0_ns: int) -> None:
        """Take the last totals into all that is known of the run over time."""
        self._history.end(totals, t0_ns)
        self._stalls.end(totals, t0_ns, t0_ns + int(self._team.ended_after_s(t0_ns) * NS_PER_S))

    def _result(self, reason: str) -> Result:
        team, totals = self._team, self._team.totals()
        elapsed_s = team.ended_after_s(self._go.t0_ns) if self._go else 0.0
        verdict = judge(
            totals,
            self._history.measured(totals, self._go.t0_ns if self._go else 0),
            elapsed_s,
            reason or self._limit_reached(elapsed_s),
            paced=self._go is not None and not self._settings.unpaced,
            stalls=self._stalls.found,
            thresholds=self._thresholds,
            cut_short=self._cut_short(reason, totals),
        )
        t0_wall_ms = self._go.t0_wall_ms if self._go else None
        return Result(
            totals, verdict, team.accounts(), team.planned(), team.progress(), self._history, t0_wall_ms, self._error
        )

"""The parent process of a run: starts the team, keeps time, adds up what workers report, ends it in order.

In: a `Plan`. Out: a `Result`. It writes the one output file where there is one, and gives the totals to the console and
the metrics endpoint; it never touches an event of its own.
"""

import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from loadgen import errors
from loadgen.encode.encodings import RegisteredSchema
from loadgen.errors import LoadgenError, ReaderGone, SinkError, TopicMissing, TopicRecreated, WorkerDied
from loadgen.event import Int64s
from loadgen.kafka.group_lag import GroupWatch
from loadgen.kafka.watch import TopicWatch
from loadgen.progress import Progress
from loadgen.record import WorkerRecord
from loadgen.runner.console import RunConsole
from loadgen.runner.evaluation import RunEvaluation
from loadgen.runner.far_end import FarEnd
from loadgen.runner.history import History
from loadgen.runner.messages import Chunk, Drain, FromWorker, Go, Plan, Ready, ReplayPlan, Samples, Snapshot, Written
from loadgen.runner.team import Team, WorkerHandle
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import Verdict, cut_short
from loadgen.signals import listening, number_in, reason_of
from loadgen.simulate.schedule import NS_PER_S
from loadgen.sink.stream import OutputFile

START_DELAY_S = 0.05
"""From "all are ready" to the schedule's zero: long enough that every worker has received it."""
RECEIVE_S = 0.1
OVERTIME_S = 2.0
"""Workers know when their time is up; they are told to drain only if they have not by this much later."""
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


class SharedOutput:
    """The one output file: takes the chunks of all workers, and acknowledges those that are in the file for certain."""

    def __init__(self, file: OutputFile, team: Team) -> None:
        self._file, self._team = file, team
        self._unwritten: deque[tuple[WorkerHandle, int]] = deque()
        self._n_acknowledged = 0

    def write(self, member: WorkerHandle, data: bytes, n_events: int) -> None:
        """Write a chunk of n_events; raises SinkError."""
        self._unwritten.append((member, n_events))
        self._file.write(data, n_events)

    def poll(self) -> None:
        """Acknowledge what has been written since; raises SinkError."""
        self._file.poll()
        while self._unwritten and self._n_acknowledged + self._unwritten[0][1] <= self._file.n_written:
            member, n_events = self._unwritten.popleft()
            self._n_acknowledged += n_events
            self._team.send_to(member, Written(n_events))

    def close(self) -> None:
        """Close the file; raises SinkError."""
        self._file.close()


class Coordinator:
    """Runs a plan to its end."""

    def __init__(
        self,
        plan: Plan,
        team: Team,
        console: RunConsole,
        output: OutputFile | None = None,
        topic_watches: Sequence[TopicWatch] = (),
        groups: GroupWatch | None = None,
        far_end: FarEnd | None = None,
    ) -> None:
        self._plan = plan
        self._evaluation = RunEvaluation(
            plan.settings, team.members, lambda: self.stop("threshold"), groups=groups, far_end=far_end
        )
        self._team, self._console = team, console
        self._output = None if output is None else SharedOutput(output, team)
        self._watchers: list[Watcher] = [console.progress]
        self._topic_watches = topic_watches
        self._go: Go | None = None
        self._totals: Totals | None = None
        self._reason = ""
        self._error: LoadgenError | None = None
        self._kill_at_s = float("inf")
        self._signals: list[signal.Signals] = []
        self._is_stopping = False
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
                self._evaluation.end(self._evaluation.totals(), self._ended_s())
            with suppress(KeyboardInterrupt):  # a signal ends the wait, and nothing else
                self._await_system()
        if self._evaluation.reader_error:
            self._error = self._error or SinkError(self._evaluation.reader_error)
        return self._result(self._ended_by())

    def add_watcher(self, watcher: Watcher) -> None:
        """Give the totals to another one a few times a second."""
        self._watchers.append(watcher)

    def stop(self, reason: str) -> None:
        """End the run in order, for this reason, unless it ends already."""
        if not self._reason and not all(member.done for member in self._team.members):
            self._drain(reason)

    def broken(self) -> dict[str, bool]:
        """Each threshold, and whether it is broken by now; may be asked in any thread."""
        return self._evaluation.thresholds.broken()

    def so_far(self) -> Result:
        """What could be said if the run ended now."""
        return self._result("running")

    def _turn(self) -> None:
        for member, message in self._team.receive(RECEIVE_S):
            self._take(member, message)
        if self._output is not None and self._error is None:
            try:
                self._output.poll()
            except SinkError as error:
                self._fail(error)
        for watch in self._topic_watches:
            if watch.error:
                self._fail(watch.error)
        self._keep_time()
        if self._go is None and not self._reason and all(member.ready for member in self._team.members):
            self._start()
        if self._go is not None:
            self._totals = self._totals or self._evaluation.totals()
            self._evaluation.watch(self._totals)
            for watcher in self._watchers:
                watcher(self._totals, self._elapsed_s())

    def _await_system(self) -> None:
        """Let the system under test catch up with all that was delivered."""
        wait_s = self._evaluation.wait_s
        if wait_s is None or self._go is None or self._error is not None or self._signals:
            return
        awaited = "the groups" if self._plan.settings.watch_group else "the system under test"
        self._console.note(f"waiting at most {wait_s:g} s for {awaited} to catch up")
        self._evaluation.await_system(lambda: bool(self._signals))

    def _take(self, member: WorkerHandle, message: FromWorker | None) -> None:
        """Act on one message of a worker."""
        if not isinstance(message, Chunk):  # lines come often, and change no totals
            self._totals = None
        if message is None:
            self._on_death(member)
        elif isinstance(message, Ready):
            member.ready = True
            if self._go is not None:
                self._team.send_to(member, self._go)
        elif isinstance(message, Samples):
            self._console.samples(_as_json(message.lines, self._plan.schema))
        elif isinstance(message, Chunk):
            self._write(member, message)
        elif isinstance(message, Snapshot) and message.error:
            self._fail(getattr(errors, message.error_kind, LoadgenError)(message.error))

    def _start(self) -> None:
        t0_ns = time.monotonic_ns() + int(START_DELAY_S * NS_PER_S)
        self._go = Go(t0_ns, time.time_ns() // 1_000_000 + int(START_DELAY_S * 1000))
        self._evaluation.start(t0_ns, self._go.t0_wall_ms)
        self._team.send(self._go)

    def _keep_time(self) -> None:
        """End the run when its time is up, and kill what does not end."""
        duration_s = self._plan.settings.duration_s
        if self._signals and not self._is_stopping:
            self._is_stopping = True
            self._console.note("stopping: waiting for events in flight; once more ends at once")
            if not self._reason:
                self._drain(reason_of(self._signals[0], is_early=False))
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
        timeout_s = 0.0 if is_hopeless else self._plan.settings.drain_timeout_s
        self._team.send(Drain(timeout_s))
        self._kill_at_s = time.monotonic() + timeout_s + GRACE_S

    def _fail(self, error: LoadgenError) -> None:
        if self._error is None:
            self._error = error
            self._drain("reader gone" if isinstance(error, ReaderGone) else "error")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """First time: `_keep_time` drains. Second time: end at once, with the ledger as it is. Then it does end."""
        self._signals.append(signal.Signals(number))
        if len(self._signals) == 2:
            raise KeyboardInterrupt

    def _on_death(self, member: WorkerHandle) -> None:
        self._totals = None
        if self._reason:
            member.finalize()
            return
        try:
            if self._plan.settings.on_worker_death == "fail":
                step = "--on-worker-death restart would have gone on"
                if isinstance(self._plan, ReplayPlan):
                    step = "a replay does not go on from there: start again, with --start to skip what was sent"
                raise WorkerDied(f"worker {member.index} died; {step}")
            self._team.restart(member)
            self._console.note(f"worker {member.index} died; its successor goes on from its last report")
        except WorkerDied as error:
            member.finalize()
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
            self._output.write(member, data, chunk.n_events)
        except SinkError as error:
            self._fail(error)

    def _ended_by(self) -> str:
        """Why the run ended: a signal ends early what had an end of its own, and had not reached it."""
        number = number_in(self._reason)
        if number is None or self._plan.settings.goes_on:
            return self._reason
        return "" if self._team.offered_all else reason_of(number, is_early=True)

    def _cut_short(self, reason: str, totals: Totals) -> str:
        """See `Verdict.cut_short`."""
        is_done = self._plan.settings.goes_on and number_in(reason) is not None
        if reason in ("", "running", "duration") or self._team.offered_all or is_done:
            return ""
        stopped_s = self._elapsed_s() if self._go and self._stopped_s is None else self._stopped_s
        return cut_short(self._plan.settings, reason, stopped_s, totals.primary_sink.planned, totals.simulated_ms)

    def _limit_reached(self, elapsed_s: float) -> str:
        """Which of the limits that were asked for has ended the run."""
        settings = self._plan.settings
        if settings.duration_s is not None and elapsed_s >= settings.duration_s:
            return "duration"
        if isinstance(self._plan, ReplayPlan) and settings.events != self._evaluation.totals().primary_sink.planned:
            return "end"
        return "events" if settings.events is not None else "end"

    def _elapsed_s(self) -> float:
        return max(0.0, (time.monotonic_ns() - self._go.t0_ns) / NS_PER_S) if self._go else 0.0

    def _ended_s(self) -> float:
        """Seconds from the schedule's zero to the last delivery report; to now while a worker is running."""
        ends_ns = [member.last.ended_ns if member.last else 0 for member in self._team.members]
        ended_ns = max(ends_ns) if all(ends_ns) else time.monotonic_ns()
        return (ended_ns - self._go.t0_ns) / NS_PER_S if self._go else 0.0

    def _close(self) -> None:
        """End the processes and the output; what a killed worker had in flight is unfinished."""
        self._team.end()
        for member in self._team.members:
            if not member.done:
                member.finalize()
        if self._output is not None:
            try:
                self._output.close()
            except SinkError as error:
                self._error = self._error or error

    def _result(self, reason: str) -> Result:
        team, totals, ended_s = self._team, self._evaluation.totals(), self._ended_s()
        exit_reason = reason or self._limit_reached(ended_s)
        return Result(
            totals=totals,
            verdict=self._evaluation.verdict(totals, ended_s, exit_reason, self._cut_short(reason, totals)),
            workers=[member.record() for member in team.members],
            planned=team.planned(),
            progress=team.progress(),
            history=self._evaluation.history,
            t0_wall_ms=self._evaluation.t0_wall_ms or None,
            error=self._error,
        )


def _as_json(samples: list[tuple[int, bytes]], schema: RegisteredSchema | None) -> list[tuple[int, bytes]]:
    """First events as lines of JSON; those that are broken, or are lines already, as they are."""
    if schema is None:
        return samples
    from loadgen.decoder import Decoder, Schemas
    from loadgen.kafka.registry import KINDS

    decoder = Decoder(Schemas(None, {schema.id: (KINDS[schema.name], schema.text)}))
    decoded = decoder.lines([line.removesuffix(b"\n") for _, line in samples]).values
    return [(ts_ms, new or old) for (ts_ms, old), new in zip(samples, decoded, strict=True)]

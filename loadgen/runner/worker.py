"""One worker process: the path of its events, from the shard to the sinks.

    open → "ready" → go → loop.turn, loop.wait, … → drain → last snapshot

A `ShardAssignment` and a pipe go in; events leave through the sinks of a `SendLoop`, snapshots and samples through the
pipe.
"""

import os
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np

from loadgen.errors import NO_MEMORY, LoadgenError, NotEnoughMemory, WorkerFailed, described, lacks_memory
from loadgen.event import EventBatch, UInt32s
from loadgen.kafka.event_ids import run_tag
from loadgen.ledger import CrowdTally
from loadgen.replay.records import ReadCounts
from loadgen.runner.assignment import ShardAssignment, Unthrottled, make_schedule
from loadgen.runner.messages import (
    Drain,
    Go,
    Ready,
    ReplayPlan,
    Samples,
    Seconds,
    SimulationPlan,
    Snapshot,
    ToWorker,
    Written,
    empty_snapshot,
)
from loadgen.runner.outputs import ResumeFilter, encodings_of, open_sinks
from loadgen.runner.recorded import RecordedEvents
from loadgen.runner.send_loop import Batch, BatchSource, SendCounts, SendLoop
from loadgen.signals import ignore
from loadgen.simulate.catalog_file import load
from loadgen.simulate.schedule import NS_PER_S, Schedule
from loadgen.sink import EncodedBatch
from loadgen.sink.stream import StreamSink
from loadgen.stream import EventStream
from loadgen.verifier.worker_progress import ProgressSlot, WorkerProgress

TICK_S = 0.005
"""Between two sends of a paced worker: what becomes due meanwhile goes together, since each send has a fixed cost."""
SNAPSHOT_S = 0.5
LATE_REPORT_S = 0.05
"""A worker that is never done with what is due reports so much later."""
N_SAMPLES = 3
IDLE_POLL_S = 0.1
ALONE_S = 3.0
"""Longest wait for events in flight once the coordinator is gone, because nothing else ends a worker that hangs."""
NEVER_NS = 1 << 62
N_WARM = 4
"""Batches that a paced worker has in memory at times; before that memory was first used, making one takes long."""


class CoordinatorGone(Exception):
    """The other end of the pipe is closed: drain and end."""


def run_worker(assignment: ShardAssignment, connection: Connection, slot: ProgressSlot) -> None:
    """Entry point of the process: be one worker until told to drain, or until the events are used up."""
    ignore()
    worker = None
    try:
        worker = Worker(assignment, connection, slot.open())
        worker.run()
    except (CoordinatorGone, BrokenPipeError, ConnectionResetError):
        if worker:
            worker.abandon()
    except Exception as error:  # of any kind: only the coordinator can report it
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.send(_last_snapshot(worker, error, assignment.index))


def _last_snapshot(worker: "Worker | None", error: Exception, index: int) -> Snapshot:
    """The last snapshot of a worker that an exception ends."""
    last = empty_snapshot()
    if worker:
        with suppress(Exception):  # it is in no state to sum up; the first exception is the one to report
            last = worker.give_up()
    failure = error if isinstance(error, LoadgenError) else _failure(error, index)
    last.done, last.error, last.error_kind = True, str(failure), type(failure).__name__
    return last


def _failure(error: Exception, index: int) -> LoadgenError:
    """An exception that says nothing to a user, as one that does."""
    if os.environ.get("LOADGEN_DEBUG"):
        traceback.print_exception(error)
    if lacks_memory(error):
        return NotEnoughMemory(f"worker {index}: {NO_MEMORY}")
    step = "set LOADGEN_DEBUG=1 to see all of it; a worker in its place would meet it too, so the run has ended"
    return WorkerFailed(f"worker {index} failed: {described(error)}; {step}")


class EventSource(BatchSource, Protocol):
    """Where the events of a worker come from.

    Attributes:
        n_rows: of how many listeners they are.
    """

    n_rows: int

    @property
    def read_counts(self) -> ReadCounts | None:
        """What was read so far; None where events are simulated."""

    def key_hashes(self, batch: EventBatch) -> UInt32s:
        """See `ShardStream.key_hashes`."""

    def resume(self, filters: Sequence[ResumeFilter]) -> None:
        """Batches of which these hold back all events need no lines."""

    def warm_up(self) -> None:
        """Make the first batch: after the start that would make the first events late."""

    def start(self, go: Go) -> None:
        """The schedule's zero is known."""

    @property
    def is_paced(self) -> bool:
        """Whether there is a schedule, and its start is known."""

    def scheduled(self, until_ns: int) -> float:
        """Events due before this moment; nan where that is not known."""

    @property
    def active(self) -> int:
        """Listeners that are in a session now."""

    def end(self) -> None:
        """Make no more batches."""


class Batches:
    """Simulates the listeners of a shard, one batch ahead where there is a schedule: an `EventSource`.

    The next batch is made by a thread of its own while the present one is sent, because making it takes longer than an
    event may be late. NumPy and Arrow leave the interpreter to the other thread most of the time.

    Attributes:
        is_over: the stream has ended.
        n_rows: see `EventSource`.
    """

    is_behind, read_counts = False, None

    def __init__(self, assignment: ShardAssignment, seconds: Seconds) -> None:
        """Build the shard; `seconds` counts the time that the worker waits for a batch."""
        plan = assignment.plan
        assert isinstance(plan, SimulationPlan)
        self._settings, self._owned, self._seconds = plan.settings, assignment.owned(), seconds
        events = EventStream(
            plan.settings,
            plan.simulation,
            load(plan.catalog_path, plan.catalog_digest),  # which the coordinator has checked
            plan.model,
            is_checked=True,
            encodings=encodings_of(plan),
            key_schema_id=None if plan.key_schema is None else plan.key_schema.id,
            id_tag=None if plan.settings.watch_topic is None else run_tag(plan.run_id),
            crowds=plan.crowds,
        )
        self._stream = events.part(self._owned)
        self.n_rows = len(self._stream.shard.listeners)
        self.key_hashes = self._stream.key_hashes
        self._filters: Sequence[ResumeFilter] = ()
        self._schedule: Schedule = Unthrottled()  # until the start is known
        self._thread = ThreadPoolExecutor(1, "batches")
        self._ahead: Future[Batch | None] | None = None
        self.is_over = False

    def resume(self, filters: Sequence[ResumeFilter]) -> None:
        """See `EventSource`."""
        self._filters = filters

    def warm_up(self) -> None:
        """See `EventSource`."""
        self._stream.warm_up(1 if self._settings.unpaced else N_WARM)

    def start(self, go: Go) -> None:
        """Make the first batch: it is known when events are due."""
        self._schedule = make_schedule(self._settings, self._owned, go.t0_ns)
        self._stream.start(self._schedule, go.t0_ns, go.t0_wall_ms)
        self._make_ahead()

    @property
    def is_paced(self) -> bool:
        """See `EventSource`."""
        return self._schedule.paced

    def scheduled(self, until_ns: int) -> float:
        """See `EventSource`."""
        return self._schedule.scheduled(until_ns)

    @property
    def active(self) -> int:
        """See `EventSource`."""
        return self._stream.shard.active(self._stream.shard.now_ms)

    def next(self, limit_ns: int) -> Batch | None:
        """The batch that was made ahead, or one that is made now; None at the end."""
        with self._seconds.spent_on("generate"):
            batch = self._ahead.result() if self._ahead else self._make()
        self.is_over = batch is None
        self._make_ahead()
        return batch

    def end(self) -> None:
        """Stop making batches."""
        self._thread.shutdown()

    def _make_ahead(self) -> None:
        """Begin the next one, unless a predecessor has completed some: which ones depends on this one's sending."""
        is_wanted = self.is_paced and not any(filter.left.any() for filter in self._filters)
        self._ahead = self._thread.submit(self._make) if is_wanted else None

    def _make(self) -> Batch | None:
        outgoing = self._stream.next()
        if outgoing is None:
            return None
        is_completed = all(filter.is_done(outgoing.events) for filter in self._filters)
        return outgoing, None if is_completed else self._stream.encode(outgoing)


class Worker:
    """Takes the events of its source, paces them and offers them to the sinks."""

    def __init__(self, assignment: ShardAssignment, connection: Connection, progress: WorkerProgress) -> None:
        plan, settings = assignment.plan, assignment.plan.settings
        self._connection, self._settings, seconds = connection, settings, Seconds()
        is_replay = isinstance(plan, ReplayPlan)
        self._source: EventSource = (RecordedEvents if is_replay else Batches)(assignment, seconds)
        self._sinks = open_sinks(assignment, self._source.n_rows, connection)
        for sink in self._sinks if settings.crowd else ():
            sink.tally.crowds = CrowdTally.of(len(settings.crowd))
        hashes = self._source.key_hashes
        outputs = [(sink, ResumeFilter.of(sink, assignment.checkpoint, hashes)) for sink in self._sinks]
        self._source.resume([filter for _, filter in outputs])
        counts = SendCounts.of(plan, progress, assignment.checkpoint.served_ns)
        max_lag_s = None if settings.unpaced else settings.max_lag_s
        self._loop = SendLoop(self._source, outputs, counts, seconds, max_lag_s, self._show_samples)
        self._has_offered_all = False
        self._samples: list[tuple[int, bytes]] | None = []
        self._next_snapshot_ns = 0
        self._end_ns = NEVER_NS
        self._idle_cpu_s = time.process_time()
        self._drain_order = Drain(settings.drain_timeout_s)

    def run(self) -> None:
        """Build, wait for the start, produce until the end, drain."""
        self._source.warm_up()
        self._connection.send(Ready())
        order = self._receive()
        if isinstance(order, Go):
            self._start(order)
            self._has_offered_all = self._produce()
            self._end_ns = min(self._end_ns, time.monotonic_ns())
        elif isinstance(order, Drain):
            self._drain_order = order
            if self._loop.n_settled and isinstance(go := self._receive(), Go):  # which follows on Ready all the same
                self._start(go)
        self._loop.settle()
        self._drain(self._drain_order.timeout_s)

    def _receive(self) -> ToWorker:
        try:
            message: ToWorker = self._connection.recv()
        except (EOFError, OSError) as gone:
            raise CoordinatorGone from gone
        return message

    def abandon(self) -> None:
        """End without a coordinator, after a short wait for events in flight."""
        for sink in self._sinks:
            with suppress(LoadgenError):
                sink.flush(min(ALONE_S, self._settings.drain_timeout_s))
            with suppress(LoadgenError):
                sink.close()

    def give_up(self) -> Snapshot:
        """Close all sinks after an error, so that every event has an outcome, and sum up."""
        for sink in self._sinks:
            with suppress(Exception):
                sink.close()
        last = self.snapshot()
        last.ended_ns = time.monotonic_ns()
        return last

    def _start(self, go: Go) -> None:
        self._go = go
        self._source.start(go)
        time.sleep(max(0, go.t0_ns - time.monotonic_ns()) / NS_PER_S)
        self._idle_cpu_s = time.process_time()
        duration_s = self._settings.duration_s
        self._end_ns = NEVER_NS if duration_s is None else go.t0_ns + int(duration_s * NS_PER_S)
        self._loop.start(go.t0_ns, self._end_ns)

    def _produce(self) -> bool:
        """Turn the loop until it is over or the coordinator says "drain"; whether all was offered."""
        while not self._loop.is_over:
            self._report(LATE_REPORT_S)
            if self._told_to_drain():
                return False
            if not self._loop.turn() and not self._loop.is_over:
                self._report()  # now: all that is due is counted, and not what becomes due in a wait
                self._loop.wait(TICK_S, IDLE_POLL_S, self._connection.poll)
        return True

    def _drain(self, timeout_s: float) -> None:
        """Wait for what is in flight, close the sinks, send the last snapshot."""
        self._loop.drain(timeout_s, self._answer)
        ended_ns = time.monotonic_ns()
        for sink in self._sinks:
            sink.close()
        self._source.end()
        if self._samples:  # it had fewer events than it would have shown
            self._connection.send(Samples(self._samples))
        last = self.snapshot()
        last.done, last.ended_ns, last.offered_all = True, ended_ns, self._has_offered_all
        self._connection.send(last)

    def _answer(self) -> None:
        """Read what the coordinator has sent, and report."""
        self._told_to_drain()
        self._report()

    def _told_to_drain(self) -> bool:
        """Read what the coordinator has sent; whether it was "drain"."""
        try:
            while self._connection.poll():
                message = self._connection.recv()
                if isinstance(message, Drain):
                    self._drain_order = message
                    return True
                for sink in self._sinks if isinstance(message, Written) else ():
                    if isinstance(sink, StreamSink):
                        sink.acknowledge(message.n_events)
        except (EOFError, OSError) as gone:
            raise CoordinatorGone from gone
        return False

    def _report(self, late_s: float = 0.0) -> None:
        """Look whether something was delivered; send a snapshot when one is due."""
        now_ns = time.monotonic_ns()
        self._loop.see(now_ns)
        if now_ns >= self._next_snapshot_ns + int(late_s * NS_PER_S):
            every_ns = int(SNAPSHOT_S * NS_PER_S)  # all workers at the same moments, so that their sums belong together
            self._next_snapshot_ns = now_ns + every_ns - (now_ns - self._go.t0_ns) % every_ns
            self._connection.send(self.snapshot())

    def snapshot(self) -> Snapshot:
        """The totals so far."""
        now_ns = time.monotonic_ns()
        scheduled_ns = min(now_ns, self._end_ns)
        cpu_s = time.process_time() - self._idle_cpu_s
        scheduled, read = self._scheduled(scheduled_ns), self._source.read_counts
        snapshot = self._loop.snapshot(now_ns, self._source.active, cpu_s, scheduled, scheduled_ns)
        snapshot.read = None if read is None else read.copy()
        return snapshot

    def _scheduled(self, until_ns: int) -> float:
        """See `Snapshot.scheduled`."""
        exact = self._source.scheduled(until_ns)
        if not self._source.is_paced or not np.isnan(exact):
            return exact
        served_ns, asked_ns = self._loop.counts.served_ns - self._go.t0_ns, until_ns - self._go.t0_ns
        n_planned = self._loop.counts.n_planned
        return n_planned * asked_ns / served_ns if 0 < served_ns < asked_ns else float(n_planned)

    def _show_samples(self, lines: EncodedBatch) -> None:
        """Send the first events of this worker, once."""
        if self._samples is None:
            return
        wanted = lines[: N_SAMPLES - len(self._samples)]
        self._samples += zip(wanted.ts_ms.tolist(), wanted.lines.to_pylist(), strict=True)
        if len(self._samples) == N_SAMPLES:
            self._connection.send(Samples(self._samples))
            self._samples = None

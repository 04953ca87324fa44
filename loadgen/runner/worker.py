"""One worker process: the path of its events, from the shard to the sinks.

    batches.next (step → due → encode) → wait until due → sink.send → reports → snapshot to the coordinator

A `Plan` and a pipe go in; events leave through the sinks, snapshots and samples through the pipe.
"""

import os
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection

import numpy as np

from loadgen.errors import NO_MEMORY, LoadgenError, NotEnoughMemory, WorkerFailed, described, lacks_memory
from loadgen.event import N_VIRTUAL_SHARDS, UInt16s
from loadgen.histogram import Histogram
from loadgen.ledger import Outcome
from loadgen.runner.assignment import CatchUpLimit, ShardAssignment, Unthrottled, make_schedule
from loadgen.runner.batches import Batches
from loadgen.runner.messages import (
    Activity,
    Drain,
    Go,
    Ready,
    Samples,
    Seconds,
    Snapshot,
    ToWorker,
    Written,
    empty_snapshot,
)
from loadgen.runner.outputs import ResumeFilter, open_sinks
from loadgen.signals import ignore
from loadgen.simulate.catalog_file import load
from loadgen.simulate.impair import KINDS, OutgoingBatch, n_impaired
from loadgen.simulate.schedule import NS_PER_S, Schedule
from loadgen.sink import EncodedBatch
from loadgen.sink.kafka import KafkaSink
from loadgen.sink.stream import StreamSink
from loadgen.stream import EventStream
from loadgen.verifier.worker_progress import ProgressSlot, WorkerProgress

TICK_S = 0.005
"""Between two sends of a paced worker: what becomes due meanwhile goes together, since each send has a fixed cost."""
SNAPSHOT_S = 0.5
LATE_REPORT_S = 0.05
"""A worker that is never done with what is due reports so much later."""
FLUSH_STEP_S = 0.2
N_SAMPLES = 3
IDLE_POLL_S = 0.1
ALONE_S = 3.0
"""Longest wait for events in flight once the coordinator is gone: there is nobody left to end a worker that hangs."""
END_GRACE_S = 1.0
"""A worker that is behind its schedule when the time is up sends for so long what was due before."""
SLOW_ROUND_TRIP_S = 0.5
"""A broker that answers no sooner is what fills the queue."""
NEVER_NS = 1 << 62


class CoordinatorGone(Exception):
    """The other end of the pipe is closed: drain and end."""


def run_worker(task: ShardAssignment, connection: Connection, place: ProgressSlot) -> None:
    """Entry point of the process: be one worker until told to drain, or until the events are used up."""
    ignore()
    worker = None
    try:
        worker = Worker(task, connection, place.open())
        worker.run()
    except (CoordinatorGone, BrokenPipeError, ConnectionResetError):
        if worker:
            worker.abandon()
    except Exception as error:  # of any kind: what the coordinator is not told, nobody sees
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.send(_last_word(worker, error, task.index))


def _last_word(worker: "Worker | None", error: Exception, index: int) -> Snapshot:
    """What a worker has to say that an exception ends."""
    try:
        last = worker.give_up() if worker else empty_snapshot()
    except Exception:  # it is in no state to sum up; the first exception is the one to tell
        last = empty_snapshot()
    said = error if isinstance(error, LoadgenError) else _failure(error, index)
    last.done, last.error, last.error_kind = True, str(said), type(said).__name__
    return last


def _failure(error: Exception, index: int) -> LoadgenError:
    """An exception that says nothing to a user, as one that does."""
    if os.environ.get("LOADGEN_DEBUG"):
        traceback.print_exception(error)
    if lacks_memory(error):
        return NotEnoughMemory(f"worker {index}: {NO_MEMORY}")
    step = "set LOADGEN_DEBUG=1 to see all of it; a worker in its place would meet it too, so the run has ended"
    return WorkerFailed(f"worker {index} failed: {described(error)}; {step}")


class Worker:
    """Steps a shard, paces its events and offers them to the sinks."""

    def __init__(self, task: ShardAssignment, connection: Connection, reached: WorkerProgress) -> None:
        plan, settings = task.plan, task.plan.settings
        self._task, self._connection, self._reached = task, connection, reached
        self._planned = reached.planned()
        self._settings = settings
        catalog = load(plan.catalog_path, plan.catalog_digest)  # which the coordinator has checked
        events = EventStream(settings, plan.simulation, catalog, plan.model, is_checked=True)
        stream = events.part(task.owned())
        self._shard, user_ids = stream.shard, stream.shard.listeners.user_id
        self._sinks = open_sinks(task, user_ids, connection)
        self._replays = [ResumeFilter.of(sink, task.legacy) for sink in self._sinks]
        self._impaired = dict.fromkeys(KINDS, 0) if settings.impair else {}
        self._seconds = Seconds()
        self._batches = Batches(stream, self._replays, self._seconds)
        self._lag = Histogram()
        self._slow_s = self._blamed_s = 0.0
        self._is_complete = False
        self._pulse = Activity()
        self._samples: list[tuple[int, bytes]] | None = []
        self._simulated_ms = plan.simulation.start_ms
        self._schedule: Schedule = Unthrottled()  # until the start is known
        self._next_snapshot_ns = 0
        self._end_ns = self._production_ended_ns = NEVER_NS
        self._idle_cpu_s = time.process_time()
        self._served_ns = task.legacy.served_ns
        self._drain_order = Drain(settings.drain_timeout_s)
        self._stream = next((sink for sink in self._sinks if isinstance(sink, StreamSink)), None)
        self._kafka = next((sink for sink in self._sinks if isinstance(sink, KafkaSink)), None)

    def run(self) -> None:
        """Build, wait for the start, produce until the end, drain."""
        self._batches.warm_up(not self._settings.unpaced)
        self._connection.send(Ready(len(self._shard.listeners), self._shard.events_per_s))
        order = self._first_order()
        if isinstance(order, Go):
            self._start(order)
            self._is_complete = self._produce()
            self._production_ended_ns = time.monotonic_ns()
        elif isinstance(order, Drain):
            self._drain_order = order
        self._drain(self._drain_order.timeout_s)

    def _first_order(self) -> ToWorker:
        try:
            order: ToWorker = self._connection.recv()
        except (EOFError, OSError) as gone:
            raise CoordinatorGone from gone
        return order

    def abandon(self) -> None:
        """The coordinator is gone: give in-flight events a moment, then end."""
        for sink in self._sinks:
            with suppress(LoadgenError):
                sink.flush(min(ALONE_S, self._settings.drain_timeout_s))
            with suppress(LoadgenError):
                sink.close()

    def give_up(self) -> Snapshot:
        """Something has failed for good: close all sinks, so that every event has an outcome, and sum up."""
        for sink in self._sinks:
            with suppress(Exception):
                sink.close()
        last = self.snapshot()
        last.ended_ns = time.monotonic_ns()
        return last

    def _start(self, go: Go) -> None:
        self._go = go
        self._schedule = make_schedule(self._task, go)
        self._batches.start(self._schedule, go)
        self._cursor = CatchUpLimit(max(go.t0_ns, self._task.legacy.served_ns))
        time.sleep(max(0, go.t0_ns - time.monotonic_ns()) / NS_PER_S)
        self._idle_cpu_s = time.process_time()
        duration_s = self._settings.duration_s
        self._end_ns = NEVER_NS if duration_s is None else go.t0_ns + int(duration_s * NS_PER_S)

    def _produce(self) -> bool:
        """Offer batch after batch until the feed ends or the coordinator says "drain"; whether all was offered."""
        for leaving, lines in iter(self._batches.next, None):
            if not self._schedule.paced:
                self._pulse.look_up(time.monotonic_ns())
            if lines is None or len(lines) == 0:
                self._pass_over(leaving)
                if self._told_to_drain():
                    return False
                continue
            at = 0
            while at < len(lines):
                self._report(LATE_REPORT_S)
                if self._told_to_drain():
                    return False
                limit_ns = min(self._cursor.advance(time.monotonic_ns()), self._end_ns - 1)
                at += self._drop_overdue(leaving, lines, at)
                n_due = int(np.searchsorted(lines.due_ns[at:], limit_ns, side="right"))
                if self._is_over(n_due):
                    self._served_ns = limit_ns if n_due == 0 else self._served_ns
                    return True
                n = min(n_due, min(sink.room() for sink in self._sinks))
                if n:
                    self._offer(leaving, lines, slice(at, at + n))
                    at += n
                self._served_ns = limit_ns if n == n_due else int(lines.due_ns[at - 1]) if n else self._served_ns
                if at < len(lines) and (n == 0 or n == n_due):  # full, or nothing more is due
                    self._report()  # now: all that is due is counted, and not what became due in a wait
                    self._wait(int(lines.due_ns[at]), full=n < n_due)
        return True

    def _is_over(self, n_due: int) -> bool:
        """Whether the run's time is up, and all that was due in it is sent, or a moment has passed since."""
        late_ns = time.monotonic_ns() - self._end_ns
        return late_ns >= 0 and (n_due == 0 or not self._schedule.paced or late_ns >= END_GRACE_S * NS_PER_S)

    def _pass_over(self, leaving: OutgoingBatch) -> None:
        """Count a batch that a predecessor has settled."""
        self._count_planned((leaving.events.user_id % N_VIRTUAL_SHARDS).astype(np.uint16))
        for replay in self._replays:
            replay.skip(leaving.events)
        self._count_impaired(leaving, slice(0, len(leaving)))
        self._report()

    def _offer(self, leaving: OutgoingBatch, lines: EncodedBatch, part: slice) -> None:
        """Give a run of events to every sink."""
        due = lines[part]
        self._plan(leaving, lines, part)
        self._lag.record((time.monotonic_ns() - due.due_ns).astype(np.float64) / NS_PER_S)
        self._reached.n_accepted += len(due)
        with self._seconds.spent_on("send"):
            for sink, replay in zip(self._sinks, self._replays, strict=True):
                sink.send(replay.unsent(due))
                sink.poll(0.0)
        self._show_samples(due)

    def _drop_overdue(self, leaving: OutgoingBatch, lines: EncodedBatch, at: int) -> int:
        """Give up events that are later than the user allows; return how many."""
        if not self._schedule.paced:
            return 0
        oldest_ns = time.monotonic_ns() - int(self._settings.max_lag_s * NS_PER_S)
        n = int(np.searchsorted(lines.due_ns[at:], oldest_ns))
        if n:
            late = slice(at, at + n)
            self._plan(leaving, lines, late)
            for sink, replay in zip(self._sinks, self._replays, strict=True):
                sink.drop(replay.unsent(lines[late]))
            self._cursor.jump(oldest_ns)
        return n

    def _plan(self, leaving: OutgoingBatch, lines: EncodedBatch, part: slice) -> None:
        """Take note of events that are planned from now on."""
        self._count_planned(lines.virtual_shard[part])
        self._simulated_ms = int(leaving.emit_ms[part][-1])
        self._count_impaired(leaving, part)

    def _count_planned(self, virtual_shard: UInt16s) -> None:
        self._planned += np.bincount(virtual_shard, minlength=N_VIRTUAL_SHARDS)

    def _count_impaired(self, leaving: OutgoingBatch, part: slice) -> None:
        for kind, n_events in n_impaired(leaving, part).items() if self._impaired else ():
            self._impaired[kind] += n_events

    def _wait(self, next_due_ns: int, full: bool) -> None:
        """Sleep until something is due or a report arrives, for a tick at least."""
        until_due_s = (min(next_due_ns, self._end_ns) - time.monotonic_ns()) / NS_PER_S
        timeout_s = TICK_S if full else max(TICK_S, min(until_due_s, IDLE_POLL_S))
        with self._seconds.spent_on("full" if full else "idle"):
            if self._kafka and self._kafka.tally.in_flight:
                self._kafka.poll(min(timeout_s, TICK_S))  # delivery reports are seen when they come
            else:
                self._connection.poll(timeout_s)
        for sink in self._sinks:
            sink.poll(0.0)
        self._blame_broker()

    def _blame_broker(self) -> None:
        """Count the time with a full queue for the broker where it answers late; until that is known, keep it open."""
        round_trip_s, full_s = self._round_trip_s(), self._seconds.full
        if not np.isnan(round_trip_s):
            self._slow_s += full_s - self._blamed_s if round_trip_s > SLOW_ROUND_TRIP_S else 0.0
            self._blamed_s = full_s

    def _drain(self, timeout_s: float) -> None:
        """Wait for what is in flight, close the sinks, send the last snapshot."""
        deadline = time.monotonic() + timeout_s
        while any(sink.tally.in_flight for sink in self._sinks) and time.monotonic() < deadline:
            for sink in self._sinks:
                sink.flush(min(FLUSH_STEP_S, max(0.0, deadline - time.monotonic())))
            self._told_to_drain()
            self._report()
        ended_ns = time.monotonic_ns()
        for sink in self._sinks:
            sink.close()
        self._batches.end()
        if self._samples:  # it had fewer events than it would have shown
            self._connection.send(Samples(self._samples))
        last = self.snapshot()
        last.done, last.ended_ns, last.complete = True, ended_ns, self._is_complete
        self._connection.send(last)

    def _told_to_drain(self) -> bool:
        """Read what the coordinator has said; whether it was "drain"."""
        try:
            while self._connection.poll():
                message = self._connection.recv()
                if isinstance(message, Drain):
                    self._drain_order = message
                    return True
                if isinstance(message, Written) and self._stream:
                    self._stream.acknowledge(message.n_events)
        except (EOFError, OSError) as gone:
            raise CoordinatorGone from gone
        return False

    def _report(self, late_s: float = 0.0) -> None:
        """Look whether something was delivered; send a snapshot when one is due."""
        now_ns = time.monotonic_ns()
        headline = self._sinks[0].tally
        self._pulse.see(now_ns, headline.count(Outcome.DELIVERED), headline.in_flight)
        if now_ns >= self._next_snapshot_ns + int(late_s * NS_PER_S):
            every_ns = int(SNAPSHOT_S * NS_PER_S)  # all workers at the same moments, so that their sums belong together
            self._next_snapshot_ns = now_ns + every_ns - (now_ns - self._go.t0_ns) % every_ns
            self._connection.send(self.snapshot())

    def snapshot(self) -> Snapshot:
        """The totals so far."""
        marks = {path: n for sink in self._sinks for path, n in sink.marks().items()}
        now_ns = time.monotonic_ns()
        scheduled_ns = min(now_ns, self._end_ns, self._production_ended_ns)
        return Snapshot(
            tallies={sink.name: sink.tally for sink in self._sinks},
            settled={sink.name: sink.settled for sink in self._sinks},
            progress={sink.name: sink.progress for sink in self._sinks},
            file_bytes=marks,
            schedule_lag_s=self._lag,
            active=self._shard.active(self._shard.now_ms),
            served_ns=self._served_ns,
            simulated_ms=self._simulated_ms,
            impaired=dict(self._impaired),
            cpu_s=time.process_time() - self._idle_cpu_s,
            scheduled=self._scheduled(scheduled_ns),
            scheduled_ns=scheduled_ns,
            at_ns=now_ns,
            seconds=self._seconds,
            slow_s=self._slow_s,
            pulse=self._pulse.taken(),
            round_trip_s=self._round_trip_s(),
        )

    def _round_trip_s(self) -> float:
        """Of the broker; nan where there is none, or before it is known."""
        return self._kafka.round_trip_s() if self._kafka else float("nan")

    def _scheduled(self, until_ns: int) -> float:
        """See `Snapshot.scheduled`."""
        exact = self._schedule.scheduled(until_ns)
        if not self._schedule.paced or not np.isnan(exact):
            return exact
        served_ns, asked_ns = self._served_ns - self._go.t0_ns, until_ns - self._go.t0_ns
        n_planned = int(self._planned.sum())
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

"""The one engine of a Locust process: its listeners, their events, one producer, exact accounting. No Locust in here.

    attend → shard.step → due_ns → encoder.encode → sink.send → reports → snapshot

In: a `Plan`, the shard's part of it, and from another thread: how many listeners of each taste are to be online, a
lease, and "stop". Out: events to Kafka, and snapshots to look at. `run` belongs in a native thread of its own; `turn`,
of which it is a loop, never waits and may be called from anywhere.
"""

import time
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from loadgen.errors import LoadgenError, WorkerFailed, described
from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.histogram import Histogram
from loadgen.ledger import Outcome, Tally
from loadgen.runner.assignment import CatchUpLimit, Unthrottled
from loadgen.runner.messages import Activity, Plan, Seconds, Snapshot
from loadgen.scenarios.lease_table import Lease
from loadgen.simulate.catalog_file import load
from loadgen.simulate.dynamic_population import TASTES, DynamicPopulation
from loadgen.simulate.feed import MAX_BATCH, owned_listeners, owned_virtual_shards, window_for
from loadgen.simulate.schedule import NS_PER_MS, NS_PER_S, NaturalSchedule
from loadgen.sink import EncodedBatch
from loadgen.sink.kafka import KafkaSink
from loadgen.stream import EventStream

AHEAD_S = 0.1
"""An engine that keeps its schedule makes the events of so long at once: each making has a fixed cost. So late, at
most, those who come and go are noticed."""
TICK_S = 0.01
"""Between two turns of an engine that keeps its schedule: what becomes due meanwhile goes together."""
PACED_BATCH = 16_384
"""So many events are made at a time at most, also by an engine that is behind: users come and go in between."""
UNPACED_S = 300.0
"""Simulated time that an engine without a schedule makes at once, at most: at 60 s each of two engines with 25,000
listeners made batches of 15,000 events, for 0.31 us an event; batches of 65,000 take 0.21. It bounds how far simulated
time runs ahead while there are few users."""
PUBLISH_S = 0.25
FLUSH_STEP_S = 0.2


@dataclass(frozen=True, slots=True)
class EngineShard:
    """Which part of the listeners an engine has, and for the how-manieth time in this test.

    Attributes:
        shard, of: virtual shards shard, shard + of, shard + 2 * of …
        fencing_token: 0 for the first engine of the shard; its successors number sessions from elsewhere.
    """

    shard: int = 0
    of: int = 1
    fencing_token: int = 0


class Engine:
    """Keeps as many listeners online as it is told to, and sends what they do.

    Attributes:
        wanted: listeners of each taste that are to be online.
        stopping: drain and end.
        latest: the snapshot last published; None before the engine has begun.
    """

    def __init__(self, plan: Plan, part: EngineShard, lease: Lease) -> None:
        """Build the shard and the producer: a second or so.

        Raises:
            LoadgenError: the catalogue or the topic cannot be had.
        """
        settings = plan.settings
        self.wanted: tuple[int, ...] = (0,) * len(TASTES)
        self.stopping = False
        self.latest: Snapshot | None = None
        self._plan, self._settings, self._lease = plan, settings, lease
        catalog = load(plan.catalog_path)
        owned = owned_virtual_shards(part.shard, part.of, 0, 1)
        user_ids = owned_listeners(settings.users, owned)
        self._shard = DynamicPopulation(plan.simulation, catalog, user_ids, plan.model, part.fencing_token)
        self._stream = EventStream(settings, plan.simulation, catalog, plan.model).part(owned, self._shard)
        assert plan.kafka is not None
        self._sink = KafkaSink(plan.kafka, user_ids, topic_ends=plan.topic_ends)
        self._planned = np.zeros(N_VIRTUAL_SHARDS, np.int64)
        self._n_planned = 0
        self._lag, self._seconds, self._pulse = Histogram(), Seconds(), Activity()
        self._waiting: EncodedBatch | None = None
        self._is_full = False
        self._error: LoadgenError | None = None
        self._ended_ns = 0
        self._begin()

    def _begin(self) -> None:
        """The clock starts."""
        self.t0_ns = self._served_ns = self._seen_ns = time.monotonic_ns()
        self._cursor = CatchUpLimit(self.t0_ns)
        self._cpu_s = time.process_time()
        self._schedule = (
            Unthrottled()
            if self._settings.unpaced
            else NaturalSchedule(self.t0_ns, self._plan.simulation.start_ms, self._settings.speed)
        )
        self._stream.start(self._schedule, self.t0_ns, time.time_ns() // NS_PER_MS)
        self._next_publish_ns = 0

    @property
    def most(self) -> tuple[int, ...]:
        """How many listeners of each taste there are."""
        return self._shard.most

    def run(self) -> None:
        """Turn after turn until told to stop; then drain. Waits without holding anybody else up."""
        try:
            while not self.stopping:
                self._rest(self.turn())
            self._drain(self._settings.drain_timeout_s)
        except LoadgenError as error:
            self._error = error
        except Exception as error:  # nobody else sees what happens in this thread
            self._error = WorkerFailed(f"the engine failed: {described(error)}; its events are in the ledger")
        finally:
            self._close()

    def turn(self) -> float:
        """Send what is due by now; seconds that may be waited before the next turn."""
        now_ns = time.monotonic_ns()
        self._sink.poll(0.0)
        self._see(now_ns)
        if not self._lease.holds(now_ns, self._n_planned):
            return TICK_S
        limit_ns = min(self._cursor.advance(now_ns), self._lease.until_ns)
        if self._waiting is None:
            self._waiting = self._make(limit_ns)
        return self._offer(limit_ns) if self._waiting is not None else TICK_S

    def _make(self, limit_ns: int) -> EncodedBatch | None:
        """The next events, encoded; None where nothing is due, or where those made last reach beyond the limit."""
        if not self._is_behind(limit_ns):
            return None
        began = time.perf_counter()
        self._shard.attend(self.wanted)  # first: how far a step goes depends on how many there are
        outgoing = self._stream.next(self._until_ms(limit_ns))
        lines = self._stream.encode(outgoing) if outgoing is not None and len(outgoing) else None
        self._seconds.generate += time.perf_counter() - began
        return lines

    def _is_behind(self, limit_ns: int) -> bool:
        """Whether simulated time has to go on."""
        if self._settings.unpaced:
            return any(self.wanted) or any(self._shard.online)
        return self._shard.now_ms <= self._simulated_ms(limit_ns)

    def _until_ms(self, limit_ns: int) -> int:
        """How far it may go in one step."""
        now_ms, per_s = self._shard.now_ms, max(self._shard.events_per_s, 1.0)
        if self._settings.unpaced:
            return now_ms + window_for(per_s, MAX_BATCH, UNPACED_S)
        ahead_ms = int(self._simulated_ms(limit_ns + int(AHEAD_S * NS_PER_S)))
        return max(now_ms, min(ahead_ms, now_ms + window_for(per_s, PACED_BATCH)))

    def _simulated_ms(self, at_ns: int) -> float:
        """Where simulated time should be."""
        return self._plan.simulation.start_ms + (at_ns - self.t0_ns) * self._settings.speed / NS_PER_MS

    def _offer(self, limit_ns: int) -> float:
        """Give the sink what is due, and has room there; seconds that may be waited."""
        lines = self._waiting
        assert lines is not None
        n_late = self._n_overdue(lines)
        if n_late:
            self._plan_events(lines[:n_late])
            self._sink.drop(lines[:n_late])
            lines = lines[n_late:]
        n_due = int(np.searchsorted(lines.due_ns, limit_ns, side="right"))
        n_now = max(0, min(n_due, self._sink.room(), self._lease.most - self._n_planned))
        if n_now:
            self._send(lines[:n_now])
        self._waiting = lines[n_now:] if n_now < len(lines) else None
        self._is_full = n_now < n_due
        self._served_ns = limit_ns if not self._is_full else int(lines.due_ns[n_now])
        return TICK_S if n_now == 0 or (self._waiting is not None and not self._is_full) else 0.0

    def _n_overdue(self, lines: EncodedBatch) -> int:
        """How many are later than the user allows."""
        if self._settings.unpaced:
            return 0
        oldest_ns = time.monotonic_ns() - int(self._settings.max_lag_s * NS_PER_S)
        return int(np.searchsorted(lines.due_ns, oldest_ns))

    def _send(self, lines: EncodedBatch) -> None:
        began = time.perf_counter()
        self._plan_events(lines)
        self._lag.record((time.monotonic_ns() - lines.due_ns).astype(np.float64) / NS_PER_S)
        self._sink.send(lines)
        self._sink.poll(0.0)
        self._seconds.send += time.perf_counter() - began

    def _plan_events(self, lines: EncodedBatch) -> None:
        self._planned += np.bincount(lines.virtual_shard, minlength=N_VIRTUAL_SHARDS)
        self._n_planned += len(lines)

    def _rest(self, wait_s: float) -> None:
        """Wait for reports, or until the next turn."""
        if wait_s <= 0:
            return
        began = time.perf_counter()
        self._sink.poll(wait_s)
        waited_s = time.perf_counter() - began
        if self._is_full:
            self._seconds.full += waited_s
        else:
            self._seconds.idle += waited_s

    def _see(self, now_ns: int) -> None:
        """Look what was delivered; publish a snapshot when it is time."""
        tally = self._sink.tally
        self._pulse.see(now_ns, tally.count(Outcome.DELIVERED), tally.in_flight)
        if now_ns >= self._next_publish_ns:
            self._next_publish_ns = now_ns + int(PUBLISH_S * NS_PER_S)
            self.latest = self._snapshot(now_ns)

    def _drain(self, timeout_s: float) -> None:
        """What is due is sent once more, or dropped where it finds no room; what is in flight is waited for."""
        now_ns = time.monotonic_ns()
        if self._waiting is not None and not self._settings.unpaced:
            if self._lease.holds(now_ns, self._n_planned):
                self._offer(now_ns)
            self._drop_due(now_ns)
        self._waiting, self._served_ns = None, now_ns
        deadline_s = time.monotonic() + timeout_s
        while self._sink.tally.in_flight and time.monotonic() < deadline_s:
            self._sink.flush(min(FLUSH_STEP_S, max(0.0, deadline_s - time.monotonic())))
            self._see(time.monotonic_ns())

    def _drop_due(self, now_ns: int) -> None:
        if self._waiting is not None:
            due = self._waiting[: int(np.searchsorted(self._waiting.due_ns, now_ns))]
            self._plan_events(due)
            self._sink.drop(due)

    def _close(self) -> None:
        """End the producer, so that every event has an outcome, and say the last word."""
        self._ended_ns = time.monotonic_ns()
        try:
            self._sink.close()
        except LoadgenError as error:
            self._error = self._error or error
        last = self._snapshot(time.monotonic_ns())
        last.done, last.ended_ns = True, self._ended_ns
        if self._error is not None:
            last.error, last.error_kind = str(self._error), type(self._error).__name__
        self.latest = last

    def planned(self) -> Int64s:
        """Events of each virtual shard that were planned: int64[N_VIRTUAL_SHARDS]."""
        return self._planned.copy()

    def _snapshot(self, now_ns: int) -> Snapshot:
        """The totals so far, which nobody writes to any more."""
        tally: Tally = deepcopy(self._sink.tally)
        until_ns = min(now_ns, self._ended_ns or now_ns)
        return Snapshot(
            tallies={self._sink.name: tally},
            settled={},
            file_bytes={},
            schedule_lag_s=self._lag.copy(),
            active=sum(self._shard.online),
            served_ns=self._served_ns,
            simulated_ms=self._shard.now_ms,
            cpu_s=time.process_time() - self._cpu_s,
            seconds=deepcopy(self._seconds),
            scheduled=self._scheduled(until_ns),
            scheduled_ns=until_ns,
            at_ns=now_ns,
            pulse=self._pulse.taken(),
            round_trip_s=self._sink.round_trip_s(),
        )

    def _scheduled(self, until_ns: int) -> float:
        """See `Snapshot.scheduled`: what these listeners did so far, and will have done by now."""
        if self._settings.unpaced:
            return float("nan")
        behind_s = max(0, until_ns - self._served_ns) / NS_PER_S
        n_waiting = 0 if self._waiting is None else int(np.searchsorted(self._waiting.due_ns, until_ns))
        is_lagging = behind_s > 2 * TICK_S
        carried_on = behind_s * self._shard.events_per_s * self._settings.speed if is_lagging else 0.0
        return self._n_planned + n_waiting + carried_on

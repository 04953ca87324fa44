"""The one engine of a Locust process: its listeners, their events, one producer, exact accounting. No Locust in here.

    attend → stream.next → stream.encode → loop.turn → snapshot

In: a `Plan`, the shard's part of it, and from another thread: how many listeners of each taste are to be online, a
lease, and "stop". Out: events to Kafka, and snapshots to read. `run` needs a native thread of its own; `turn`, which it
repeats, never waits and may be called from any thread.
"""

import time
from copy import deepcopy
from dataclasses import dataclass, replace

from loadgen.errors import LoadgenError, WorkerFailed, described
from loadgen.event import EventBatch, Int64s, UInt32s
from loadgen.runner.assignment import make_schedule
from loadgen.runner.messages import Checkpoint, Seconds, SimulationPlan, Snapshot
from loadgen.runner.outputs import ResumeFilter
from loadgen.runner.send_loop import Batch, SendCounts, SendLoop
from loadgen.scenarios.lease_table import Lease
from loadgen.simulate.catalog_file import load
from loadgen.simulate.dynamic_population import TASTES, DynamicPopulation
from loadgen.simulate.feed import MAX_BATCH, owned_listeners, owned_virtual_shards, window_for
from loadgen.simulate.schedule import NS_PER_MS, NS_PER_S
from loadgen.sink.kafka import KafkaSink
from loadgen.stream import EventStream
from loadgen.verifier.worker_progress import WorkerProgress

AHEAD_S = 0.1
"""An engine that keeps its schedule makes the events of this time at once, because each batch has a fixed cost. It
notices by this much later, at most, who comes and goes."""
TICK_S = 0.01
"""Between two turns of an engine that keeps its schedule: what becomes due meanwhile goes together."""
PACED_BATCH = 16_384
"""The most events made at a time, also by an engine that is behind, because users come and go in between."""
UNPACED_S = 300.0
"""Simulated time that an engine without a schedule makes at once, at most: at 60 s each of two engines with 25,000
listeners made batches of 15,000 events, for 0.31 us an event; batches of 65,000 take 0.21. It bounds how far simulated
time runs ahead while there are few users."""
PUBLISH_S = 0.25


@dataclass(frozen=True, slots=True)
class EngineShard:
    """Which part of the listeners an engine has, and its fencing token.

    Attributes:
        shard, of: virtual shards shard, shard + of, shard + 2 * of …
        fencing_token: 0 for the first engine of the shard; its successors number sessions from elsewhere.
    """

    shard: int = 0
    of: int = 1
    fencing_token: int = 0


class OnlineListeners:
    """The batches of the listeners online: a `BatchSource`.

    Attributes:
        wanted: listeners of each taste that are to be online; another thread may write it.
        population: the listeners of the shard.
    """

    is_over = is_behind = False
    """Listeners never stop by themselves."""

    def __init__(self, plan: SimulationPlan, shard: EngineShard, seconds: Seconds) -> None:
        """Draw the listeners of a shard, all of them offline; `seconds` counts the time that batches take."""
        self.wanted: tuple[int, ...] = (0,) * len(TASTES)
        self._settings, self._simulation, self._seconds = plan.settings, plan.simulation, seconds
        catalog = load(plan.catalog_path)
        self._owned = owned_virtual_shards(shard.shard, shard.of, 0, 1)
        user_ids = owned_listeners(plan.settings.users, self._owned)
        self.population = DynamicPopulation(plan.simulation, catalog, user_ids, plan.model, shard.fencing_token)
        self._stream = EventStream(plan.settings, plan.simulation, catalog, plan.model).part(
            self._owned, self.population
        )

    def key_hashes(self, batch: EventBatch) -> UInt32s:
        """See `ShardStream.key_hashes`."""
        return self._stream.key_hashes(batch)

    def start(self, t0_ns: int) -> None:
        """Let the schedule begin at this moment."""
        self._t0_ns = t0_ns
        self._stream.start(make_schedule(self._settings, self._owned, t0_ns), t0_ns, time.time_ns() // NS_PER_MS)

    def next(self, limit_ns: int) -> Batch | None:
        """The next batch; None where those made last reach beyond the limit. Listeners come and go here."""
        if not self._is_behind(limit_ns):
            return None
        with self._seconds.spent_on("generate"):
            self.population.attend(self.wanted)  # first: how far a step goes depends on how many there are
            outgoing = self._stream.next(self._until_ms(limit_ns))
            return None if outgoing is None else (outgoing, self._stream.encode(outgoing))

    def scheduled_per_s(self) -> float:
        """Events that these listeners cause in a second, now."""
        return self.population.events_per_s * self._settings.speed

    def _is_behind(self, limit_ns: int) -> bool:
        """Whether simulated time has to go on."""
        if self._settings.unpaced:
            return any(self.wanted) or any(self.population.online)
        return self.population.now_ms <= self._simulated_ms(limit_ns)

    def _until_ms(self, limit_ns: int) -> int:
        """How far it may go in one step."""
        now_ms, per_s = self.population.now_ms, max(self.population.events_per_s, 1.0)
        if self._settings.unpaced:
            return now_ms + window_for(per_s, MAX_BATCH, UNPACED_S)
        ahead_ms = int(self._simulated_ms(limit_ns + int(AHEAD_S * NS_PER_S)))
        return max(now_ms, min(ahead_ms, now_ms + window_for(per_s, PACED_BATCH)))

    def _simulated_ms(self, at_ns: int) -> float:
        """Where simulated time should be."""
        return self._simulation.start_ms + (at_ns - self._t0_ns) * self._settings.speed / NS_PER_MS


class Engine:
    """Keeps the wanted listeners online, and sends what they do.

    Attributes:
        source: the listeners; `source.wanted` says how many are to be online.
        stopping: drain and end.
        latest: the snapshot last published; None before the engine has begun.
        t0_ns: the schedule's zero, time.monotonic_ns().
    """

    def __init__(self, plan: SimulationPlan, shard: EngineShard, lease: Lease) -> None:
        """Build the shard and the producer, which takes about a second; the clock starts.

        Raises:
            LoadgenError: the catalogue or the topic cannot be had.
        """
        assert plan.kafka is not None
        self._settings, self._lease = plan.settings, lease
        self.stopping = False
        self.latest: Snapshot | None = None
        self.source = OnlineListeners(plan, shard, seconds := Seconds())
        self._sink = KafkaSink(plan.kafka, topics=plan.topics, topic_ends=plan.topic_ends)
        outputs = [(self._sink, ResumeFilter.of(self._sink, Checkpoint(), self.source.key_hashes))]
        max_lag_s = None if plan.settings.unpaced else plan.settings.max_lag_s
        self._loop = SendLoop(self.source, outputs, SendCounts.of(plan, WorkerProgress()), seconds, max_lag_s)
        self._error: LoadgenError | None = None
        self._next_publish_ns = self._ended_ns = 0
        self.t0_ns = self._loop.counts.served_ns = time.monotonic_ns()
        self._loop.start(self.t0_ns)
        self.source.start(self.t0_ns)
        self._cpu_s = time.process_time()

    def run(self) -> None:
        """Turn after turn until told to stop; then drain. Other threads run while it waits."""
        try:
            while not self.stopping:
                if not self.turn():
                    self._loop.wait(TICK_S, TICK_S, time.sleep)
            self._drain(self._settings.drain_timeout_s)
        except LoadgenError as error:
            self._error = error
        except Exception as error:  # an error in this thread is not seen otherwise
            self._error = WorkerFailed(f"the engine failed: {described(error)}; its events are in the ledger")
        finally:
            self._close()

    def turn(self) -> bool:
        """Send what is due by now, as far as the lease allows; whether the next turn may come at once."""
        now_ns = time.monotonic_ns()
        self._sink.poll(0.0)
        self._see(now_ns)
        return self._holds(now_ns) and self._loop.turn(self._lease.until_ns, self._lease.most)

    def _holds(self, now_ns: int) -> bool:
        return self._lease.holds(now_ns, self._loop.counts.n_planned)

    def _see(self, now_ns: int) -> None:
        """Look what was delivered; publish a snapshot when it is time."""
        self._loop.see(now_ns)
        if now_ns >= self._next_publish_ns:
            self._next_publish_ns = now_ns + int(PUBLISH_S * NS_PER_S)
            self.latest = self._snapshot(now_ns)

    def _drain(self, timeout_s: float) -> None:
        """Send once more what is due, drop what finds no room, and wait for what is in flight."""
        now_ns = time.monotonic_ns()
        self._loop.finish(now_ns, self._lease.most if self._holds(now_ns) else 0)
        self._loop.drain(timeout_s, lambda: self._see(time.monotonic_ns()))

    def _close(self) -> None:
        """End the producer, so that every event has an outcome, and publish the final snapshot."""
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
        return self._loop.counts.progress.planned().copy()

    def _snapshot(self, now_ns: int) -> Snapshot:
        """The totals so far, in a copy that does not change."""
        until_ns = min(now_ns, self._ended_ns or now_ns)
        active, cpu_s = sum(self.source.population.online), time.process_time() - self._cpu_s
        totals = self._loop.snapshot(now_ns, active, cpu_s, self._scheduled(until_ns), until_ns)
        return deepcopy(replace(totals, completed={}, progress={}, file_bytes={}))

    def _scheduled(self, until_ns: int) -> float:
        """See `Snapshot.scheduled`: what these listeners did so far, and will have done by now."""
        if self._settings.unpaced:
            return float("nan")
        behind_s = max(0, until_ns - self._loop.counts.served_ns) / NS_PER_S
        carried_on = behind_s * self.source.scheduled_per_s() if behind_s > 2 * TICK_S else 0.0
        return self._loop.counts.n_planned + self._loop.n_waiting(until_ns) + carried_on

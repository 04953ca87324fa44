"""The one loop that sends events, for a worker of a run and for a process of Locust.

    turn:  next batch → drop what is too late → send what is due, has room and is allowed → counts

In: a source of batches, and sinks. Out: counts and snapshots. The loop is open: it never waits for completions. The
worker or engine around it has the pipe or the lease, and decides when the next turn comes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.histogram import Histogram
from loadgen.runner.assignment import CatchUpLimit
from loadgen.runner.messages import Activity, Plan, Seconds, Snapshot
from loadgen.runner.outputs import ResumeFilter
from loadgen.simulate.impair import KINDS, OutgoingBatch, n_impaired
from loadgen.simulate.schedule import NS_PER_S
from loadgen.sink import EncodedBatch, Sink
from loadgen.sink.kafka import KafkaSink
from loadgen.sink.transactional import TransactionalSink
from loadgen.verifier.worker_progress import WorkerProgress

END_GRACE_S = 1.0
"""A loop that is behind its schedule when the time is up sends for this long what was due before."""
FLUSH_STEP_S = 0.2
SLOW_ROUND_TRIP_S = 0.5
"""A broker that answers no sooner is what fills the queue."""
NO_LIMIT = 1 << 62
Batch = tuple[OutgoingBatch, EncodedBatch | None]
"""What leaves, and its lines; None where a predecessor that died has completed all of it."""


class BatchSource(Protocol):
    """Gives a loop its batches."""

    @property
    def is_over(self) -> bool:
        """Whether there are no more."""

    @property
    def is_behind(self) -> bool:
        """Whether `next` gave none because its events are not read yet, though some may be due."""

    def next(self, limit_ns: int) -> Batch | None:
        """The next batch; None at the end, or where no event is due before limit_ns."""


@dataclass(slots=True)
class SendCounts:
    """What a loop has sent so far.

    Attributes:
        progress: events planned by virtual shard, and events accepted; written before the events are sent.
        n_planned: events sent, dropped or completed by a predecessor.
        impaired: events spoilt on purpose, by kind; empty where none are.
        lag_s: from the due time to the send, of every event sent.
        simulated_ms: simulated time of the last event planned.
        served_ns: how far the schedule has been served.
    """

    progress: WorkerProgress
    n_planned: int = 0
    impaired: dict[str, int] = field(default_factory=dict)
    lag_s: Histogram = field(default_factory=Histogram)
    simulated_ms: int = 0
    served_ns: int = 0
    _planned: Int64s = field(init=False)

    def __post_init__(self) -> None:
        self._planned = self.progress.planned()  # shared memory, not a copy

    @classmethod
    def of(cls, plan: Plan, progress: WorkerProgress, served_ns: int = 0) -> Self:
        """At the start of a run, or where a predecessor has served its schedule until served_ns."""
        impaired = dict.fromkeys(KINDS, 0) if plan.settings.impair else {}
        return cls(progress, impaired=impaired, simulated_ms=plan.start_ms, served_ns=served_ns)

    def plan(self, outgoing: OutgoingBatch, part: slice, virtual_shard: npt.NDArray[np.integer[Any]]) -> None:
        """Count a part of a batch as planned, given the virtual shard of each of its events."""
        self._planned += np.bincount(virtual_shard, minlength=N_VIRTUAL_SHARDS)
        self.n_planned += part.stop - part.start
        if part.stop > part.start:  # each crowd has a simulated time of its own
            self.simulated_ms = max(self.simulated_ms, int(outgoing.emit_ms[part.stop - 1]))
        for kind, n_events in n_impaired(outgoing, part).items() if self.impaired else ():
            self.impaired[kind] += n_events


class CurrentBatch:
    """The batch that is being sent: which of its events come next.

    Attributes:
        outgoing, encoded: its events and their lines.
        at: the first event that is neither sent nor dropped, 0..len(encoded).
    """

    __slots__ = ("at", "encoded", "outgoing")

    def __init__(self, outgoing: OutgoingBatch, encoded: EncodedBatch) -> None:
        self.outgoing, self.encoded, self.at = outgoing, encoded, 0

    def n_due(self, until_ns: int, side: Literal["left", "right"] = "left") -> int:
        """Events left that are due before this moment; with side "right" also at it."""
        return int(np.searchsorted(self.encoded.due_ns[self.at :], until_ns, side=side))

    def take(self, n_events: int) -> slice:
        """The next n_events, which are then behind."""
        part = slice(self.at, self.at + n_events)
        self.at = part.stop
        return part


class BrokerDelay:
    """Counts the time with a full queue for the broker where it answers late.

    Attributes:
        slow_s: see `Snapshot`.
    """

    def __init__(self, kafka: KafkaSink | TransactionalSink | None) -> None:
        self._kafka = kafka
        self.slow_s = self._judged_s = 0.0

    def round_trip_s(self) -> float:
        """Of the broker; nan where there is none, or before it is known."""
        return self._kafka.round_trip_s() if self._kafka else float("nan")

    def see(self, full_s: float) -> None:
        """Take the time spent with a full queue so far; until the round trip is known, it stays undecided."""
        round_trip_s = self.round_trip_s()
        if not np.isnan(round_trip_s):
            self.slow_s += full_s - self._judged_s if round_trip_s > SLOW_ROUND_TRIP_S else 0.0
            self._judged_s = full_s

    def wait(self, timeout_s: float) -> bool:
        """Wait for a delivery report, if there are events in flight; whether there are."""
        if self._kafka is None or not self._kafka.tally.in_flight:
            return False
        self._kafka.poll(timeout_s)
        return True


class SendLoop:
    """Sends the batches of a source as they become due.

    Attributes:
        counts: what was done.
        seconds: where the time went.
        activity: when deliveries were seen.
        is_full: whether there was less room than due events at the last turn.
        is_over: whether everything is sent, or the time is up.
    """

    def __init__(
        self,
        source: BatchSource,
        outputs: Sequence[tuple[Sink, ResumeFilter]],
        counts: SendCounts,
        seconds: Seconds,
        max_lag_s: float | None,
        on_send: Callable[[EncodedBatch], None] = lambda batch: None,
    ) -> None:
        """Send nothing yet.

        Args:
            source: of the batches.
            counts, seconds: see the attributes.
            outputs: sinks, each with its resume filter; `activity` is that of the first.
            max_lag_s: events later than this are dropped; None where there is no schedule.
            on_send: called with what has been sent.
        """
        self._source, self._outputs, self._max_lag_s, self._on_send = source, outputs, max_lag_s, on_send
        to_kafka = (sink for sink, _ in outputs if isinstance(sink, (KafkaSink, TransactionalSink)))
        self._broker = BrokerDelay(next(to_kafka, None))
        self.counts, self.seconds, self.activity = counts, seconds, Activity()
        self.is_full = self.is_over = False
        self._end_ns = NO_LIMIT
        self._batch: CurrentBatch | None = None

    def start(self, t0_ns: int, end_ns: int = NO_LIMIT) -> None:
        """Serve the schedule from t0_ns on, or from where a predecessor has stopped; nothing is due from end_ns on."""
        self._catch_up, self._end_ns = CatchUpLimit(max(t0_ns, self.counts.served_ns)), end_ns

    def turn(self, until_ns: int = NO_LIMIT, most: int = NO_LIMIT) -> bool:
        """Send what is due, once.

        Args:
            until_ns: nothing is due from here on, for now.
            most: events that may be planned in all.

        Returns:
            Whether the next turn may come at once; else something has to become due, or room has to become free.

        Raises:
            SinkError: a sink is gone for good; each event of the turn has an outcome all the same.
        """
        batch = self._batch
        if batch is None:
            return self._take(self._limit_ns(until_ns))
        self._drop_late(batch)
        limit_ns = self._limit_ns(until_ns)
        n_due = batch.n_due(limit_ns, "right")
        if self._is_time_up(n_due):
            self.is_over = True
            self.counts.served_ns = self.counts.served_ns if n_due else limit_ns
            return False
        n_now = self._send_due(batch, n_due, most)
        self.is_full = n_now < n_due
        if not self.is_full:
            self.counts.served_ns = limit_ns
        elif n_now:
            self.counts.served_ns = int(batch.encoded.due_ns[batch.at - 1])
        if batch.at < len(batch.encoded):
            return 0 < n_now < n_due
        self._batch = None
        return self._take(limit_ns)

    def wait(self, tick_s: float, most_s: float, idle: Callable[[float], object]) -> None:
        """Wait until something is due or a report arrives.

        Args:
            tick_s: at least: what becomes due meanwhile is sent together, because each send has a fixed cost.
            most_s: at most.
            idle: waits for this many seconds, or until a message arrives.
        """
        next_due_ns = int(self._batch.encoded.due_ns[self._batch.at]) if self._batch else NO_LIMIT
        until_due_s = (min(next_due_ns, self._end_ns) - time.monotonic_ns()) / NS_PER_S
        timeout_s = tick_s if self.is_full else max(tick_s, min(until_due_s, most_s))
        with self.seconds.spent_on("full" if self.is_full else "idle"):
            if not self._broker.wait(min(timeout_s, tick_s)):  # delivery reports are seen when they come
                idle(timeout_s)
        for sink, _ in self._outputs:
            sink.poll(0.0)
        self._broker.see(self.seconds.full)

    def see(self, now_ns: int) -> None:
        """Look at what the first sink has delivered."""
        tally = self._outputs[0][0].tally
        self.activity.see(now_ns, tally.n_acknowledged, tally.in_flight)

    def finish(self, now_ns: int, most: int) -> None:
        """Send once more what is due of the current batch and allowed, drop what finds no room, discard the rest."""
        if self._batch is not None and self._max_lag_s is not None:
            n_due = self._batch.n_due(now_ns)
            n_now = self._send_due(self._batch, n_due, most)
            if n_due > n_now:
                self._drop(self._batch, n_due - n_now)
        self._batch, self.counts.served_ns = None, now_ns

    def drain(self, timeout_s: float, meanwhile: Callable[[], None]) -> None:
        """Wait at most this long for what is in flight; call `meanwhile` a few times a second."""
        deadline_s = time.monotonic() + timeout_s
        while any(sink.tally.in_flight for sink, _ in self._outputs) and time.monotonic() < deadline_s:
            for sink, _ in self._outputs:
                sink.flush(min(FLUSH_STEP_S, max(0.0, deadline_s - time.monotonic())))
            meanwhile()

    @property
    def n_settled(self) -> int:
        """Events that a predecessor has ended, for certain, and that are not counted yet."""
        return max((sink.n_settled for sink, _ in self._outputs if isinstance(sink, TransactionalSink)), default=0)

    def settle(self) -> None:
        """Count them now, though they may not be due yet, since no more turns come."""
        while n_settled := self.n_settled:
            if self._batch is None and not self._take(NO_LIMIT):
                return
            batch = self._batch
            if batch is not None:
                part = self._plan(batch, min(n_settled, len(batch.encoded) - batch.at))
                for sink, filter in self._outputs:
                    sink.send(filter.unsent(part))
                if batch.at == len(batch.encoded):
                    self._batch = None

    def n_waiting(self, until_ns: int) -> int:
        """Events of the current batch that are due before this moment and not sent."""
        return self._batch.n_due(until_ns) if self._batch else 0

    def snapshot(self, now_ns: int, active: int, cpu_s: float, scheduled: float, scheduled_ns: int) -> Snapshot:
        """The totals so far, which go on changing with the loop; for the arguments see `Snapshot`."""
        sinks, counts = [sink for sink, _ in self._outputs], self.counts
        return Snapshot(
            tallies={sink.name: sink.tally for sink in sinks},
            completed={sink.name: sink.completed for sink in sinks},
            progress={sink.name: sink.progress for sink in sinks},
            file_bytes={path: n_bytes for sink in sinks for path, n_bytes in sink.marks().items()},
            schedule_lag_s=counts.lag_s,
            active=active,
            served_ns=counts.served_ns,
            simulated_ms=counts.simulated_ms,
            impaired=dict(counts.impaired),
            cpu_s=cpu_s,
            scheduled=scheduled,
            scheduled_ns=scheduled_ns,
            at_ns=now_ns,
            seconds=self.seconds,
            slow_s=self._broker.slow_s,
            activity=self.activity.taken(),
            round_trip_s=self._broker.round_trip_s(),
        )

    def _limit_ns(self, until_ns: int) -> int:
        return min(self._catch_up.advance(time.monotonic_ns()), min(until_ns, self._end_ns) - 1)

    def _take(self, limit_ns: int) -> bool:
        """Take the next batch, or count one that needs no sending; whether there was one."""
        batch = self._source.next(limit_ns)
        if self._max_lag_s is None:
            self.activity.look_up(time.monotonic_ns())
        if batch is None:
            self.is_over = self._source.is_over
            if self._source.is_behind:
                for sink, _ in self._outputs:
                    sink.poll(0.0)
                return True
            if not self.is_over:
                self.counts.served_ns = max(self.counts.served_ns, limit_ns)
            return False
        outgoing, encoded = batch
        if encoded is None or len(encoded) == 0:
            self.counts.plan(outgoing, slice(0, len(outgoing)), outgoing.events.user_id % N_VIRTUAL_SHARDS)
            for _, filter in self._outputs:
                filter.skip(outgoing.events)
        else:
            self._batch = CurrentBatch(outgoing, encoded)
        return True

    def _is_time_up(self, n_due: int) -> bool:
        """Whether the time is up, and all that was due in it is sent, or a moment has passed since."""
        late_ns = time.monotonic_ns() - self._end_ns
        return late_ns >= 0 and (n_due == 0 or self._max_lag_s is None or late_ns >= END_GRACE_S * NS_PER_S)

    def _send_due(self, batch: CurrentBatch, n_due: int, most: int) -> int:
        """Give every sink as many of the next events as have room and are allowed; return how many."""
        room = min(sink.room() for sink, _ in self._outputs)
        n_now = max(0, min(n_due, room, most - self.counts.n_planned))
        if n_now:
            due = self._plan(batch, n_now)
            self.counts.lag_s.record((time.monotonic_ns() - due.due_ns).astype(np.float64) / NS_PER_S)
            self.counts.progress.n_accepted += n_now
            with self.seconds.spent_on("send"):
                for sink, filter in self._outputs:
                    sink.send(_offered(filter.unsent(due), sink))
                    sink.poll(0.0)
            self._on_send(due)
        return n_now

    def _drop_late(self, batch: CurrentBatch) -> None:
        """Give up events that are later than the user allows."""
        if self._max_lag_s is None:
            return
        oldest_ns = time.monotonic_ns() - int(self._max_lag_s * NS_PER_S)
        n_late = batch.n_due(oldest_ns)
        if n_late:
            self._drop(batch, n_late)
            self._catch_up.jump(oldest_ns)

    def _drop(self, batch: CurrentBatch, n_events: int) -> None:
        late = self._plan(batch, n_events)
        for sink, filter in self._outputs:
            sink.drop(_offered(filter.unsent(late), sink))

    def _plan(self, batch: CurrentBatch, n_events: int) -> EncodedBatch:
        """Count the next events as planned, before any sink may hold them; returns their lines."""
        part = batch.take(n_events)
        encoded = batch.encoded[part]
        self.counts.plan(batch.outgoing, part, encoded.virtual_shard)
        return encoded


def _offered(batch: EncodedBatch, sink: Sink) -> EncodedBatch:
    """The batch itself, which the sink is given next: its events count as planned by crowd."""
    if batch.crowd is not None and sink.tally.crowds is not None:
        sink.tally.crowds.plan(batch.crowd)
    return batch

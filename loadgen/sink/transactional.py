"""Produces events to Kafka in transactions, and has one outcome for every event: a transaction ends as a whole.

    batch → parts of a block → begin, produce … → flush → journal: ending → commit or abort → journal: ended → tally

In: batches, in order. Out: a tally, and `completed` per partition. Which events share a transaction, and which
transactions are aborted on purpose: transactions.py.

**One transaction at a time, and a thread that ends it.** What is sent while a transaction is ended waits for the next
one: the send loop and its schedule go on. A transaction is ended when its block is full, or MOST_OPEN_S after its first
event, since read_committed readers wait for it.

**Delivered is what a commit has confirmed**, and both latencies end there: no read_committed reader can see the event
sooner. An event is aborted once the brokers have acknowledged it and its transaction can only be aborted. Where a
transaction fails (a message times out, the coordinator of transactions asks for an abort), its events have failed.

**A commit without an answer** (the process was killed, the time was up, the producer was fenced) is looked for in the
topic: a transaction is there as a whole, so one of its events decides, at the offset that its delivery report named.
The journal holds that offset from before the commit on. A worker's transactional id is its own in the run, so its
successor fences it by `init_transactions`, which also ends what it left open; then the journal and that one look say
how every event ended, and only the rest is sent. Where that cannot be found out, the event is unfinished: it may be
there.

A producer belongs to the process that made it: make the sink inside the worker.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial

import numpy as np
from confluent_kafka import Producer

from loadgen.event import Int64s, UInt8s, UInt16s, UInt32s
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.producer_options import producer_config
from loadgen.kafka.topics import Topics
from loadgen.ledger import Outcome
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch
from loadgen.sink.in_flight import NO_OFFSET, InFlight, InFlightCounts, SentBatch, SentRun, partition_runs
from loadgen.sink.journal import NOWHERE, Journal, Probe, Segment, segments_of
from loadgen.sink.message_columns import Report, message_columns
from loadgen.sink.readback import is_committed
from loadgen.sink.transaction_client import Answer, Transaction, TransactionalProducer, TransactionClient
from loadgen.transactions import TransactionPlan

MOST_OPEN_S = 0.1
"""As Kafka Streams commits with exactly-once."""
MAX_SEND = 16_384
OVERHEAD_BYTES = 64
"""What a message may add to its value in the producer's own count of bytes."""
POLL_S = 0.01
PROBE_S, CLOSE_PROBE_S = 30.0, 5.0
"""Longest wait for the transactions of others that hide the one that is looked for."""


class TransactionState(Enum):
    """What the sink does."""

    NONE = "no transaction is open"
    OPEN = "events are produced in a transaction"
    ENDING = "a transaction is ended; events that are sent wait for the next one"
    BROKEN = "the producer is fenced, or can do nothing more: calls raise SinkError"
    CLOSED = "every event has its outcome"


@dataclass(slots=True, eq=False)
class _Part:
    """Events of one block, in the order of sending.

    Attributes:
        batch, partitions: sorted by partition.
        skipped_as: how they ended without being sent; None for events to be sent.
        refused: positions of those that no broker would take.
    """

    batch: SentBatch
    partitions: UInt16s
    skipped_as: Outcome | None
    refused: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.partitions)

    @property
    def n_bytes(self) -> int:
        """Of the values to be sent."""
        return self.batch.sent.n_bytes if self.skipped_as is None else 0

    def outcomes(self, ended: Outcome) -> UInt8s:
        """How each ended where their transaction ended so: uint8[n]."""
        found = np.full(len(self), ended if self.skipped_as is None else self.skipped_as, np.uint8)
        found[self.refused] = Outcome.FAILED
        return found

    def in_order(self, ended: Outcome) -> UInt8s:
        """The same in the order of sending."""
        found = np.empty(len(self), np.uint8)
        found[self.batch.order] = self.outcomes(ended)
        return found


class TransactionalSink(InFlightCounts):
    """Produces to the topics of a run in transactions.

    Attributes:
        name, tally, completed, progress: see `Sink`; `completed` is always a prefix of the worker's whole sequence.
        state: see `TransactionState`.
    """

    name = "kafka"

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Topics,
        plan: TransactionPlan,
        transactional_id: str,
        journal: Journal,
        completed: Int64s | None = None,
        before: Progress | None = None,
        connect: Callable[..., TransactionalProducer] = Producer,
    ) -> None:
        """Fence a predecessor, and find out how its events ended.

        Args:
            settings, topics: where and how.
            plan: which events share a transaction.
            transactional_id: the worker's own in the run.
            journal: the worker's own.
            completed: int64[n_partitions], from a predecessor's snapshot; None for a fresh start.
            before: `progress` of the same snapshot.
            connect: makes the producer from a configuration and a logger.

        Raises:
            UsageError: librdkafka does not take the options.
            SinkError: the brokers take no transactions of this id.
        """
        self._settings, self._topics, self._plan, self._journal = settings, topics, plan, journal
        self._most = _Room.of(producer_config(settings, transactional_id))
        self._in_flight = InFlight(topics.n_all, completed, before)
        self._position = self._next = int(self._in_flight.completed.sum())  # taken so far, and not waiting any more
        self._waiting: deque[_Part] = deque()
        self._parts: list[_Part] = []
        self._transaction: Transaction | None = None
        self.state = TransactionState.NONE
        self._client = TransactionClient(settings, transactional_id, connect)
        self._client.init()
        self._settled = self._of_predecessor()

    @property
    def n_settled(self) -> int:
        """How many of the next events a predecessor has ended: `send` counts them, and sends none of them."""
        return sum(n_events for _, n_events in self._settled)

    def partitions(self, key_hash: UInt32s, page: UInt8s) -> UInt16s:
        """See `Sink`."""
        return self._topics.partitions(key_hash, page)

    def room(self) -> int:
        """How many events `send` takes now."""
        return self._most.left(self.tally.in_flight)

    def send(self, batch: EncodedBatch) -> None:
        """Accept all events in order; those beyond `room` are dropped.

        Raises:
            SinkError: the producer is fenced, or can do nothing more; what it has not accepted failed.
        """
        batch = self._unsettled(batch.for_kafka())
        n_now = 0 if self._client.is_broken else self.room()
        self._take(batch[:n_now], None)
        self._take(batch[n_now:], Outcome.FAILED if self._client.is_broken else Outcome.DROPPED)
        self.poll(0.0)

    def drop(self, batch: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up; they keep their place in the order."""
        self._take(self._unsettled(batch.for_kafka()), Outcome.DROPPED)
        self._turn()

    def poll(self, timeout_s: float) -> None:
        """Go on with transactions, waiting at most timeout_s for the end of one; raises as `send` does."""
        self._client.poll(timeout_s)
        self._turn()
        self._raise_if_broken()

    def flush(self, timeout_s: float) -> None:
        """End all transactions, waiting at most timeout_s; raises as `send` does."""
        deadline_s = time.monotonic() + timeout_s
        self._turn(to_end=True)
        while self.tally.in_flight and not self._client.is_broken and time.monotonic() < deadline_s:
            self._client.poll(max(0.0, min(POLL_S, deadline_s - time.monotonic())))
            self._turn(to_end=True)
        self._raise_if_broken()

    def close(self) -> None:
        """Give up what is not ended; a commit without an answer is looked for in the topic. Takes seconds at most."""
        if self.state is TransactionState.CLOSED:
            return
        missing = Outcome.FAILED if self._client.is_broken else Outcome.UNFINISHED
        answer = self._client.close()
        if answer is Answer.UNKNOWN or (answer is None and self.state is TransactionState.BROKEN):
            answer = self._looked_up(self._journal.open, CLOSE_PROBE_S) if self._journal.open else None
        if answer is not None:
            self._count_transaction(answer)
        self.state = TransactionState.CLOSED
        for part in (*self._parts, *self._waiting):
            self._count(part, missing)
        self._in_flight.count_arrived()
        self._journal.close()

    def marks(self) -> dict[str, int]:
        """There are no files."""
        return {}

    def round_trip_s(self) -> float:
        """The slowest broker round trip (p99) of the last second; nan before the first figures."""
        return self._client.monitor.stats.round_trip_p99_s

    # What a predecessor has left.

    def _of_predecessor(self) -> deque[Segment]:
        """How the events ended that it ended after its last snapshot, or was about to."""
        if self._journal.open is not None:
            segments, _ = self._journal.open
            is_aborted = all(outcome is not Outcome.DELIVERED for outcome, _ in segments)
            answer = Answer.SUCCEEDED if is_aborted else self._looked_up(self._journal.open, PROBE_S)
            if answer is Answer.FAILED:
                self._journal.void()
            else:
                self._note(answer)
        settled, n_known = deque(self._journal.ended), self._position
        while settled and n_known:
            outcome, n_events = settled.popleft()
            if n_events > n_known:
                settled.appendleft((outcome, n_events - n_known))
            n_known -= min(n_known, n_events)
        return settled

    def _looked_up(self, ending: tuple[list[Segment], Probe], timeout_s: float) -> Answer:
        """Whether a transaction was committed: one of its events tells."""
        _, probe = ending
        if probe == NOWHERE:
            return Answer.UNKNOWN
        (topic, numbers), *_ = self._topics.by_topic([probe.partition]).items()
        found = is_committed(replace(self._settings, topic=topic), next(iter(numbers)), probe.offset, timeout_s)
        return Answer.UNKNOWN if found is None else Answer.SUCCEEDED if found else Answer.FAILED

    def _unsettled(self, lines: EncodedBatch) -> EncodedBatch:
        """Count those of the next events that a predecessor has ended; the others."""
        while len(lines) and self._settled:
            outcome, n_events = self._settled.popleft()
            if n_events > len(lines):
                self._settled.appendleft((outcome, n_events - len(lines)))
            self._settle(self._part(lines[:n_events], outcome))
            self._position += min(n_events, len(lines))
            self._next = self._position
            lines = lines[n_events:]
        return lines

    def _settle(self, part: _Part) -> None:
        self.tally.in_flight += len(part)
        self._count(part, Outcome.DELIVERED)
        if part.skipped_as is Outcome.DELIVERED:
            self.tally.bytes_delivered += part.batch.sent.n_bytes
            self.tally.fingerprint.add(part.batch.sent.virtual_shard, part.batch.sent.hash)
        elif part.skipped_as is Outcome.ABORTED:
            self.tally.aborted.add(part.batch.sent.virtual_shard, part.batch.sent.hash)

    # Transactions.

    def _take(self, lines: EncodedBatch, skipped_as: Outcome | None) -> None:
        """Let events wait for their transaction, cut where blocks end."""
        while len(lines):
            part = self._part(lines[: self._plan.n_left(self._position)], skipped_as)
            self._position += len(part)
            self.tally.in_flight += len(part)
            self._most.n_bytes += part.n_bytes
            self._waiting.append(part)
            lines = lines[len(part) :]

    def _part(self, lines: EncodedBatch, skipped_as: Outcome | None) -> _Part:
        partitions = self.partitions(lines.key_hash, lines.page)
        order = np.argsort(partitions, kind="stable")
        lines = replace(lines, hash=self._topics.hashes(lines.hash, lines.page))
        return _Part(SentBatch.sorted_by(order, lines), partitions[order], skipped_as)

    def _turn(self, to_end: bool = False) -> None:
        """Go on as far as that is possible without waiting; to_end: no more events come for now."""
        if self.state is TransactionState.CLOSED:
            return
        if self.state is TransactionState.ENDING:
            answer = self._client.answer()
            if answer is None:
                return
            if answer is Answer.UNKNOWN:
                self.state = TransactionState.BROKEN
                return
            self._count_transaction(answer)
        if self._client.is_broken:
            self.state = TransactionState.BROKEN
            return
        self._produce_waiting()
        transaction = self._transaction
        if transaction is None:
            return
        is_over = self._is_full or to_end or time.monotonic() >= transaction.began_s + MOST_OPEN_S
        if is_over or transaction.is_broken:
            segments = self._segments(transaction.goal)
            self._client.end(transaction, lambda probe: self._journal.ending(segments, probe))
            self.state = TransactionState.ENDING

    def _produce_waiting(self) -> None:
        """Produce what waits, up to the end of a block."""
        while self._waiting and not self._is_full:
            part = self._waiting.popleft()
            position, self._next = self._next, self._next + len(part)
            if self._transaction is None and part.skipped_as is not None:
                self._journal.add([(part.skipped_as, len(part))])
                self._count(part, part.skipped_as)
                continue
            if self._transaction is None:
                is_aborted = self._plan.is_aborted(np.array([position]))[0]
                self._transaction = self._client.begin(Outcome.ABORTED if is_aborted else Outcome.DELIVERED)
                self.state = TransactionState.OPEN
            self._parts.append(part)
            if part.skipped_as is None and not self._transaction.is_broken:
                self._produce(self._transaction, part)
        self._in_flight.count_arrived()

    @property
    def _is_full(self) -> bool:
        """Whether the open transaction has come to the end of its block."""
        return bool(self._parts) and self._plan.n_left(self._next) == self._plan.n_events

    def _produce(self, transaction: Transaction, part: _Part) -> None:
        """One report for each partition tells where events are; where it counts that all are there, one for each."""
        runs = list(partition_runs(part.partitions))
        callbacks: list[Report | None] = [None] * len(part)
        for partition, start, stop in runs:
            every = stop - start if transaction.goal is Outcome.ABORTED else 1
            callbacks[start : start + every] = [partial(transaction.on_report, partition)] * every
        positions = np.arange(len(part))
        columns = message_columns(self._topics, part.batch, positions, part.partitions, callbacks)
        self._client.produce(transaction, columns, part.refused.append)
        self._most.line_bytes = max(1.0, part.n_bytes / len(part))

    def _segments(self, goal: Outcome) -> list[Segment]:
        return segments_of(np.concatenate([part.in_order(goal) for part in self._parts]))

    def _count_transaction(self, answer: Answer) -> None:
        """The transaction has ended: so have its events."""
        assert self._transaction is not None
        goal = self._transaction.goal
        ended = {Answer.SUCCEEDED: goal, Answer.FAILED: Outcome.FAILED, Answer.UNKNOWN: Outcome.UNFINISHED}[answer]
        if self._journal.open is None:  # it was given up before it could be ended
            self._journal.add(self._segments(ended))
        else:
            self._note(answer)
        for part in self._parts:
            self._count(part, ended)
        self._in_flight.count_arrived()
        self._transaction, self._parts, self.state = None, [], TransactionState.NONE

    def _note(self, answer: Answer) -> None:
        notes = {Answer.SUCCEEDED: self._journal.succeeded, Answer.FAILED: self._journal.failed}
        notes.get(answer, self._journal.unknown)()

    def _count(self, part: _Part, ended: Outcome) -> None:
        """Count events as ended, in order."""
        self.tally.in_flight -= len(part)
        self._most.n_bytes -= part.n_bytes
        sent, outcomes = part.batch.sent, part.outcomes(ended)
        for partition, start, stop in partition_runs(part.partitions):
            if part.skipped_as is not None:
                pages, virtual_shard = sent.page[start:stop], sent.virtual_shard[start:stop]
                self._in_flight.skip(partition, pages, virtual_shard, part.skipped_as)
                continue
            run = SentRun(partition, part.batch, start, stop)
            self._in_flight.accept(run)
            if ended is Outcome.DELIVERED and not part.refused:
                self._in_flight.watermark(run, NO_OFFSET)
            else:
                self._in_flight.resolve(partition, outcomes[start:stop])

    def _raise_if_broken(self) -> None:
        if self._client.is_broken:
            raise self._client.failure(self._topics.names)


@dataclass(slots=True)
class _Room:
    """How much may wait for its outcome.

    Attributes:
        most_messages, most_bytes: as librdkafka's queue has it.
        n_bytes: of the values that wait now.
        line_bytes: of a value, as seen last.
    """

    most_messages: int
    most_bytes: int
    n_bytes: int = 0
    line_bytes: float = 300.0

    @classmethod
    def of(cls, config: dict[str, str]) -> "_Room":
        """The room that the producer's configuration gives."""
        return cls(int(config["queue.buffering.max.messages"]), int(config["queue.buffering.max.kbytes"]) * 1024)

    def left(self, in_flight: int) -> int:
        """How many events more; at least one where there is none."""
        left_bytes = self.most_bytes - self.n_bytes - OVERHEAD_BYTES * in_flight
        by_bytes = int(left_bytes / (self.line_bytes + OVERHEAD_BYTES)) if in_flight else MAX_SEND
        return max(0, min(self.most_messages - in_flight, by_bytes, MAX_SEND))

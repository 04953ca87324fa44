"""Produces events to a Kafka topic, or to several by page, and has one outcome for every event.

    batch → sorted by partition → produce, event by event → reports → InFlight → tally

In: batches; value = the line without its newline, timestamp = the event's own time, key and headers = those of the
batch (without a key, the user id's decimal digits); the partition is the one that the Java client would choose.
Partitions are counted through all topics, see kafka/topics.py.
Out: a tally, and `completed` per partition.
How events are counted without a report for each: in_flight.py. What is left at the end: readback.py.

A producer belongs to the process that made it: make the sink inside the worker.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any, Protocol

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from loadgen.event import Int64s, UInt8s, UInt16s, UInt32s
from loadgen.kafka.errors import METADATA_S, n_partitions_of, stopped, unreachable
from loadgen.kafka.monitor import BrokerStats, Monitor
from loadgen.kafka.options import KafkaSettings, usage_error
from loadgen.kafka.producer_options import counts_by_watermark, producer_config
from loadgen.kafka.topics import Topics
from loadgen.ledger import Outcome
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch
from loadgen.sink.in_flight import NO_OFFSET, Bools, InFlight, InFlightCounts, SentBatch, SentRun, partition_runs
from loadgen.sink.message_columns import Report, message_columns, produce_all, value_hashes
from loadgen.sink.readback import Doubt, read_back

MAX_SEND = 16_384
"""Events taken at a time, so that reports are taken in between and latencies are seen soon."""
OVERHEAD_BYTES = 64
"""What a message may add to its value in the producer's own count of bytes."""
FIRST_GUESS_BYTES = 300
"""Size of a line before the first is seen."""
READ_BACK_S = 3.0
POLL_S = 0.01
FULL_S = 1.0
PURGE_S = 1.0

PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


class SinkState(Enum):
    """What the Kafka sink can do, and what it waits for."""

    HEALTHY = "reports vouch for all that is in flight"
    NO_WATERMARK = "no report will vouch for some events: once the producer is empty, they have arrived"
    GAP = "acknowledged events may be missing from the topic: it is read"
    RECONNECTING = "the producer had no brokers and was replaced: once connected, the new one sends what is missing"
    BROKEN = "the producer delivers nothing more: events fail, and calls raise SinkError"
    CLOSED = "every event has its outcome"


NEXT_STATES = {
    SinkState.HEALTHY: {SinkState.NO_WATERMARK, SinkState.GAP, SinkState.RECONNECTING, SinkState.BROKEN},
    SinkState.NO_WATERMARK: {SinkState.HEALTHY, SinkState.GAP, SinkState.RECONNECTING, SinkState.BROKEN},
    SinkState.GAP: {SinkState.HEALTHY, SinkState.NO_WATERMARK},
    SinkState.RECONNECTING: {SinkState.HEALTHY, SinkState.BROKEN},
    SinkState.BROKEN: set(),
    SinkState.CLOSED: set(),
}
"""The transitions; from each state, CLOSED can follow too. A gap that a broken or reconnecting producer leaves behind
is read back as any other, without a change of state."""


class ProducerLike(Protocol):
    """The part of confluent_kafka.Producer that is used; tests put a scripted one in its place."""

    def produce(self, *message: Any) -> None:
        """(topic, value, key, partition, callback, on_delivery, timestamp, headers)."""

    def poll(self, timeout: float) -> int:
        """Serve callbacks."""

    def purge(self, in_queue: bool, in_flight: bool, blocking: bool) -> None:
        """Give up everything."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        """The cluster's metadata."""

    def __len__(self) -> int: ...


class KafkaSink(InFlightCounts):
    """Produces to the topics of a run, by one producer at a time.

    Attributes:
        name, tally, completed, progress: see `Sink`.
        state: see `SinkState`.
    """

    name = "kafka"

    def __init__(
        self,
        settings: KafkaSettings,
        completed: Int64s | None = None,
        *,
        before: Progress | None = None,
        n_partitions: int | None = None,
        topics: Topics | None = None,
        topic_ends: Mapping[int, int] | None = None,
        connect: Callable[..., ProducerLike] = Producer,
    ) -> None:
        """Make the producer; does not wait for a broker when n_partitions is given.

        Args:
            settings: where and how.
            completed: int64[n_partitions], from a predecessor's snapshot; None for a fresh start.
            before: `progress` of the same snapshot.
            n_partitions: of the topic; None asks the broker.
            topics: in place of the topic of the settings, all of the run's.
            topic_ends: partition → one past its last offset before the run; where it is missing, the first report of
                a partition proves nothing of the events before, and reading back may begin at its first offset.
            connect: makes the producer from a configuration and a logger.

        Raises:
            UsageError: librdkafka does not take the options.
            BrokerUnreachable, TopicMissing: when the broker has to be asked, and does not say.
        """
        config = producer_config(settings)
        self._settings, self._connect = settings, connect
        self._by_watermark = counts_by_watermark(config)
        self._max_messages = int(config["queue.buffering.max.messages"])
        self._max_bytes = int(config["queue.buffering.max.kbytes"]) * 1024
        self._line_bytes = float(FIRST_GUESS_BYTES)
        self.state = SinkState.HEALTHY
        self._new_producer()
        self._topics = topics or Topics((settings.topic,), (n_partitions or self._ask_partitions(),))
        self._in_flight = InFlight(self._topics.n_all, completed, before)
        for partition in range(self._topics.n_all):
            self._in_flight.last_offset[partition] = (topic_ends or {}).get(partition, NO_OFFSET + 1) - 1

    @property
    def stats(self) -> BrokerStats:
        """The broker's figures, about once a second."""
        return self._monitor.stats

    @property
    def last_errors(self) -> list[str]:
        """The last few complaints of librdkafka, oldest first, without secrets."""
        return list(self._monitor.last_errors)

    def partitions(self, key_hash: UInt32s, page: UInt8s) -> UInt16s:
        """See `Sink`."""
        return self._topics.partitions(key_hash, page)

    def room(self) -> int:
        """How many events `send` takes now; 0 while the producer's queue is full, or is replaced."""
        if self.state is SinkState.RECONNECTING:
            return 0
        n_free = self._max_messages - self.tally.in_flight
        if self.tally.in_flight == 0:
            return min(n_free, MAX_SEND)
        n_bytes = self._in_flight.n_bytes + OVERHEAD_BYTES * self.tally.in_flight
        n_by_bytes = int((self._max_bytes - n_bytes) / (self._line_bytes + OVERHEAD_BYTES))
        return max(0, min(n_free, n_by_bytes, MAX_SEND))

    def send(self, batch: EncodedBatch) -> None:
        """Accept all events in order; those beyond `room` are dropped.

        Raises:
            SinkError: the producer can deliver nothing more; what it has not accepted failed.
        """
        if self._error:
            self._skip(batch, Outcome.FAILED)
            self._raise_if_broken()
        n_now = self.room()
        if now := batch[:n_now].for_kafka():
            self._produce_batch(now)
        self._skip(batch[n_now:], Outcome.DROPPED)

    def drop(self, batch: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up; they keep their place in the order."""
        self._skip(batch, Outcome.DROPPED)

    def poll(self, timeout_s: float) -> None:
        """Take in delivery reports, waiting at most timeout_s for the first; raises as `send` does."""
        self._serve(timeout_s)
        self._raise_if_broken()

    def flush(self, timeout_s: float) -> None:
        """Wait at most timeout_s until nothing is in flight; raises as `send` does."""
        deadline_s = time.monotonic() + timeout_s
        self._serve(0.0)
        while self.tally.in_flight and not self._error and time.monotonic() < deadline_s:
            self._serve(max(0.0, min(POLL_S, deadline_s - time.monotonic())))
        self._raise_if_broken()

    def close(self) -> None:
        """Give up what is in flight, look into the topic for what may have arrived, free the producer.

        Takes a few seconds at most. Closing twice is allowed.
        """
        if self.state is SinkState.CLOSED:
            return
        self._serve(0.0)
        missing = Outcome.FAILED if self._error else Outcome.UNFINISHED  # giving up counts as an error, too
        self._enter(SinkState.CLOSED)
        if self.tally.in_flight:
            self._purge()
            self._serve(0.0)
        del self._producer  # ends its connections, so that nothing more can arrive
        if self.tally.in_flight:
            self._resolve(dict.fromkeys(self._in_flight.partitions_in_doubt()), missing)

    def marks(self) -> dict[str, int]:
        """There are no files."""
        return {}

    def round_trip_s(self) -> float:
        """The slowest broker round trip (p99) of the last second; nan before the first figures."""
        return self._monitor.stats.round_trip_p99_s

    # State.

    @property
    def _error(self) -> KafkaError | None:
        """Why the producer can deliver nothing more; None while it can."""
        return self._monitor.fatal or self._refusal

    def _raise_if_broken(self) -> None:
        if self._error:
            raise stopped(self._settings, self._error, self._topics.names)

    def _enter(self, state: SinkState) -> None:
        if state is not self.state:
            assert state is SinkState.CLOSED or state in NEXT_STATES[self.state], f"{self.state} to {state}"
            self.state = state

    def _serve(self, timeout_s: float) -> None:
        """Take in reports, and do what the state asks for that follows from them."""
        self._take_reports(timeout_s)
        self._close_gaps()
        self._in_flight.count_arrived()
        if self.state is SinkState.CLOSED:
            return
        if self._error:
            self._enter(SinkState.BROKEN)
            return
        if self._monitor.has_no_brokers:
            self._replace_producer()
        if self.state is SinkState.RECONNECTING:
            self._catch_up()
        elif self.state is SinkState.NO_WATERMARK and not len(self._producer):
            self._count_all_arrived()

    def _close_gaps(self) -> None:
        """Read back what the gaps leave in doubt; then the state is what the other reports say."""
        in_flight = self._in_flight
        if in_flight.gaps:
            if self.state in (SinkState.HEALTHY, SinkState.NO_WATERMARK):
                self._enter(SinkState.GAP)
            until = {partition: gap.last_run for partition, gap in in_flight.gaps.items()}
            self._resolve(until, Outcome.FAILED)
        if self.state in (SinkState.HEALTHY, SinkState.NO_WATERMARK, SinkState.GAP):
            is_unsure = self._lacks_watermark or in_flight.offset_unknown
            self._enter(SinkState.NO_WATERMARK if is_unsure else SinkState.HEALTHY)

    def _count_all_arrived(self) -> None:
        """The producer is empty and had no error: all has arrived, unless the broker has forgotten some.

        So it is read back. Where the topic cannot be read, events that were reported without an offset are unfinished.
        """
        self._resolve(dict.fromkeys(self._in_flight.offset_unknown), Outcome.FAILED)
        others = dict.fromkeys(self._in_flight.partitions_in_doubt())
        self._resolve(others, Outcome.FAILED, unread=Outcome.DELIVERED)
        self._lacks_watermark = False
        self._enter(SinkState.HEALTHY)

    def _replace_producer(self) -> None:
        """Take another producer in place of one that never connects again."""
        self._purge()
        del self._producer
        self._new_producer()
        self._enter(SinkState.RECONNECTING)

    def _catch_up(self) -> None:
        """Once the brokers are back: what the topic has of the former producer is delivered, the new one gets the rest.

        Nothing is done while a partition cannot be read.
        """
        if not self._monitor.stats.n_connected:
            return
        doubts = {partition: self._doubt(partition, None) for partition in self._in_flight.partitions_in_doubt()}
        found = self._read_back(doubts)
        if len(found) < len(doubts):
            return
        for partition, is_there in found.items():
            self._send_again(partition, is_there)
        self._in_flight.count_arrived()
        self._enter(SinkState.HEALTHY)

    # The producer.

    def _new_producer(self) -> None:
        """Make a producer and its monitor; nothing is waited for. Raises UsageError."""
        self._monitor = Monitor(self._settings.options)
        self._refusal: KafkaError | None = None
        self._lacks_watermark = False  # of the last event of some run, which the producer did not take
        config = {**producer_config(self._settings), **self._monitor.callbacks()}
        try:
            self._producer = self._connect(config, logger=self._monitor.logger)
        except KafkaException as error:
            raise usage_error(error, self._settings.options) from error

    def _ask_partitions(self) -> int:
        """How many the topic has; raises BrokerUnreachable, TopicMissing."""
        try:
            metadata = self._producer.list_topics(self._settings.topic, METADATA_S)
        except KafkaException as error:
            self._producer.poll(0.0)  # calls the monitor
            raise unreachable(self._settings, METADATA_S, "; ".join(self._monitor.last_errors)) from error
        return n_partitions_of(metadata, self._settings)

    def _take_reports(self, timeout_s: float) -> None:
        """Let the producer call back, waiting at most timeout_s for the first report."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:  # a fatal error is raised, instead of given to the error callback
            self._refusal = self._refusal or error.args[0]

    def _purge(self) -> None:
        """Let go of all that the producer holds; takes a second at most. From here on it is of no use."""
        self._lacks_watermark = False  # an empty producer proves nothing any more
        self._producer.purge(True, True, True)
        deadline_s = time.monotonic() + PURGE_S
        while len(self._producer) and time.monotonic() < deadline_s:
            self._take_reports(POLL_S)

    # Sending.

    def _produce_batch(self, lines: EncodedBatch) -> None:
        """Sort events (at least one) by partition and give them to the producer."""
        partitions = self.partitions(lines.key_hash, lines.page)
        order = np.argsort(partitions, kind="stable")
        lines = replace(lines, hash=self._topics.hashes(lines.hash, lines.page))
        partitions, batch = partitions[order], SentBatch.sorted_by(order, lines)
        runs = [SentRun(number, batch, start, stop) for number, start, stop in partition_runs(partitions)]
        for run in runs:
            self._in_flight.accept(run)
        n_events, positions = len(lines), np.arange(len(lines))
        self._produce(
            runs, positions, message_columns(self._topics, batch, positions, partitions, self._callbacks(runs))
        )
        self._line_bytes = batch.sent.n_bytes / n_events

    def _send_again(self, partition: int, is_there: Bools) -> None:
        """Send those of the partition's events in doubt that the topic lacks; a loop per event, but seldom."""
        self._in_flight.close_gap(partition)
        for run in self._in_flight.in_doubt(partition):
            positions = run.positions_in_doubt()
            arrived, is_there = is_there[: len(positions)], is_there[len(positions) :]
            for position in positions[arrived].tolist():
                self._in_flight.report(run, position, Outcome.DELIVERED)
            self._in_flight.pass_offsets(partition, int(np.count_nonzero(arrived)))
            if not run.ended:
                self._produce_again(run, positions[~arrived])

    def _produce_again(self, run: SentRun, positions: Int64s) -> None:
        """Give the producer events of a run that another one was given before, by their positions in the batch."""
        batch, n_events = run.batch, len(positions)
        callbacks: list[Report | None] = [partial(self._on_report, run, at) for at in positions.tolist()]
        if self._by_watermark and positions[-1] == run.stop - 1:
            callbacks = [*[None] * (n_events - 1), partial(self._on_watermark, run)]
        partitions = np.full(n_events, run.partition, np.uint16)
        self._produce([run], positions, message_columns(self._topics, batch, positions, partitions, callbacks))

    def _skip(self, batch: EncodedBatch, outcome: Outcome) -> None:
        partitions = self.partitions(batch.key_hash, batch.page)
        order = np.argsort(partitions, kind="stable")
        pages, virtual_shard = batch.page[order], batch.virtual_shard[order]
        crowds = None if batch.crowd is None else batch.crowd[order]
        for partition, start, stop in partition_runs(partitions[order]):
            crowd = None if crowds is None else crowds[start:stop]
            self._in_flight.skip(partition, pages[start:stop], virtual_shard[start:stop], outcome, crowd)

    def _produce(self, runs: list[SentRun], positions: Int64s, columns: list[Sequence[Any]]) -> None:
        """Give events to the producer; where it refuses one, it goes on behind it.

        Args:
            runs: the events' runs, in order.
            positions: int64, of the events in their batch.
            columns: the arguments of `produce`, each one value per event.
        """

        def refused(at: int, error: BufferError | KafkaException) -> bool:
            outcome = self._try_again(error, [column[at] for column in columns])
            if outcome is Outcome.DROPPED or self._error:
                self._end_unsent(runs, positions[at:], outcome or Outcome.FAILED)
                return False
            if outcome is not None:
                self._end_unsent(runs, positions[at : at + 1], outcome)
            return True

        produce_all(self._producer.produce, columns, refused)

    def _try_again(self, error: BufferError | KafkaException, message: list[Any]) -> Outcome | None:
        """Wait for room for one message, where that is all that it lacks; None once the producer has taken it."""
        deadline_s = time.monotonic() + FULL_S
        while isinstance(error, BufferError):
            if time.monotonic() >= deadline_s:
                return Outcome.DROPPED
            self._take_reports(POLL_S)
            self._in_flight.count_arrived()
            try:
                self._producer.produce(*message)
            except (BufferError, KafkaException) as again:
                error = again
            else:
                return None
        reason = error.args[0]
        if reason.code() == KafkaError._FATAL:
            self._take_reports(0.0)  # tells what was fatal
        if reason.code() != KafkaError.MSG_SIZE_TOO_LARGE:
            self._refusal = self._refusal or reason
        return Outcome.FAILED

    def _end_unsent(self, runs: list[SentRun], positions: Int64s, outcome: Outcome) -> None:
        """The producer has not taken these events; a run whose last one is among them has no watermark."""
        for run in runs:
            inside = positions[(positions >= run.start) & (positions < run.stop)].tolist()
            for position in inside:
                self._in_flight.report(run, position, outcome)
            self._lacks_watermark |= bool(inside) and inside[-1] == run.stop - 1

    def _callbacks(self, runs: list[SentRun]) -> list[Report | None]:
        """One per event: for the last of each run only; for all where that would not be exact."""
        if not self._by_watermark:
            return [partial(self._on_report, run, at) for run in runs for at in range(run.start, run.stop)]
        callbacks: list[Report | None] = [None] * runs[-1].stop
        for run in runs:
            callbacks[run.stop - 1] = partial(self._on_watermark, run)
        return callbacks

    def _on_watermark(self, run: SentRun, error: KafkaError | None, message: Message) -> None:
        offset = message.offset() if error is None else None
        if offset is not None:
            self._in_flight.watermark(run, offset)
        elif error is None:  # the producer infers from the report of a later message that this one is there
            self._in_flight.offset_unknown.add(run.partition)
        elif error.code() not in PURGED:
            self._refusal = self._refusal or error

    def _on_report(self, run: SentRun, position: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._in_flight.report(run, position, Outcome.DELIVERED)
        elif error.code() not in PURGED:
            self._in_flight.report(run, position, Outcome.FAILED)

    # Reading back.

    def _resolve(
        self, until: Mapping[int, SentRun | None], missing: Outcome, unread: Outcome = Outcome.UNFINISHED
    ) -> None:
        """Settle what is in doubt by what is in the topic.

        Args:
            until: the partitions, and of each the last run that is meant; None is the partition's last.
            missing: the outcome of events that are not there: they failed when the producer was told no, or was told
                yes wrongly, and are unfinished when it ran out of time.
            unread: the outcome of all where the topic cannot be read.
        """
        doubts = {partition: self._doubt(partition, last) for partition, last in until.items()}
        found = self._read_back(doubts)
        for partition, doubt in doubts.items():
            outcomes = np.full(len(doubt.ts_ms), unread, np.uint8)
            if partition in found:
                outcomes = np.where(found[partition], Outcome.DELIVERED, missing).astype(np.uint8)
            self._in_flight.resolve(partition, outcomes, until[partition])
            self._in_flight.close_gap(partition)
        self._in_flight.count_arrived()

    def _read_back(self, doubts: Mapping[int, Doubt]) -> dict[int, Bools]:
        """Which events in doubt are in their topics, by partition; see `read_back`."""
        found: dict[int, Bools] = {}
        for name, numbers in self._topics.by_topic(doubts).items():
            settings = replace(self._settings, topic=name)
            of_topic = read_back(settings, {number: doubts[one] for number, one in numbers.items()}, READ_BACK_S)
            found |= {numbers[number]: is_there for number, is_there in of_topic.items()}
        return found

    def _doubt(self, partition: int, until: SentRun | None) -> Doubt:
        gap, runs = self._in_flight.gaps.get(partition), self._in_flight.in_doubt(partition, until)
        start_offset = gap.start_offset if gap else max(0, int(self._in_flight.last_offset[partition]) + 1)
        positions = [run.positions_in_doubt() for run in runs]
        value_hash = [value_hashes(run.batch, rows) for run, rows in zip(runs, positions, strict=True)]
        ts_ms = [run.batch.ts_ms[rows] for run, rows in zip(runs, positions, strict=True)]
        return Doubt(start_offset, np.concatenate(value_hash), np.concatenate(ts_ms))

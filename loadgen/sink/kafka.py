"""Produces events to a Kafka topic, and knows of every event what became of it.

In: lines; key = the user id's decimal digits, value = the line without its newline, timestamp = the event's own time.
Out: a tally, and `settled` per partition. One lane per partition; a listener's partition is computed once, as the Java
client would. How events are counted without a report for each: lanes.py. What is left at the end: readback.py.

A producer belongs to the process that made it: make the sink inside the worker. One that will never connect again
(`Monitor.is_stranded`) is replaced: nothing of it is on its way any more, so the topic tells what has arrived, and its
successor is given the rest.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import repeat
from operator import length_hint
from typing import Any, Protocol

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from loadgen.event import Int64s, UInt16s
from loadgen.kafka.errors import METADATA_S, n_partitions_of, stopped, unreachable
from loadgen.kafka.monitor import BrokerStats, Monitor
from loadgen.kafka.options import KafkaSettings, usage_error
from loadgen.ledger import Outcome, Tally
from loadgen.sink import Lines
from loadgen.sink.batching import keys_of, runs, sorted_groups, values_of
from loadgen.sink.kafka_options import counts_by_watermark, producer_config
from loadgen.sink.lanes import NO_OFFSET, Bools, Group, Lanes
from loadgen.sink.partition import murmur2_partitions
from loadgen.sink.readback import Doubt, read_back

MAX_SEND = 16_384
"""Events taken at a time, so that reports are taken in between and latencies are seen soon."""
OVERHEAD_BYTES = 64
"""What a message may add to its value in the producer's own count of bytes."""
FIRST_GUESS_BYTES = 300
"""Size of a line before the first is seen."""
POLL_S = 0.01
FULL_S = 1.0
PURGE_S = 1.0
READ_BACK_S = 3.0

PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
Report = Callable[[KafkaError | None, Message], None]


class ProducerLike(Protocol):
    """What the sink needs of confluent_kafka.Producer; tests put a scripted one in its place."""

    def produce(self, *message: Any) -> None:
        """(topic, value, key, partition, callback, on_delivery, timestamp)."""

    def poll(self, timeout: float) -> int:
        """Serve callbacks."""

    def purge(self, in_queue: bool, in_flight: bool, blocking: bool) -> None:
        """Give up everything."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        """The cluster's metadata."""

    def __len__(self) -> int: ...


class KafkaSink:
    """One producer, one topic.

    Attributes:
        name, tally, lane_of_row, settled: see `Sink`.
        stats: the broker's figures, about once a second.
        last_errors: the last few things that librdkafka complained of, without secrets.
    """

    name = "kafka"

    def __init__(
        self,
        settings: KafkaSettings,
        user_ids: Int64s,
        settled: Int64s | None = None,
        *,
        n_partitions: int | None = None,
        topic_ends: Mapping[int, int] | None = None,
        connect: Callable[..., ProducerLike] = Producer,
    ) -> None:
        """Make the producer; does not wait for a broker when n_partitions is given.

        Args:
            settings: where and how.
            user_ids: int64, the shard's listeners by row.
            settled: int64[n_partitions], from a predecessor's snapshot; None for a fresh start.
            n_partitions: of the topic; None asks the broker.
            topic_ends: partition → one past its last offset before the run; where it is missing, the first report of
                a partition proves nothing of the events before, and reading back may begin at its first offset.
            connect: makes the producer from a configuration and a logger.

        Raises:
            UsageError: librdkafka does not take the options.
            BrokerUnreachable, TopicMissing: when the broker has to be asked, and does not say.
        """
        config = producer_config(settings)
        self._settings = settings
        self._connect = connect
        self._open()
        n_lanes = n_partitions or self._ask_partitions()
        self.lane_of_row: UInt16s = murmur2_partitions(user_ids, n_lanes)
        self.settled = np.zeros(n_lanes, np.int64) if settled is None else settled.copy()
        self.tally = Tally()
        self._lanes = Lanes(n_lanes, self.tally, self.settled)
        for lane in range(n_lanes):
            self._lanes.last_offset[lane] = (topic_ends or {}).get(lane, NO_OFFSET + 1) - 1
        self._by_watermark = counts_by_watermark(config)
        self._max_messages = int(config["queue.buffering.max.messages"])
        self._max_bytes = int(config["queue.buffering.max.kbytes"]) * 1024
        self._line_bytes = float(FIRST_GUESS_BYTES)
        self._unwatched = False
        self._is_adrift = False
        self._refusal: KafkaError | None = None
        self._closed = False

    def _open(self) -> None:
        """Make a producer; raises UsageError."""
        self._monitor = Monitor(self._settings.options)
        config = {**producer_config(self._settings), **self._monitor.callbacks()}
        try:
            self._producer = self._connect(config, logger=self._monitor.logger)
        except KafkaException as error:
            raise usage_error(error, self._settings.options) from error

    @property
    def stats(self) -> BrokerStats:
        """The broker's figures of the last second."""
        return self._monitor.stats

    @property
    def last_errors(self) -> list[str]:
        """The last few things that librdkafka complained of, oldest first, without secrets."""
        return list(self._monitor.last_errors)

    def room(self) -> int:
        """How many events `send` takes now; 0 while the producer's queue is full, or has to be filled anew first."""
        if self._is_adrift:
            return 0
        n_free = self._max_messages - self.tally.in_flight
        if self.tally.in_flight == 0:
            return min(n_free, MAX_SEND)
        n_bytes = self._lanes.in_flight_bytes + OVERHEAD_BYTES * self.tally.in_flight
        n_by_bytes = int((self._max_bytes - n_bytes) / (self._line_bytes + OVERHEAD_BYTES))
        return max(0, min(n_free, n_by_bytes, MAX_SEND))

    def send(self, lines: Lines) -> None:
        """Accept all events in order; those beyond `room` are dropped.

        Raises:
            SinkError: the producer can deliver nothing more; what it has not accepted failed.
        """
        if not self._is_broken():
            n_now = self.room()
            self._hand_over(lines[:n_now])
            self._skip(lines[n_now:], Outcome.DROPPED)
            return
        self._skip(lines, Outcome.FAILED)
        self._raise_if_broken()

    def drop(self, lines: Lines) -> None:
        """Count events as dropped that the schedule gave up; they keep their place in the order."""
        self._skip(lines, Outcome.DROPPED)

    def poll(self, timeout_s: float) -> None:
        """Take in delivery reports, waiting at most so long for the first; raises as `send` does."""
        self._serve(timeout_s)
        self._raise_if_broken()

    def flush(self, timeout_s: float) -> None:
        """Wait at most so long until nothing is in flight; raises as `send` does."""
        deadline_s = time.monotonic() + timeout_s
        self._serve(0.0)
        while self.tally.in_flight and not self._is_broken() and time.monotonic() < deadline_s:
            self._serve(max(0.0, min(POLL_S, deadline_s - time.monotonic())))
        self._raise_if_broken()

    def close(self) -> None:
        """Give up what is in flight, look into the topic for what may have arrived, free the producer.

        Takes a few seconds at most. Closing twice is allowed.
        """
        if self._closed:
            return
        self._closed = True
        self._serve(0.0)
        missing = Outcome.FAILED if self._is_broken() else Outcome.UNFINISHED  # a purge breaks the producer, too
        if self.tally.in_flight:
            self._unwatched = False  # an empty producer proves nothing from here on
            _purge(self._producer)
            self._serve(0.0)
        del self._producer  # ends its connections, so that nothing more can arrive while the topic is read
        if self.tally.in_flight:
            self._resolve(dict.fromkeys(self._lanes.lanes_in_doubt()), missing)

    def marks(self) -> dict[str, int]:
        """There are no files."""
        return {}

    def round_trip_s(self) -> float:
        """The slowest broker round trip (p99) of the last second; nan before the first figures."""
        return self._monitor.stats.round_trip_p99_s

    def _hand_over(self, lines: Lines) -> None:
        """Sort events by lane and give them to the producer."""
        if len(lines) == 0:
            return
        lane_of_event = self.lane_of_row[lines.row]
        order = np.argsort(lane_of_event, kind="stable")
        groups = sorted_groups(lines, lane_of_event, order)
        for group in groups:
            self._lanes.accept(group)
        batch = groups[0].batch
        self._line_bytes = batch.sent.n_bytes / len(lines)
        positions, keys, lanes = np.arange(len(lines)), keys_of(batch.user_id), lane_of_event[order].tolist()
        columns = values_of(lines.lines, order), keys, lanes, self._callbacks(groups), [None] * len(lines)
        self._produce(groups, positions, *columns, batch.ts_ms.tolist())

    def _produce(self, groups: list[Group], positions: Int64s, *columns: Sequence[Any]) -> None:
        """One call per event without a Python loop; it stops where the producer refuses one, and goes on behind it.

        Args:
            groups: the events' groups, in order.
            positions: int64, of the events in their batch.
            columns: the arguments of `produce` after the topic, each one value per event.
        """
        topic, n_events, left = self._settings.topic, len(columns[0]), iter(columns[0])
        calls = map(self._producer.produce, repeat(topic), left, *columns[1:])
        while True:
            try:
                deque(calls, maxlen=0)
                return
            except (BufferError, KafkaException) as error:
                at = n_events - length_hint(left) - 1
                outcome = self._try_again(error, [topic, *(column[at] for column in columns)])
            if outcome is Outcome.DROPPED or self._is_broken():
                self._end_unsent(groups, positions[at:], outcome or Outcome.FAILED)
                return
            if outcome is not None:
                self._end_unsent(groups, positions[at : at + 1], outcome)

    def _try_again(self, error: BufferError | KafkaException, message: list[Any]) -> Outcome | None:
        """Wait for room for one message, where that is all that it lacks; None once the producer has taken it."""
        deadline_s = time.monotonic() + FULL_S
        while isinstance(error, BufferError):
            if time.monotonic() >= deadline_s:
                return Outcome.DROPPED
            self._take_reports(POLL_S)
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

    def _end_unsent(self, groups: list[Group], positions: Int64s, outcome: Outcome) -> None:
        """The producer has not taken these events; a group whose last one is among them has lost its watermark."""
        for group in groups:
            inside = positions[(positions >= group.start) & (positions < group.stop)].tolist()
            for position in inside:
                self._lanes.report(group, position, outcome)
            self._unwatched |= bool(inside) and inside[-1] == group.stop - 1

    def _callbacks(self, groups: list[Group]) -> list[Report | None]:
        """Who is told of each event: nobody but for the last of a group; all where that would not be exact."""
        if not self._by_watermark:
            return [partial(self._on_report, group, at) for group in groups for at in range(group.start, group.stop)]
        callbacks: list[Report | None] = [None] * groups[-1].stop
        for group in groups:
            callbacks[group.stop - 1] = partial(self._on_watermark, group)
        return callbacks

    def _on_watermark(self, group: Group, error: KafkaError | None, message: Message) -> None:
        offset = message.offset() if error is None else None
        if offset is not None:
            self._lanes.watermark(group, offset)
        elif error is None:  # the producer has gathered from the report of a later message that this one is there
            self._lanes.unplaced.add(group.lane)
        elif error.code() not in PURGED:
            self._refusal = self._refusal or error

    def _on_report(self, group: Group, position: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._lanes.report(group, position, Outcome.DELIVERED)
        elif error.code() not in PURGED:
            self._lanes.report(group, position, Outcome.FAILED)

    def _take_reports(self, timeout_s: float) -> None:
        """Let the producer call back, then count what has arrived."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:  # a fatal error is raised, instead of given to the error callback
            self._refusal = self._refusal or error.args[0]
        if self._lanes.torn:
            self._resolve({lane: tear.group for lane, tear in self._lanes.torn.items()}, Outcome.FAILED)
        self._lanes.count_arrived()

    def _serve(self, timeout_s: float) -> None:
        """Take in reports; where a group has lost its watermark, an empty producer tells that it has arrived."""
        self._take_reports(timeout_s)
        if self._monitor.is_stranded and not self._is_broken() and not self._closed:
            self._begin_anew()
        if self._is_adrift:
            self._catch_up()
            return
        if not (self._unwatched or self._lanes.unplaced) or self._is_broken() or len(self._producer):
            return
        self._resolve(dict.fromkeys(self._lanes.unplaced), Outcome.FAILED)
        self._unwatched = False
        self._lanes.arrive_all()
        self._lanes.count_arrived()

    def _skip(self, lines: Lines, outcome: Outcome) -> None:
        lane_of_event = self.lane_of_row[lines.row]
        order = np.argsort(lane_of_event, kind="stable")
        pages = lines.page[order]
        for lane, start, stop in runs(lane_of_event[order]):
            self._lanes.skip(lane, pages[start:stop], outcome)

    def _begin_anew(self) -> None:
        """Take another producer in place of one that never connects again."""
        stranded = self._producer
        self._open()
        _purge(stranded)
        self._refusal, self._unwatched, self._is_adrift = None, False, True  # a purge may count as a fatal error

    def _catch_up(self) -> None:
        """Once the brokers are back: what the topic has of the former producer is delivered, the new one gets the rest.

        Nothing is done while a partition cannot be read.
        """
        if self._closed or not self._monitor.stats.n_connected:
            return
        doubts = {lane: self._doubt(lane, None) for lane in self._lanes.lanes_in_doubt()}
        found = read_back(self._settings, doubts, READ_BACK_S) if doubts else {}
        if len(found) < len(doubts):
            return
        self._is_adrift = False
        for lane, is_there in found.items():
            self._send_again(lane, is_there)
        self._lanes.count_arrived()

    def _send_again(self, lane: int, is_there: Bools) -> None:
        """Hand over those of the lane's events in doubt that the topic lacks; a loop per event, once in a long while."""
        self._lanes.mended(lane)
        for group in self._lanes.in_doubt(lane):
            positions = group.positions_in_doubt()
            arrived, is_there = is_there[: len(positions)], is_there[len(positions) :]
            for position in positions[arrived].tolist():
                self._lanes.report(group, position, Outcome.DELIVERED)
            if not group.ended:
                self._hand_over_again(group, positions[~arrived])

    def _hand_over_again(self, group: Group, positions: Int64s) -> None:
        batch, n_events = group.batch, len(positions)
        assert batch.lines is not None
        assert batch.order is not None
        callbacks: list[Report | None] = [partial(self._on_report, group, at) for at in positions.tolist()]
        if self._by_watermark and positions[-1] == group.stop - 1:
            callbacks = [*[None] * (n_events - 1), partial(self._on_watermark, group)]
        values, keys = values_of(batch.lines, batch.order[positions]), keys_of(batch.user_id[positions])
        columns = values, keys, [group.lane] * n_events, callbacks, [None] * n_events
        self._produce([group], positions, *columns, batch.ts_ms[positions].tolist())

    def _resolve(self, until: dict[int, Group | None], missing: Outcome) -> None:
        """Settle what is in doubt by what is in the topic.

        Args:
            until: the lanes, and of each the last group that is meant; None is the lane's last.
            missing: what became of events that are not there: they failed when the producer was told no, or was told
                yes wrongly, and are unfinished when it ran out of time. Where the topic cannot be read, all are
                unfinished.
        """
        doubts = {lane: self._doubt(lane, last) for lane, last in until.items()}
        found = read_back(self._settings, doubts, READ_BACK_S) if doubts else {}
        for lane, doubt in doubts.items():
            outcomes = np.full(len(doubt.ts_ms), Outcome.UNFINISHED, np.uint8)
            if lane in found:
                outcomes = np.where(found[lane], Outcome.DELIVERED, missing).astype(np.uint8)
            self._lanes.resolve(lane, outcomes, until[lane])
            self._lanes.mended(lane)
        self._lanes.count_arrived()

    def _doubt(self, lane: int, until: Group | None) -> Doubt:
        tear, groups = self._lanes.torn.get(lane), self._lanes.in_doubt(lane, until)
        start_offset = tear.start_offset if tear else max(0, int(self._lanes.last_offset[lane]) + 1)
        positions = [group.positions_in_doubt() for group in groups]
        user_id = [group.batch.user_id[rows] for group, rows in zip(groups, positions, strict=True)]
        ts_ms = [group.batch.ts_ms[rows] for group, rows in zip(groups, positions, strict=True)]
        return Doubt(start_offset, np.concatenate(user_id), np.concatenate(ts_ms))

    def _is_broken(self) -> bool:
        return self._monitor.fatal is not None or self._refusal is not None

    def _raise_if_broken(self) -> None:
        error = self._monitor.fatal or self._refusal
        if error is not None:
            raise stopped(self._settings, error)

    def _ask_partitions(self) -> int:
        try:
            metadata = self._producer.list_topics(self._settings.topic, METADATA_S)
        except KafkaException as error:
            self._producer.poll(0.0)  # calls the monitor
            raise unreachable(self._settings, METADATA_S, "; ".join(self.last_errors)) from error
        return n_partitions_of(metadata, self._settings)


def _purge(producer: ProducerLike) -> None:
    """Let a producer give up what it holds; its callbacks are told."""
    producer.purge(True, True, True)
    deadline_s = time.monotonic() + PURGE_S
    while len(producer) and time.monotonic() < deadline_s:
        with suppress(KafkaException):  # an idempotent producer takes the gap for a fatal error
            producer.poll(POLL_S)

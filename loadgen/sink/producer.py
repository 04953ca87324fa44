"""One producer and what it says of the events that it is given.

    lines → sorted by lane → produce, event by event → reports → lanes

In: lines and the lane (partition) of each; key = the user id's decimal digits, value = the line without its newline,
timestamp = the event's own time. Out: reports to the lanes (lanes.py tells how few of them are needed); what stopped
the producer, if anything did. A producer that is of no more use is given up with all that it holds; the sink takes
another one.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from operator import length_hint
from typing import Any, Protocol

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message

from loadgen.event import Int64s, UInt16s
from loadgen.kafka.errors import METADATA_S, n_partitions_of, unreachable
from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, usage_error
from loadgen.ledger import Outcome
from loadgen.sink import EncodedBatch
from loadgen.sink.batching import keys_of, sorted_groups, values_of
from loadgen.sink.in_flight import Group, Lanes
from loadgen.sink.kafka_options import counts_by_watermark, producer_config

POLL_S = 0.01
FULL_S = 1.0
PURGE_S = 1.0

PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
Report = Callable[[KafkaError | None, Message], None]


class ProducerLike(Protocol):
    """What is needed of confluent_kafka.Producer; tests put a scripted one in its place."""

    def produce(self, *message: Any) -> None:
        """(topic, value, key, partition, callback, on_delivery, timestamp)."""

    def poll(self, timeout: float) -> int:
        """Serve callbacks."""

    def purge(self, in_queue: bool, in_flight: bool, blocking: bool) -> None:
        """Give up everything."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        """The cluster's metadata."""

    def __len__(self) -> int: ...


Connect = Callable[..., ProducerLike]


class Outbox:
    """One producer, one topic.

    Attributes:
        monitor: what the producer says besides reports.
        lanes: told what became of events; to be set before the first of them.
        unwatched: the last event of a group was not taken, so no report vouches for those before it.
    """

    def __init__(self, settings: KafkaSettings, connect: Connect) -> None:
        """Make the producer, from a configuration and a logger; nothing is waited for. Raises UsageError."""
        config = producer_config(settings)
        self.monitor = Monitor(settings.options)
        self.lanes: Lanes
        self.unwatched = False
        self._settings, self._by_watermark = settings, counts_by_watermark(config)
        self._refusal: KafkaError | None = None
        try:
            self._producer = connect({**config, **self.monitor.callbacks()}, logger=self.monitor.logger)
        except KafkaException as error:
            raise usage_error(error, settings.options) from error

    def __len__(self) -> int:
        """How much the producer holds."""
        return len(self._producer)

    @property
    def error(self) -> KafkaError | None:
        """Why the producer can deliver nothing more; None while it can."""
        return self.monitor.fatal or self._refusal

    def ask_partitions(self) -> int:
        """How many the topic has; raises BrokerUnreachable, TopicMissing."""
        try:
            metadata = self._producer.list_topics(self._settings.topic, METADATA_S)
        except KafkaException as error:
            self._producer.poll(0.0)  # calls the monitor
            raise unreachable(self._settings, METADATA_S, "; ".join(self.monitor.last_errors)) from error
        return n_partitions_of(metadata, self._settings)

    def hand_over(self, lines: EncodedBatch, lane_of_event: UInt16s) -> int:
        """Sort events (at least one) by lane and give them to the producer; the bytes of their values."""
        order = np.argsort(lane_of_event, kind="stable")
        groups = sorted_groups(lines, lane_of_event, order)
        for group in groups:
            self.lanes.accept(group)
        batch = groups[0].batch
        positions, keys, lanes = np.arange(len(lines)), keys_of(batch.user_id), lane_of_event[order].tolist()
        columns = values_of(lines.lines, order), keys, lanes, self._callbacks(groups), [None] * len(lines)
        self._produce(groups, positions, *columns, batch.ts_ms.tolist())
        return batch.sent.n_bytes

    def hand_over_again(self, group: Group, positions: Int64s) -> None:
        """Give the producer events of a group that another one was given before, by their positions in the batch."""
        batch, n_events = group.batch, len(positions)
        assert batch.lines is not None
        assert batch.order is not None
        callbacks: list[Report | None] = [partial(self._on_report, group, at) for at in positions.tolist()]
        if self._by_watermark and positions[-1] == group.stop - 1:
            callbacks = [*[None] * (n_events - 1), partial(self._on_watermark, group)]
        values, keys = values_of(batch.lines, batch.order[positions]), keys_of(batch.user_id[positions])
        columns = values, keys, [group.lane] * n_events, callbacks, [None] * n_events
        self._produce([group], positions, *columns, batch.ts_ms[positions].tolist())

    def take_reports(self, timeout_s: float) -> None:
        """Let the producer call back, waiting at most so long for the first report."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:  # a fatal error is raised, instead of given to the error callback
            self._refusal = self._refusal or error.args[0]

    def give_up(self) -> None:
        """Let go of all that the producer holds; takes a second at most. From here on it is of no use."""
        self.unwatched = False  # an empty producer proves nothing any more
        self._producer.purge(True, True, True)
        deadline_s = time.monotonic() + PURGE_S
        while len(self._producer) and time.monotonic() < deadline_s:
            self.take_reports(POLL_S)

    def disconnect(self) -> None:
        """End the producer's connections, so that nothing more can arrive."""
        del self._producer

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
            if outcome is Outcome.DROPPED or self.error:
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
            self.take_reports(POLL_S)
            self.lanes.count_arrived()
            try:
                self._producer.produce(*message)
            except (BufferError, KafkaException) as again:
                error = again
            else:
                return None
        reason = error.args[0]
        if reason.code() == KafkaError._FATAL:
            self.take_reports(0.0)  # tells what was fatal
        if reason.code() != KafkaError.MSG_SIZE_TOO_LARGE:
            self._refusal = self._refusal or reason
        return Outcome.FAILED

    def _end_unsent(self, groups: list[Group], positions: Int64s, outcome: Outcome) -> None:
        """The producer has not taken these events; a group whose last one is among them has lost its watermark."""
        for group in groups:
            inside = positions[(positions >= group.start) & (positions < group.stop)].tolist()
            for position in inside:
                self.lanes.report(group, position, outcome)
            self.unwatched |= bool(inside) and inside[-1] == group.stop - 1

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
            self.lanes.watermark(group, offset)
        elif error is None:  # the producer has gathered from the report of a later message that this one is there
            self.lanes.unplaced.add(group.lane)
        elif error.code() not in PURGED:
            self._refusal = self._refusal or error

    def _on_report(self, group: Group, position: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.lanes.report(group, position, Outcome.DELIVERED)
        elif error.code() not in PURGED:
            self.lanes.report(group, position, Outcome.FAILED)

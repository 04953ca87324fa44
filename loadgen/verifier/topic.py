"""Reads events from a Kafka topic: everything from the beginning of its log to where it ended when reading began.

In: how to reach the topic. Out: a `EventSource`, whose units are the partitions. There is no consumer group: nobody
else's offsets are touched.
"""

import time
from collections.abc import Iterable, Iterator

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from loadgen.errors import SinkError
from loadgen.event import Int64s
from loadgen.kafka.check import check_topic
from loadgen.kafka.errors import METADATA_S, REFUSALS, refused, unreachable
from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, client_config, hide_secrets
from loadgen.kafka.watch import TopicWatch
from loadgen.verifier.envelope import UNKNOWN, Envelope
from loadgen.verifier.source import SourceBlock
from loadgen.verifier.spill import NUMBER_MASK, PLACE_BITS, places_of

FETCH_MESSAGES = 20_000
FETCH_S = 0.2
SILENT_S = 30.0
"""A broker that sends nothing for so long, though there is more to read, is given up."""
QUIET_S = 3.0
"""After so long without a message it is asked whether the topic is still there."""
_CONFIG = {
    "group.id": "loadgen-verify",
    "enable.auto.commit": "false",
    "enable.partition.eof": "true",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "fetch.wait.max.ms": "20",  # a fetch that waits for more, at the end of a partition, holds back every other one
    "queued.max.messages.kbytes": "32768",
    "fetch.message.max.bytes": "4194304",
}


class TopicSource:
    """All partitions of a topic, side by side."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Ask for the topic.

        Raises:
            SinkError: it cannot be reached, or is not there.
        """
        self._settings = settings
        self._n_partitions = check_topic(settings)
        self._watch = TopicWatch(settings)
        self._watch.look()
        self._monitor = Monitor(settings.options)
        self._n_read, self._n_all = 0, 1
        self._sets_times = False
        self.name = f"topic {settings.topic} on {settings.brokers}"
        self.notes: list[str] = []

    def blocks(self) -> Iterator[SourceBlock]:
        """Every message between the log's start and its end as of now."""
        consumer = self._consumer()
        try:
            spans = {number: self._span(consumer, number) for number in range(self._n_partitions)}
            self._note_beginnings(spans)
            self._n_all = max(1, sum(end - start for start, end in spans.values()))
            ends = {number: end for number, (start, end) in spans.items() if start < end}
            consumer.assign([TopicPartition(self._settings.topic, number, spans[number][0]) for number in ends])
            for messages in self._fetched(consumer, ends):
                self._n_read += len(messages)
                block = _block(messages)
                self._note_times(block)
                yield block
            self._watch.look()  # offsets of a topic that was created again mean something else
        except KafkaException as error:
            raise self._failed(error.args[0]) from error
        finally:
            consumer.close()

    def share(self) -> float:
        """How much of it has been read."""
        return self._n_read / self._n_all

    def groups(self) -> Int64s:
        """Each partition is a group of its own."""
        return np.arange(self._n_partitions, dtype=np.int64)

    def partitions(self) -> tuple[Int64s, Int64s]:
        """Each unit is one."""
        return np.zeros(self._n_partitions, np.int64), np.arange(self._n_partitions, dtype=np.int64)

    def where(self, place: int) -> str:
        """Partition and offset."""
        return f"partition {place >> PLACE_BITS}, offset {place & NUMBER_MASK}"

    def texts(self, places: Iterable[int]) -> dict[int, bytes]:
        """The values at these places; what the topic has let go of in the meantime is missing."""
        consumer = self._consumer()
        found = {}
        try:
            for place in sorted(set(places)):
                value = self._value_at(consumer, place >> PLACE_BITS, place & NUMBER_MASK)
                if value is not None:
                    found[place] = value
        except KafkaException as error:
            raise self._failed(error.args[0]) from error
        finally:
            consumer.close()
        return found

    def _consumer(self) -> Consumer:
        config = {**client_config(self._settings), **_CONFIG, **self._monitor.callbacks()}
        return Consumer(config, logger=self._monitor.logger)

    def _span(self, consumer: Consumer, number: int) -> tuple[int, int]:
        start, end = consumer.get_watermark_offsets(TopicPartition(self._settings.topic, number), timeout=METADATA_S)
        return start, end

    def _note_beginnings(self, spans: dict[int, tuple[int, int]]) -> None:
        cut = {number: start for number, (start, _) in spans.items() if start > 0}
        if cut:
            shown = ", ".join(f"partition {number} at offset {start:,}" for number, start in list(cut.items())[:5])
            self.notes.append(
                f"the topic no longer has its beginning ({shown}{', …' if len(cut) > 5 else ''}): "
                "events that stood before it count as lost"
            )

    def _note_times(self, block: SourceBlock) -> None:
        """Say that the topic sets timestamps itself, once."""
        assert block.envelope is not None
        if not self._sets_times and (block.envelope.timestamp_ms == UNKNOWN).any():
            self._sets_times = True
            self.notes.append("the topic sets its messages' timestamps itself, so they were not compared")

    def _fetched(self, consumer: Consumer, ends: dict[int, int]) -> Iterator[list[Message]]:
        """Messages below the ends, until every partition has been read to its end."""
        heard_s, unread = time.monotonic(), set(ends)
        while unread:
            polled = consumer.consume(FETCH_MESSAGES, FETCH_S)
            if polled:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > QUIET_S:
                self._watch.look()
            if time.monotonic() - heard_s > SILENT_S:
                complaint = self._monitor.last_errors[-1] if self._monitor.last_errors else ""
                raise unreachable(self._settings, SILENT_S, complaint)
            unread -= self._ended(polled)
            places = [(message, message.partition() or 0) for message in polled if message.error() is None]
            unread -= {partition for message, partition in places if (message.offset() or 0) >= ends[partition] - 1}
            messages = [message for message, partition in places if (message.offset() or 0) < ends[partition]]
            if messages:
                yield messages

    def _ended(self, polled: list[Message]) -> set[int]:
        """Partitions of which there is no more now; what lies before their ends may be markers, not messages."""
        ended = set()
        for message in polled:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition() or 0)
            elif error is not None and not error.retriable():
                raise self._failed(error)
        return ended

    def _value_at(self, consumer: Consumer, partition: int, offset: int) -> bytes | None:
        consumer.assign([TopicPartition(self._settings.topic, partition, offset)])
        deadline_s = time.monotonic() + METADATA_S
        while time.monotonic() < deadline_s:
            for message in consumer.consume(1, FETCH_S):
                if message.error() is None:
                    return message.value() or b"" if message.offset() == offset else None
                return None
        return None

    def _failed(self, error: KafkaError) -> SinkError:
        if error.code() in REFUSALS:
            return refused(self._settings, REFUSALS[error.code()], error.str())
        reason = hide_secrets(error.str(), self._settings.options)
        return SinkError(f"{self.name} can be read no further: {reason}; look at the broker's log, then verify again")


def _block(messages: list[Message]) -> SourceBlock:
    n = len(messages)
    partitions = np.fromiter(map(Message.partition, messages), np.int64, n)
    places = places_of(partitions, np.fromiter(map(Message.offset, messages), np.int64, n))
    values = [value or b"" for value in map(Message.value, messages)]
    envelope = Envelope.of(messages, partitions)
    return SourceBlock(values, keys=lambda row: messages[row].key(), places=places, envelope=envelope)

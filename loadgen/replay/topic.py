"""A topic of recorded events as parts, one per partition.

In: brokers, a topic, and the offsets between which its partitions are read. Out: parts to merge. One consumer reads all
partitions; one of which enough is held is paused meanwhile, so that memory is bounded.
"""

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Message

from loadgen.errors import StoreError
from loadgen.kafka.check import check_topic
from loadgen.kafka.errors import METADATA_S, unreachable
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_reader import FETCH_S, SILENT_S, TopicReader, reader_config
from loadgen.replay.merge import Part
from loadgen.replay.records import FieldReader, Records

FETCH_MESSAGES = 5000
MOST_HELD = 20_000
"""Messages of a partition; beyond it is paused."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as a source.

    Attributes:
        settings: how to read it.
        spans: partition → its first offset, and one past its last, when the replay began; those that have messages.
    """

    settings: KafkaSettings
    spans: dict[int, tuple[int, int]]

    @classmethod
    def of(cls, settings: KafkaSettings) -> "Topic":
        """What is there now.

        Raises:
            SinkError: the brokers do not answer, or there is no such topic.
            StoreError: it has no messages.
        """
        partitions = range(check_topic(settings))
        reader = _reader(settings)
        try:
            begins, ends = reader.begins(partitions), reader.ends(partitions)
        except (KafkaException, TimeoutError) as error:
            raise unreachable(settings, METADATA_S, str(error)) from error
        finally:
            reader.close()
        spans = {one: (begins[one], ends[one]) for one in partitions if begins[one] < ends[one]}
        if not spans:
            raise StoreError(f"topic {settings.topic} on {settings.brokers} has no messages; name another source")
        return cls(settings, spans)

    @property
    def said(self) -> str:
        """How much it is, after its name."""
        n = sum(end - first for first, end in self.spans.values())
        return f" (about {n:,} messages in {len(self.spans)} partition{'s' if len(self.spans) > 1 else ''})"

    def parts(self, reader: FieldReader) -> list[Part]:
        """The parts of one pass through it."""
        fetcher = _Fetcher(self, reader)
        return [TopicPart(partition, fetcher) for partition in self.spans]


def _reader(settings: KafkaSettings) -> TopicReader:
    return TopicReader(settings, reader_config(settings, "replay", or_earliest=True))


@dataclass(slots=True)
class TopicPart:
    """A partition: a `Part`."""

    partition: int
    fetcher: "_Fetcher"
    from_us: int = 0
    is_known: bool = True

    def look(self) -> None:
        """All partitions are read from the start."""

    def next(self) -> Records | None:
        """The next messages; None at the end. Raises SinkError."""
        return self.fetcher.next(self.partition)


@dataclass(slots=True)
class _Queue:
    """What is read of a partition and not given on."""

    records: deque[Records] = field(default_factory=deque)
    n: int = 0
    is_paused: bool = False


class _Fetcher:
    """Reads all partitions by one consumer."""

    def __init__(self, topic: Topic, reader: FieldReader) -> None:
        self._settings, self._spans, self._fields = topic.settings, topic.spans, reader
        self._reader = _reader(topic.settings)
        self._queues = {partition: _Queue() for partition in topic.spans}
        self._open = set(topic.spans)
        self._heard_s = time.monotonic()
        for partition, (first, _) in topic.spans.items():
            self._reader.start(partition, first)

    def next(self, partition: int) -> Records | None:
        """The next messages of a partition; None at its end.

        Raises:
            SinkError: the topic cannot be read.
        """
        queue = self._queues[partition]
        while not queue.records:
            if partition not in self._open:
                return None
            self._fetch()
        records = queue.records.popleft()
        queue.n -= len(records)
        if queue.is_paused and queue.n < MOST_HELD // 2 and partition in self._open:
            self._reader.resume(partition)
            queue.is_paused = False
        return records

    def _fetch(self) -> None:
        try:
            found = self._reader.fetch(FETCH_MESSAGES, FETCH_S)
        except KafkaException as error:
            raise self._reader.failed(error.args[0]) from error
        if found:
            self._heard_s = time.monotonic()
        elif time.monotonic() - self._heard_s > SILENT_S:
            said = next(reversed(self._reader.monitor.last_errors), "")
            raise unreachable(self._settings, SILENT_S, said)
        of_partition: dict[int, list[Message]] = defaultdict(list)
        for message in found:
            self._take(message, of_partition)
        for partition, messages in of_partition.items():
            self._hold(partition, self._fields.messages(messages))
        if not self._open:
            self._reader.close()

    def _take(self, message: Message, of_partition: dict[int, list[Message]]) -> None:
        error, partition, end = message.error(), message.partition() or 0, self._spans[message.partition() or 0][1]
        offset = message.offset() or 0
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if not error.retriable():
                raise self._reader.failed(error)
            return
        if error is None and offset < end:
            of_partition[partition].append(message)
        if partition in self._open and (error is not None or offset >= end - 1):
            self._open.discard(partition)
            self._reader.stop(partition)

    def _hold(self, partition: int, records: Records) -> None:
        queue = self._queues[partition]
        if len(records):
            queue.records.append(records)
            queue.n += len(records)
        if queue.n >= MOST_HELD and partition in self._open and not queue.is_paused:
            self._reader.pause(partition)
            queue.is_paused = True

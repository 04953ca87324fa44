"""Reads events from a Kafka topic: everything from the beginning of its log to where it ended when reading began.

In: how to reach the topic. Out: an `EventSource`, whose units are the partitions;
or one for several topics.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from operator import itemgetter

import numpy as np
import pyarrow as pa
from confluent_kafka import IsolationLevel, KafkaException, Message

from loadgen.decoder import Decoder
from loadgen.errors import SinkError
from loadgen.event import Int64s
from loadgen.kafka.check import check_topic
from loadgen.kafka.cloudevents import unwrapped
from loadgen.kafka.errors import METADATA_S, unreachable
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_reader import ASK_S, COMMITTED, UNCOMMITTED, TopicReader, reader_config
from loadgen.kafka.watch import TopicWatch
from loadgen.verifier.envelope import UNKNOWN, Envelope
from loadgen.verifier.source import SourceBlock
from loadgen.verifier.spill import NUMBER_MASK, PLACE_BITS, places_of

OPEN_S = 90.0
"""Longest wait for transactions that are open: brokers end one after transaction.timeout.ms, 60 s by default."""
AGAIN_S = 0.2
_FIRST_BYTE = itemgetter(slice(0, 1))


class TopicSource:
    """All partitions of a topic, side by side."""

    def __init__(
        self, settings: KafkaSettings, decoder: Decoder | None = None, isolation: IsolationLevel = COMMITTED
    ) -> None:
        """Ask for the topic.

        Args:
            settings: how to reach it.
            decoder: of values in the wire format of a schema registry; None: they stay as they are.
            isolation: UNCOMMITTED reads what is in aborted transactions, too.

        Raises:
            SinkError: it cannot be reached, or is not there.
        """
        self._settings, self._decoder, self._isolation = settings, decoder, isolation
        self._n_partitions = check_topic(settings)
        self._watch = TopicWatch(settings)
        self._watch.look()
        self._n_read, self._n_all = 0, 1
        self._sets_times = False
        self.topic, self.brokers = settings.topic, settings.brokers
        self.name = f"topic {settings.topic} on {settings.brokers}"
        self.notes: list[str] = []

    def blocks(self) -> Iterator[SourceBlock]:
        """Every message between the log's start and its end as of now."""
        with closing(self._reader()) as reader:
            starts, ends = self._spans(reader)
            self._note_beginnings(starts)
            self._n_all = max(1, sum(ends.values()) - sum(starts.values()))
            for messages in reader.read(starts, ends, self._watch):
                self._n_read += len(messages)
                block = _block(messages, self._decoder)
                self._note_times(block)
                yield block
        self._note_schemas()

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
        found: dict[int, bytes] = {}
        with closing(self._reader()) as reader:
            for place in sorted(set(places)):
                partition, offset = place >> PLACE_BITS, place & NUMBER_MASK
                read = reader.read_until({partition: offset}, {partition: offset + 1}, time.monotonic() + METADATA_S)
                found.update((place, self._text(message.value() or b"")) for messages in read for message in messages)
        return found

    def _text(self, value: bytes) -> bytes:
        line = None if self._decoder is None else self._decoder.asking(self._decoder.lines, [value]).values[0]
        return unwrapped([value if line is None else line])[0]

    def _reader(self) -> TopicReader:
        level = "read_committed" if self._isolation == COMMITTED else "read_uncommitted"
        config = {**reader_config(self._settings, "verify"), "isolation.level": level}
        return TopicReader(self._settings, config, self._isolation)

    def _spans(self, reader: TopicReader) -> tuple[dict[int, int], dict[int, int]]:
        numbers = range(self._n_partitions)
        try:
            return reader.begins(numbers), self._ends(reader, numbers)
        except KafkaException as error:
            raise reader.failed(error.args[0]) from error
        except TimeoutError as error:
            raise unreachable(self._settings, ASK_S, "they do not say where the topic ends") from error

    def _ends(self, reader: TopicReader, numbers: range) -> dict[int, int]:
        """Where the topic ends; what is committed behind a transaction that is open is seen once that has ended."""
        ends = reader.ends(numbers)
        if self._isolation == UNCOMMITTED:
            return ends
        goals, deadline_s = reader.all_ends(numbers), time.monotonic() + OPEN_S
        while still_open := [number for number in numbers if ends[number] < goals[number]]:
            if time.monotonic() >= deadline_s:
                raise SinkError(
                    f"partition {still_open[0]} of topic {self.topic} must have no open transaction to be verified, "
                    f"got one at offset {ends[still_open[0]]:,} that did not end within {OPEN_S:.0f} s; wait for the "
                    "end of what writes there, or verify with --isolation read_uncommitted"
                )
            time.sleep(AGAIN_S)
            ends = reader.ends(numbers)
        return goals

    def _note_beginnings(self, starts: dict[int, int]) -> None:
        cut = {number: start for number, start in starts.items() if start > 0}
        if cut:
            shown = ", ".join(f"partition {number} at offset {start:,}" for number, start in list(cut.items())[:5])
            self.notes.append(
                f"the topic no longer has its beginning ({shown}{', …' if len(cut) > 5 else ''}): "
                "events that stood before it count as lost"
            )

    def _note_schemas(self) -> None:
        missing = self._decoder.schemas.missing if self._decoder else []
        if missing:
            shown = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
            self.notes.append(
                f"messages with schemas that are not known (ids {shown}) were compared by their bytes; a registry that "
                "has them is named by --schema-registry URL"
            )

    def _note_times(self, block: SourceBlock) -> None:
        """Say that the topic sets timestamps itself, once."""
        assert block.envelope is not None
        if not self._sets_times and (block.envelope.timestamp_ms == UNKNOWN).any():
            self._sets_times = True
            self.notes.append("the topic sets its messages' timestamps itself, so they were not compared")


class TopicsSource:
    """Several topics, one after another; the units are their partitions, counted through."""

    def __init__(self, each: Sequence[TopicSource]) -> None:
        """Nothing is read yet; each: at least one."""
        self._each = each
        sizes = [len(source.groups()) for source in each]
        self._firsts = np.cumsum([0, *sizes])
        self._topic, self._number = np.repeat(np.arange(len(each)), sizes), np.concatenate([*map(np.arange, sizes)])
        self.name = f"topics {', '.join(source.topic for source in each)} on {each[0].brokers}"
        self.notes: list[str] = []

    def blocks(self) -> Iterator[SourceBlock]:
        """Every message of each topic between its start and its end as of when it is begun."""
        for source, first in zip(self._each, self._firsts[:-1].tolist(), strict=True):
            for block in source.blocks():
                assert block.places is not None
                yield replace(block, places=block.places + np.uint64(first << PLACE_BITS))
            self.notes += [f"{source.topic}: {note}" for note in source.notes]

    def share(self) -> float:
        """How much of them has been read, as if they were of equal length."""
        return sum(source.share() for source in self._each) / len(self._each)

    def groups(self) -> Int64s:
        """Each partition is a group of its own."""
        return np.arange(self._firsts[-1])

    def partitions(self) -> tuple[Int64s, Int64s]:
        """Each unit is one."""
        return self._topic, self._number

    def where(self, place: int) -> str:
        """Topic, partition and offset."""
        source, first = self._source_of(place)
        return f"topic {source.topic}, {source.where(place - first)}"

    def texts(self, places: Iterable[int]) -> dict[int, bytes]:
        """The values at these places; what a topic has let go of in the meantime is missing."""
        found: dict[int, bytes] = {}
        for place in places:
            source, first = self._source_of(place)
            found |= {first + at: text for at, text in source.texts([place - first]).items()}
        return found

    def _source_of(self, place: int) -> tuple[TopicSource, int]:
        """The topic of a place, and its first place."""
        at = int(self._topic[place >> PLACE_BITS])
        return self._each[at], int(self._firsts[at]) << PLACE_BITS


def _block(messages: list[Message], decoder: Decoder | None) -> SourceBlock:
    n = len(messages)
    partitions = np.fromiter(map(Message.partition, messages), np.int64, n)
    places = places_of(partitions, np.fromiter(map(Message.offset, messages), np.int64, n))
    sent = [value or b"" for value in map(Message.value, messages)]
    table, values = _decoded(sent, decoder)
    content = unwrapped(values)
    raw = None
    if values is not sent:
        raw = [one if one[:1] == b"\0" else event for one, event in zip(sent, content, strict=True)]
    envelope = Envelope.of(messages, partitions, values)
    return SourceBlock(
        content if table is None else table,
        keys=lambda row: messages[row].key(),
        places=places,
        envelope=envelope,
        raw=raw,
    )


def _decoded(values: list[bytes], decoder: Decoder | None) -> tuple[pa.Table | None, list[bytes]]:
    """Values of one schema as a table; else lines, those that cannot be decoded as they are."""
    if decoder is None or b"\0" not in set(map(_FIRST_BYTE, values)):
        return None, values
    table = decoder.asking(decoder.table, values)
    lines = values if table is not None else decoder.asking(decoder.lines, values).values
    if lines is values:
        return table, values
    return None, [value if line is None else line for value, line in zip(values, lines, strict=True)]

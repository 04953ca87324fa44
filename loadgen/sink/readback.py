"""Looks into the topic for events of which no delivery report tells.

In: per partition, where to begin, and the values and timestamps of the events in doubt. Out: which of them are there.
Used when a producer is closed with something in flight: a batch may be in the log although its acknowledgement never
came.
"""

import time
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaException, Message

from loadgen.event import Int64s
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_reader import TopicReader, reader_config
from loadgen.sink.in_flight import Bools

ASK_S, MIN_ASK_S = 1.0, 0.1
SECOND_LOOK_S = 0.5
"""A request that reached the broker just before its connection ended may enter the log a moment later."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The events of one partition that may be in the topic.

    Attributes:
        start_offset: they are at this offset or later.
        value_hash: int64, Python's own hash of each value. ts_ms: int64. Both in the order of sending.
    """

    start_offset: int
    value_hash: Int64s
    ts_ms: Int64s


def read_back(settings: KafkaSettings, doubts: dict[int, Doubt], timeout_s: float) -> dict[int, Bools]:
    """Which of the events in doubt are in the topic: bool per event, by partition.

    A partition that could not be read to its end in time is absent from the answer.
    """
    searches = {partition: _Search(doubt) for partition, doubt in doubts.items()}
    reader = TopicReader(settings, reader_config(settings, "readback", or_earliest=True))
    deadline_s = time.monotonic() + timeout_s
    try:
        _read_to_end(reader, searches, deadline_s)
        if not all(search.found.all() for search in searches.values()) and time.monotonic() < deadline_s:
            time.sleep(SECOND_LOOK_S)
            _read_to_end(reader, searches, deadline_s)
    finally:
        reader.close()
    return {partition: search.found for partition, search in searches.items() if search.is_complete}


def is_committed(settings: KafkaSettings, partition: int, offset: int, timeout_s: float) -> bool | None:
    """Whether the transaction of the message at this offset was committed; None where that cannot be found out in time.

    A read_committed reader that gets past the offset has seen the message, or it was aborted.
    """
    reader = TopicReader(settings, reader_config(settings, "transactions"))
    deadline_s = time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline_s:
            ends = {partition: 0}
            with suppress(KafkaException, TimeoutError):
                ends = reader.ends([partition], ASK_S)
            if ends[partition] <= offset:  # a transaction is open there
                time.sleep(MIN_ASK_S)
                continue
            for messages in reader.read_until({partition: offset}, ends, deadline_s):
                return messages[0].offset() == offset
            return None if reader.unread else False
        return None
    finally:
        reader.close()


class _Search:
    """Ticks off the events in doubt, each once, as messages pass by.

    Attributes:
        found: bool per event in doubt.
        next_offset: what comes next.
        is_complete: whether the partition was read to its end.
    """

    def __init__(self, doubt: Doubt) -> None:
        self.found = np.zeros(len(doubt.ts_ms), np.bool_)
        self.next_offset = doubt.start_offset
        self.is_complete = False
        self._positions: defaultdict[tuple[int, int], deque[int]] = defaultdict(deque)
        for position, event in enumerate(zip(doubt.value_hash.tolist(), doubt.ts_ms.tolist(), strict=True)):
            self._positions[event].append(position)

    def take(self, message: Message) -> None:
        """Tick off the event that this message is, if it is in doubt."""
        self.next_offset = (message.offset() or 0) + 1
        kind, ts_ms = message.timestamp()
        waiting = self._positions.get((hash(message.value() or b""), ts_ms)) if kind == TIMESTAMP_CREATE_TIME else None
        if waiting:
            self.found[waiting.popleft()] = True


def _read_to_end(reader: TopicReader, searches: dict[int, _Search], deadline_s: float) -> None:
    """Read every partition up to where it ended when this was called."""
    ends: dict[int, int] = {}
    for partition in searches:
        with suppress(KafkaException, TimeoutError):  # its broker does not answer now
            ends |= reader.ends([partition], max(MIN_ASK_S, min(ASK_S, deadline_s - time.monotonic())))
    starts = {partition: search.next_offset for partition, search in searches.items() if partition in ends}
    for messages in reader.read_until(starts, ends, deadline_s):
        for message in messages:
            searches[message.partition() or 0].take(message)
    for partition, search in searches.items():
        search.is_complete = partition in ends and partition not in reader.unread
        if search.is_complete:
            search.next_offset = max(search.next_offset, ends[partition])

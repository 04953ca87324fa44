"""Looks into the topic for events of which no delivery report tells.

In: per partition, where to begin, and the keys and timestamps of the events in doubt. Out: which of them are there.
Used when a producer is closed with something in flight: a batch may be in the log although its acknowledgement never
came.
"""

import time
from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np
from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, KafkaError, KafkaException, Message, TopicPartition

from loadgen.event import Int64s
from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, client_config
from loadgen.sink.in_flight import Bools

FETCH_MESSAGES = 10_000
FETCH_S = 0.1
ASK_S = 1.0
SECOND_LOOK_S = 0.5
"""A request that reached the broker just before its connection ended may enter the log a moment later."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The events of one partition that may be in the topic.

    Attributes:
        start_offset: they are at this offset or later.
        user_id, ts_ms: int64, in the order of sending.
    """

    start_offset: int
    user_id: Int64s
    ts_ms: Int64s


def read_back(settings: KafkaSettings, doubts: dict[int, Doubt], timeout_s: float) -> dict[int, Bools]:
    """Which of the events in doubt are in the topic: bool per event, by partition.

    A partition that could not be read to its end in time is absent from the answer.
    """
    monitor = Monitor(settings.options)
    config = {
        **client_config(settings),
        "group.id": "loadgen-readback",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 20,  # a fetch that waits for more holds back every other question
        **monitor.callbacks(),
    }
    consumer = Consumer(config, logger=monitor.logger)
    searches = {partition: _Search(doubt) for partition, doubt in doubts.items()}
    starts = [TopicPartition(settings.topic, partition, doubt.start_offset) for partition, doubt in doubts.items()]
    deadline_s = time.monotonic() + timeout_s
    try:
        consumer.assign(starts)
        _read_to_end(consumer, settings.topic, searches, deadline_s)
        if not all(search.found.all() for search in searches.values()) and time.monotonic() < deadline_s:
            time.sleep(SECOND_LOOK_S)
            _read_to_end(consumer, settings.topic, searches, deadline_s)
    finally:
        consumer.close()
    return {partition: search.found for partition, search in searches.items() if search.is_complete}


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
        self._positions: defaultdict[tuple[bytes, int], deque[int]] = defaultdict(deque)
        for position, event in enumerate(zip(doubt.user_id.tolist(), doubt.ts_ms.tolist(), strict=True)):
            self._positions[b"%d" % event[0], event[1]].append(position)

    def look_at(self, message: Message) -> None:
        """Take in a message, or the news that there is none behind this offset."""
        error, offset = message.error(), message.offset() or 0
        if error is None:
            self.next_offset = offset + 1
            self._tick_off(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            self.next_offset = max(self.next_offset, offset)

    def _tick_off(self, message: Message) -> None:
        kind, ts_ms = message.timestamp()
        waiting = self._positions.get((message.key() or b"", ts_ms)) if kind == TIMESTAMP_CREATE_TIME else None
        if waiting:
            self.found[waiting.popleft()] = True


def _read_to_end(consumer: Consumer, topic: str, searches: dict[int, _Search], deadline_s: float) -> None:
    """Read every partition up to where it ended when this was called."""
    ends = {partition: _end_offset(consumer, topic, partition, deadline_s) for partition in searches}
    unread = set(searches)
    while unread and time.monotonic() < deadline_s:
        unread -= {partition for partition in unread if searches[partition].next_offset >= ends[partition]}
        for message in consumer.consume(FETCH_MESSAGES, FETCH_S) if unread else ():
            searches[message.partition() or 0].look_at(message)
    for partition, search in searches.items():
        search.is_complete = partition not in unread


def _end_offset(consumer: Consumer, topic: str, partition: int, deadline_s: float) -> float:
    """The offset behind the partition's last message; inf when its broker does not say."""
    wait_s = max(0.0, min(ASK_S, deadline_s - time.monotonic()))
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=wait_s)[1]
    except KafkaException:
        return float("inf")

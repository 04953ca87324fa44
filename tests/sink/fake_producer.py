"""A producer by script: it accepts, refuses, delivers and loses what a test tells it to, and keeps the log.

It promises what librdkafka promises with idempotence and the gapless guarantee: each partition delivers a prefix.
"""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException


@dataclass
class FakeMessage:
    """What a delivery report says."""

    at: int | None

    def offset(self) -> int | None:
        """Where the message is in its partition; None where the producer only gathers that it is there."""
        return self.at


@dataclass
class Waiting:
    """A message in the producer's queue."""

    value: bytes
    key: bytes
    ts_ms: int
    callback: Callable[[Any, Any], None] | None


class FakeProducer:
    """Stands in for confluent_kafka.Producer. Each poll delivers the next of `deliver` messages; the last one stays.

    Attributes:
        log: per partition, the (value, key, ts_ms) that the broker has.
        capacity: messages that fit into the queue; BufferError beyond.
        too_large: values longer than this are refused one by one.
        unreported: how many more messages the broker takes in without a report when purged.
        forgotten: how many messages from now on get lost, and pass for delivered.
    """

    def __init__(self, n_partitions: int, deliver: list[int], capacity: int = 10**6, too_large: int = 10**6) -> None:
        self.log: list[list[tuple[bytes, bytes, int]]] = [[] for _ in range(n_partitions)]
        self.capacity, self.too_large, self.unreported = capacity, too_large, 0
        self._deliver = deque(deliver)
        self.forgotten = 0
        self._queues: list[deque[Waiting]] = [deque() for _ in range(n_partitions)]
        self._fatal: KafkaError | None = None
        self._untold = False
        self._tell_figures: Callable[[str], None] | None = None

    def deliver(self, n_messages: int) -> None:
        """How many each poll delivers from now on."""
        self._deliver = deque([n_messages])

    def connect(self, config: dict[str, Any], logger: Any) -> "FakeProducer":
        """What KafkaSink calls to make its producer, and to make another: the same, once its queue is purged."""
        self._tell_figures = config["stats_cb"]
        return self

    def figures(self, *brokers: str) -> None:
        """Librdkafka's figures of the last second, with brokers in these states."""
        assert self._tell_figures
        idle = {"rtt": {"cnt": 0}, "source": "learned"}
        known = {f"broker {number}": {**idle, "state": state} for number, state in enumerate(brokers)}
        self._tell_figures(json.dumps({"msg_cnt": len(self), "brokers": known}))

    def strand(self) -> None:
        """It has lost all brokers, and will not look for one again."""
        self.figures()
        self.figures()

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Never asked: a test gives the number of partitions."""
        raise AssertionError(f"the sink asked for the partitions of {topic!r}")

    def produce(self, *message: Any) -> None:
        """Queue a message."""
        _, value, key, partition, callback, _, ts_ms = message
        if self._fatal:
            raise KafkaException(KafkaError(KafkaError._FATAL, "stopped", True))
        if len(value) > self.too_large:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if len(self) >= self.capacity:
            raise BufferError("queue full")
        self._queues[partition].append(Waiting(value, key, ts_ms, callback))

    def poll(self, timeout: float) -> int:
        """Deliver as many messages as the script says, from the longest queue first; a fatal error is raised once."""
        if self._untold:
            self._untold = False
            raise KafkaException(self._fatal)
        n = self._deliver[0] if len(self._deliver) == 1 else self._deliver.popleft()
        for _ in range(0 if self._fatal else min(n, len(self))):
            self._put_one_into_log(None)
        return n

    def break_down(self) -> None:
        """A fatal error: from now on nothing is accepted or delivered, and everything queued is refused."""
        self._fatal = KafkaError(KafkaError._GAPLESS_GUARANTEE, "a gap", True)
        self._untold = True
        self._report_all(KafkaError._FATAL)

    def purge(self, in_queue: bool, in_flight: bool, blocking: bool) -> None:
        """Forget the queue; some of it had reached the broker all the same."""
        for _ in range(min(self.unreported, len(self))):
            self._put_one_into_log(KafkaError._PURGE_INFLIGHT)
        self._report_all(KafkaError._PURGE_QUEUE)

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def _put_one_into_log(self, error: int | None) -> None:
        partition = max(range(len(self._queues)), key=lambda number: len(self._queues[number]))
        message, at = self._queues[partition].popleft(), None
        if self.forgotten and not error:
            self.forgotten -= 1
        else:
            at = len(self.log[partition])
            self.log[partition].append((message.value, message.key, message.ts_ms))
        if message.callback:
            message.callback(error and KafkaError(error), FakeMessage(at))

    def _report_all(self, error: int) -> None:
        for queue in self._queues:
            while queue:
                message = queue.popleft()
                if message.callback:
                    message.callback(KafkaError(error), FakeMessage(None))

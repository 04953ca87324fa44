"""The Kafka consumer as the loop uses it: fetch, and read single partitions from given offsets.

In: librdkafka's settings. Out: messages. Partitions are never begun by a rebalance itself, but one by one with `start`
when it is known where from, and begun anew the same way. So no message of one reading is ever taken for one of the
next: librdkafka drops what it had fetched for a partition that was stopped, whatever the offset.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from loadgen.kafka.consumer_options import consumer_config
from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, client_config

ASK_S = 5.0
CLOSE_S = 6.0
"""Longest wait for the goodbye to the group; without it the others wait for the session to time out."""

OnPartitions = Callable[[list[int]], None]


class Ask(Enum):
    """Which offset of a partition."""

    EARLIEST = auto()
    LATEST = auto()


class Client:
    """One member of a consumer group.

    Attributes:
        monitor: what librdkafka complains of.
        started: the partitions that are being read.
    """

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        """Connect to nothing yet."""
        self.started: set[int] = set()
        self._assigned: set[int] = set()
        self._paused: set[int] = set()
        self._topic = settings.topic
        self._settings, self._group = settings, group
        self._open()
        self._admin = self._new_admin()

    def _open(self) -> None:
        self.monitor = Monitor(self._settings.options)
        config: dict[str, Any] = consumer_config(self._settings, self._group)
        calls: dict[str, Any] = {**self.monitor.callbacks(), "on_commit": _ignore}
        self._consumer = Consumer({**config, **calls}, logger=self.monitor.logger)

    def _new_admin(self) -> AdminClient:
        config: dict[str, Any] = {**client_config(self._settings), "error_cb": self.monitor.on_error}
        return AdminClient(config, logger=self.monitor.logger)

    @property
    def is_stranded(self) -> bool:
        """Whether it will never connect again; see `Monitor`."""
        return self.monitor.is_stranded

    def subscribe(self, on_assign: OnPartitions, on_revoke: OnPartitions, on_lost: OnPartitions) -> None:
        """Join the group; the callbacks come out of `fetch`, with partitions' numbers."""
        member = self._consumer

        def assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            if member is self._consumer:
                numbers = [partition.partition for partition in partitions]
                consumer.incremental_assign([])  # `start` does it when it is known where from
                self._assigned.update(numbers)
                on_assign(numbers)

        def gone(tell: OnPartitions) -> Callable[[Consumer, list[TopicPartition]], None]:
            def callback(consumer: Consumer, partitions: list[TopicPartition]) -> None:
                if member is self._consumer:
                    numbers = [partition.partition for partition in partitions]
                    consumer.incremental_unassign(self._of(self.started.intersection(numbers)))
                    self.started.difference_update(numbers)
                    self._assigned.difference_update(numbers)
                    tell(numbers)

            return callback

        member.subscribe([self._topic], on_assign=assigned, on_revoke=gone(on_revoke), on_lost=gone(on_lost))

    def begin_anew(self) -> list[int]:
        """Be another member, that of no group yet, in place of one that is stranded; the partitions that are lost."""
        threading.Thread(target=self._consumer.close, daemon=True).start()  # waits for a broker, in vain
        self._open()
        lost = sorted(self._assigned)
        for numbers in (self.started, self._assigned, self._paused):
            numbers.clear()
        return lost

    def fetch(self, n_messages: int, timeout_s: float) -> list[Message]:
        """Messages and errors; waits until there are as many, or for the time. Raises KafkaException."""
        messages: list[Message] = self._consumer.consume(n_messages, timeout_s)
        return messages

    def start(self, partition: int, offset: int) -> None:
        """Read a partition from this offset on, anew if need be. Raises KafkaException."""
        self.stop(partition)
        if partition in self._paused:  # a pause outlives the assignment: nothing would ever come
            self.resume(partition)
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])
        self.started.add(partition)

    def stop(self, partition: int) -> None:
        """Read it no more; what was fetched of it already does not come. Raises KafkaException."""
        if partition in self.started:
            self.started.discard(partition)
            self._consumer.incremental_unassign(self._of([partition]))

    def pause(self, partition: int) -> None:
        """Fetch nothing more of it for now."""
        self._paused.add(partition)
        self._consumer.pause(self._of([partition]))

    def resume(self, partition: int) -> None:
        """Go on where `pause` stopped."""
        self._paused.discard(partition)
        self._consumer.resume(self._of([partition]))

    def span(self, partition: int) -> tuple[int, int]:
        """The offsets of the first message and behind the last one; waits. Raises KafkaException, TimeoutError."""
        return self._offsets([partition], Ask.EARLIEST)[partition], self._offsets([partition], Ask.LATEST)[partition]

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """The offset behind the last message of each; waits. Raises KafkaException, TimeoutError."""
        return self._offsets(partitions, Ask.LATEST)

    def is_there(self) -> bool | None:
        """Whether the brokers have the topic; None where they do not answer."""
        try:
            topic = self._consumer.list_topics(self._topic, ASK_S).topics[self._topic]  # an admin's request creates it
        except KafkaException:
            return None
        return topic.error is None

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group how far each partition is stored: a hint for people and tools, nothing depends on it.

        Never from within a callback: librdkafka 2.16 may abort the process where that happens during `close`."""
        positions = [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]
        with suppress(KafkaException):
            self._consumer.commit(offsets=positions, asynchronous=True)

    def close(self) -> None:
        """Leave the group, after the commits on their way; in the background where that takes long."""
        closing = threading.Thread(target=self._consumer.close, daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _offsets(self, partitions: Collection[int], which: Ask) -> dict[int, int]:
        """Asked over the admin's own connections: on the consumer's, a question waits behind its fetches."""
        spec: Any = OffsetSpec.earliest() if which is Ask.EARLIEST else OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = self._admin.list_offsets(dict.fromkeys(self._of(partitions), spec), request_timeout=ASK_S)
        try:
            return {partition.partition: future.result(ASK_S + 1.0).offset for partition, future in asked.items()}
        except KafkaException:
            # librdkafka 2.16 goes on asking with the leader epoch it knows ("fenced"), and may be stranded, too
            self._admin = self._new_admin()
            raise

    def _of(self, partitions: Collection[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]


def _ignore(*_: object) -> None:
    """Commits are hints."""

"""The consumer's member of a group: it reads the partitions that the group assigns to it, and commits offsets.

In: librdkafka's settings. Out: messages. A rebalance itself begins no partition: `start` does, once it is known where
from, and begins it again in the same way. librdkafka drops what it had fetched for a partition that was stopped,
whatever the offset, so no message of one reading is taken for one of the next.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from loadgen.errors import SinkError
from loadgen.kafka.consumer_options import consumer_config
from loadgen.kafka.errors import MISSING, REFUSALS, refused, topic_gone
from loadgen.kafka.options import KafkaSettings, hide_secrets
from loadgen.kafka.topic_reader import UNCOMMITTED, TopicReader

OnPartitions = Callable[[list[int]], None]


class Client(TopicReader):
    """One member of a consumer group."""

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        """Connect to nothing yet."""
        self._assigned: set[int] = set()
        super().__init__(settings, {**consumer_config(settings, group), "on_commit": _ignore}, UNCOMMITTED)

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

    def reset(self) -> list[int]:
        """Connect again as a new member, which has not joined the group yet; returns the lost partitions."""
        threading.Thread(target=self._consumer.close, daemon=True).start()  # waits for a broker, in vain
        self._open()
        lost = sorted(self._assigned)
        for numbers in (self.started, self._assigned, self._paused):
            numbers.clear()
        return lost

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit to the group how far each partition is stored: advisory, for people and tools; no writer reads it.

        Never from within a callback: librdkafka 2.16 may abort the process where that happens during `close`."""
        positions = [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]
        with suppress(KafkaException):
            self._consumer.commit(offsets=positions, asynchronous=True)


def _ignore(*_: object) -> None:
    """Commits are advisory."""


REPORTED_ELSEWHERE = (KafkaError._MAX_POLL_EXCEEDED, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)
"""A rebalance follows the first; `out_of_reach` reports brokers."""


class ErrorClassifier:
    """Tells errors that end the consumer from those that are reported once."""

    def __init__(self, client: Client, kafka: KafkaSettings, note: Callable[[str], None]) -> None:
        """Begin.

        Args:
            client: asked whether the topic exists.
            kafka: for messages.
            note: prints a message for the user.
        """
        self._client, self._kafka, self._note = client, kafka, note
        self._reported: set[int] = set()
        self._is_out_of_reach = False

    def take(self, error: KafkaError) -> None:
        """Raise an error or report it; each kind is reported once.

        Raises:
            TopicMissing, AccessRefused, SinkError: nothing more can be read.
        """
        code = error.code()
        if code in MISSING:
            if self._client.is_there() is False:  # right after an election a broker may say so of any topic
                raise topic_gone(self._kafka)
        elif code in REFUSALS:
            raise refused(self._kafka, REFUSALS[code], error.str())
        elif error.fatal():
            raise self.broken(error)
        elif code not in REPORTED_ELSEWHERE and code not in self._reported:
            self._reported.add(code)
            self._note(f"Kafka: {hide_secrets(error.str(), self._kafka.options)}")

    def broken(self, error: KafkaError) -> SinkError:
        """The exception to raise if the client cannot be used any more."""
        reason = hide_secrets(error.str(), self._kafka.options)
        return SinkError(
            f"Kafka gives no more of topic {self._kafka.topic!r}: {reason}; look at the broker's log, then "
            "consume again: it goes on where this ended"
        )

    def out_of_reach(self) -> None:
        """Report, after a request without an answer, that all brokers are down."""
        text = self._client.monitor.texts.get(KafkaError._ALL_BROKERS_DOWN)
        if text is not None and not self._is_out_of_reach:
            self._is_out_of_reach = True
            self._note(f"no broker answers ({text}); waiting until one does")

    def in_reach(self) -> None:
        """Report that a broker answers again."""
        if self._is_out_of_reach:
            self._is_out_of_reach = False
            self._client.monitor.texts.pop(KafkaError._ALL_BROKERS_DOWN, None)
            self._note("a broker answers again")

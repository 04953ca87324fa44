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

    def begin_anew(self) -> list[int]:
        """Be another member, that of no group yet, in place of one that is stranded; the partitions that are lost."""
        threading.Thread(target=self._consumer.close, daemon=True).start()  # waits for a broker, in vain
        self._open()
        lost = sorted(self._assigned)
        for numbers in (self.started, self._assigned, self._paused):
            numbers.clear()
        return lost

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group how far each partition is stored: a hint for people and tools, nothing depends on it.

        Never from within a callback: librdkafka 2.16 may abort the process where that happens during `close`."""
        positions = [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]
        with suppress(KafkaException):
            self._consumer.commit(offsets=positions, asynchronous=True)


def _ignore(*_: object) -> None:
    """Commits are hints."""


TOLD_ELSEWHERE = (KafkaError._MAX_POLL_EXCEEDED, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)
"""The group takes the partitions away; `out_of_reach` tells of brokers."""


class ErrorClassifier:
    """Passes on what matters, once."""

    def __init__(self, client: Client, kafka: KafkaSettings, note: Callable[[str], None]) -> None:
        """Begin to listen.

        Args:
            client: of which to ask more.
            kafka: for messages.
            note: says something to the user.
        """
        self._client, self._kafka, self._note = client, kafka, note
        self._told: set[int] = set()
        self._is_out_of_reach = False

    def take(self, error: KafkaError) -> None:
        """Tell of an error; the same kind is told once.

        Raises:
            TopicMissing, AccessRefused, SinkError: there is nothing to be read any more.
        """
        code = error.code()
        if code in MISSING:
            if self._client.is_there() is False:  # right after an election a broker may say so of any topic
                raise topic_gone(self._kafka)
        elif code in REFUSALS:
            raise refused(self._kafka, REFUSALS[code], error.str())
        elif error.fatal():
            raise self.broken(error)
        elif code not in TOLD_ELSEWHERE and code not in self._told:
            self._told.add(code)
            self._note(f"Kafka: {hide_secrets(error.str(), self._kafka.options)}")

    def broken(self, error: KafkaError) -> SinkError:
        """What to raise where the client is of no more use."""
        reason = hide_secrets(error.str(), self._kafka.options)
        return SinkError(
            f"Kafka gives no more of topic {self._kafka.topic!r}: {reason}; look at the broker's log, then "
            "consume again: it goes on where this ended"
        )

    def out_of_reach(self) -> None:
        """A question got no answer: say so if no broker is left."""
        text = self._client.monitor.texts.get(KafkaError._ALL_BROKERS_DOWN)
        if text is not None and not self._is_out_of_reach:
            self._is_out_of_reach = True
            self._note(f"no broker answers ({text}); waiting until one does")

    def in_reach(self) -> None:
        """Messages come: say so if they did not for a while."""
        if self._is_out_of_reach:
            self._is_out_of_reach = False
            self._client.monitor.texts.pop(KafkaError._ALL_BROKERS_DOWN, None)
            self._note("a broker answers again")

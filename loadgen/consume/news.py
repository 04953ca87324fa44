"""What Kafka says in place of messages: what ends the consumer, and what is only told.

In: librdkafka's errors. Out: exceptions with their next step, or a note to the user.
"""

from collections.abc import Callable

from confluent_kafka import KafkaError

from loadgen.consume.client import Client
from loadgen.errors import SinkError
from loadgen.kafka.errors import MISSING, REFUSALS, refused, topic_gone
from loadgen.kafka.options import KafkaSettings, hide_secrets

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

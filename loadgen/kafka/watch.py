"""Watches a topic: whether it still exists, and is still the same one as at the start.

In: how to reach it. Out: an error once it was deleted, or deleted and created again. Kafka gives every topic a UUID,
which tells the topic from one of the same name that is created later, whose offsets mean something else.
"""

import threading
import time
from collections.abc import Callable

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from loadgen.errors import SinkError, StoreError, TopicMissing
from loadgen.kafka.consumer_options import MOCK
from loadgen.kafka.errors import MISSING, topic_gone, topic_recreated
from loadgen.kafka.monitor import admin_client
from loadgen.kafka.options import KafkaSettings

EVERY_S = 2.0
ASK_S = 5.0
GONE_S = 2.0
"""A broker that has just started may not know the topic for a moment."""
AGAIN_S = 0.25

Ask = Callable[[], str | None]


class TopicWatch:
    """Watches one topic; safe to use from several threads.

    Attributes:
        error: why the topic cannot be used any more; None while it can.
        topic_id: its UUID; None before it is known.
    """

    def __init__(self, kafka: KafkaSettings, topic_id: str | None = None, ask: Ask | None = None) -> None:
        """Ask nothing yet.

        Args:
            topic_id: its UUID; None takes the first that the brokers report, "" is a broker without UUIDs.
            ask: returns the topic's UUID, or None where the brokers do not answer, and raises TopicMissing.
        """
        self.error: SinkError | None = None
        self._kafka, self.topic_id = kafka, topic_id
        self._ask = ask or self._asked
        self._admin: AdminClient | None = None
        self._has_ids: bool | None = None
        self._confirmed_s = float("-inf")
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def start(self) -> None:
        """Look every two seconds in a thread, until `close` or an error."""
        threading.Thread(target=self._run, name="topic watch", daemon=True).start()

    def close(self) -> None:
        """End the thread; does not wait for it."""
        self._closed.set()

    def look(self) -> bool:
        """Ask the brokers; whether they confirm that the topic is the same.

        Raises:
            TopicMissing: it was deleted.
            TopicRecreated: it was deleted, and created again.
        """
        with self._lock:
            return self._look()

    def confirm(self, since_s: float) -> None:
        """Make sure that what was read until then is the first topic's.

        What was read before the brokers said that the topic is gone passes.

        Args:
            since_s: when the last message was read, time.monotonic().

        Raises:
            TopicMissing, TopicRecreated: it may be another topic's.
            StoreError: the brokers do not answer.
        """
        with self._lock:
            if self.topic_id == "" or since_s < self._confirmed_s:
                return
            try:
                is_confirmed = self._look()
            except TopicMissing:
                if since_s < self._confirmed_s:
                    return
                raise
        if not is_confirmed:
            name = self._kafka.topic
            raise StoreError(
                f"no broker at {self._kafka.brokers} confirms that topic {name!r} is still the same one, "
                "so nothing that was read of it is published; see whether the brokers run"
            )

    def _look(self) -> bool:
        if self.error is not None:
            raise self.error
        deadline_s = time.monotonic() + GONE_S
        while True:
            asked_s = time.monotonic()
            try:
                topic_id = self._ask()
                break
            except TopicMissing:
                if asked_s >= deadline_s:
                    self._confirmed_s, self.error = asked_s, topic_gone(self._kafka)
                    raise self.error from None
            time.sleep(AGAIN_S)
        if topic_id is None:
            return False
        if self.topic_id is None:
            self.topic_id = topic_id
        if topic_id != self.topic_id:
            self.error = topic_recreated(self._kafka)
            raise self.error
        self._confirmed_s = asked_s
        return True

    def _run(self) -> None:
        while self.error is None and self.topic_id != "":
            try:
                self.look()
            except SinkError:
                return
            if self._closed.wait(EVERY_S):
                return

    def _asked(self) -> str | None:
        """Ask for the UUID. DescribeTopics never creates the topic, unlike a producer's request for metadata."""
        name = self._kafka.topic
        try:
            self._admin = self._admin or admin_client(self._kafka)
            if self._has_ids is None:  # the topic is there then, so that asking does not create it
                self._has_ids = not str(self._admin.list_topics(name, ASK_S).cluster_id).startswith(MOCK)
            if not self._has_ids:
                return ""
            asked = self._admin.describe_topics(TopicCollection([name]), request_timeout=ASK_S)
            return str(asked[name].result(ASK_S + 1.0).topic_id)
        except KafkaException as error:
            if error.args[0].code() in MISSING:
                raise TopicMissing(name) from error
        except TimeoutError:
            pass
        self._admin = None  # it may have lost all brokers for good
        return None

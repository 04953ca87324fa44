"""Reads partitions of a topic from given offsets, without joining a consumer group.

In: how to reach the topic. Out: messages; the offsets at which partitions begin and end.
"""

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from loadgen.errors import SinkError
from loadgen.kafka.errors import METADATA_S, REFUSALS, refused, unreachable
from loadgen.kafka.monitor import Monitor, admin_client
from loadgen.kafka.options import KafkaSettings, client_config, hide_secrets
from loadgen.kafka.watch import TopicWatch

ASK_S = 5.0
CLOSE_S = 6.0
"""Longest wait for a consumer to leave its group; otherwise the others wait for the session to time out."""
FETCH_MESSAGES = 20_000
FETCH_S = 0.2
SILENT_S = 30.0
"""A broker that sends nothing for this long, although there is more to read, is given up."""
QUIET_S = 3.0
"""After this long without a message the reader checks that the topic still exists."""
EARLIEST: Final[Any] = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: Final[Any] = OffsetSpec.latest()  # type: ignore[no-untyped-call]
COMMITTED, UNCOMMITTED = IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED
_CONFIG = {
    "enable.auto.commit": "false",
    "enable.partition.eof": "true",
    "isolation.level": "read_committed",
    "fetch.wait.max.ms": "20",  # a fetch that waits for more at the end of a partition delays those of all others
    "queued.max.messages.kbytes": "32768",
    "fetch.message.max.bytes": "4194304",
}


def reader_config(settings: KafkaSettings, name: str, *, or_earliest: bool = False) -> dict[str, Any]:
    """The configuration of a reader that reads partitions to their ends.

    Args:
        name: of the program's part; librdkafka wants a group, which is never joined.
        or_earliest: begin with the earliest message where the first one asked for was deleted; else it is an error.
    """
    reset = "earliest" if or_earliest else "error"
    return {**client_config(settings), **_CONFIG, "group.id": f"loadgen-{name}", "auto.offset.reset": reset}


def list_offsets(
    admin: AdminClient,
    partitions: Iterable[TopicPartition],
    which: Any = LATEST,
    timeout_s: float = METADATA_S,
    isolation: IsolationLevel = COMMITTED,
) -> dict[int, int]:
    """The first offset of each partition, or the one behind its last message.

    Args:
        admin: asks. On a consumer's own connections the request would wait behind its fetches.
        partitions: of one topic.
        which: EARLIEST or LATEST.
        isolation: COMMITTED ends before the first transaction that is open.

    Raises:
        KafkaException, TimeoutError: no answer.
    """
    asked = admin.list_offsets(dict.fromkeys(partitions, which), isolation_level=isolation, request_timeout=timeout_s)
    return {partition.partition: future.result(timeout_s + 1.0).offset for partition, future in asked.items()}


def end_offsets(settings: KafkaSettings, n_partitions: int) -> dict[int, int]:
    """The offset behind the last committed message of each partition. Raises BrokerUnreachable: no answer."""
    partitions = [TopicPartition(settings.topic, number) for number in range(n_partitions)]
    try:
        return list_offsets(admin_client(settings), partitions)
    except (KafkaException, TimeoutError) as error:
        raise unreachable(settings, METADATA_S, _text(error)) from error


class TopicReader:
    """Reads single partitions from given offsets.

    Attributes:
        started: the partitions that are being read by `start`.
        unread: the partitions that `read` has not read to their ends.
    """

    def __init__(
        self, settings: KafkaSettings, config: Mapping[str, Any], isolation: IsolationLevel = COMMITTED
    ) -> None:
        """Connect to nothing yet; `isolation`: which end of a partition is meant, see `list_offsets`."""
        self.started: set[int] = set()
        self.unread: set[int] = set()
        self._paused: set[int] = set()
        self._topic = settings.topic
        self._settings, self._config, self._isolation = settings, config, isolation
        self._open()
        self._admin = self._new_admin()

    def _open(self) -> None:
        self.monitor = Monitor(self._settings.options)
        self._consumer = Consumer({**self._config, **self.monitor.callbacks()}, logger=self.monitor.logger)

    def _new_admin(self) -> AdminClient:
        config: dict[str, Any] = {**client_config(self._settings), "error_cb": self.monitor.on_error}
        return AdminClient(config, logger=self.monitor.logger)

    @property
    def has_no_brokers(self) -> bool:
        """Whether it will never connect again; see `Monitor`."""
        return self.monitor.has_no_brokers

    def fetch(self, n_messages: int, timeout_s: float) -> list[Message]:
        """Messages and errors; returns when there are n_messages, or after the time. Raises KafkaException."""
        messages: list[Message] = self._consumer.consume(n_messages, timeout_s)
        return messages

    def start(self, partition: int, offset: int) -> None:
        """Read a partition from this offset on, also if it is being read already. Raises KafkaException."""
        self.stop(partition)
        if partition in self._paused:  # a pause outlives the assignment: nothing would ever come
            self.resume(partition)
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])
        self.started.add(partition)

    def stop(self, partition: int) -> None:
        """Stop reading a partition; messages of it that were fetched already are dropped. Raises KafkaException."""
        if partition in self.started:
            self.started.discard(partition)
            self._consumer.incremental_unassign(self._of([partition]))

    def pause(self, partition: int) -> None:
        """Stop fetching a partition for now."""
        self._paused.add(partition)
        self._consumer.pause(self._of([partition]))

    def resume(self, partition: int) -> None:
        """Continue where `pause` stopped."""
        self._paused.discard(partition)
        self._consumer.resume(self._of([partition]))

    def span(self, partition: int) -> tuple[int, int]:
        """The offsets of the first message and behind the last one; waits. Raises KafkaException, TimeoutError."""
        return self.begins([partition])[partition], self.ends([partition])[partition]

    def begins(self, partitions: Collection[int]) -> dict[int, int]:
        """The offset of the first message of each; waits. Raises KafkaException, TimeoutError."""
        return self._offsets(partitions, EARLIEST, ASK_S)

    def ends(self, partitions: Collection[int], timeout_s: float = ASK_S) -> dict[int, int]:
        """The offset behind the last message of each; waits. Raises KafkaException, TimeoutError."""
        return self._offsets(partitions, LATEST, timeout_s)

    def all_ends(self, partitions: Collection[int]) -> dict[int, int]:
        """The same with what is in open transactions; waits. Raises KafkaException, TimeoutError."""
        return self._offsets(partitions, LATEST, ASK_S, UNCOMMITTED)

    def is_there(self) -> bool | None:
        """Whether the brokers have the topic; None where they do not answer."""
        try:
            topic = self._consumer.list_topics(self._topic, ASK_S).topics[self._topic]  # an admin's request creates it
        except KafkaException:
            return None
        return topic.error is None

    def read(
        self, starts: Mapping[int, int], ends: Mapping[int, int], watch: TopicWatch | None = None
    ) -> Iterator[list[Message]]:
        """All messages from the starts to below the ends, by partition.

        A partition ends also where the broker reports its end: before that offset there may be transaction markers, or
        messages that compaction has removed.

        Args:
            starts: offsets of the first messages, by partition.
            ends: offsets behind the last ones.
            watch: asked whether the topic is still the same when no messages come, and at the end.

        Raises:
            BrokerUnreachable: the broker sends nothing for half a minute.
            SinkError: the topic cannot be read, was deleted, or created again.
        """
        try:
            heard_s = time.monotonic()
            for polled in self._polled(starts, ends):
                if polled:
                    heard_s = time.monotonic()
                elif watch is not None and time.monotonic() - heard_s > QUIET_S:
                    watch.look()
                if time.monotonic() - heard_s > SILENT_S:
                    raise unreachable(self._settings, SILENT_S, next(reversed(self.monitor.last_errors), ""))
                for error in filter(None, (message.error() for message in polled)):
                    if error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                        raise self.failed(error)
                yield from self._below(polled, ends)
            if watch is not None:
                watch.look()  # offsets of a topic that was created again mean something else
        except KafkaException as error:
            raise self.failed(error.args[0]) from error

    def read_until(
        self, starts: Mapping[int, int], ends: Mapping[int, int], deadline_s: float
    ) -> Iterator[list[Message]]:
        """The same, but what goes wrong is tried again until a deadline; see `unread`.

        Args:
            deadline_s: time.monotonic().
        """
        for polled in self._polled(starts, ends):
            yield from self._below(polled, ends)
            if time.monotonic() >= deadline_s:
                return

    def _polled(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[list[Message]]:
        """Messages and errors, until every partition has been read to its end."""
        self.unread = {number for number, start in starts.items() if start < ends[number]}
        self._consumer.assign([TopicPartition(self._topic, number, starts[number]) for number in sorted(self.unread)])
        while self.unread:
            yield self.fetch(FETCH_MESSAGES, FETCH_S)

    def _below(self, polled: list[Message], ends: Mapping[int, int]) -> Iterator[list[Message]]:
        wanted = []
        for message in polled:
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if error is None and offset < ends[partition]:
                wanted.append(message)
            if offset >= ends[partition] - 1 if error is None else error.code() == KafkaError._PARTITION_EOF:
                self.unread.discard(partition)
        if wanted:
            yield wanted

    def failed(self, error: KafkaError) -> SinkError:
        """The exception to raise for an error that ends reading."""
        if error.code() in REFUSALS:
            return refused(self._settings, REFUSALS[error.code()], error.str())
        reason = hide_secrets(error.str(), self._settings.options)
        return SinkError(
            f"topic {self._topic} on {self._settings.brokers} can be read no further: {reason}; "
            "look at the broker's log, then start again"
        )

    def close(self) -> None:
        """Close the connections; in the background where that takes long."""
        closing = threading.Thread(target=self._consumer.close, daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _offsets(
        self, partitions: Collection[int], which: Any, timeout_s: float, isolation: IsolationLevel | None = None
    ) -> dict[int, int]:
        try:
            return list_offsets(self._admin, self._of(partitions), which, timeout_s, isolation or self._isolation)
        except KafkaException:
            # librdkafka 2.16 goes on asking with the leader epoch it knows ("fenced"); it may have no brokers, too
            self._admin = self._new_admin()
            raise

    def _of(self, partitions: Collection[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]


def _text(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.str() if isinstance(first, KafkaError) else str(first)

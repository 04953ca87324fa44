"""The events of a topic, seconds after they were produced.

In: a topic, and where to begin. Out: lines of JSON; the state of the topic.

Partitions are assigned, not subscribed to: no group is joined and no offset committed, so consumers are not affected.
After a restart of the brokers librdkafka reconnects and reading goes on. A missing topic or a broker that does not
answer is waited for. If messages were deleted before they were read, or the topic was recreated, reading goes on with
the first message there is.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message

from loadgen.dashboard.feed import DASHBOARD_GROUP, Begin, SourceState
from loadgen.decoder import Decoder
from loadgen.errors import RegistryError, SinkError, StoreError, TopicRecreated
from loadgen.kafka.check import check_topic
from loadgen.kafka.cloudevents import unwrapped
from loadgen.kafka.consumer_options import consumer_config
from loadgen.kafka.errors import MISSING, REFUSALS, refused, topic_missing
from loadgen.kafka.options import KafkaSettings, hide_secrets
from loadgen.kafka.topic_reader import UNCOMMITTED, TopicReader
from loadgen.kafka.watch import TopicWatch
from loadgen.store.json_lines import folded_if_json

N_RECENT = 100_000
FETCH_MESSAGES, FETCH_S = 20_000, 0.25
AGAIN_S = 3.0
PROBE_S = 5.0
"""The interval of asking the brokers for the ends of the partitions, so that an idle topic's state is known too."""
LOOK_S = 60.0
"""The interval of looking for new partitions."""
ASK_S = 5.0
CREATED_AGAIN = "the topic was deleted and created again; reading it from its first message"
GONE = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


class TopicEvents:
    """Reads a topic; `unread`: messages not read yet, as of the brokers' latest answer; None before it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        begin: Begin,
        clock: Callable[[], float] = time.monotonic,
        decoder: Decoder | None = None,
    ) -> None:
        self.state = SourceState()
        self._decoder = decoder
        self.name = f"topic {kafka.topic} on {kafka.brokers}"
        self._kafka, self._begin, self._clock = kafka, begin, clock
        self._client: TopicReader | None = None
        self._watch: TopicWatch | None = None
        self._next: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._goal: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._again_s = self._probe_s = self._look_s = float("-inf")

    @property
    def unread(self) -> int | None:
        """See the class."""
        if not self._ends or self.state.status not in ("ok", "reading"):
            return None
        return sum(max(0, end - self._next.get(partition, end)) for partition, end in self._ends.items())

    def contents(self) -> Iterator[bytes]:
        """New messages, after waiting up to a quarter of a second; failures are reported by `state`, never raised.

        Yields:
            Lines of JSON, or of what producers sent instead, each ending in a newline.
        """
        now_s = self._clock()
        try:
            if self._client is None and now_s >= self._again_s:
                self._again_s = now_s + AGAIN_S
                self._connect()
            if self._client is not None and self._client.has_no_brokers:
                self._give_up("librdkafka has lost all brokers for good; connecting again")
            if self._client is not None:
                yield from self._fetched(self._client)
                self._look(self._client)
        except TopicRecreated:
            self._give_up(CREATED_AGAIN)
        except (SinkError, StoreError, RegistryError) as error:
            self._give_up(str(error))
        except (KafkaException, TimeoutError) as error:
            reason = hide_secrets(str(error.args[0] if error.args else error), self._kafka.options)
            is_new = self.state.status in ("starting", "waiting")
            self.state = SourceState("waiting" if is_new else "stale", f"{self.name} does not answer: {reason}")

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connect(self) -> None:
        n_partitions = check_topic(self._kafka, ASK_S)
        self._check_identity()
        client = TopicReader(self._kafka, consumer_config(self._kafka, DASHBOARD_GROUP), UNCOMMITTED)
        try:
            for partition in range(n_partitions):
                self._start(client, partition, n_partitions)
        except BaseException:
            client.close()
            raise
        self._client = client
        self._probe_s, self._look_s = self._clock() + PROBE_S, self._clock() + LOOK_S
        self._update_state()

    def _check_identity(self) -> None:
        """Check that the topic is still the one that was read; a new one of its name is read from its beginning."""
        known = self._watch.topic_id if self._watch is not None else None
        self._watch = TopicWatch(self._kafka, known)
        try:
            self._watch.look()
        except TopicRecreated:
            for offsets in (self._next, self._first, self._goal):
                offsets.clear()
            self._begin, self._watch = "beginning", TopicWatch(self._kafka)
            self._watch.look()

    def _start(self, client: TopicReader, partition: int, n_partitions: int) -> None:
        """Read a partition on from where reading ended, or begin."""
        low, high = client.span(partition)
        begins = {"recent": max(low, high - N_RECENT // n_partitions), "beginning": low, "end": high}
        first = self._next.get(partition, begins[self._begin])
        first = first if low <= first <= high else low
        client.start(partition, first)
        self._next[partition], self._ends[partition] = first, high
        self._first.setdefault(partition, first)
        self._goal.setdefault(partition, high)

    def _fetched(self, client: TopicReader) -> Iterator[bytes]:
        messages = client.fetch(FETCH_MESSAGES, FETCH_S)
        errors = [message for message in messages if message.error() is not None]
        if errors:
            messages = [message for message in messages if message.error() is None]
        if messages:
            if self._watch is not None:  # else a recreated topic's messages would be counted twice
                self._watch.confirm(time.monotonic())
            lines = _lines(messages, self._decoder)
            self._count(messages)
            self._update_state()
            yield lines
        for message in errors:  # after the messages, because what cannot be decoded yet is read again
            self._take_error(client, message)

    def _count(self, messages: list[Message]) -> None:
        partitions = np.fromiter(map(Message.partition, messages), np.int64, len(messages))
        offsets = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
        for partition in np.unique(partitions).tolist():
            self._next[partition] = int(offsets[partitions == partition].max()) + 1

    def _take_error(self, client: TopicReader, message: Message) -> None:
        error, partition = message.error(), message.partition()
        code = None if error is None else error.code()
        if error is None:
            return
        if code == KafkaError._PARTITION_EOF:
            offset = message.offset()
            # offsets that hold no message, such as the ends of transactions, are skipped
            if partition is not None and offset is not None and offset > self._next.get(partition, offset):
                self._next[partition] = offset
                self._update_state()
            return
        if code in GONE and partition is not None:
            self._next.pop(partition, None)
            low, _ = client.span(partition)
            client.start(partition, low)
            self._next[partition] = low
        elif code in MISSING:
            if client.is_there() is False:
                raise topic_missing(self._kafka)
        elif code in REFUSALS:
            raise refused(self._kafka, REFUSALS[code], error.str())
        elif error.fatal():
            raise SinkError(hide_secrets(error.str(), self._kafka.options))

    def _look(self, client: TopicReader) -> None:
        """At intervals, check that the brokers answer, and look for new partitions."""
        now_s = self._clock()
        if now_s >= self._probe_s:
            self._probe_s = now_s + PROBE_S
            if self._watch is not None and not self._is_confirmed(self._watch):
                return
            self._ends = ends = client.ends(list(self._next))
            if any(self._next[partition] > end for partition, end in ends.items()):
                self._give_up("the topic was created again; reading it from its first message")
                return
            self._update_state()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            n_partitions = check_topic(self._kafka, ASK_S)
            for partition in set(range(n_partitions)) - set(self._next):
                self._next[partition] = 0
                self._start(client, partition, n_partitions)

    def _is_confirmed(self, watch: TopicWatch) -> bool:
        """Whether the topic was not recreated. Raises TopicMissing, TimeoutError."""
        try:
            if not watch.look():
                raise TimeoutError("no answer")
        except TopicRecreated:
            self._give_up(CREATED_AGAIN)
            return False
        return True

    def _update_state(self) -> None:
        n_all = sum(self._goal.values()) - sum(self._first.values())
        n_done = sum(min(self._next[each], goal) - self._first[each] for each, goal in self._goal.items())
        is_behind = any(self._next[each] < goal for each, goal in self._goal.items())
        share = min(1.0, max(0.0, n_done / n_all)) if n_all > 0 else 0.0
        self.state = SourceState("reading", "", share) if is_behind and n_all > 0 else SourceState("ok")

    def _give_up(self, reason: str) -> None:
        """Disconnect; connect again after AGAIN_S."""
        self.close()
        self._ends = {}
        is_new = self.state.status in ("starting", "waiting") and not self._next
        self.state = SourceState("waiting" if is_new else "stale", reason)
        self._again_s = self._clock() + AGAIN_S


def _lines(messages: list[Message], decoder: Decoder | None) -> bytes:
    """The messages' values, one line each; a value that is null, empty, cannot be decoded, or has line feeds but is not
    JSON becomes an unreadable line."""
    sent: Sequence[bytes | None] = list(map(Message.value, messages))
    values: Sequence[Any] = unwrapped(sent if decoder is None else decoder.asking(decoder.lines, sent).values)
    if None in values:
        values = [b"null" if value is None else value for value in values]
    lines = b"\n".join(values) + b"\n"
    if lines.count(b"\n") != len(values) or b"" in values:
        lines = b"\n".join(folded_if_json(value) or b"?" if value.strip() else b"?" for value in values) + b"\n"
    return lines

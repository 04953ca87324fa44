"""The events of a topic, seconds after they were produced.

In: a topic, and where to begin. Out: lines of JSON; how things are.

Partitions are assigned, not subscribed to: no group is joined, no offset committed, so nothing of this is seen by
consumers. Brokers may restart: librdkafka connects again, and what was not read yet is read. A topic that is not there,
or a broker that does not answer, is waited for. Where messages were deleted before they could be read, or the topic was
made anew, reading goes on with the first message there is.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message

from loadgen.consume.client import Client
from loadgen.dashboard.state import State
from loadgen.errors import SinkError, StoreError, TopicRecreated
from loadgen.kafka.check import check_topic
from loadgen.kafka.errors import MISSING, REFUSALS, refused, topic_missing
from loadgen.kafka.lines import folded_if_json
from loadgen.kafka.options import KafkaSettings, hide_secrets
from loadgen.kafka.watch import TopicWatch

Begin = Literal["recent", "beginning", "end"]

GROUP = "loadgen-dashboard"
"""librdkafka wants a name; nothing is joined by it."""
N_RECENT = 100_000
FETCH_MESSAGES, FETCH_S = 20_000, 0.25
AGAIN_S = 3.0
PROBE_S = 5.0
"""The brokers are asked for the partitions' ends so often: also an idle topic's state is known."""
LOOK_S = 60.0
"""New partitions are looked for so often."""
ASK_S = 5.0
CREATED_AGAIN = "the topic was deleted and created again; reading it from its first message"
GONE = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


class TopicEvents:
    """Reads a topic.

    Attributes:
        state: how things are.
        name: the topic, as a person would write it.
        unread: messages in the topic that were not read yet, as of the latest answer of the brokers; None before it.
    """

    def __init__(self, kafka: KafkaSettings, begin: Begin, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is asked of the brokers yet."""
        self.state = State()
        self.name = f"topic {kafka.topic} on {kafka.brokers}"
        self._kafka, self._begin, self._clock = kafka, begin, clock
        self._client: Client | None = None
        self._watch: TopicWatch | None = None
        self._next: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._goal: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._again_s = self._probe_s = self._look_s = float("-inf")

    @property
    def unread(self) -> int | None:
        """See above."""
        if not self._ends or self.state.status not in ("ok", "reading"):
            return None
        return sum(max(0, end - self._next.get(partition, end)) for partition, end in self._ends.items())

    def contents(self) -> Iterator[bytes]:
        """What has come, waiting a quarter of a second for it; never raises, but says so in `state`.

        Yields:
            Lines of JSON, or of what producers sent in its place, each ending in a newline.
        """
        now_s = self._clock()
        try:
            if self._client is None and now_s >= self._again_s:
                self._again_s = now_s + AGAIN_S
                self._connect()
            if self._client is not None and self._client.is_stranded:
                self._give_up("librdkafka has lost all brokers for good; connecting anew")
            if self._client is not None:
                yield from self._fetched(self._client)
                self._look(self._client)
        except TopicRecreated:
            self._give_up(CREATED_AGAIN)
        except (SinkError, StoreError) as error:
            self._give_up(str(error))
        except (KafkaException, TimeoutError) as error:
            self._trouble(hide_secrets(str(error.args[0] if error.args else error), self._kafka.options))

    def close(self) -> None:
        """Let go of the brokers."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connect(self) -> None:
        n_partitions = check_topic(self._kafka, ASK_S)
        self._recognise()
        client = Client(self._kafka, GROUP)
        try:
            for partition in range(n_partitions):
                self._start(client, partition, n_partitions)
        except BaseException:
            client.close()
            raise
        self._client = client
        self._probe_s, self._look_s = self._clock() + PROBE_S, self._clock() + LOOK_S
        self._well()

    def _recognise(self) -> None:
        """See whether the topic is still the one that was read; another one of its name is read from its beginning."""
        known = self._watch.topic_id if self._watch is not None else None
        self._watch = TopicWatch(self._kafka, known)
        try:
            self._watch.look()
        except TopicRecreated:
            for offsets in (self._next, self._first, self._goal):
                offsets.clear()
            self._begin, self._watch = "beginning", TopicWatch(self._kafka)
            self._watch.look()

    def _start(self, client: Client, partition: int, n_partitions: int) -> None:
        """Go on where reading ended, or begin."""
        low, high = client.span(partition)
        begins = {"recent": max(low, high - N_RECENT // n_partitions), "beginning": low, "end": high}
        first = self._next.get(partition, begins[self._begin])
        first = first if low <= first <= high else low
        client.start(partition, first)
        self._next[partition], self._ends[partition] = first, high
        self._first.setdefault(partition, first)
        self._goal.setdefault(partition, high)

    def _fetched(self, client: Client) -> Iterator[bytes]:
        messages = client.fetch(FETCH_MESSAGES, FETCH_S)
        if any(map(Message.error, messages)):
            for message in messages:
                self._take_error(client, message)
            messages = [message for message in messages if message.error() is None]
        if messages:
            if self._watch is not None:  # else messages of another topic would be shown now, and again from its start
                self._watch.confirm(time.monotonic())
            self._count(messages)
            self._well()
            yield _lines(messages)

    def _count(self, messages: list[Message]) -> None:
        """Where to go on."""
        partitions = np.fromiter(map(Message.partition, messages), np.int64, len(messages))
        offsets = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
        for partition in np.unique(partitions).tolist():
            self._next[partition] = int(offsets[partitions == partition].max()) + 1

    def _take_error(self, client: Client, message: Message) -> None:
        error, partition = message.error(), message.partition()
        code = None if error is None else error.code()
        if error is None:
            return
        if code == KafkaError._PARTITION_EOF:
            self._take_end(partition, message.offset())
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

    def _take_end(self, partition: int | None, offset: int | None) -> None:
        """There is no message at or behind this offset: the ends of transactions take offsets too."""
        if partition is not None and offset is not None and offset > self._next.get(partition, offset):
            self._next[partition] = offset
            self._well()

    def _look(self, client: Client) -> None:
        """Now and then: whether the brokers answer, and whether there are more partitions."""
        now_s = self._clock()
        if now_s >= self._probe_s:
            self._probe_s = now_s + PROBE_S
            if self._watch is not None and not self._is_confirmed(self._watch):
                return
            self._ends = ends = client.ends(list(self._next))
            if any(self._next[partition] > end for partition, end in ends.items()):
                self._give_up("the topic was made anew; reading it from its first message")
                return
            self._well()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            n_partitions = check_topic(self._kafka, ASK_S)
            for partition in set(range(n_partitions)) - set(self._next):
                self._next[partition] = 0
                self._start(client, partition, n_partitions)

    def _is_confirmed(self, watch: TopicWatch) -> bool:
        """Whether the topic is still the same; raises TopicMissing, TimeoutError."""
        try:
            if not watch.look():
                raise TimeoutError("no answer")
        except TopicRecreated:
            self._give_up(CREATED_AGAIN)
            return False
        return True

    def _well(self) -> None:
        n_all = sum(self._goal.values()) - sum(self._first.values())
        n_done = sum(min(self._next[each], goal) - self._first[each] for each, goal in self._goal.items())
        is_behind = any(self._next[each] < goal for each, goal in self._goal.items())
        share = min(1.0, max(0.0, n_done / n_all)) if n_all > 0 else 0.0
        self.state = State("reading", "", share) if is_behind and n_all > 0 else State("ok")

    def _trouble(self, reason: str) -> None:
        is_new = self.state.status in ("starting", "waiting")
        self.state = State("waiting" if is_new else "stale", f"{self.name} does not answer: {reason}")

    def _give_up(self, reason: str) -> None:
        """Begin anew with another client, in a while."""
        self.close()
        self._ends = {}
        is_new = self.state.status in ("starting", "waiting") and not self._next
        self.state = State("waiting" if is_new else "stale", reason)
        self._again_s = self._clock() + AGAIN_S


def _lines(messages: list[Message]) -> bytes:
    """The messages' values as lines; of null, nothing, and line feeds in no JSON one that is no event."""
    values: list[Any] = list(map(Message.value, messages))
    if None in values:
        values = [b"null" if value is None else value for value in values]
    lines = b"\n".join(values) + b"\n"
    if lines.count(b"\n") != len(values) or b"" in values:
        lines = b"\n".join(folded_if_json(value) or b"?" if value.strip() else b"?" for value in values) + b"\n"
    return lines

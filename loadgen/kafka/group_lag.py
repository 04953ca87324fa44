"""How far consumer groups are behind in a topic: in messages, and in seconds.

In: how to reach the topic, names of groups. Out: for each group its lag on each partition, a second old at most. The
lag is what a group has not committed: of a partition in which it has committed nothing, all messages that are there.
Seconds are found without reading: the ends of partitions are kept with the times at which they were seen, and the
message that the group reads next was sent when the end passed its offset.
"""

import math
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from loadgen.errors import SinkError
from loadgen.kafka.errors import REFUSALS, n_partitions_of, refused, unreachable
from loadgen.kafka.monitor import admin_client
from loadgen.kafka.options import KafkaSettings, hide_secrets
from loadgen.kafka.topic_reader import EARLIEST, LATEST, UNCOMMITTED, list_offsets

EVERY_S = 1.0
SOON_S = 0.1
"""So often while somebody waits for the groups to catch up."""
ASK_S = 5.0
STALE_S = 10.0
MOST_SAMPLES = 4096


@dataclass(slots=True)
class EndHistory:
    """The ends of one partition over time; of a long time fewer of them, evenly.

    Attributes:
        times_s: when each was seen, ascending.
        ends: the offset behind the last message, ascending.
    """

    times_s: list[float] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, at_s: float, end: int) -> None:
        """The end is here at this time."""
        self.times_s.append(at_s)
        self.ends.append(max(end, self.ends[-1] if self.ends else end))
        if len(self.ends) > MOST_SAMPLES:
            self.times_s, self.ends = self.times_s[::2], self.ends[::2]

    def behind_s(self, offset: int, now_s: float) -> float:
        """How long ago the message at this offset came, between the ends seen before and after it.

        One that was there when the first end was seen has been waiting at least since then.
        """
        after = bisect_right(self.ends, offset)
        if after == len(self.ends):
            return 0.0
        if after == 0:
            return max(0.0, now_s - self.times_s[0])
        (first, last), (from_s, to_s) = self.ends[after - 1 : after + 1], self.times_s[after - 1 : after + 1]
        return max(0.0, now_s - (from_s + (to_s - from_s) * (offset - first) / (last - first)))


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a group is behind in one partition.

    Attributes:
        messages: that it has not committed.
        seconds: since the first of them came; 0.0 where there is none.
    """

    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class GroupLag:
    """How far a group is behind.

    Attributes:
        at_s: when that was so, time.monotonic().
        partitions: by their numbers.
    """

    at_s: float
    partitions: Mapping[int, PartitionLag]

    @property
    def messages(self) -> int:
        """In all partitions."""
        return sum(part.messages for part in self.partitions.values())

    @property
    def seconds(self) -> float:
        """In the partition where it is longest."""
        return max((part.seconds for part in self.partitions.values()), default=0.0)


@dataclass(frozen=True, slots=True)
class Offsets:
    """What the brokers say at one moment.

    Attributes:
        starts, ends: by partition, the first offset and the one behind the last message.
        committed: group → partition → the offset that it reads next; without those where it has committed nothing.
    """

    starts: Mapping[int, int]
    ends: Mapping[int, int]
    committed: Mapping[str, Mapping[int, int]]


Ask = Callable[[], Offsets]


class GroupWatch:
    """Watches the lag of groups in a thread of its own.

    Attributes:
        groups: their names.
        error: why the latest question had no answer; empty where it had one.
    """

    def __init__(self, kafka: KafkaSettings, groups: Sequence[str], ask: Ask | None = None) -> None:
        """Ask nothing yet; `ask` stands in for the brokers in tests."""
        self.groups, self.error = tuple(groups), ""
        self._ask = ask or _Brokers(kafka, self.groups).ask
        self._kafka = kafka
        self._history: dict[int, EndHistory] = {}
        self._latest: dict[str, GroupLag] = {}
        self._most: dict[str, tuple[int, float]] = dict.fromkeys(self.groups, (0, 0.0))
        self._asked_s, self._goal = math.inf, dict[int, int]()
        self._caught_up: dict[str, float] = {}
        self._lock, self._closed, self._is_soon = threading.Lock(), threading.Event(), threading.Event()

    def start(self) -> None:
        """Look once, then every second in a thread, until `close`.

        Raises:
            BrokerUnreachable, AccessRefused, SinkError: the brokers do not tell.
        """
        try:
            self.look()
        except TimeoutError as error:
            raise unreachable(self._kafka, ASK_S, "") from error
        except KafkaException as error:
            raise self._failed(error.args[0]) from error
        threading.Thread(target=self._run, name="group watch", daemon=True).start()

    def close(self) -> None:
        """End the thread; does not wait for it."""
        self._closed.set()

    def await_catch_up(self) -> None:
        """Find out, ten times a second, when each group has committed all that is in the topic now."""
        self._asked_s = time.monotonic()
        self._is_soon.set()

    def caught_up_s(self) -> dict[str, float]:
        """Group → how long after `await_catch_up` it had; without those that have not."""
        with self._lock:
            return {group: at_s - self._asked_s for group, at_s in self._caught_up.items()}

    def latest(self) -> dict[str, GroupLag]:
        """What is known of each group now: nothing where the brokers have not told for STALE_S."""
        oldest_s = time.monotonic() - STALE_S
        return {group: lag for group, lag in self.last().items() if lag.at_s >= oldest_s}

    def last(self) -> dict[str, GroupLag]:
        """What was known of each group last."""
        with self._lock:
            return dict(self._latest)

    def most(self, group: str) -> tuple[int, float]:
        """The most messages, and the most seconds, that it has been behind."""
        with self._lock:
            return self._most[group]

    def look(self) -> None:
        """Ask the brokers once.

        Raises:
            KafkaException, TimeoutError: no answer.
        """
        asked_s = time.monotonic()
        offsets = self._ask()
        with self._lock:
            for number, end in offsets.ends.items():
                self._history.setdefault(number, EndHistory()).add(asked_s, end)
            if asked_s >= self._asked_s:
                self._goal = self._goal or dict(offsets.ends)
            for group, committed in offsets.committed.items():
                lag = GroupLag(asked_s, {at: self._lag(offsets, committed, at, asked_s) for at in offsets.ends})
                messages, seconds = self._most[group]
                self._latest[group] = lag
                self._most[group] = (max(messages, lag.messages), max(seconds, lag.seconds))
                if self._goal and all(committed.get(at, 0) >= goal for at, goal in self._goal.items()):
                    self._caught_up.setdefault(group, time.monotonic())

    def _lag(self, offsets: Offsets, committed: Mapping[int, int], number: int, now_s: float) -> PartitionLag:
        start, end = offsets.starts[number], offsets.ends[number]
        offset = max(start, committed.get(number, start))
        return PartitionLag(max(0, end - offset), self._history[number].behind_s(offset, now_s))

    def _failed(self, error: KafkaError) -> SinkError:
        groups = ", ".join(self.groups)
        if error.code() in REFUSALS:
            step = f"let this user describe the groups, e.g. kafka-acls.sh --add --operation Describe --group {groups}"
            return refused(self._kafka, REFUSALS[error.code()], error.str(), step)
        reason = hide_secrets(error.str(), self._kafka.options)
        return SinkError(f"{self._kafka.brokers} does not tell how far {groups} is: {reason}; leave out --watch-group")

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self.look()
                self.error = ""
            except TimeoutError:
                self.error = f"no answer in {ASK_S:g} s"
            except KafkaException as error:
                self.error = hide_secrets(error.args[0].str(), self._kafka.options)
            if self._is_soon.is_set():
                self._closed.wait(SOON_S)
            else:
                self._is_soon.wait(EVERY_S)


class _Brokers:
    """Asks the brokers for offsets."""

    def __init__(self, kafka: KafkaSettings, groups: Sequence[str]) -> None:
        self._kafka, self._groups = kafka, groups
        self._partitions: list[TopicPartition] = []
        self._client: AdminClient | None = None

    def ask(self) -> Offsets:
        """The committed offsets are asked for first, so that a lag is never less than it was."""
        client = self._client or admin_client(self._kafka)
        self._client = None  # after a failure it may have lost all brokers for good
        if not self._partitions:
            metadata = client.list_topics(self._kafka.topic, ASK_S)
            n_partitions = n_partitions_of(metadata, self._kafka)
            self._partitions = [TopicPartition(self._kafka.topic, number) for number in range(n_partitions)]
        committed = {group: self._committed(client, group) for group in self._groups}
        starts, ends = (
            list_offsets(client, self._partitions, which, ASK_S, UNCOMMITTED) for which in (EARLIEST, LATEST)
        )
        self._client = client
        return Offsets(starts, ends, committed)

    def _committed(self, client: AdminClient, group: str) -> dict[int, int]:
        asked: Any = client.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, self._partitions)], request_timeout=ASK_S
        )
        found = asked[group].result(ASK_S + 1.0).topic_partitions
        return {one.partition: one.offset for one in found if one.error is None and one.offset >= 0}

"""A member of a consumer group that does what a test says: no Kafka, no waiting.

In: messages and calls, one item a poll. Out: what was started, stopped, paused, committed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, Message

from loadgen.consume.client import Client, OnPartitions
from loadgen.kafka.monitor import Monitor

Step = Callable[["FakeClient"], Sequence[Message]]


def message(partition: int, offset: int, value: bytes | None = None) -> Message:
    """A record; an event of its own by default."""
    value = value or b'{"ts":%d,"p":%d}' % (1_700_000_000_000 + offset, partition)
    return Message(topic="t", partition=partition, offset=offset, key=b"k", value=value, timestamp=(1, 5))


def run(partition: int, first: int, n_messages: int) -> list[Message]:
    """Events with these offsets."""
    return [message(partition, offset) for offset in range(first, first + n_messages)]


def bad_news(partition: int, code: int, offset: int = 0) -> Message:
    """What comes in place of a message."""
    return Message(topic="t", partition=partition, offset=offset, error=KafkaError(code))


class FakeClient(Client):
    """Replays steps; after the last one it fetches nothing.

    Attributes:
        started_at: the offset that each partition was last started at.
        log: what was asked of it, in order.
        spans: first offset and end, by partition.
    """

    def __init__(self, steps: Sequence[Step], spans: Mapping[int, tuple[int, int]] | None = None) -> None:
        self.monitor = Monitor({})
        self.started: set[int] = set()
        self.started_at: dict[int, int] = {}
        self.log: list[tuple[Any, ...]] = []
        self.spans = dict(spans or {})
        self._steps: Iterator[Step] = iter(steps)

    def subscribe(self, on_assign: OnPartitions, on_revoke: OnPartitions, on_lost: OnPartitions) -> None:
        self.assign, self._revoke, self._lose = on_assign, on_revoke, on_lost

    def revoke(self, numbers: list[int]) -> None:
        """The group takes partitions away."""
        self.started.difference_update(numbers)
        self._revoke(numbers)

    def lose(self, numbers: list[int]) -> None:
        """The group has given partitions to another one already."""
        self.started.difference_update(numbers)
        self._lose(numbers)

    def fetch(self, n_messages: int, timeout_s: float) -> list[Message]:
        step = next(self._steps, None)
        return [] if step is None else list(step(self))

    def start(self, partition: int, offset: int) -> None:
        self.started.add(partition)
        self.started_at[partition] = offset
        self.log.append(("start", partition, offset))

    def stop(self, partition: int) -> None:
        self.started.discard(partition)
        self.log.append(("stop", partition))

    def pause(self, partition: int) -> None:
        self.log.append(("pause", partition))

    def resume(self, partition: int) -> None:
        self.log.append(("resume", partition))

    def span(self, partition: int) -> tuple[int, int]:
        return self.spans.get(partition, (0, 1_000_000))

    def ends(self, partitions: Collection[int], timeout_s: float = 0.0) -> dict[int, int]:
        return {partition: self.span(partition)[1] for partition in partitions}

    def is_there(self) -> bool | None:
        return False

    def commit(self, offsets: Mapping[int, int]) -> None:
        self.log.append(("commit", dict(offsets)))

    def close(self) -> None:
        self.log.append(("close",))

"""Transactions by script: a log whose messages are open, committed or aborted, and producers that die at some call."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from tests.sink.fake_producer import FakeMessage

RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True)
ABORTABLE = KafkaError(KafkaError.INVALID_TXN_STATE, "abort it", txn_requires_abort=True)
FENCED = KafkaError(KafkaError._FENCED, "fenced", fatal=True)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Logged:
    """A message in the log."""

    value: bytes
    state: str = "open"


@dataclass
class FakeLog:
    """What the brokers have: by partition, the messages."""

    partitions: list[list[Logged]] = field(default_factory=lambda: [[] for _ in range(4)])

    def values(self, *states: str) -> list[bytes]:
        """All messages in these states."""
        return [message.value for message in chain(*self.partitions) if message.state in states]

    def end(self, state: str) -> None:
        """End the open transaction."""
        for message in chain(*self.partitions):
            message.state = state if message.state == "open" else message.state

    def is_committed(self, settings: Any, partition: int, offset: int, timeout_s: float) -> bool | None:
        """In place of `readback.is_committed`."""
        return {"committed": True, "aborted": False, "open": None}[self.partitions[partition][offset].state]


class FakeTransactions:
    """Stands in for confluent_kafka.Producer.

    Attributes:
        dies_at: "commit" (before it has an effect) or "commit!" (after it), and of which call.
        errors: of the next commits, in order; None lets one succeed.
        on_commit: called first.
        too_large: values longer than this are refused.
    """

    def __init__(self, log: FakeLog, dies_at: tuple[str, int] = ("", 0), too_large: int = 10**6) -> None:
        self.log, self.dies_at, self.too_large = log, dies_at, too_large
        self.errors: list[KafkaError | None] = []
        self.on_commit: Callable[[], object] = lambda: None
        self.n_calls: dict[str, int] = {}
        self._queue: list[Any] = []

    def connect(self, config: dict[str, Any], logger: Any) -> "FakeTransactions":
        """What the sink calls to make its producer."""
        assert config["transactional.id"] == "loadgen-r-m0w0"
        return self

    def _at(self, call: str) -> None:
        self.n_calls[call] = self.n_calls.get(call, 0) + 1
        if self.dies_at == (call, self.n_calls[call]):
            raise Killed

    def init_transactions(self, timeout: float) -> None:
        """What a predecessor left open is aborted."""
        self.log.end("aborted")

    def begin_transaction(self) -> None:
        """Nothing to do."""
        self._at("begin")

    def produce(self, *message: Any) -> None:
        """Queue a message."""
        if len(message[1]) > self.too_large:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self._queue.append(message)

    def flush(self, timeout: float) -> int:
        """All messages arrive."""
        self._at("flush")
        for _, value, _, partition, callback, *_ in self._queue:
            self.log.partitions[partition].append(Logged(value))
            if callback:
                callback(None, FakeMessage(len(self.log.partitions[partition]) - 1))
        self._queue.clear()
        self._at("flush!")
        return 0

    def poll(self, timeout: float) -> int:
        """No reports come by themselves."""
        return 0

    def commit_transaction(self, timeout: float) -> None:
        """As scripted."""
        self._at("commit")
        self.on_commit()
        if self.errors and (error := self.errors.pop(0)):
            raise KafkaException(error)
        self.log.end("committed")
        self._at("commit!")

    def abort_transaction(self, timeout: float) -> None:
        """Always succeeds."""
        self._at("abort")
        self._queue.clear()
        self.log.end("aborted")
        self._at("abort!")

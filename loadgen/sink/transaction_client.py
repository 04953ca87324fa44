"""A producer of transactions, and a thread that ends them: flush, commit and abort block, and the send loop must go on.

In: messages of a transaction, one transaction at a time. Out: an `Answer` for each. Every blocking call lasts STEP_S at
most and is made again, so that the thread ends soon after `close`.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from threading import Event
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message

from loadgen.errors import LoadgenError, SinkError
from loadgen.kafka.errors import fenced, no_transactions, stopped
from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, usage_error
from loadgen.kafka.producer_options import producer_config
from loadgen.ledger import Outcome
from loadgen.sink.journal import NOWHERE, Probe
from loadgen.sink.message_columns import produce_all

INIT_S = 30.0
STEP_S = 0.5
AGAIN_S = 0.05
POLL_S = 0.01
FULL_S = 1.0
FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)


class Answer(Enum):
    """What the end of a transaction came to."""

    SUCCEEDED = "committed or aborted, as it was meant to be"
    FAILED = "aborted, though it was not meant to be"
    UNKNOWN = "a commit was asked for, and not answered"


class TransactionalProducer(Protocol):
    """The part of confluent_kafka.Producer that is used; tests put a scripted one in its place."""

    def init_transactions(self, timeout: float) -> None:
        """Fence former producers of the same id, and end what they left open."""

    def begin_transaction(self) -> None:
        """Ask no broker yet."""

    def commit_transaction(self, timeout: float) -> None:
        """May be called again where it raises a retriable error."""

    def abort_transaction(self, timeout: float) -> None:
        """May be called again where it raises a retriable error."""

    def produce(self, *message: Any) -> None:
        """(topic, value, key, partition, callback, on_delivery, timestamp, headers)."""

    def flush(self, timeout: float) -> int:
        """How many messages have no report yet."""

    def poll(self, timeout: float) -> int:
        """Serve callbacks."""


@dataclass(slots=True, eq=False)
class Transaction:
    """A transaction that has begun.

    Attributes:
        goal: DELIVERED or ABORTED.
        began_s: time.monotonic().
        n_events: given to the producer.
        n_failed: reports of an error.
        is_broken: the producer takes none of its events any more.
        probe: where one of its events is.
    """

    goal: Outcome
    began_s: float
    n_events: int = 0
    n_failed: int = 0
    is_broken: bool = False
    probe: Probe = NOWHERE

    def on_report(self, partition: int, error: KafkaError | None, message: Message) -> None:
        """A delivery report of one of its events."""
        if error is not None:
            self.n_failed += 1
        elif self.probe is NOWHERE and (offset := message.offset()) is not None and offset >= 0:
            self.probe = Probe(partition, offset)


class TransactionClient:
    """A producer with a transactional id.

    Attributes:
        monitor: listens to it.
    """

    def __init__(
        self, settings: KafkaSettings, transactional_id: str, connect: Callable[..., TransactionalProducer]
    ) -> None:
        """Make the producer; raises UsageError where librdkafka does not take the options."""
        self.monitor = Monitor(settings.options)
        self._settings, self._id = settings, transactional_id
        self._refusal: KafkaError | None = None
        self._gave_up = Event()
        self._thread = ThreadPoolExecutor(1, "transactions")
        self._future: Future[Answer] | None = None
        config = {**producer_config(settings, transactional_id), **self.monitor.callbacks()}
        try:
            self._producer = connect(config, logger=self.monitor.logger)
        except KafkaException as error:
            raise usage_error(error, settings.options) from error

    @property
    def is_broken(self) -> bool:
        """Whether it can do nothing more."""
        return self._error is not None

    @property
    def is_ending(self) -> bool:
        """Whether a transaction is being ended, or its answer was not taken yet."""
        return self._future is not None

    @property
    def _error(self) -> KafkaError | None:
        return self.monitor.fatal or self._refusal

    def failure(self, topics: Sequence[str]) -> SinkError:
        """The error to raise once it is broken."""
        assert self._error is not None
        codes = (self._error.code(), self._refusal.code() if self._refusal else None)
        if any(code in FENCED for code in codes):
            return fenced(self._settings, self._id)
        return stopped(self._settings, self._error, topics)

    def init(self) -> None:
        """Fence a predecessor, and have the brokers end what it left open.

        Raises:
            SinkError: they do not, within INIT_S.
        """
        deadline_s = time.monotonic() + INIT_S
        while True:
            try:
                self._producer.init_transactions(STEP_S)
                return
            except KafkaException as error:
                reason = error.args[0]
                if not reason.retriable() or time.monotonic() >= deadline_s:
                    raise no_transactions(self._settings, self._id, reason) from error
            self.poll(AGAIN_S)

    def begin(self, goal: Outcome) -> Transaction:
        """Begin a transaction; none is open."""
        try:
            self._producer.begin_transaction()
        except KafkaException as error:
            self._refusal = self._refusal or error.args[0]
        return Transaction(goal, time.monotonic(), is_broken=self.is_broken)

    def produce(
        self, transaction: Transaction, columns: Sequence[Sequence[Any]], too_large: Callable[[int], None]
    ) -> None:
        """Give it messages of the open transaction, by the arguments of `produce`.

        Args:
            transaction: the open one; broken where the producer takes no more of it.
            columns: see `message_columns`.
            too_large: called with the position of a message that no broker would take.
        """

        def refused(at: int, error: BufferError | KafkaException) -> bool:
            if isinstance(error, KafkaException) and error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                too_large(at)
                return True
            if isinstance(error, BufferError) and self._has_room([column[at] for column in columns]):
                return True
            transaction.is_broken = True
            return False

        transaction.n_events += len(columns[0])
        produce_all(self._producer.produce, columns, refused)

    def _has_room(self, message: list[Any]) -> bool:
        """Wait for room for one message, and give it to the producer; whether there was room."""
        deadline_s = time.monotonic() + FULL_S
        while time.monotonic() < deadline_s:
            self.poll(POLL_S)
            with suppress(BufferError, KafkaException):
                self._producer.produce(*message)
                return True
        return False

    def poll(self, timeout_s: float) -> None:
        """Serve callbacks, waiting at most timeout_s for the first, or for the end of a transaction."""
        if self._future is not None:
            wait([self._future], timeout_s)
            return
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:  # a fatal error is raised, instead of given to the error callback
            self._refusal = self._refusal or error.args[0]

    def end(self, transaction: Transaction, before_end: Callable[[Probe], None]) -> None:
        """Begin to end the open transaction.

        Args:
            transaction: the open one.
            before_end: called in the thread once all is acknowledged, before the transaction is ended.
        """
        self._future = self._thread.submit(self._end, transaction, before_end)

    def answer(self) -> Answer | None:
        """What the end came to, once; None while it is not known. Raises what `before_end` has raised."""
        if self._future is None or not self._future.done():
            return None
        future, self._future = self._future, None
        return future.result()

    def close(self) -> Answer | None:
        """Give up: the answer of the transaction that was being ended, if there is one; one that is open is aborted."""
        self._gave_up.set()
        if self._future is not None:
            wait([self._future])
        found = None
        with suppress(LoadgenError):  # the journal could not be written, so nothing was committed
            found = self.answer()
        with suppress(KafkaException):  # it was not open, or the brokers end it when its time is up
            self._producer.abort_transaction(STEP_S)
        self._thread.shutdown(wait=False)
        del self._producer
        return found

    # In the thread.

    def _end(self, transaction: Transaction, before_end: Callable[[Probe], None]) -> Answer:
        is_acknowledged = self._flush(transaction)
        if not is_acknowledged:
            self._call(self._producer.abort_transaction)
            return Answer.FAILED
        before_end(transaction.probe)
        if transaction.goal is Outcome.ABORTED:
            self._call(self._producer.abort_transaction)
            return Answer.SUCCEEDED  # also unanswered: any producer that ends it now can only abort it
        error = self._call(self._producer.commit_transaction)
        if error is None:
            return Answer.SUCCEEDED
        if not error.fatal() and error.txn_requires_abort():
            self._call(self._producer.abort_transaction)
            return Answer.FAILED
        return Answer.UNKNOWN

    def _flush(self, transaction: Transaction) -> bool:
        """Wait until all messages have a report; whether each was acknowledged."""
        while not (transaction.is_broken or self.is_broken or self._gave_up.is_set()):
            try:
                if self._producer.flush(STEP_S) == 0:
                    return transaction.n_failed == 0
            except KafkaException as error:
                self._refusal = self._refusal or error.args[0]
        return False

    def _call(self, end: Callable[[float], None]) -> KafkaError | None:
        """Call until there is an answer; the error, if it is one, or if the sink gives up."""
        while True:
            try:
                end(STEP_S)
                return None
            except KafkaException as error:
                reason: KafkaError = error.args[0]
            if not reason.retriable() or reason.txn_requires_abort():
                if reason.fatal() or not reason.txn_requires_abort():
                    self._refusal = self._refusal or reason
                return reason
            if self._gave_up.wait(AGAIN_S):
                return reason

"""One Kafka partition of this consumer, from its assignment until it is lost: recovered, read, recovered again.

In: messages, ticks. Out: what its writer publishes. Nothing here waits: recovery runs in the pool. After a failure the
writer is recovered and reading goes on from what the store says, as often as necessary.

    RECOVERING → READING → (the store failed, or another writer has it) WAITING → RECOVERING …
                 READING → (a value has a schema that is not known yet) ASKING → READING
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from confluent_kafka import KafkaError, KafkaException, Message

from loadgen.consume.client import Client
from loadgen.consume.partition_writer import PartitionWriter
from loadgen.consume.records import judge
from loadgen.consume.waiting import Backoff, SchemaRequests, SchemaWait
from loadgen.decoder import SchemasNeeded
from loadgen.errors import OffsetGone, RegistryError, StoreError
from loadgen.kafka.consumer_options import Begin

N_ASKS = 10
ASK_AGAIN_S = 0.5
"""A new leader may for a moment know less of a partition than what was read from the old one."""


class PartitionPhase(Enum):
    """Where a partition is in its life."""

    RECOVERING = auto()
    READING = auto()
    ASKING = auto()
    WAITING = auto()


@dataclass(frozen=True, slots=True)
class Start:
    """Where to read on.

    Attributes:
        offset: from here on.
        gap: what is missing before it, in words; empty where nothing is.
    """

    offset: int
    gap: str = ""


@dataclass(frozen=True, slots=True)
class PartitionContext:
    """What all partitions of a consumer share.

    Attributes:
        client: Kafka's.
        pool: runs recoveries.
        topic: its name, for messages.
        begin: where to read a partition of which nothing is stored yet.
        on_gap: what to do where Kafka no longer has what must be read next.
        day: the day that events are stored under (days since 1970), asked for each call; None for their own.
        note: prints a message for the user.
        trouble: says of a partition that store or schema registry failed, in words; the empty text when it works again.
        schemas: of values in the wire format of a schema registry; None: such values are dead letters.
    """

    client: Client
    pool: Executor
    topic: str
    begin: Begin
    on_gap: Literal["fail", "continue"]
    day: Callable[[], int | None]
    note: Callable[[str], None]
    trouble: Callable[[int, str], None]
    schemas: SchemaRequests | None = None


class Partition:
    """An assigned partition.

    Attributes:
        number: Kafka's.
        writer: publishes its records.
        phase: where it is in its life.
        seen: the offset behind the last one that was read, or that was said to be the end.
        end: the offset behind the last message, when it was last asked for.
        n_retries: how often it had to be recovered since it was assigned.
        latest_ms: the time of the latest event, milliseconds since 1970; -1 before the first.
    """

    def __init__(self, number: int, writer: PartitionWriter, context: PartitionContext) -> None:
        """Begin to recover."""
        self.number, self.writer = number, writer
        self.seen = self.end = self._first = 0
        self.n_retries = 0
        self.latest_ms = -1
        self._context, self._client = context, context.client
        self._paused = False
        self._backoff = Backoff()
        self._schemas = None if context.schemas is None else SchemaWait(context.schemas)
        self._n_published = 0
        self.recover()

    def recover(self) -> None:
        """Find out from the store where to go on; what is not published is dropped."""
        self.phase = PartitionPhase.RECOVERING
        self._job: Future[Start] = self._context.pool.submit(self._find_start)

    def turn(self, now_s: float) -> None:
        """Do what is due; never waits.

        Raises:
            OffsetGone: Kafka no longer has what must be read next, and that is not to be passed over.
        """
        if self.phase is PartitionPhase.RECOVERING:
            if self._job.done():
                self._begin()
        elif self.phase is PartitionPhase.WAITING:
            if self._backoff.is_over:
                self.recover()
        else:
            self._publish(now_s)
            if self.phase is PartitionPhase.ASKING and self._schemas is not None:
                self._read_on_with(self._schemas)

    def take(self, messages: Sequence[Message]) -> int:
        """Pass messages (no errors, in order) on to the writer; returns how many bytes their values have.

        Messages that are stored already are skipped, and all of them unless the partition is being read. Where one has
        a schema that must be asked for, reading stops in front of it until there is an answer.
        """
        if self.phase is not PartitionPhase.READING:
            return 0
        position = self.writer.position or 0
        if messages and (messages[0].offset() or 0) < position:
            messages = [message for message in messages if (message.offset() or 0) >= position]
        if not messages:
            return 0
        schemas = self._schemas
        try:
            records, latest_ms = judge(messages, self._context.day(), schemas.decoder if schemas else None)
        except SchemasNeeded as needed:
            n_bytes = self.take(messages[: needed.first])
            if schemas is not None:
                schemas.begin(needed.ids)
            self.seen = messages[needed.first].offset() or 0  # the end, which came with them, may be noted already
            self.phase = PartitionPhase.ASKING
            self._client.stop(self.number)
            return n_bytes
        self.seen = records.next_offset
        self.latest_ms = max(self.latest_ms, latest_ms)
        self.writer.add(records)
        return sum(map(len, records.values)) + sum(map(len, records.dead))

    def at_end(self, offset: int) -> None:
        """Kafka has no message at or behind this offset."""
        if self.phase is PartitionPhase.READING:
            self.seen = max(self.seen, offset)

    def _read_on_with(self, schemas: SchemaWait) -> None:
        """Read on once there is an answer for each schema that is needed."""
        try:
            if not schemas.is_over():
                return
        except RegistryError as error:
            self.n_retries += 1
            self._context.trouble(self.number, str(error))
            return
        self._context.trouble(self.number, "")
        try:
            self._client.start(self.number, self.seen)
        except KafkaException as problem:
            self._fail(problem)
            return
        self.phase, self._paused = PartitionPhase.READING, False

    def reseek(self, timeout_s: float) -> None:
        """The next offset is gone from Kafka: publish what was read, then find out where to go on."""
        if self.phase is not PartitionPhase.READING:
            return
        try:
            self.writer.publish_now()
            self.writer.wait(timeout_s)
        except StoreError as error:
            self._fail(error)
            return
        self._client.stop(self.number)
        self.recover()

    def let_go(self) -> None:
        """Drop what is not published, because the partition is no longer this consumer's."""
        self.writer.discard()
        self._context.trouble(self.number, "")

    @property
    def is_open(self) -> bool:
        """Whether what was read waits to be published, not to be read again."""
        return self.phase in (PartitionPhase.READING, PartitionPhase.ASKING)

    @property
    def lag(self) -> int:
        """Messages that are in Kafka and not read yet."""
        return max(0, self.end - self.seen)

    @property
    def n_unstored(self) -> int:
        """Messages that are in Kafka and not stored yet."""
        stored = self.writer.next_offset
        return max(0, max(self.end, self.seen) - max(self._first, stored or 0))

    def _begin(self) -> None:
        """Read on from where the recovery says."""
        try:
            start = self._job.result()
            self._client.start(self.number, start.offset)
        except (StoreError, KafkaException, TimeoutError) as error:
            self._fail(error)
            return
        if start.gap:
            self._context.note(f"partition {self.number}: {start.gap}; going on behind it (--on-gap continue)")
        self._first = start.offset
        self.seen = max(start.offset, self.writer.position or 0)
        self.phase, self._paused = PartitionPhase.READING, False

    def _publish(self, now_s: float) -> None:
        try:
            self.writer.tick(now_s)
        except StoreError as error:
            self._fail(error)
            return
        if self.writer.published.n_publications > self._n_published:
            self._n_published = self.writer.published.n_publications
            self._backoff.succeed()
            if self.phase is PartitionPhase.READING:
                self._context.trouble(self.number, "")
        if self.phase is PartitionPhase.READING and self.writer.full != self._paused:
            self._paused = self.writer.full
            (self._client.pause if self._paused else self._client.resume)(self.number)

    def _fail(self, error: Exception) -> None:
        """Drop what is not published, and try again after a while that grows."""
        self.writer.discard()
        self._client.stop(self.number)
        self.n_retries += 1
        self.phase = PartitionPhase.WAITING
        self._backoff.fail()
        self._context.trouble(self.number, _said(error))

    def _find_start(self) -> Start:
        """Runs in the pool."""
        stored = self.writer.recover()
        low, high = self._client.span(self.number)
        for _ in range(N_ASKS):
            if stored is None or stored <= high:
                break
            time.sleep(ASK_AGAIN_S)
            low, high = self._client.span(self.number)
        start = start_at(stored, low, high, self._context.begin)
        if start.gap and self._context.on_gap == "fail":
            raise OffsetGone(
                f"topic {self._context.topic!r}, partition {self.number}: {start.gap}; "
                "--on-gap continue goes on behind it, another --store begins again"
            )
        return start


def _said(error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error)
    reason = error.args[0] if error.args else None
    return f"Kafka: {reason.str() if isinstance(reason, KafkaError) else 'no answer about the partition in time'}"


def start_at(stored: int | None, low: int, high: int, begin: Begin) -> Start:
    """Where to read on.

    Args:
        stored: everything below this offset is in the store; None where nothing is.
        low, high: the offsets of the partition's first message and behind its last one.
        begin: where to begin where nothing is stored.
    """
    if stored is None:
        return Start(low if begin == "earliest" else high)
    if stored < low:
        gap = f"{low - stored:,} offsets, {stored:,} to {low - 1:,}, were not stored and are no longer in Kafka"
        return Start(low, gap)
    if stored > high:
        gap = (
            f"it ends at offset {high:,}, but everything below {stored:,} was stored from it: Kafka has lost the "
            f"{stored - high:,} between, and what comes at their offsets now is not going to be stored"
        )
        return Start(high, gap)
    return Start(stored)

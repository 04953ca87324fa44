"""The consumer's loop: fetch, classify, write, publish, give back what the group takes away.

In: what `prepare` returns. Out: events in the store, each exactly once; a `ConsumeResult`. Only this thread touches
partitions and writers; what may wait (the store, questions to the brokers) runs in the pool, and the loop goes on
polling, so that the group never takes this consumer for dead.
"""

import signal
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import groupby
from types import FrameType

from confluent_kafka import KafkaError, KafkaException, Message

from loadgen.consume.client import Client, ErrorClassifier
from loadgen.consume.partition import Partition, PartitionPhase
from loadgen.consume.totals import ConsumeTotals
from loadgen.errors import LoadgenError, OffsetGone, SinkError, StoreError
from loadgen.kafka.watch import TopicWatch
from loadgen.signals import listening, reason_of

STANDSTILL_S = 1.0
"""A turn of the loop takes a tenth of it."""
POLL_S = 0.1
MAX_MESSAGES = 5_000
FIRST_MESSAGES = 500
FETCH_BYTES = 4 << 20
"""What one poll should bring at most, by the size of the messages so far."""
WATCH_S = 0.5
COMMIT_EVERY_S = 5.0
REVOKE_S = 30.0
"""Longest time to publish what the group takes away; the group waits as long (max.poll.interval.ms is 5 minutes)."""
WAIT_STEP_S = 0.05
GAPS = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
"""How librdkafka says that what is to be read next is not there, with auto.offset.reset=error."""
Watcher = Callable[[ConsumeTotals, float], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a consumer.

    Attributes:
        until_idle_s: seconds with nothing left to read; None: nothing but a signal.
        drain_timeout_s: longest time to publish what is read, at the end.
        session_s: the session timeout, after which the group removes a consumer that sends no heartbeat.
    """

    until_idle_s: float | None
    drain_timeout_s: float
    session_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ConsumeResult:
    """How it ended.

    Attributes:
        totals: everything that was counted.
        elapsed_s: since the start.
        exit_reason: "idle", "interrupted", "terminated" or "hung up" (each with " early" where it was to end when
            idle), "interrupted twice" or "error".
        error: what went wrong, or None.
    """

    totals: ConsumeTotals
    elapsed_s: float
    exit_reason: str
    error: LoadgenError | None


class StopRequest:
    """Whether the consumer is to end: SIGINT, SIGTERM or SIGHUP asks for it.

    Attributes:
        signal: the first one that came; None before.
    """

    def __init__(self) -> None:
        """None has come."""
        self.signal: signal.Signals | None = None
        self._n_signals = 0

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """First time: the loop ends and drains. Second time: end at once. Then it does end."""
        self._n_signals += 1
        if self.signal is None:
            self.signal = signal.Signals(number)
        elif self._n_signals == 2:
            raise KeyboardInterrupt


class Silence:
    """Since when nothing has come, and from when on the consumer is idle because of that."""

    def __init__(self, limits: Limits) -> None:
        """It begins now, outside the group."""
        self._limits = limits
        self._since_s = self._turned_s = time.monotonic()
        self._is_member = False

    def end(self, is_member: bool | None = None) -> float:
        """Something has come, or the group has changed; returns the time.

        Args:
            is_member: whether the consumer is in the group from now on; None: as before.
        """
        self._is_member = self._is_member if is_member is None else is_member
        self._since_s = time.monotonic()
        return self._since_s

    def turn(self) -> None:
        """Time in which this process stood still (SIGSTOP, a suspended machine) is no time in which nothing came."""
        now_s = time.monotonic()
        if now_s - self._turned_s > STANDSTILL_S:
            self._since_s = now_s
        self._turned_s = now_s

    def idle_at_s(self, has_partitions: bool) -> float:
        """From when on the consumer is idle if nothing comes (time.monotonic).

        One without partitions waits for two sessions more: it may be out of the group and not know it yet, and once it
        is in again, those who have the partitions may be dead, and the group not know it yet.
        """
        wait_s = self._limits.until_idle_s
        if wait_s is None or not self._is_member:
            return float("inf")
        return self._since_s + wait_s + (0.0 if has_partitions else 2 * self._limits.session_s)


class AdvisoryCommits:
    """Commits to the group how far each partition is stored, from time to time."""

    def __init__(self, client: Client) -> None:
        """Nothing is committed."""
        self._client = client
        self._committed_s = 0.0
        self._committed: dict[int, int] = {}

    def turn(self, partitions: Mapping[int, Partition], now: bool = False) -> None:
        """Commit what has changed, if that is due."""
        if not now and time.monotonic() - self._committed_s < COMMIT_EVERY_S:
            return
        self._committed_s = time.monotonic()
        offsets = {number: partition.writer.next_offset for number, partition in partitions.items()}
        changed = {n: next for n, next in offsets.items() if next is not None and self._committed.get(n) != next}
        if changed:
            self._client.commit(changed)
            self._committed |= changed


class Reporter:
    """Tells watchers the totals and the seconds since the start, twice a second."""

    def __init__(self, watchers: list[Watcher]) -> None:
        """The start is now."""
        self._watchers = watchers
        self.start()

    def start(self) -> None:
        """Let the time count from now on."""
        self._start_s, self._told_s = time.monotonic(), 0.0

    @property
    def elapsed_s(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start_s

    def turn(self, totals: Callable[[], ConsumeTotals], now: bool = False) -> None:
        """Tell them, if that is due."""
        if now or time.monotonic() - self._told_s >= WATCH_S:
            self._told_s = time.monotonic()
            told = totals()
            for watcher in self._watchers:
                watcher(told, self.elapsed_s)


class Consumer:
    """One consumer of a group, from start to end."""

    def __init__(
        self,
        client: Client,
        errors: ErrorClassifier,
        ends: "EndOffsets",
        new_partition: Callable[[int], Partition],
        note: Callable[[str], None],
        limits: Limits,
        watchers: list[Watcher],
        topic_watch: TopicWatch | None = None,
    ) -> None:
        """Nothing is asked of the brokers yet.

        Args:
            client: the member of the group.
            errors: judges what Kafka reports.
            ends: asks for the ends of partitions.
            new_partition: begins a partition that the group has assigned.
            note: prints a message for the user.
            limits: what ends it.
            watchers: told the totals and the seconds since the start twice a second.
            topic_watch: begun already; its error ends the consumer.
        """
        self._client, self._errors, self._ends = client, errors, ends
        self._new_partition, self._note, self._limits = new_partition, note, limits
        self._reporter, self._topic_watch = Reporter(watchers), topic_watch
        self._partitions: dict[int, Partition] = {}
        self._gone = ConsumeTotals()
        self._n_messages = FIRST_MESSAGES
        self._stop = StopRequest()
        self._silence = Silence(limits)
        self._commits = AdvisoryCommits(client)

    def run(self) -> ConsumeResult:
        """Consume until something ends it, and publish what was read."""
        self._reporter.start()
        self._silence.end()
        error: LoadgenError | None = None
        with listening(self._stop.on_signal):
            try:
                reason, error = self._loop()
                unpublished = self._drain()
                error = error or unpublished
                self._client.close()
            except KeyboardInterrupt:
                reason = "interrupted twice"
                error = LoadgenError(
                    "ended at once: what was read and not published stays in Kafka, and is read again the next time"
                )
        self._reporter.turn(self._totals, now=True)
        return ConsumeResult(self._totals(), self._reporter.elapsed_s, reason, error)

    def _loop(self) -> tuple[str, LoadgenError | None]:
        self._join()
        try:
            while self._stop.signal is None:
                if self._topic_watch and self._topic_watch.error:
                    raise self._topic_watch.error
                if self._client.has_no_brokers:
                    self._note("librdkafka has lost all brokers for good; joining the group again")
                    self._on_lost(self._client.reset())
                    self._join()
                self._take(self._fetched())
                self._silence.turn()
                for partition in list(self._partitions.values()):
                    partition.turn(time.time())
                self._ends.turn(self._partitions, self._idle_at_s())
                if not self._ends.is_answered:
                    self._errors.out_of_reach()
                if self._is_idle():
                    return "idle", None
                self._commits.turn(self._partitions)
                self._reporter.turn(self._totals)
        except (SinkError, OffsetGone) as error:
            return "error", error
        self._note("stopping: publishing what is read; once more ends at once")
        return reason_of(self._stop.signal, is_early=self._limits.until_idle_s is not None), None

    def _join(self) -> None:
        self._client.subscribe(self._on_assign, self._on_revoke, self._on_lost)

    def _fetched(self) -> list[Message]:
        try:
            return self._client.fetch(self._n_messages, POLL_S)
        except KafkaException as error:
            raise self._errors.broken(error.args[0]) from error

    def _take(self, messages: list[Message]) -> None:
        """Hand messages over to their partitions; they come in runs of one partition."""
        n_bytes = n_good = 0
        if any(map(Message.error, messages)):
            good = [message for message in messages if message.error() is None]
            for message in messages:
                if (error := message.error()) is not None:
                    self._take_error(error, message)
            messages = good
        for number, run in self._by_partition(messages).items():
            partition = self._partitions.get(number)
            if partition is not None:
                n_bytes += partition.take(run)
                n_good += len(run)
        if messages:
            self._gone.read(n_good, self._silence.end())
            self._errors.in_reach()
        if n_bytes:
            self._n_messages = max(1, min(MAX_MESSAGES, FETCH_BYTES * n_good // n_bytes))

    @staticmethod
    def _by_partition(messages: list[Message]) -> dict[int, list[Message]]:
        found: dict[int, list[Message]] = {}
        for number, run in groupby(messages, Message.partition):
            found.setdefault(number or 0, []).extend(run)
        return found

    def _take_error(self, error: KafkaError, message: Message) -> None:
        """What comes in place of a message: the end of a partition, a gap, or an error."""
        partition = self._partitions.get(message.partition() or 0)
        if error.code() == KafkaError._PARTITION_EOF:
            if partition is not None:
                partition.at_end(message.offset() or 0)
        elif error.code() in GAPS:
            if partition is not None:
                partition.reseek(self._limits.drain_timeout_s)
        else:
            self._errors.take(error)

    # what the group does; called out of fetch and close

    def _on_assign(self, numbers: list[int]) -> None:
        self._silence.end(is_member=True)
        self._gone.n_rebalances += 1
        for number in numbers:
            self._partitions[number] = self._new_partition(number)

    def _on_revoke(self, numbers: list[int]) -> None:
        """Publish what the group takes away, then let go of it. The next consumer of it commits its offset."""
        taken = [self._partitions[number] for number in numbers if number in self._partitions]
        self._publish_all(taken, REVOKE_S)
        self._let_go(numbers)

    def _on_lost(self, numbers: list[int]) -> None:
        """Another consumer has these already: what is not published is its to store."""
        self._silence.end(is_member=False)  # having nothing to read is not being idle
        self._let_go(numbers)

    def _let_go(self, numbers: Iterable[int]) -> None:
        self._silence.end()
        for number in numbers:
            partition = self._partitions.pop(number, None)
            if partition is not None:
                partition.let_go()
                self._gone.add(partition)

    def _publish_all(self, partitions: list[Partition], timeout_s: float) -> str:
        """Publish what is read of these; returns what stood in the way, in words."""
        deadline_s, problem = time.monotonic() + timeout_s, ""
        waiting = [partition for partition in partitions if partition.is_open]
        for partition in waiting:
            partition.writer.publish_now()
        while waiting and time.monotonic() < deadline_s:
            for partition in list(waiting):
                try:
                    if partition.writer.wait(WAIT_STEP_S):
                        waiting.remove(partition)
                except (StoreError, SinkError) as error:
                    problem = str(error)
                    waiting.remove(partition)
            self._reporter.turn(self._totals)
        return f"not published within {timeout_s:g} s" if waiting else problem

    def _drain(self) -> LoadgenError | None:
        """Publish everything and give it back; returns what was not."""
        problem = self._publish_all(list(self._partitions.values()), self._limits.drain_timeout_s)
        self._commits.turn(self._partitions, now=True)
        self._let_go(list(self._partitions))
        if not problem:
            return None
        return LoadgenError(
            f"not everything that was read is stored: {problem}; it stays in Kafka, and is stored the next time"
        )

    def _idle_at_s(self) -> float:
        return self._silence.idle_at_s(has_partitions=bool(self._partitions))

    def _is_idle(self) -> bool:
        """Whether there has been nothing to read for as long as was asked: at the end everywhere, said only now."""
        partitions = self._partitions.values()
        if any(partition.phase is not PartitionPhase.READING for partition in partitions):
            self._silence.end()
        if time.monotonic() < self._idle_at_s():
            return False
        return not partitions or (
            self._ends.of_s >= self._idle_at_s() and all(partition.lag == 0 for partition in partitions)
        )

    def _totals(self) -> ConsumeTotals:
        return self._gone.with_partitions(self._partitions.values())

    def stop(self) -> None:
        """Let the loop end and drain, as SIGTERM does; for a consumer that does not run in the main thread."""
        self._stop.signal = signal.SIGTERM


ASK_EVERY_S = 2.0


class EndOffsets:
    """Asks for the end offsets in the background, for the consumer lag and to know when the consumer is idle.

    Attributes:
        of_s: when the request for the latest answer was sent (time.monotonic).
        is_answered: whether the latest request was answered.
    """

    def __init__(self, client: Client, pool: Executor) -> None:
        """Nothing is asked yet."""
        self.of_s = float("-inf")
        self.is_answered = True
        self._client, self._pool = client, pool
        self._asked_s = float("-inf")
        self._asked: Future[dict[int, int]] | None = None

    def turn(self, partitions: Mapping[int, Partition], wanted_s: float) -> None:
        """Take an answer, ask again if that is due; never waits.

        Args:
            partitions: by number; their `end` is set.
            wanted_s: from then on (time.monotonic) answers to earlier requests do not count.
        """
        if self._asked is not None and self._asked.done():
            self._take(self._asked, partitions)
        now_s = time.monotonic()
        is_due = now_s - self._asked_s >= ASK_EVERY_S or self._asked_s < wanted_s <= now_s
        if self._asked is None and partitions and is_due:
            self._asked_s = now_s
            self._asked = self._pool.submit(self._client.ends, list(partitions))

    def _take(self, answer: "Future[dict[int, int]]", partitions: Mapping[int, Partition]) -> None:
        self._asked = None
        self.is_answered = answer.exception() is None
        if not self.is_answered:
            return
        self.of_s = self._asked_s
        for number, end in answer.result().items():
            if number in partitions:
                partitions[number].end = end

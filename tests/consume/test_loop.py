"""What the loop does with what the group and the store do, step by step, with a store in memory and no Kafka."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message

from loadgen.consume.client import ErrorClassifier
from loadgen.consume.consumer import Consumer, ConsumeResult, EndOffsets, Limits
from loadgen.consume.partition import Partition, PartitionContext, start_at
from loadgen.consume.partition_writer import PartitionWriter, RollingPolicy, WriterContext
from loadgen.errors import (
    AccessRefused,
    OffsetGone,
    SinkError,
    StoreFull,
    StoreUnreachable,
    TopicMissing,
    TopicRecreated,
)
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.watch import TopicWatch
from loadgen.store.layout import published
from loadgen.store.read import read_lines
from tests.consume.failing_store import Disk, FailingStore, Watch, When
from tests.consume.fake_client import FakeClient, Step, bad_news, run
from tests.consume.topic import SOURCE


class AtOnce(Executor):
    """Carries out each task in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


class Held(AtOnce):
    """Leaves what it is given undone while `is_held`, as a pool does whose threads wait for a slow store."""

    def __init__(self) -> None:
        self.is_held = False
        self._tasks: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not self.is_held:
            return super().submit(fn, *args, **kwargs)
        done: Future[Any] = Future()
        self._tasks.append((done, partial(fn, *args, **kwargs)))
        return done

    def let_go(self) -> None:
        """Carry out everything."""
        self.is_held = False
        for done, task in self._tasks:
            done.set_result(task())


class Scene:
    """A consumer with a scripted client and a store in memory."""

    def __init__(self, *steps: Step, watch: Watch | None = None, spans: Any = None, **given: Any) -> None:
        self.disk = Disk()
        self.client = FakeClient(steps, spans)
        self.notes: list[str] = []
        self.troubles: list[tuple[int, str]] = []
        self._watch = watch
        self._pool = given.get("pool", AtOnce())
        rolling = RollingPolicy(given.get("batch_size", 1000), 1 << 30, given.get("interval_s", 0.0))
        context = PartitionContext(
            self.client,
            self._pool,
            "t",
            "earliest",
            given.get("on_gap", "fail"),
            lambda: None,
            self.notes.append,
            lambda number, problem: self.troubles.append((number, problem)),
        )
        self.partitions: list[Partition] = []

        def new_partition(number: int) -> Partition:
            self.partitions.append(Partition(number, self._writer(number, rolling), context))
            return self.partitions[-1]

        self.consumer = Consumer(
            self.client,
            ErrorClassifier(self.client, KafkaSettings("b:9092", "t", reading=True), self.notes.append),
            EndOffsets(self.client, self._pool),
            new_partition,
            self.notes.append,
            Limits(given.get("until_idle_s", 0.01), 1.0, given.get("session_s", 0.0)),
            [],
            given.get("topic_watch"),
        )

    def _writer(self, number: int, rolling: RollingPolicy) -> PartitionWriter:
        store = FailingStore(self.disk, self._watch) if self._watch else FailingStore(self.disk)
        return PartitionWriter(WriterContext(store, SOURCE, rolling, "w", self._pool, time.time), number)

    def run(self) -> ConsumeResult:
        return self.consumer.run()

    def offsets(self) -> Counter[tuple[int, int]]:
        """(partition, offset) of what is stored."""
        store, found = FailingStore(self.disk), Counter[tuple[int, int]]()
        for file in published(store):
            assert file.batch is not None
            for chunk in read_lines(store, file):
                times = [int(line.split(b":")[1].split(b",")[0]) for line in chunk.splitlines()]
                found.update((file.batch.partition, time_ms - 1_700_000_000_000) for time_ms in times)
        return found


def assign(*numbers: int) -> Step:
    def step(client: FakeClient) -> Sequence[Message]:
        client.assign(list(numbers))
        return ()

    return step


def give(*messages: Message) -> Step:
    return lambda client: messages


def nothing(client: FakeClient) -> Sequence[Message]:
    return ()


def once(*pairs: tuple[int, range]) -> Counter[tuple[int, int]]:
    return Counter((partition, offset) for partition, offsets in pairs for offset in offsets)


def ended(*ends: int) -> dict[int, tuple[int, int]]:
    """Partitions 0, 1 … from offset 0 to these ends."""
    return {number: (0, end) for number, end in enumerate(ends)}


def test_messages_of_several_partitions_are_stored() -> None:
    mixed = [*run(0, 0, 5), *run(1, 0, 3), *run(0, 5, 5)]
    scene = Scene(assign(0, 1), give(*mixed), spans=ended(10, 3))
    result = scene.run()
    assert (result.exit_reason, result.error) == ("idle", None)
    assert scene.offsets() == once((0, range(10)), (1, range(3)))
    assert (result.totals.n_read, result.totals.n_events) == (13, 13)
    assert scene.client.log[-2:] == [("commit", {0: 10, 1: 3}), ("close",)]


def test_a_member_without_partitions_ends_when_idle() -> None:
    assert Scene(assign()).run().exit_reason == "idle"


def test_a_member_without_partitions_waits_for_those_of_one_that_may_be_gone() -> None:
    """A cooperative group gives a newcomer nothing at first; what it gives later may be a dead member's."""
    late: list[Step] = [nothing] * 30
    scene = Scene(assign(), *late, assign(0), give(*run(0, 0, 7)), spans=ended(7), until_idle_s=0.0, session_s=60.0)
    assert scene.run().totals.n_events == 7


def test_time_in_which_the_process_stood_still_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.consumer.STANDSTILL_S", 0.1)

    def still(_: FakeClient) -> Sequence[Message]:
        time.sleep(0.3)
        return ()

    scene = Scene(assign(), still, assign(0), give(*run(0, 0, 7)), spans=ended(7), until_idle_s=0.2)
    assert scene.run().totals.n_events == 7


def test_nothing_is_idle_before_the_group_has_answered() -> None:
    turns: list[int] = []
    waiting: list[Step] = [lambda client: turns.append(1) or () for _ in range(5)]  # type: ignore[func-returns-value]
    scene = Scene(*waiting, assign(), until_idle_s=0.0)
    scene.run()
    assert len(turns) == 5


def test_nothing_is_idle_while_there_is_more_to_read() -> None:
    late: list[Step] = [nothing] * 30
    scene = Scene(assign(0), *late, give(*run(0, 0, 7)), spans=ended(7), until_idle_s=0.0)
    assert scene.run().totals.n_events == 7


def test_what_kafka_says_is_the_end_counts_as_read() -> None:
    """Behind the last record there may be markers of transactions, which take offsets too."""
    end = bad_news(0, KafkaError._PARTITION_EOF, 9)
    scene = Scene(assign(0), give(*run(0, 0, 7)), give(end), spans=ended(9))
    result = scene.run()
    assert (result.exit_reason, result.totals.next_offsets) == ("idle", {0: 7})


def test_messages_that_are_stored_already_are_passed_over() -> None:
    scene = Scene(assign(0), give(*run(0, 0, 6)), give(*run(0, 3, 6)), spans=ended(9))
    scene.run()
    assert scene.offsets() == once((0, range(9)))


def test_offsets_that_kafka_leaves_out_are_no_gap() -> None:
    scene = Scene(assign(0), give(*run(0, 0, 3), *run(0, 50, 3)), give(*run(0, 90, 1)), spans=ended(91))
    assert scene.run().error is None
    assert scene.offsets() == once((0, range(3)), (0, range(50, 53)), (0, range(90, 91)))


def test_messages_of_before_a_rebalance_are_never_taken_for_those_after() -> None:
    """They came in the poll in which the partition was lost and given back: its reading has not begun anew yet."""

    def lost_and_back(client: FakeClient) -> Sequence[Message]:
        client.lose([0])
        client.assign([0])
        return run(0, 20, 5)

    scene = Scene(
        assign(0), give(*run(0, 0, 10)), lost_and_back, give(*run(0, 0, 30)), spans=ended(30), interval_s=60.0
    )
    result = scene.run()
    assert [entry for entry in scene.client.log if entry[0] == "start"] == [("start", 0, 0), ("start", 0, 0)]
    assert scene.offsets() == once((0, range(30)))
    assert (result.totals.n_events, result.totals.n_rebalances) == (30, 2)


def test_what_is_taken_away_is_published_first() -> None:
    def revoke(client: FakeClient) -> Sequence[Message]:
        client.revoke([0])
        return run(0, 10, 3)

    scene = Scene(assign(0, 1), give(*run(0, 0, 10), *run(1, 0, 4)), revoke, spans=ended(99, 4), interval_s=60.0)
    result = scene.run()
    assert scene.offsets() == once((0, range(10)), (1, range(4)))
    assert result.totals.next_offsets == {0: 10, 1: 4}
    assert result.totals.n_events == 14


def test_what_is_lost_is_dropped() -> None:
    def lose(client: FakeClient) -> Sequence[Message]:
        client.lose([0, 1])
        return ()

    scene = Scene(assign(0, 1), give(*run(0, 0, 10), *run(1, 0, 4)), lose, assign(), interval_s=60.0)
    result = scene.run()
    assert (result.exit_reason, result.error) == ("idle", None)
    assert scene.offsets() == Counter()


def test_a_full_writer_pauses_its_partition_and_no_other() -> None:
    """Each partition's first batch is being published when the first partition's next one is due."""
    pool = Held()

    def hold(client: FakeClient) -> Sequence[Message]:
        pool.is_held = True
        return [*run(0, 0, 2), *run(1, 0, 2)]

    def go_on(client: FakeClient) -> Sequence[Message]:
        assert changes() == [("pause", 0)]
        pool.let_go()
        return ()

    def changes() -> list[tuple[Any, ...]]:
        return [entry for entry in scene.client.log if entry[0] in ("pause", "resume")]

    steps = (assign(0, 1), nothing, hold, nothing, give(*run(0, 2, 2)), nothing, go_on)
    scene = Scene(*steps, spans=ended(4, 2), pool=pool, batch_size=2, interval_s=60.0)
    assert scene.run().error is None
    assert changes() == [("pause", 0), ("resume", 0)]
    assert scene.offsets() == once((0, range(4)), (1, range(2)))


def failing(n_failures: int, error: Exception, at: str = ".json") -> Watch:
    left = [n_failures]

    def watch(when: When, step: str, path: str) -> None:
        if (when, step) == ("before", "rename") and path.endswith(at) and left[0] > 0:
            left[0] -= 1
            raise error

    return watch


def reading_on(n_messages: int) -> Step:
    """All messages from where the partition was last started."""

    def step(client: FakeClient) -> Sequence[Message]:
        first = client.started_at.get(0, n_messages) if 0 in client.started else n_messages
        return run(0, first, n_messages - first) if first < n_messages else ()

    return step


def test_a_writer_that_fails_is_recovered_and_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.waiting.FIRST_DELAY_S", 0.0)
    steps = [assign(0), *[reading_on(20)] * 20]
    scene = Scene(*steps, watch=failing(3, StoreFull("no room; make some")), spans=ended(20))
    result = scene.run()
    assert scene.offsets() == once((0, range(20)))
    assert (result.totals.n_retries, result.error) == (3, None)
    assert scene.client.log.count(("start", 0, 0)) == 4
    assert [problem for _, problem in scene.troubles][:4] == ["no room; make some"] * 3 + [""]


def test_the_wait_before_another_try_grows_until_something_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("loadgen.consume.partition.time.monotonic", lambda: now_s[0])
    tries: list[float] = []

    def watch(when: When, step: str, path: str) -> None:
        if step == "list" and path.startswith("_commits") and len(tries) < 9:
            tries.append(now_s[0])
            raise StoreUnreachable("gone")

    scene = Scene(watch=watch)
    scene.client.subscribe(scene.consumer._on_assign, scene.consumer._on_revoke, scene.consumer._on_lost)
    scene.client.assign([0])
    (partition,) = scene.partitions
    for _ in range(2000):
        now_s[0] += 0.25
        partition.turn(0.0)
    waits_s = [later - earlier for earlier, later in pairwise(tries)]
    assert waits_s[:6] == pytest.approx([0.5, 1, 2, 4, 8, 16], abs=0.6)
    assert waits_s[6:] == pytest.approx([30, 30], abs=0.6)
    assert partition.n_retries == 9


def test_what_cannot_be_published_at_the_end_is_said() -> None:
    steps = (assign(0), give(*run(0, 0, 5)))
    scene = Scene(*steps, spans=ended(5), interval_s=60.0, watch=failing(99, StoreFull("full")))
    result = scene.run()
    assert "it stays in Kafka" in str(result.error)
    assert scene.client.log[-1] == ("close",)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, AccessRefused),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMissing),
        (KafkaError._FATAL, SinkError),
    ],
)
def test_bad_news_end_the_consumer_after_what_was_read_is_published(code: int, error: type[SinkError]) -> None:
    news = Message(topic="t", partition=0, error=KafkaError(code, "so it is", code == KafkaError._FATAL))
    scene = Scene(assign(0), give(*run(0, 0, 5)), give(news), interval_s=60.0)
    result = scene.run()
    assert type(result.error) is error
    assert result.exit_reason == "error"
    assert scene.offsets() == once((0, range(5)))


def test_other_errors_are_said_and_lived_with() -> None:
    news = bad_news(0, KafkaError._BAD_COMPRESSION)
    scene = Scene(assign(0), give(news), give(*run(0, 0, 5)), spans=ended(5))
    assert scene.run().error is None
    assert any("Kafka: " in note for note in scene.notes)


def test_what_retention_took_in_the_middle_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    def retention(client: FakeClient) -> Sequence[Message]:
        client.spans[0] = (50, 60)
        return [bad_news(0, KafkaError._AUTO_OFFSET_RESET)]

    scene = Scene(assign(0), give(*run(0, 0, 10)), retention, spans=ended(60), interval_s=60.0)
    result = scene.run()
    assert isinstance(result.error, OffsetGone)
    assert "40 offsets, 10 to 49" in str(result.error)
    assert scene.offsets() == once((0, range(10)))


def test_a_gap_may_be_passed_over_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def retention(client: FakeClient) -> Sequence[Message]:
        client.spans[0] = (50, 60)
        return [bad_news(0, KafkaError._AUTO_OFFSET_RESET)]

    steps = [assign(0), give(*run(0, 0, 10)), retention, nothing, nothing, give(*run(0, 50, 10))]
    scene = Scene(*steps, spans=ended(60), on_gap="continue", until_idle_s=0.1)
    assert scene.run().error is None
    assert scene.offsets() == once((0, range(10)), (0, range(50, 60)))
    assert sum("40 offsets, 10 to 49" in note for note in scene.notes) == 1


def test_the_first_signal_drains_and_the_second_ends_at_once() -> None:
    def interrupt(client: FakeClient) -> Sequence[Message]:
        signal.raise_signal(signal.SIGINT)
        return ()

    def interrupt_again(when: When, step: str, path: str) -> None:
        if step == "rename":
            signal.raise_signal(signal.SIGINT)

    scene = Scene(assign(0), give(*run(0, 0, 5)), interrupt, watch=interrupt_again, interval_s=60.0)
    result = scene.run()
    assert result.exit_reason == "interrupted twice"
    assert "is read again the next time" in str(result.error)
    assert scene.offsets() == Counter()


def test_a_consumer_may_be_stopped_from_outside() -> None:
    def stop(client: FakeClient) -> Sequence[Message]:
        scene.consumer.stop()
        return run(0, 5, 2)

    scene = Scene(assign(0), give(*run(0, 0, 5)), stop, interval_s=60.0)
    assert scene.run().exit_reason == "terminated early"  # it was to end when idle
    assert scene.offsets() == once((0, range(7)))


@pytest.mark.parametrize(
    ("stored", "low", "high", "offset", "gap"),
    [
        (None, 7, 90, 7, ""),
        (0, 0, 0, 0, ""),
        (7, 7, 90, 7, ""),
        (90, 7, 90, 90, ""),
        (6, 7, 90, 7, "1 offsets, 6 to 6,"),
        (91, 7, 90, 90, "lost the 1 between"),
    ],
)
def test_where_to_read_on(stored: int | None, low: int, high: int, offset: int, gap: str) -> None:
    start = start_at(stored, low, high, "earliest")
    assert start.offset == offset
    assert gap in start.gap
    assert bool(start.gap) == bool(gap)


def test_where_to_begin_may_be_the_end() -> None:
    assert start_at(None, 7, 90, "latest").offset == 90


@pytest.mark.parametrize("error", [TopicMissing("deleted"), TopicRecreated("created again")])
def test_a_topic_that_is_no_longer_the_same_ends_the_consumer(error: SinkError) -> None:
    watch = TopicWatch(KafkaSettings("b:9092", "t"))

    def deleted(client: FakeClient) -> Sequence[Message]:
        watch.error = error
        return ()

    scene = Scene(assign(0), give(*run(0, 0, 5)), deleted, give(*run(0, 5, 5)), topic_watch=watch, until_idle_s=60.0)
    result = scene.run()
    assert (result.exit_reason, result.error) == ("error", error)
    assert scene.offsets() == once((0, range(5)))

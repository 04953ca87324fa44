"""Topics that are deleted or created again under a running program, or whose settings do not suit a run."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from loadgen.dashboard.topic import TopicEvents
from loadgen.errors import TopicMissing, TopicRecreated
from loadgen.kafka.options import KafkaSettings
from loadgen.verifier.topic import TopicSource
from tests.integration.local import Local
from tests.pipeline.program import pipeline
from tests.runner.program import Program, lines_in, start, start_program, wait_until

USERS = ("--users", "1000")
QUICK = ("--rotate-interval", "0.2", "--metrics-port", "0")
SOON_S = 12.0
"""Ten seconds for the product, the rest for a busy machine."""


def make(broker: Local, topic: str, **config: str) -> None:
    """Create a topic of two partitions; underscores in names stand for dots."""
    new = NewTopic(topic, 2, 1, config={name.replace("_", "."): value for name, value in config.items()})
    admin = AdminClient({"bootstrap.servers": broker.brokers})  # kept until the answer is there
    admin.create_topics([new])[topic].result(30)


def delete(broker: Local, topic: str) -> None:
    """Delete a topic."""
    admin = AdminClient({"bootstrap.servers": broker.brokers})
    admin.delete_topics([topic])[topic].result(30)


def produce(broker: Local, topic: str, first: int, n_events: int) -> None:
    """Events with ids of their own."""
    producer = Producer({"bootstrap.servers": broker.brokers})
    for number in range(first, first + n_events):
        producer.produce(topic, b'{"ts":%d,"id":%d}' % (1_700_000_000_000 + number, number), b"%d" % number)
    assert producer.flush(30) == 0


def consume(folder: Path, broker: Local, topic: str, *flags: str) -> Program:
    """`loadgen consume` into folder/store."""
    words = ("consume", "--json", "--brokers", broker.brokers, "--topic", topic, "--store", str(folder / "store"))
    return Program(start_program(folder, *words, *QUICK, *flags, text=True))


def stored(folder: Path) -> Counter[int]:
    """How often each id is in the store."""
    return Counter(orjson.loads(line)["id"] for line in lines_in(folder / "store"))


def ended(program: Program, since_s: float) -> tuple[int, dict[str, Any], str]:
    """How it ended, soon after a moment."""
    code, summary, said = program.end(max(0.1, since_s + 30.0 - time.monotonic()))
    assert time.monotonic() - since_s < SOON_S, said
    return code, summary, said


def test_a_consumer_and_a_run_say_that_their_topic_was_deleted(tmp_path: Path, broker: Local) -> None:
    make(broker, "deleted")
    produce(broker, "deleted", 0, 1000)
    consumer = consume(tmp_path, broker, "deleted", "--until-idle", "60")
    wait_until(lambda: stored(tmp_path).total() == 1000)
    flags = ("--brokers", broker.brokers, "--topic", "deleted", *USERS, "--rate", "20", "--duration", "60s")
    run = start(tmp_path, *flags)
    wait_until(lambda: len(lines_in(tmp_path / "store")) > 1000)
    time.sleep(2.5)
    delete(broker, "deleted")
    since_s = time.monotonic()
    for program in (consumer, run):
        code, _, said = ended(program, since_s)
        assert code == 1, said
        assert "topic 'deleted' was deleted" in said


def test_a_topic_that_is_created_again_ends_its_consumer_and_is_stored_once_by_the_next(
    tmp_path: Path, broker: Local
) -> None:
    make(broker, "again")
    produce(broker, "again", 0, 5000)
    consumer = consume(tmp_path, broker, "again")
    wait_until(lambda: stored(tmp_path).total() == 5000)
    delete(broker, "again")
    make(broker, "again")
    since_s = time.monotonic()
    produce(broker, "again", 5000, 7000)
    code, _, said = ended(consumer, since_s)
    assert code == 1, said
    assert "topic 'again' on" in said
    assert "was deleted and created again" in said
    assert stored(tmp_path) == Counter(range(5000)), "something of the new topic was stored as the old one's"
    code, _, said = consume(tmp_path, broker, "again", "--until-idle", "1").end()
    assert code == 0, said
    assert stored(tmp_path) == Counter(range(12_000))


def test_a_run_ends_when_its_topic_is_created_again(tmp_path: Path, broker: Local) -> None:
    make(broker, "rerun")
    flags = ("--brokers", broker.brokers, "--topic", "rerun", *USERS, "--rate", "20", "--duration", "60s")
    run = start(tmp_path, *flags)
    consumer = consume(tmp_path, broker, "rerun")
    wait_until(lambda: len(lines_in(tmp_path / "store")) > 0)
    time.sleep(2.5)
    delete(broker, "rerun")
    make(broker, "rerun")
    since_s = time.monotonic()
    for program in (run, consumer):
        code, _, said = ended(program, since_s)
        assert code == 1, said
        assert "was deleted and created again" in said


def until(events: TopicEvents, seen: list[bytes], what: Callable[[], bool]) -> None:
    """Read on until this is true."""
    deadline_s = time.monotonic() + SOON_S
    while not what():
        assert time.monotonic() < deadline_s, events.state
        seen += [line for content in events.contents() for line in content.splitlines()]


def test_a_dashboard_says_that_its_topic_is_gone_and_reads_the_next_from_its_beginning(broker: Local) -> None:
    make(broker, "shown")
    produce(broker, "shown", 0, 100)
    events, seen = TopicEvents(KafkaSettings(broker.brokers, "shown", reading=True), "end"), list[bytes]()
    try:
        until(events, seen, lambda: events.state.status == "ok")
        produce(broker, "shown", 100, 10)
        until(events, seen, lambda: len(seen) == 10)
        delete(broker, "shown")
        until(events, seen, lambda: "was deleted" in events.state.reason)
        make(broker, "shown")
        produce(broker, "shown", 110, 200)
        until(events, seen, lambda: len(seen) == 210)
        delete(broker, "shown")
        make(broker, "shown")
        produce(broker, "shown", 310, 300)
        until(events, seen, lambda: events.state.status == "stale")
        until(events, seen, lambda: {orjson.loads(line)["id"] for line in seen} == set(range(100, 610)))
    finally:
        events.close()


@pytest.mark.parametrize("is_created_again", [False, True])
def test_a_topic_that_changes_while_it_is_read_to_its_end_is_an_error(broker: Local, is_created_again: bool) -> None:
    name = f"read-{is_created_again}"
    make(broker, name)
    produce(broker, name, 0, 1000)
    source = TopicSource(KafkaSettings(broker.brokers, name, reading=True))
    blocks = source.blocks()
    next(blocks)
    delete(broker, name)
    if is_created_again:
        make(broker, name)
    with pytest.raises(TopicRecreated if is_created_again else TopicMissing):
        list(blocks)


def test_a_pipeline_ends_when_its_topic_is_deleted(tmp_path: Path, broker: Local) -> None:
    make(broker, "piped")
    store = str(tmp_path / "store")
    flags = ("--brokers", broker.brokers, "--topic", "piped", "--store", store, *USERS)
    with pipeline(tmp_path, *flags) as running:
        wait_until(lambda: len(lines_in(tmp_path / "store")) > 0, 60.0)
        delete(broker, "piped")
        code, summary, said = running.end(None, 60.0)
    assert code == 1, said
    assert "topic 'piped' was deleted" in summary["errors"][0]


def doctor(folder: Path, broker: Local, topic: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what `loadgen doctor` finds about the topic."""
    program = Program(
        start_program(folder, "doctor", "--json", "--brokers", broker.brokers, "--topic", topic, text=True)
    )
    code, found, _ = program.end(60.0)
    return code, next(check for check in found["checks"] if check["name"] == "topic")


def test_a_topic_of_small_messages_takes_every_event(tmp_path: Path, broker: Local) -> None:
    make(broker, "small_messages", max_message_bytes="100000")
    flags = ("--brokers", broker.brokers, "--topic", "small_messages", *USERS, "--events", "20000", "--rate", "max")
    run = start(tmp_path, *flags)
    code, summary, said = run.end()
    assert (code, summary["delivered"]) == (0, 20_000), said
    assert "batch.size is 99,488" in said
    code, found = doctor(tmp_path, broker, "small_messages")
    assert "takes batches of up to 100,000 bytes" in found["said"]


def test_a_compacted_topic_is_told_and_doctor_finds_it(tmp_path: Path, broker: Local) -> None:
    make(broker, "compacted", cleanup_policy="compact")
    flags = ("--brokers", broker.brokers, "--topic", "compacted", *USERS, "--events", "100", "--rate", "max")
    code, _, said = start(tmp_path, *flags).end()
    assert code == 0, said
    assert "topic 'compacted' is compacted" in said
    code, found = doctor(tmp_path, broker, "compacted")
    assert (code, found["status"]) == (1, "failed")
    assert "is compacted" in found["said"]


def test_a_topic_that_wants_more_replicas_than_it_has_is_refused_at_once(tmp_path: Path, broker: Local) -> None:
    make(broker, "replicas", min_insync_replicas="2")
    flags = ("--brokers", broker.brokers, "--topic", "replicas", *USERS, "--events", "100", "--rate", "max")
    code, _, said = start(tmp_path, *flags).end()
    assert code == 1, said
    assert "min.insync.replicas is 2, and its partitions have 1 copy" in said
    code, found = doctor(tmp_path, broker, "replicas")
    assert (code, found["status"]) == (1, "failed")
    assert "min.insync.replicas is 2" in found["said"]


def test_a_dashboard_shows_each_event_once_where_the_topic_created_again_has_more_of_them(broker: Local) -> None:
    make(broker, "larger")
    produce(broker, "larger", 0, 1000)
    events, lines = TopicEvents(KafkaSettings(broker.brokers, "larger", reading=True), "beginning"), Counter[bytes]()

    def has(n_events: int) -> bool:
        for content in events.contents():
            lines.update(content.splitlines())
        return lines.total() >= n_events

    try:
        wait_until(lambda: has(1000))
        delete(broker, "larger")
        make(broker, "larger")
        produce(broker, "larger", 1000, 3000)
        wait_until(lambda: has(4000))
        assert set(lines.values()) == {1}
    finally:
        events.close()

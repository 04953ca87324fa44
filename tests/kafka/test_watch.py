"""A topic that was deleted, or deleted and created again, is told from the one at the start."""

import time
from collections.abc import Iterator

import pytest

from loadgen.errors import StoreError, TopicMissing, TopicRecreated
from loadgen.kafka import watch
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.watch import Ask, TopicWatch
from tests.mock_cluster import MockCluster
from tests.runner.program import wait_until

MISSING = "missing"
SETTINGS = KafkaSettings("b:9092", "t", reading=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic is believed to be gone after 20 ms."""
    monkeypatch.setattr(watch, "GONE_S", 0.02)
    monkeypatch.setattr(watch, "AGAIN_S", 0.01)
    monkeypatch.setattr(watch, "EVERY_S", 0.01)


def answers(*given: str | None) -> Ask:
    """Brokers that give these answers in turn, and the last one from then on."""
    left: Iterator[str | None] = iter(given)
    last = given[-1]

    def ask() -> str | None:
        answer = next(left, last)
        if answer == MISSING:
            raise TopicMissing("t")
        return answer

    return ask


def test_the_first_id_that_is_reported_is_the_one_to_keep() -> None:
    topic = TopicWatch(SETTINGS, ask=answers("one", "one", "two"))
    assert topic.look()
    assert topic.look()
    with pytest.raises(TopicRecreated, match="'t' on b:9092 was deleted and created again"):
        topic.look()
    assert isinstance(topic.error, TopicRecreated)


def test_a_topic_that_stays_missing_was_deleted() -> None:
    with pytest.raises(TopicMissing, match="'t' was deleted from b:9092"):
        TopicWatch(SETTINGS, "one", answers(MISSING)).look()


def test_a_broker_that_does_not_know_the_topic_for_a_moment_is_asked_again() -> None:
    assert TopicWatch(SETTINGS, "one", answers(MISSING, "one")).look()


def test_brokers_that_do_not_answer_say_nothing_of_the_topic() -> None:
    topic = TopicWatch(SETTINGS, "one", answers(None, "one"))
    assert not topic.look()
    assert topic.error is None
    assert topic.look()


def test_what_was_read_before_the_latest_answer_is_confirmed_without_another_question() -> None:
    topic = TopicWatch(SETTINGS, "one", answers("one", "two"))
    read_s = time.monotonic()
    topic.look()
    topic.confirm(read_s)
    with pytest.raises(TopicRecreated):
        topic.confirm(time.monotonic())
    topic.confirm(read_s)


def test_what_was_read_before_the_topic_was_gone_is_confirmed() -> None:
    topic = TopicWatch(SETTINGS, "one", answers(MISSING))
    topic.confirm(time.monotonic())
    with pytest.raises(TopicMissing):
        topic.confirm(time.monotonic())


def test_without_an_answer_nothing_is_confirmed() -> None:
    with pytest.raises(StoreError, match="no broker at b:9092 confirms that topic 't' is still the same"):
        TopicWatch(SETTINGS, "one", answers(None)).confirm(time.monotonic())


def test_the_thread_finds_the_other_topic() -> None:
    topic = TopicWatch(SETTINGS, "one", answers("one", "two"))
    topic.start()
    wait_until(lambda: topic.error is not None, 5.0)
    assert isinstance(topic.error, TopicRecreated)


def test_a_test_broker_has_no_ids_and_confirms_all() -> None:
    with MockCluster("t") as cluster:
        topic = TopicWatch(KafkaSettings(cluster.address, "t"))
        assert topic.look()
        topic.confirm(time.monotonic())

"""How far groups are behind: in messages as the brokers count them, in seconds as the ends of partitions tell."""

import time
from bisect import bisect_right
from itertools import accumulate

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import AccessRefused, BrokerUnreachable
from loadgen.kafka import group_lag
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.kafka.group_lag import EndHistory, GroupWatch, Offsets, PartitionLag
from loadgen.kafka.options import KafkaSettings
from loadgen.runner.evaluation import group_records

KAFKA = KafkaSettings("127.0.0.1:1", "songs")


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 120))
def test_the_time_of_a_message_lies_between_the_ends_seen_before_and_after_it(growth: list[int], offset: int) -> None:
    history, ends = EndHistory(), list(accumulate(growth))
    for at_s, end in enumerate(ends):
        history.add(float(at_s), end)
    behind_s, now_s = history.behind_s(offset, float(len(ends))), float(len(ends))
    first_after = bisect_right(ends, offset)  # the first end that was seen behind it
    if first_after == len(ends):
        assert behind_s == 0.0
    else:
        assert now_s - first_after <= behind_s <= now_s - max(0, first_after - 1)


def test_a_long_run_keeps_fewer_ends_and_still_knows_the_time_of_each_message() -> None:
    history, n = EndHistory(), 5 * group_lag.MOST_SAMPLES
    for at_s in range(n):
        history.add(float(at_s), 100 * at_s)
    assert len(history.ends) <= group_lag.MOST_SAMPLES
    for offset in (0, 7_000, 100 * (n // 2), 100 * (n - 40)):
        assert history.behind_s(offset, float(n)) == pytest.approx(n - offset / 100, abs=0.02)


class Brokers:
    """What they say next."""

    def __init__(self, *said: Offsets | Exception) -> None:
        self.said = list(said)

    def ask(self) -> Offsets:
        said = self.said.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def test_what_is_not_committed_is_behind_and_what_was_deleted_is_not() -> None:
    brokers = Brokers(Offsets({0: 10, 1: 0}, {0: 30, 1: 5}, {"a": {0: 4, 1: 5}, "b": {}}))
    watch = GroupWatch(KAFKA, ["a", "b"], brokers.ask)
    watch.look()
    assert {name: lag.messages for name, lag in watch.latest().items()} == {"a": 20, "b": 25}
    assert watch.latest()["a"].partitions[1] == PartitionLag(0, 0.0)


def test_a_group_has_caught_up_when_it_has_all_that_was_there_though_more_has_come_since() -> None:
    ends: list[tuple[dict[int, int], dict[str, dict[int, int]]]]
    ends = [({0: 100}, {"a": {0: 90}, "b": {0: 0}}), ({0: 150}, {"a": {0: 100}}), ({0: 200}, {"a": {0: 100}})]
    brokers = Brokers(*(Offsets({0: 0}, end, {"b": {}, **committed}) for end, committed in ends))
    watch = GroupWatch(KAFKA, ["a", "b"], brokers.ask)
    watch.await_catch_up()
    watch.look()
    assert watch.caught_up_s() == {}
    watch.look()
    watch.look()
    assert watch.caught_up_s().keys() == {"a"}
    a, b = sorted(group_records(watch), key=lambda group: group.name)
    assert (a.name, a.lag, a.most_lag, b.lag, b.most_lag, b.catch_up_s) == ("a", 100, 100, 200, 200, None)
    assert a.catch_up_s is not None
    assert 0 <= a.catch_up_s < 60


def test_brokers_that_do_not_answer_end_the_run_before_it_begins_and_do_not_end_it_later() -> None:
    asked = Offsets({0: 0}, {0: 1}, {"a": {}})
    lost = KafkaException(KafkaError(KafkaError._TRANSPORT, "gone"))
    refusal = KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    with pytest.raises(AccessRefused, match="describe the groups"):
        GroupWatch(KAFKA, ["a"], Brokers(refusal).ask).start()
    with pytest.raises(BrokerUnreachable):
        GroupWatch(KAFKA, ["a"], Brokers(TimeoutError()).ask).start()
    brokers = Brokers(asked, lost, *[asked] * 1000)
    watch = GroupWatch(KAFKA, ["a"], brokers.ask)
    watch.await_catch_up()  # so that it looks ten times a second
    watch.start()
    try:
        errors = set()
        deadline_s = time.monotonic() + 60
        while len(brokers.said) > 995 and time.monotonic() < deadline_s:
            errors.add(watch.error)
            time.sleep(0.01)
        assert (errors, watch.error, watch.latest()["a"].messages) == ({"", "gone"}, "", 1)
    finally:
        watch.close()


def test_what_the_brokers_no_longer_tell_is_not_taken_for_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = KafkaException(KafkaError(KafkaError._TRANSPORT, "gone"))
    watch = GroupWatch(KAFKA, ["a"], Brokers(Offsets({0: 0}, {0: 9}, {"a": {}}), *[lost] * 1000).ask)
    monkeypatch.setattr(group_lag, "STALE_S", 0.5)
    watch.await_catch_up()
    watch.start()
    try:
        assert watch.latest().keys() == {"a"}
        assert group_records(watch)[0].error is None
        deadline_s = time.monotonic() + 60
        while watch.latest() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert watch.latest() == {}
        (record,) = group_records(watch)
        assert (record.lag, record.error, record.catch_up_s) == (9, "gone", None)
    finally:
        watch.close()


def test_the_lag_of_a_real_group_is_that_of_its_commits() -> None:
    with EmbeddedBroker("songs") as broker:
        producer = Producer({"bootstrap.servers": broker.address})
        for _ in range(20):
            producer.produce("songs", b"{}", partition=0)
        producer.flush(10)
        kafka = KafkaSettings(broker.address, "songs")
        watch = GroupWatch(kafka, ["app", "nobody"])
        watch.look()
        assert {name: lag.messages for name, lag in watch.latest().items()} == {"app": 20, "nobody": 20}
        consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "app"})
        consumer.commit(offsets=[TopicPartition("songs", 0, 17)], asynchronous=False)
        consumer.close()
        watch.look()
        assert watch.latest()["app"].messages == 3
        assert watch.most("app")[0] == 20
        assert watch.latest()["app"].seconds > 0

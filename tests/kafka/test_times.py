"""What a topic would refuse or soon delete is said before the first event, with the ways out."""

import math
from typing import Any

import pytest

from loadgen.errors import SinkError
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_config import TimeBounds, check_times
from tests.mock_cluster import MockCluster
from tests.sink.fake_broker import TOPIC_DENIED, FakeBroker

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
FUTURE, RETENTION = "message.timestamp.after.max.ms", "retention.ms"
EXPIRY = "producer.id.expiration.ms"
AN_HOUR = {FUTURE: str(HOUR_MS)}
NOW = TimeBounds(0.0, 0.0, 0.0)


def said(config: dict[str, str], reach: TimeBounds, **refuse: Any) -> str:
    """The notes, or the error, of a broker whose topics have this configuration; without its address."""
    notes: list[str] = []
    with FakeBroker(topics={"t": 1}, config={EXPIRY: str(1000 * DAY_MS), **config}, **refuse) as broker:
        try:
            check_times(KafkaSettings(broker.address, "t"), reach, notes.append)
        except SinkError as error:
            notes.append(f"error: {error}")
        return "\n".join(notes).replace(broker.address, "BROKERS")


def test_a_run_that_is_sure_to_reach_too_far_ahead_is_an_error_with_the_ways_out() -> None:
    text = said(AN_HOUR, TimeBounds(0.0, 2.5 * DAY_MS, 3 * DAY_MS))
    assert text == (
        "error: simulated time reaches 2.5 d ahead of the clock, and topic 't' takes events up to 1 h ahead of the "
        "brokers'; --timestamps wall, an earlier --start, or\n"
        f"  kafka-configs.sh --alter --topic t --add-config {FUTURE}={2**63 - 1} --bootstrap-server BROKERS"
    )


def test_a_run_that_may_reach_too_far_ahead_is_told_so_and_goes_on() -> None:
    text = said(AN_HOUR, TimeBounds(0.0, HOUR_MS, 1.5 * HOUR_MS))
    assert text.startswith("note: simulated time may reach 1.5 h ahead of the clock, and topic 't' takes events up to")
    assert "--timestamps wall" in text


def test_a_run_without_end_is_told_that_it_gets_ever_further_ahead() -> None:
    assert said(AN_HOUR, TimeBounds(0.0, 0.0, math.inf)).startswith("note: simulated time gets ever further ahead of")


@pytest.mark.parametrize(
    ("config", "reach"),
    [
        (AN_HOUR, NOW),
        (AN_HOUR, TimeBounds(0.0, HOUR_MS, HOUR_MS)),
        ({FUTURE: str(2**63 - 1)}, TimeBounds(0.0, 1000 * DAY_MS, 1000 * DAY_MS)),
        ({}, TimeBounds(0.0, DAY_MS, DAY_MS)),  # a broker that is older than this limit
        ({**AN_HOUR, "message.timestamp.type": "LogAppendTime"}, TimeBounds(0.0, DAY_MS, DAY_MS)),
        ({RETENTION: str(7 * DAY_MS)}, TimeBounds(-6.9 * DAY_MS, -6.9 * DAY_MS, 0.0)),
        ({RETENTION: "-1"}, TimeBounds(-700 * DAY_MS, 0.0, 0.0)),
        ({RETENTION: "1000", "cleanup.policy": "compact"}, TimeBounds(-700 * DAY_MS, 0.0, 0.0)),
    ],
)
def test_a_run_that_the_topic_takes_and_keeps_is_told_nothing(config: dict[str, str], reach: TimeBounds) -> None:
    assert said(config, reach) == ""


def test_a_backfill_that_is_older_than_the_topic_keeps_is_told_so() -> None:
    text = said({RETENTION: str(7 * DAY_MS), "cleanup.policy": "compact,delete"}, TimeBounds(-325.4 * DAY_MS, 0.0, 0.0))
    assert text == (
        "note: this run begins with events of 325 d ago, and topic 't' keeps events for 7 d: Kafka deletes older ones "
        "soon after they arrive. To keep them:\n"
        "  kafka-configs.sh --alter --topic t --add-config retention.ms=-1 --bootstrap-server BROKERS"
    )


def test_a_run_whose_producers_a_broker_forgets_when_it_restarts_is_told_so() -> None:
    text = said({RETENTION: "-1", EXPIRY: str(DAY_MS)}, TimeBounds(-325.4 * DAY_MS, 0.0, 0.0))
    assert text.startswith(
        "note: this run begins with events of 325 d ago, and a broker that restarts no longer knows who sent"
    )
    assert "older than 1 d (producer.id.expiration.ms)" in text
    assert said({RETENTION: "-1", EXPIRY: str(DAY_MS)}, TimeBounds(-0.9 * DAY_MS, 0.0, 0.0)) == ""


def test_who_may_not_ask_for_the_configuration_is_told_nothing() -> None:
    far = TimeBounds(-700 * DAY_MS, DAY_MS, DAY_MS)
    assert said(AN_HOUR, far, refuse_config=TOPIC_DENIED) == ""
    with MockCluster() as cluster:  # which does not know the question
        check_times(KafkaSettings(cluster.address, "t"), far, pytest.fail)

"""A run to three real brokers, of which some go away."""

import signal
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.integration.local import Local
from tests.integration.proof import ONE_IN_FLIGHT, assert_delivered_once
from tests.integration.test_kafka_run import run, under_way


def leaders(local: Local, topic: str) -> list[int]:
    """The leader of each partition."""
    partitions = AdminClient({"bootstrap.servers": local.brokers}).list_topics(topic, 10).topics[topic].partitions
    return [partitions[number].leader for number in sorted(partitions)]


def test_every_event_is_in_the_topic_once_when_three_brokers_share_it(tmp_path: Path, cluster: Local) -> None:
    code, summary, shown = run(tmp_path, cluster, "shared", "--events", "50000", "--rate", "max").end()
    assert code == 0, shown
    assert_delivered_once(tmp_path, summary, cluster.brokers, "shared")
    assert len(set(leaders(cluster, "shared"))) > 1


def test_a_killed_leader_is_replaced_and_nothing_is_lost_or_repeated(tmp_path: Path, cluster: Local) -> None:
    program = under_way(tmp_path, cluster, "killed", "--rate", "3k/s", "--duration", "25s", *ONE_IN_FLIGHT)
    leader = leaders(cluster, "killed")[0]
    cluster.signal(f"kafka-{leader}", signal.SIGKILL)
    code, summary, shown = program.end(120.0)
    assert code == 0, shown
    assert leader not in leaders(cluster, "killed")
    assert summary["intended_to_ack_ms"]["max"] > 1000.0  # it takes the others seconds to notice
    assert_delivered_once(tmp_path, summary, cluster.brokers, "killed")


def test_a_leader_that_goes_in_good_order_hands_over_within_moments(tmp_path: Path, cluster: Local) -> None:
    program = under_way(tmp_path, cluster, "left", "--rate", "3k/s", "--duration", "15s", *ONE_IN_FLIGHT)
    leader = leaders(cluster, "left")[0]
    cluster.signal(f"kafka-{leader}", signal.SIGTERM)
    code, summary, shown = program.end(120.0)
    assert code == 0, shown
    assert_delivered_once(tmp_path, summary, cluster.brokers, "left")

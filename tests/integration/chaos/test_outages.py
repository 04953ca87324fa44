"""The NameNode, the DataNode or the broker dies while consumers work: they wait, and go on by themselves."""

import signal

import pytest

from tests.integration.chaos.scale import some
from tests.integration.chaos.scene import RATE_PER_S, Scene, sleep_s
from tests.integration.local import Local
from tests.integration.proof import ONE_IN_FLIGHT

FLAGS = ("-b", "200", "--rotate-interval", "0.5s")
PER_OUTAGE_S = 9.0
BACK_S = 60.0
"""A consumer has to be at work again so long after the service is."""


@pytest.mark.parametrize("victim", ["namenode", "datanode", "kafka-1"])
def test_a_consumer_outlives_a_service_that_is_killed_and_started_again(
    far_scene: Scene, hdfs: Local, broker: Local, victim: str
) -> None:
    scene, n_outages = far_scene, some(0.15)
    services = broker if victim.startswith("kafka") else hdfs
    # a broker that restarts has forgotten who sent messages older than a day (producer.id.expiration.ms)
    scene.produce(int((n_outages * PER_OUTAGE_S + 5) * RATE_PER_S), "--start", "-1h", *ONE_IN_FLIGHT)
    consumers = [scene.consume(*FLAGS, group=scene.topic) for _ in range(2)]
    scene.wait_for_progress(500)
    for _ in range(n_outages):
        sleep_s(scene.dice, 0.0, 2.0)
        services.signal(victim, signal.SIGKILL)
        sleep_s(scene.dice, 0.0, 4.0)
        services.up()
        scene.wait_for_progress(500, BACK_S)
    for consumer in consumers:
        assert consumer.runs, consumer.shown
        consumer.terminate()
    for consumer in consumers:
        code, _, shown = consumer.end()
        assert code == 0, shown
    scene.finish()

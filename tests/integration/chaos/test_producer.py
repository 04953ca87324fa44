"""A worker of the producer and consumers die in one run: the store is a faithful copy of the topic all the same."""

from tests.integration.chaos.scale import KILLS, some
from tests.integration.chaos.scene import RATE_PER_S, Scene
from tests.integration.chaos.test_kills import PER_KILL_S, live_a_while, restart
from tests.integration.chaos.witness import assert_same

COUNTS = ("expected", "found", "lost", "repeated", "altered", "foreign", "out_of_order")


def test_a_killed_worker_and_killed_consumers_leave_what_the_topic_holds(scene: Scene) -> None:
    n_kills, n_deaths = some(0.5), some(0.05)
    producer = scene.produce(int(n_kills * PER_KILL_S * RATE_PER_S))
    consumer = restart(scene)
    scene.wait_for_progress()  # a worker that has not begun yet has nothing to lose
    consumer.kill()
    for number in range(n_kills):
        consumer = restart(scene)
        live_a_while(scene)
        if number % max(1, n_kills // n_deaths) == 0 and producer.runs:
            producer.kill_a_worker()
        consumer.kill()
    _, summary, shown = producer.end(KILLS * PER_KILL_S + 60)
    assert summary["restarts"] > 0, shown
    scene.drain()
    n_records = assert_same(scene.brokers, scene.topic, scene.store)
    _, stored, _ = scene.verify(summary, "--store", scene.url)
    _, in_topic, _ = scene.verify(summary, "--brokers", scene.brokers, "--topic", scene.topic)
    for kind in COUNTS:
        assert stored[kind] == in_topic[kind], f"{kind}: the store is another than the topic"
    assert stored["found"] == n_records
    assert stored["lost"] == stored["altered"] == stored["foreign"] == 0
    assert stored["repeated"] <= summary["repeated_possibly"]
    assert summary["planned"] == summary["delivered"], shown

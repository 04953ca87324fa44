"""kill -9 of a consumer, again and again, at any instant: everything is stored once."""

from collections import Counter

import pytest

from tests.integration.chaos.programs import Loadgen
from tests.integration.chaos.scale import KILLS
from tests.integration.chaos.scene import RATE_PER_S, SESSION_S, Scene, pounce, sleep_s

PER_KILL_S = 3.0
"""About, with the start of the next consumer."""


def restart(scene: Scene) -> Loadgen:
    """A successor: in a new group, with the name of the one before, or a stranger whom the dead one keeps waiting."""
    how = scene.dice.random()
    if how < 0.45:
        return scene.consume(*scene.small_files())
    if how < 0.95:
        return scene.consume(*scene.small_files(), group=scene.topic, member="one")
    return scene.consume(*scene.small_files(), group=f"{scene.topic}-slow")


def live_a_while(scene: Scene) -> None:
    """Until some instant: before the consumer has begun, in the midst of its work, while it writes, or publishes."""
    how, before = scene.dice.random(), scene.position()
    if how < 0.2:
        sleep_s(scene.dice, 0.0, 2.0)
        return
    pounce(lambda: scene.position() > before, 2 * SESSION_S)
    if how < 0.4:
        sleep_s(scene.dice, 0.0, 1.5)
    elif how < 0.7:
        pounce(scene.is_writing, 2.0)
        sleep_s(scene.dice, 0.0, 0.02)
    else:
        pounce(scene.is_publishing, 2.0)
        sleep_s(scene.dice, 0.0, 0.002)


def kill_again_and_again(scene: Scene) -> Counter[str]:
    """As often as asked for; what was going on each time."""
    left: Counter[str] = Counter()
    for _ in range(KILLS):
        consumer = restart(scene)
        live_a_while(scene)
        consumer.kill()
        left["publishing" if scene.is_publishing() else "writing" if scene.is_writing() else "nothing"] += 1
        if scene.dice.random() < 0.2:
            sleep_s(scene.dice, 0.0, 2.0)
    return left


@pytest.mark.parametrize("scene", ["folder", "hdfs"], indirect=True)
def test_a_consumer_that_is_killed_at_any_instant_loses_and_repeats_nothing(scene: Scene) -> None:
    scene.produce(int(KILLS * PER_KILL_S * RATE_PER_S))
    left = kill_again_and_again(scene)
    print(f"what they were doing: {dict(left)}")
    assert left["nothing"] < KILLS, "no kill came in the midst of work: the test has shown nothing"
    scene.finish()

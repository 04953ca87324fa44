"""A consumer that stands still while another takes over, and then goes on: it is fenced off, nothing is twice."""

from tests.integration.chaos.programs import Loadgen
from tests.integration.chaos.scale import some
from tests.integration.chaos.scene import IDLE_S, RATE_PER_S, SESSION_S, Scene, pounce, sleep_s

FLAGS = ("-b", "100", "--rotate-interval", "0.3s")
PER_TRY_S = 3.0
FENCED_AT_LAST = "not by this writer"
"""The other one was quicker with what this one wanted to publish at the end."""


def until_in_the_midst(scene: Scene) -> None:
    """Until files are being written or given their names: often the next moment after a commit, sometimes any."""
    now = scene.position()
    if scene.dice.random() < 0.6:
        pounce(lambda: scene.position() > now, 3.0)
        sleep_s(scene.dice, 0.0, 0.02)
    else:
        sleep_s(scene.dice, 0.0, 1.0)


def test_a_consumer_that_slept_past_its_time_out_repeats_nothing_when_it_wakes(far_scene: Scene) -> None:
    scene = far_scene
    n_tries = some(0.15)
    scene.produce(int((4 + n_tries * 2 * SESSION_S) * RATE_PER_S))
    first, second = (scene.consume(*FLAGS, group=scene.topic) for _ in range(2))
    scene.wait_for_progress(500)
    for _ in range(n_tries):
        until_in_the_midst(scene)
        first.freeze()
        sleep_s(scene.dice, SESSION_S + 1.0, SESSION_S + 3.0)
        scene.wait_for_progress(1000)  # of all partitions: the other one has them now
        first.wake()
        sleep_s(scene.dice, 1.0, SESSION_S)
        assert first.runs, first.shown
        assert second.runs, second.shown
        first, second = second, first
    end(first, second)
    scene.finish()


def test_two_that_freeze_in_turn_in_the_midst_of_publishing_repeat_nothing(far_scene: Scene) -> None:
    scene = far_scene
    n_tries = some(0.7)
    scene.produce(int(n_tries * PER_TRY_S * RATE_PER_S))
    both = [scene.consume(*FLAGS) for _ in range(2)]  # in two groups: each believes that all partitions are its own
    scene.wait_for_progress(500)
    for _ in range(n_tries):
        until_in_the_midst(scene)
        both[0].freeze()
        scene.wait_for_progress(scene.dice.randrange(1, 2000))
        both[0].wake()
        both.reverse()
    summaries = end(*both)
    assert sum(summary["retries"] for summary in summaries) > 0, "neither was ever fenced: the test has shown nothing"
    scene.finish()


def test_a_consumer_that_lost_its_partitions_does_not_take_that_for_the_end_of_its_work(scene: Scene) -> None:
    scene.produce(12 * RATE_PER_S)
    sleeper = scene.consume("--until-idle", str(IDLE_S), *FLAGS, group=scene.topic)
    other = scene.consume(*FLAGS, group=scene.topic)
    scene.wait_for_progress(500)
    sleeper.freeze()
    sleep_s(scene.dice, SESSION_S + 2.0, SESSION_S + 3.0)
    other.kill()  # for as long as its session lasts the group gives the sleeper nothing
    sleeper.wake()
    code, summary, shown = sleeper.end()
    assert (code, summary["exit_reason"]) == (0, "idle"), shown
    assert scene.is_done(), "it has ended before everything was stored"
    scene.finish()


def end(*consumers: Loadgen) -> list[dict[str, int]]:
    """End them in good order; their summaries."""
    for consumer in consumers:
        consumer.terminate()
    summaries = []
    for consumer in consumers:
        code, summary, shown = consumer.end()
        assert code == 0 or FENCED_AT_LAST in shown, shown
        summaries.append(summary)
    return summaries

"""Compaction that is killed at any instant, beside consumers and readers: a reader sees every event, and none twice."""

from collections import Counter
from collections.abc import Callable

import pytest

from loadgen.store.layout import published
from tests.integration.chaos.programs import Loadgen, start
from tests.integration.chaos.scale import KILLS
from tests.integration.chaos.scene import RATE_PER_S, Scene, sleep_s
from tests.integration.chaos.witness import lines_of

GRACE_S = 6
"""Longer than one look at everything takes."""


def compact(scene: Scene) -> Loadgen:
    """Merge, and remove what has been merged long enough ago."""
    return start(scene.folder, "compact", scene.url, "--grace", f"{GRACE_S}s")


def read(scene: Scene) -> Counter[bytes]:
    """Every line that a reader finds, with how often."""
    return Counter(line for file in published(scene.store) for line in lines_of(scene.store, file))


def assert_seen_once(seen: Counter[bytes], before: Counter[bytes]) -> None:
    """No event is there twice, and none of those that were there is missing."""
    twice = [line for line, n in seen.items() if n > 1]
    missing = [line for line in before if line not in seen]
    assert not twice, f"{len(twice)} events are seen twice: {twice[:3]}"
    assert not missing, f"{len(missing)} events are missing: {missing[:3]}"


def kill_while_reading(scene: Scene, between: Callable[[], None]) -> None:
    """Compact and kill, as often as asked for; look at everything while it goes on."""
    seen = read(scene)
    for number in range(KILLS):
        compactors = [compact(scene) for _ in range(1 + (number % 3 == 0))]  # two at once, now and then
        sleep_s(scene.dice, 0.3, 2.0)
        before, seen = seen, read(scene)
        assert_seen_once(seen, before)
        for compactor in compactors:
            if scene.dice.random() < 0.7 and compactor.runs:
                compactor.kill()
            else:
                code, _, shown = compactor.end()
                assert code == 0, shown
        between()


def test_readers_see_each_event_once_while_compaction_is_killed(scene: Scene) -> None:
    scene.produce(20_000, "--rate", "max")
    scene.consume("-b", "300", "--until-idle", "3").end()
    n_files = len(published(scene.store))
    kill_while_reading(scene, lambda: None)
    merge_to_the_end(scene)
    assert len(published(scene.store)) < n_files / 3
    scene.finish()


@pytest.mark.parametrize("compress", ["none", "zst"])
def test_compaction_beside_a_consumer_that_is_killed_too(far_scene: Scene, compress: str) -> None:
    scene = far_scene
    scene.produce(int(KILLS * 4 * RATE_PER_S))
    consumers = [scene.consume("-b", "300", "--compress", compress)]
    scene.wait_for_progress(1000)

    def kill_consumer() -> None:
        if scene.dice.random() < 0.6:
            consumers[0].kill()
            consumers[0] = scene.consume("-b", "300", "--compress", compress)

    kill_while_reading(scene, kill_consumer)
    consumers[0].kill()
    scene.finish("--compress", compress)
    merge_to_the_end(scene)
    scene.finish("--compress", compress)


def merge_to_the_end(scene: Scene) -> None:
    """Merge what there is, and once more when what was merged may go."""
    for _ in range(2):
        code, _, shown = compact(scene).end()
        assert code == 0, shown
        sleep_s(scene.dice, GRACE_S, GRACE_S + 0.5)

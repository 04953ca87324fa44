"""Compaction that is killed at any instant, beside consumers and readers: a reader sees every event, and none twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadgen.store.layout import TMP, published
from tests.integration.chaos.programs import Loadgen, start
from tests.integration.chaos.scale import KILLS
from tests.integration.chaos.scene import RATE_PER_S, Scene, pounce, sleep_s
from tests.integration.chaos.witness import lines_of

PER_KILL_S = 3.5
GRACE_S = 8
"""Longer than one look at everything takes."""
N_READERS = 8


def compact(scene: Scene) -> Loadgen:
    """Merge, and remove what has been merged long enough ago."""
    return start(scene.folder, "compact", scene.url, "--grace", f"{GRACE_S}s")


def read(scene: Scene) -> Counter[bytes]:
    """Every line that a reader finds, with how often."""
    with ThreadPoolExecutor(N_READERS) as pool:
        parts = pool.map(lambda file: lines_of(scene.store, file), published(scene.store))
        return Counter(line for lines in parts for line in lines)


def assert_seen_once(seen: Counter[bytes], before: Counter[bytes]) -> None:
    """No event is there twice, and none of those that were there is missing."""
    twice = [line for line, n in seen.items() if n > 1]
    missing = [line for line in before if line not in seen]
    assert not twice, f"{len(twice)} events are seen twice: {twice[:3]}"
    assert not missing, f"{len(missing)} events are missing: {missing[:3]}"


def until_in_the_midst(scene: Scene) -> None:
    """Until a compactor writes, or has written for a while."""
    pounce(lambda: any(True for _ in scene.store.files(f"{TMP}/compaction", hidden=True)), 4.0)
    sleep_s(scene.dice, 0.0, scene.dice.choice([0.02, 0.3, 1.0]))


def end(scene: Scene, compactors: list[Loadgen], deadliness: float) -> int:
    """Kill some, wait for the others; how many were killed in the midst of their work."""
    n_killed = 0
    for compactor in compactors:
        if compactor.runs and scene.dice.random() < deadliness:
            compactor.kill()
            n_killed += 1
        else:
            code, _, shown = compactor.end()
            assert code == 0, shown
    return n_killed


@pytest.mark.parametrize("scene", ["folder", "hdfs"], indirect=True)
def test_readers_see_each_event_once_while_compactors_and_consumers_are_killed(scene: Scene) -> None:
    flags = ("-b", "300", "--compress", scene.dice.choice(["none", "gz", "zst"]))
    scene.produce(int(KILLS * PER_KILL_S * RATE_PER_S))
    consumer = scene.consume(*flags)
    scene.wait_for_progress(1000)
    seen, n_killed = read(scene), 0
    for number in range(KILLS):
        compactors = [compact(scene) for _ in range(1 + (number % 3 == 0))]  # two at once, now and then
        until_in_the_midst(scene)
        if scene.dice.random() < 0.5:
            n_killed += end(scene, compactors, deadliness=0.8)
        before, seen = seen, read(scene)
        assert_seen_once(seen, before)
        n_killed += end(scene, [one for one in compactors if one.runs], deadliness=0.5)
        if scene.dice.random() < 0.5:
            consumer.kill()
            consumer = scene.consume(*flags)
    consumer.kill()
    assert n_killed > 0, "every compactor was done before it was killed: the test has shown nothing"
    scene.finish(*flags)
    merge_to_the_end(scene)
    scene.prove(scene.summary)


def merge_to_the_end(scene: Scene) -> None:
    """Merge what there is: twice what was merged earlier has to go first."""
    for _ in range(3):
        code, _, shown = compact(scene).end()
        assert code == 0, shown
        sleep_s(scene.dice, GRACE_S, GRACE_S + 0.5)
    files = published(scene.store)
    places = {(file.day, file.batch.partition) for file in files if file.batch is not None}
    assert len(files) == len(places), "a day of a partition is still in more than one file"

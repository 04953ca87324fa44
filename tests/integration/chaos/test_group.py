"""Consumers that join and leave a group, in good order and not, while events keep coming."""

import signal

from tests.integration.chaos.programs import Loadgen
from tests.integration.chaos.scale import KILLS
from tests.integration.chaos.scene import RATE_PER_S, SESSION_S, Scene, sleep_s
from tests.runner.program import catches, wait_until

PER_CHANGE_S = 3.5
MOST = 3


def join(scene: Scene) -> Loadgen:
    """One more member."""
    return scene.consume(*scene.small_files(), group=scene.topic)


def leave(scene: Scene, members: list[Loadgen]) -> None:
    """One of them goes: it drains, or is killed."""
    member = members.pop(scene.dice.randrange(len(members)))
    if scene.dice.random() < 0.5:
        member.kill()
        return
    member.terminate()
    if scene.dice.random() < 0.3:  # killed while it drains
        sleep_s(scene.dice, 0.0, 0.5)
        member.process.kill()
    code, _, shown = member.end()
    assert code in (0, -signal.SIGKILL, -signal.SIGTERM, 143), shown  # the last two: it had not begun yet


def has_begun(member: Loadgen) -> bool:
    """Whether it ends in good order when it is asked to."""
    assert member.runs, member.shown
    return catches(member.process, signal.SIGTERM)


def test_consumers_that_join_and_leave_lose_and_repeat_nothing(far_scene: Scene) -> None:
    scene, dice = far_scene, far_scene.dice
    scene.produce(int((KILLS * PER_CHANGE_S + SESSION_S) * RATE_PER_S))
    members = [join(scene), join(scene)]
    n_left = 0
    while n_left < KILLS:
        sleep_s(dice, 0.5, 4.0)
        if len(members) < 2 or (len(members) < MOST and dice.random() < 0.5):
            members.append(join(scene))
        else:
            leave(scene, members)
            n_left += 1
    scene.wait_for_progress()
    wait_until(lambda: all(map(has_begun, members)))  # one may only just have joined
    for member in members:
        member.terminate()
    for member in members:
        code, _, shown = member.end()
        assert code == 0, shown
    scene.finish()


def test_three_consumers_share_the_work_and_all_end_when_it_is_done(scene: Scene) -> None:
    scene.produce(8 * RATE_PER_S)
    members = [scene.consume("-b", "100", "--until-idle", "4", group=scene.topic) for _ in range(MOST)]
    summaries = []
    for member in members:
        code, summary, shown = member.end()
        assert code == 0, shown
        summaries.append(summary)
    assert sum(summary["events"] for summary in summaries) == 8 * RATE_PER_S
    assert min(summary["events"] for summary in summaries) > 0, "one of them has stored nothing"
    scene.finish()

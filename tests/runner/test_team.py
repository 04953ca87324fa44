"""What the successor of a worker that died may send a second time is counted, and never too low."""

import os
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from loadgen.errors import WorkerDied
from loadgen.runner import team as team_module
from loadgen.runner.assignment import ShardAssignment
from loadgen.runner.messages import Snapshot, empty_snapshot
from loadgen.runner.team import Team, WorkerHandle
from tests.runner.plans import plan_of


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """A team of one worker."""
    team = Team(plan_of(manifest=str(tmp_path / "manifest.json")))
    yield team
    team.end()
    team.remove_progress()
    assert os.listdir(tmp_path) == []


def completed(**by_sink: list[int]) -> Snapshot:
    """The last snapshot of a worker that has completed so many events of each partition, by sink."""
    snapshot = empty_snapshot()
    snapshot.completed = {name: np.array(counts) for name, counts in by_sink.items()}
    return snapshot


def die(team: Team, n_accepted: int, last: Snapshot | None) -> int:
    """Kill the worker after so many events were given to its sinks; returns what may be repeated so far."""
    (member,) = team.members
    member.process.kill()
    member.last, member.progress.n_accepted = last, n_accepted
    team.restart(member)
    return member.repeated_possibly


def test_what_was_accepted_and_not_settled_by_the_slower_sink_may_be_repeated(team: Team) -> None:
    assert die(team, 12, completed(kafka=[4, 6], files=[7])) == 12 - 7


def test_each_life_adds_what_it_accepted_beyond_what_was_settled_in_it(team: Team) -> None:
    assert die(team, 12, completed(kafka=[10])) == 2
    assert die(team, 30, completed(kafka=[40])) == 2  # all 30 of this incarnation are completed
    assert die(team, 5, completed(kafka=[40])) == 2 + 5


def test_a_worker_that_died_before_its_first_word_has_no_successor(team: Team) -> None:
    with pytest.raises(WorkerDied, match=r"worker 0 died while it was built \(signal 9\)"):
        die(team, 0, None)


def test_a_worker_that_dies_too_often_has_no_successor(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team_module, "MAX_RESTARTS", 1)
    die(team, 0, completed(kafka=[0]))
    with pytest.raises(WorkerDied, match="died 2 times"):
        die(team, 0, completed(kafka=[0]))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, r"\(signal 9\); look for the kernel's out-of-memory killer"),
        (signal.SIGSEGV, r"\(signal 11, Segmentation fault\); a library broke"),
    ],
)
def test_what_to_look_for_depends_on_how_a_worker_died(team: Team, number: signal.Signals, said: str) -> None:
    (member,) = team.members
    os.kill(member.process.pid or 0, number)
    with pytest.raises(WorkerDied, match=said):
        team.restart(member)


def test_a_worker_that_ends_by_itself_is_not_started_again(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    (member,) = team.members
    member.last = completed(kafka=[10])
    monkeypatch.setattr(Team, "_exit_code", lambda *_: 1)
    with pytest.raises(
        WorkerDied, match=r"worker 0 ended without a final report \(exit code 1\); see what it said above"
    ):
        team.restart(member)


def test_a_team_that_is_stopped_while_it_is_started_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = Team._start, list[WorkerHandle]()

    def interrupted(self: Team, task: ShardAssignment, incarnation: int = 0) -> WorkerHandle:
        if started:
            raise KeyboardInterrupt
        started.append(start(self, task, incarnation))
        return started[0]

    monkeypatch.setattr(Team, "_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Team(plan_of(manifest=str(tmp_path / "manifest.json"), workers=2))
    assert not started[0].process.is_alive()
    assert os.listdir(tmp_path) == []


def test_ctrl_c_while_a_worker_is_started_waits_until_its_task_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = ForkServerProcess.start, list[ForkServerProcess]()

    def interrupted(self: ForkServerProcess) -> None:
        signal.raise_signal(signal.SIGINT)
        start(self)
        started.append(self)

    monkeypatch.setattr(ForkServerProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Team(plan_of(manifest=str(tmp_path / "manifest.json")))
    assert len(started) == 1

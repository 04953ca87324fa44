"""The processes of a pipeline: they end with their parent, and are restarted or given up."""

import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadgen.pipeline.child import BACK_OFF_S, STEADY_S, Child, PartState, PipelinePart, exit_text
from tests.pipeline.program import is_gone
from tests.runner.program import wait_until

PARENT = """
import subprocess, sys, time, os
child = subprocess.Popen([sys.executable, "-c", CHILD, str(os.getpid())])
print(child.pid, flush=True)
time.sleep(60)
"""
CHILD = """
import sys, time
from loadgen.pipeline.child import end_with_parent
end_with_parent(int(sys.argv[1]))
print("ready", flush=True)
time.sleep(60)
"""


def test_a_child_is_killed_with_its_parent_even_while_it_is_stopped() -> None:
    program = f"CHILD = {CHILD!r}\n{PARENT}"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGSTOP)
        parent.kill()
    try:
        wait_until(lambda: is_gone(child))
    finally:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def test_a_child_whose_parent_has_ended_already_ends_at_once() -> None:
    code = subprocess.run([sys.executable, "-c", CHILD, "1"], timeout=90, check=False).returncode
    assert code == 1


def test_what_it_says_goes_into_its_log_and_errors_are_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("error: of an earlier incarnation\n")
    child = Child(["consume", "--until-idle", "never"], log, {"PYTHONPATH": ":".join(sys.path)})
    wait_until(lambda: child.code() is not None)
    words = child.last_lines()
    assert (child.code(), len(words)) == (2, 2)
    assert words[1].startswith("error: consume needs a broker") or words[0].startswith("error: consume needs a broker")
    assert not child.has_descendants()
    child.kill()
    assert exit_text(2) == "exit code 2"
    assert exit_text(-9) == "killed by SIGKILL"


def test_killing_it_kills_what_it_has_started(tmp_path: Path) -> None:
    child = Child(
        ["dashboard", "--store", str(tmp_path), "--port", "0"], tmp_path / "log", {"PYTHONPATH": ":".join(sys.path)}
    )
    wait_until(lambda: len(psutil.Process(child.pid).children()) > 0)
    others = psutil.Process(child.pid).children()
    child.kill()
    wait_until(lambda: all(map(is_gone, others)))
    assert child.code() == -9


OVER = 0


@dataclass
class Stage:
    """A part whose processes do as the test says.

    Attributes:
        codes: the exit code of each life, None while it lives.
        began: when each was started.
        now_s: the clock.
    """

    codes: list[int | None] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        def is_over(child: Any) -> bool:
            return bool(child.code() == OVER)

        self.part = PipelinePart("consumer", self._begin, is_over, self.notes.append)

    def _begin(self, incarnation: int) -> Any:
        stage, began_s = self, self.now_s
        assert incarnation == len(self.began)
        self.began.append(began_s)
        self.codes.append(None)

        class Process:
            log = Path("consumer.log")

            def __init__(self) -> None:
                self.began_s = began_s

            def code(self) -> int | None:
                return stage.codes[incarnation]

            def last_lines(self) -> list[str]:
                return ["error: the disk is full"]

        return Process()

    def until(self, now_s: float) -> None:
        """Let time pass in tenths of a second."""
        while self.now_s < now_s:
            self.now_s += 0.1
            self.part.turn(self.now_s)

    def die(self, code: int = -9) -> None:
        """The life that runs now ends."""
        self.codes[-1] = code


@pytest.fixture
def stage() -> Stage:
    begun = Stage()
    begun.until(0.1)
    return begun


def test_it_is_started_at_once_and_once(stage: Stage) -> None:
    stage.until(100.0)
    assert (len(stage.began), stage.part.state, stage.part.restarts) == (1, PartState.RUNNING, 0)


def test_what_dies_quickly_waits_longer_each_time_and_is_given_up_in_the_end(stage: Stage) -> None:
    for wait_s in BACK_OFF_S:
        died_s = stage.now_s
        stage.die()
        stage.until(died_s + wait_s)
        assert stage.part.state is PartState.WAITING
        stage.until(died_s + wait_s + 0.3)
        assert stage.began[-1] - died_s == pytest.approx(wait_s, abs=0.3)
    stage.die(1)
    stage.until(stage.now_s + 100)
    assert stage.part.state is PartState.GIVEN_UP
    assert str(stage.part.error).splitlines() == [
        "the consumer ended 6 times, each within 20 s of its start (exit code 1), and is given up; "
        "all it said is in consumer.log",
        "  consumer │ error: the disk is full",
    ]
    assert len(stage.began) == 1 + len(BACK_OFF_S)


def test_what_has_lived_a_while_is_soon_started_again_however_often(stage: Stage) -> None:
    for _ in range(20):
        stage.until(stage.now_s + STEADY_S + 1)
        stage.die()
        stage.until(stage.now_s + 1.0)
        assert stage.part.state is PartState.RUNNING
    assert stage.part.restarts == 20


def test_wrong_usage_is_not_tried_again(stage: Stage) -> None:
    stage.die(2)
    stage.until(stage.now_s + 100)
    assert (stage.part.state, len(stage.began)) == (PartState.GIVEN_UP, 1)


def test_what_has_done_its_work_is_not_started_again(stage: Stage) -> None:
    stage.die(OVER)
    stage.until(stage.now_s + 100)
    assert (stage.part.state, len(stage.began), stage.notes) == (PartState.ENDED, 1, [])


def test_why_it_ended_is_said_and_its_own_words_too_where_it_had_any(stage: Stage) -> None:
    stage.die(-9)
    stage.until(5.0)
    stage.die(1)
    stage.until(10.0)
    assert stage.notes == [
        "the consumer ended (killed by SIGKILL); it is started again in 0.5 s",
        "the consumer ended (exit code 1); it is started again in 1 s",
        "  consumer │ error: the disk is full",
    ]

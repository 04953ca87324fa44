"""When a part is started again, and when it is given up."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loadgen.pipeline.supervisor import BACK_OFF_S, STEADY_S, Part, State

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

        self.part = Part("consumer", self._begin, is_over, self.notes.append)

    def _begin(self, life: int) -> Any:
        stage, began_s = self, self.now_s
        assert life == len(self.began)
        self.began.append(began_s)
        self.codes.append(None)

        class Process:
            log = Path("consumer.log")

            def __init__(self) -> None:
                self.began_s = began_s

            def code(self) -> int | None:
                return stage.codes[life]

            def last_words(self) -> list[str]:
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
    assert (len(stage.began), stage.part.state, stage.part.restarts) == (1, State.RUNNING, 0)


def test_what_dies_quickly_waits_longer_each_time_and_is_given_up_in_the_end(stage: Stage) -> None:
    for wait_s in BACK_OFF_S:
        died_s = stage.now_s
        stage.die()
        stage.until(died_s + wait_s)
        assert stage.part.state is State.WAITING
        stage.until(died_s + wait_s + 0.3)
        assert stage.began[-1] - died_s == pytest.approx(wait_s, abs=0.3)
    stage.die(1)
    stage.until(stage.now_s + 100)
    assert stage.part.state is State.GIVEN_UP
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
        assert stage.part.state is State.RUNNING
    assert stage.part.restarts == 20


def test_wrong_usage_is_not_tried_again(stage: Stage) -> None:
    stage.die(2)
    stage.until(stage.now_s + 100)
    assert (stage.part.state, len(stage.began)) == (State.GIVEN_UP, 1)


def test_what_has_done_its_work_is_not_started_again(stage: Stage) -> None:
    stage.die(OVER)
    stage.until(stage.now_s + 100)
    assert (stage.part.state, len(stage.began), stage.notes) == (State.ENDED, 1, [])


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

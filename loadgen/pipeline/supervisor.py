"""Keeps a part of a pipeline alive: one that dies is started again, a little later each time, and not for ever.

In: how to start it, the clock. Out: a process that runs; or the decision that it will not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from loadgen.errors import LoadgenError
from loadgen.pipeline.child import Child, how_it_ended

BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before the next life, after so many quick deaths in a row; after one more it is given up."""
STEADY_S = 20.0
"""A part that has lived so long did not die of how it was started."""
USAGE = 2


class State(Enum):
    """What a part is doing."""

    RUNNING = auto()
    WAITING = auto()
    ENDED = auto()
    GIVEN_UP = auto()


@dataclass(slots=True)
class Part:
    """A part of the pipeline, through all its lives.

    Attributes:
        name: "producer", "consumer" or "dashboard".
        begin: starts it; told how many lives it has had before.
        is_over: whether a process that ended has done all that it was to do.
        note: says something to the user.
        child: the process of the latest life.
        n_lives: how many there were.
        n_quick: quick deaths in a row.
        next_s: when the next life begins, monotonic, while it is WAITING.
        error: why it was given up.
    """

    name: str
    begin: Callable[[int], Child]
    is_over: Callable[[Child], bool]
    note: Callable[[str], None]
    child: Child | None = None
    state: State = State.WAITING
    n_lives: int = 0
    n_quick: int = 0
    next_s: float = float("-inf")
    error: LoadgenError | None = field(default=None)

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.n_lives - 1)

    def turn(self, now_s: float) -> None:
        """See how it is, and do what is due."""
        if self.state is State.RUNNING and self.child is not None and (code := self.child.code()) is not None:
            self._on_end(self.child, code, now_s)
        if self.state is State.WAITING and now_s >= self.next_s:
            self.child = self.begin(self.n_lives)
            self.n_lives += 1
            self.state = State.RUNNING

    def _on_end(self, child: Child, code: int, now_s: float) -> None:
        if self.is_over(child):
            self.state = State.ENDED
            return
        self.n_quick = 1 if now_s - child.began_s >= STEADY_S else self.n_quick + 1
        why = how_it_ended(code)
        said = [] if code < 0 else child.last_words()
        if code == USAGE or self.n_quick > len(BACK_OFF_S):
            self.state = State.GIVEN_UP
            times = "" if code == USAGE else f" {self.n_quick} times, each within {STEADY_S:g} s of its start"
            lines = [f"the {self.name} ended{times} ({why}), and is given up; all it said is in {child.log}"]
            self.error = LoadgenError("\n".join([*lines, *(f"  {self.name} │ {line}" for line in said)]))
            return
        wait_s = BACK_OFF_S[self.n_quick - 1]
        self.state, self.next_s = State.WAITING, now_s + wait_s
        for line in [f"the {self.name} ended ({why}); it is started again in {wait_s:g} s", *said]:
            self.note(line if line not in said else f"  {self.name} │ {line}")

    def stop(self) -> None:
        """Ask it to end in its own way, and never start it again."""
        if self.state is State.RUNNING and self.child is not None:
            self.child.ask()
        self.is_over = _always
        if self.state is State.WAITING:
            self.state = State.ENDED

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        if self.child is not None:
            self.child.kill()
        if self.state is not State.GIVEN_UP:
            self.state = State.ENDED


def _always(_child: Child) -> bool:
    return True

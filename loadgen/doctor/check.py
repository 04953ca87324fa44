"""One check: what was found, in one line, and the next step where it is bad; found in time, or given up.

In: what is to be done, a deadline. Out: a finding.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from loadgen.errors import LoadgenError

T = TypeVar("T")

_STEP = re.compile(r"; |: (?=is one listening)")
_threads: list[threading.Thread] = []


class Mark(Enum):
    """How it is; the value is what a person sees."""

    GOOD = "✓"
    BAD = "✗"
    NONE = "–"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found.

    Attributes:
        name: of the check, for programs.
        mark: how it is.
        said: the same in a line of words.
        next_step: what to do about it; empty where there is nothing to be done.
    """

    name: str
    mark: Mark
    said: str
    next_step: str = ""

    def lines(self) -> list[str]:
        """For a person."""
        steps = [line.strip() for line in self.next_step.splitlines()]
        return [
            f"{self.mark.value} {self.said}",
            *(f"    → {step}" if n == 0 else f"      {step}" for n, step in enumerate(steps)),
        ]


def good(name: str, said: str) -> Finding:
    """It works."""
    return Finding(name, Mark.GOOD, said)


def untried(name: str, said: str) -> Finding:
    """It was not asked for, or could not be tried."""
    return Finding(name, Mark.NONE, said)


def bad(name: str, what: str, error: Exception, next_step: str = "") -> Finding:
    """It does not work.

    Args:
        name: of the check.
        what: was looked at.
        error: what went wrong; the next step is in its message, or
        next_step: is this.
    """
    said, *step = _STEP.split(str(error), maxsplit=1)
    return Finding(name, Mark.BAD, f"{what}: {said}", step[0] if step else next_step)


def in_time(work: Callable[[], T], deadline_s: float) -> T:
    """Do it in a thread of its own, and give up on it when it takes longer.

    Raises:
        LoadgenError: it did not end in time; and what the work raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    _threads.append(thread)
    thread.start()
    thread.join(deadline_s)
    if errors:
        raise errors[0]
    if not results:
        raise LoadgenError(f"no answer within {deadline_s:g} s; see whether what should answer hangs")
    return results[0]


def stuck() -> bool:
    """Whether something that was given up still runs."""
    return any(thread.is_alive() for thread in _threads)

"""The processes of a pipeline: started, restarted, asked to end, killed; and the program that they run.

In: the words of a `loadgen` command. Out: a process in a group of its own, so that Ctrl-C on a terminal reaches only
the parent, which knows the order in which the parts end. Its output goes into a log file.

As a program (`python -m loadgen.pipeline.child PARENT_PID WORD…`) this module runs `loadgen` and dies with its parent:
on Linux by the parent-death signal, elsewhere a thread checks for the parent once a second.
"""

import ctypes
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

import psutil

from loadgen.errors import LoadgenError

TAIL_BYTES = 4000


class Child:
    """A process that ends with this one; `log`: the file with its output."""

    def __init__(self, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start it; `log`: its output is appended to this file."""
        command = [sys.executable, "-m", "loadgen.pipeline.child", str(os.getpid()), *words]
        self.began_s, self.log = time.monotonic(), log
        with log.open("ab") as file:
            self._log_began = file.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(environment), process_group=0
            )

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid

    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def send_signal(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal, unless the process has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the process group, unless it is gone: then its id may have been reused."""
        if self.code() is not None and not self.has_descendants():
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def has_descendants(self) -> bool:
        """Whether processes of its group are still running."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                mine = os.getpgid(process.pid) == self.pid and os.getsid(process.pid) == os.getsid(0)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False

    def last_lines(self, n_lines: int = 3) -> list[str]:
        """The last lines of its output that begin with "error: ", or else the last lines."""
        with self.log.open("rb") as file:
            file.seek(max(self._log_began, self.log.stat().st_size - TAIL_BYTES))
            lines = [line.rstrip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines)[-n_lines:]


def exit_text(code: int) -> str:
    """An exit code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""The delay before a restart, by the number of quick ends in a row; after one more the part is given up."""
STEADY_S = 20.0
"""An end within this time of the start is a quick end."""
USAGE = 2
"""The exit code of a usage error, which a restart does not cure."""


class PartState(Enum):
    """The state of a part; WAITING is for its next start."""

    RUNNING = auto()
    WAITING = auto()
    ENDED = auto()
    GIVEN_UP = auto()


@dataclass(slots=True)
class PipelinePart:
    """A part of the pipeline, restarted with growing delays when it ends early, until it is given up.

    Attributes:
        name: "producer", "consumer" or "dashboard".
        begin: starts a process; its argument counts the incarnations from 0.
        is_over: whether an ended process has completed its work.
        n_quick: quick ends in a row.
        next_s: the time of the next start, monotonic, while WAITING.
        error: why the part was given up.
    """

    name: str
    begin: Callable[[int], Child]
    is_over: Callable[[Child], bool]
    note: Callable[[str], None]
    child: Child | None = None
    state: PartState = PartState.WAITING
    n_incarnations: int = 0
    n_quick: int = 0
    next_s: float = float("-inf")
    error: LoadgenError | None = field(default=None)

    @property
    def restarts(self) -> int:
        """The number of restarts."""
        return max(0, self.n_incarnations - 1)

    def turn(self, now_s: float) -> None:
        """React to the end of the process; start the next one when it is due."""
        if self.state is PartState.RUNNING and self.child is not None and (code := self.child.code()) is not None:
            self._on_end(self.child, code, now_s)
        if self.state is PartState.WAITING and now_s >= self.next_s:
            self.child = self.begin(self.n_incarnations)
            self.n_incarnations += 1
            self.state = PartState.RUNNING

    def _on_end(self, child: Child, code: int, now_s: float) -> None:
        if self.is_over(child):
            self.state = PartState.ENDED
            return
        self.n_quick = 1 if now_s - child.began_s >= STEADY_S else self.n_quick + 1
        why = exit_text(code)
        output = [] if code < 0 else child.last_lines()
        if code == USAGE or self.n_quick > len(BACK_OFF_S):
            self.state = PartState.GIVEN_UP
            times = "" if code == USAGE else f" {self.n_quick} times, each within {STEADY_S:g} s of its start"
            lines = [f"the {self.name} ended{times} ({why}), and is given up; all it said is in {child.log}"]
            self.error = LoadgenError("\n".join([*lines, *(f"  {self.name} │ {line}" for line in output)]))
            return
        wait_s = BACK_OFF_S[self.n_quick - 1]
        self.state, self.next_s = PartState.WAITING, now_s + wait_s
        for line in [f"the {self.name} ended ({why}); it is started again in {wait_s:g} s", *output]:
            self.note(line if line not in output else f"  {self.name} │ {line}")

    def stop(self) -> None:
        """Ask it to end in order, and do not restart it."""
        if self.state is PartState.RUNNING and self.child is not None:
            self.child.send_signal()
        self.is_over = lambda _child: True
        if self.state is PartState.WAITING:
            self.state = PartState.ENDED

    def kill(self) -> None:
        """Kill it and all processes that it has started."""
        if self.child is not None:
            self.child.kill()
        if self.state is not PartState.GIVEN_UP:
            self.state = PartState.ENDED


PR_SET_PDEATHSIG = 1
PARENT_CHECK_S = 1.0


def end_with_parent(parent: int) -> None:
    """Die with the parent process of this pid; at once if it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_die_after, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _die_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":  # worker processes import this module under another name
    end_with_parent(int(sys.argv.pop(1)))
    runpy.run_module("loadgen", run_name="__main__", alter_sys=True)

"""Start `loadgen` processes, and kill, freeze, wake and end them.

In: a folder and flags. Out: exit code, summary, what was shown. A program's stdout and stderr go to files, so that none
waits for somebody to read them. Each dies with the test program, however that ends.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[3]
END_S = 90.0
_WITH_TESTS = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
SHOWN_CHARS = 5000
_numbers = count(1)


@dataclass
class Loadgen:
    """A running `loadgen COMMAND`.

    Attributes:
        process: the program.
        out: the file with its summary.
        log: the file with what it has shown.
    """

    process: "subprocess.Popen[bytes]"
    out: Path
    log: Path

    @property
    def shown(self) -> str:
        """What is in the log by now."""
        return self.log.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def kill(self) -> None:
        """kill -9; it has to be running until then."""
        assert self.runs, f"it has ended by itself, code {self.process.returncode}:\n{self.shown}"
        self.process.kill()
        self.process.wait(END_S)

    def kill_a_worker(self) -> None:
        """kill -9 the first worker process of `loadgen run`: a child of its fork server."""
        servers = psutil.Process(self.process.pid).children()
        next(worker for server in servers for worker in server.children()).kill()

    def freeze(self) -> None:
        """SIGSTOP: every thread stands still from now on."""
        assert self.runs, f"it has ended by itself, code {self.process.returncode}:\n{self.shown}"
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end in good order."""
        self.process.send_signal(signal.SIGTERM)

    def end(self, timeout_s: float = END_S) -> tuple[int, Any, str]:
        """Wait for the end: exit code, summary, what was shown."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # Python then shows where each thread is
            self.process.wait(END_S)
            raise AssertionError(f"it has not ended after {timeout_s} s:\n{self.shown}") from None
        text = self.out.read_text()
        return code, json.loads(text) if text.strip() else {}, self.shown


_started: list[Loadgen] = []


def start(folder: Path, command: str, *flags: str) -> Loadgen:
    """Start `loadgen COMMAND --json` in this folder."""
    number = next(_numbers)
    out, log = folder / f"{command}-{number}.json", folder / f"{command}-{number}.log"
    silent = ["--metrics-port", "0"] if command in ("run", "consume") else []
    words = [*_WITH_TESTS, sys.executable, "-m", "loadgen", command, "--json", *silent, *flags]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}
    with out.open("wb") as out_file, log.open("wb") as log_file:
        process = subprocess.Popen(words, cwd=folder, env=variables, stdout=out_file, stderr=log_file)
    _started.append(Loadgen(process, out, log))
    return _started[-1]


def kill_all() -> None:
    """End what a test that failed has left running, frozen ones too, and show what they were at."""
    left = [program for program in _started if program.runs]
    for program in left:
        program.wake()
        program.process.send_signal(signal.SIGABRT)
    for program in left:
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(5.0)
        program.process.kill()
        program.process.wait()
        print(f"{program.log.name} was left running:\n{program.shown[-SHOWN_CHARS:]}")
    _started.clear()

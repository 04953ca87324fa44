"""Start the real program, look at its processes, kill some of them; or run it in this process, which is quicker."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from loadgen.cli import main

TRACKS = "10558"
"""The smallest catalogue, so that it is built in no time."""
ALWAYS = ("--metrics-port", "0", "--tracks", TRACKS)
"""Flags of every run."""


@dataclass
class Program:
    """A running `loadgen run`, with its summary on stdout."""

    process: "subprocess.Popen[str]"

    def workers(self) -> list[psutil.Process]:
        """The worker processes: the children of the fork server."""
        servers = psutil.Process(self.process.pid).children()
        return [worker for server in servers for worker in server.children()]

    def kill_a_worker(self) -> None:
        """kill -9 the first worker."""
        self.workers()[0].send_signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send the coordinator a signal."""
        self.process.send_signal(number)

    def end(self, timeout_s: float = 100.0) -> tuple[int, dict[str, Any], str]:
        """Wait for the end: exit code, summary, what was shown."""
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, json.loads(out) if out.strip() else {}, err


def catches(process: "subprocess.Popen[Any]", number: signal.Signals) -> bool:
    """Whether a running program has begun to treat this signal in its own way (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


_started: "list[subprocess.Popen[Any]]" = []


def stop_all() -> None:
    """Kill what a test that failed has left running."""
    for program in _started:
        if program.poll() is None:
            for process in [*psutil.Process(program.pid).children(recursive=True), program]:
                process.kill()
        if program.stdout and not program.stdout.closed:
            program.communicate()  # closes them
    _started.clear()


def start(folder: Path, *flags: str, env: dict[str, str] | None = None) -> Program:
    """Start `loadgen run --json` in this folder with these flags."""
    return Program(start_bare(folder, "--json", *flags, env=env, text=True))


def run_here(folder: Path, *flags: str) -> tuple[int, dict[str, Any], str]:
    """Do in this process what `start` does in one of its own; the workers are processes as ever."""
    return do_here(folder, "run", *ALWAYS, "--json", *flags)


def do_here(folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Do in this process what `start_program` does in one of its own: exit code, JSON on stdout, what was shown.

    It costs a tenth, because Python and what is imported are started once for all. For what is tested about neither
    the start, signals, streams, environment nor limits of a process.
    """
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    out.seek(0)
    said = out.read()
    return code, json.loads(said) if said.strip() else {}, err.getvalue()


def start_bare(folder: Path, *flags: str, env: dict[str, str] | None = None, **options: Any) -> "subprocess.Popen[Any]":
    """Start `loadgen run`, whose stdout may then be for the events; options are those of Popen."""
    return start_program(folder, "run", *ALWAYS, *flags, env=env, **options)


def start_program(
    folder: Path, *words: str, env: dict[str, str] | None = None, **options: Any
) -> "subprocess.Popen[Any]":
    """Start `loadgen` with these words; options are those of Popen."""
    command = [sys.executable, "-m", "loadgen", *words]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process: subprocess.Popen[Any] = subprocess.Popen(command, cwd=folder, env=variables, **options)
    _started.append(process)
    return process


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for a condition; AssertionError where it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def lines_in(folder: Path) -> list[bytes]:
    """All lines of all files below a folder."""
    return [line for path in sorted(folder.rglob("*.jsonl")) for line in path.read_bytes().splitlines()]


def adds_up(summary: dict[str, Any]) -> bool:
    """Whether every planned event has one outcome, in every sink."""
    return all(
        sink["planned"] == sum(sink[outcome] for outcome in ("delivered", "aborted", "failed", "dropped", "unfinished"))
        for sink in [summary, *summary["sinks"].values()]
    )

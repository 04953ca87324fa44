"""Run loadgen and the baselines as processes, in turn, and compare them pair by pair.

These machines are noisy: A and B alternate, each pair gives one ratio, the median of the ratios is quoted.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
START = ("--start", "2026-01-05", "--seed", "1")
Figures = dict[str, Any]
ASK_S = 0.02


def loadgen(folder: str, *flags: str) -> Figures:
    """The summary of one run."""
    command = [sys.executable, "-m", "loadgen", "run", "--json", "--quiet", "--metrics-port", "0", *START, *flags]
    ended = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if not ended.stdout:
        raise SystemExit(f"{' '.join(command)} failed:\n{ended.stderr}")
    summary: Figures = json.loads(ended.stdout)
    return summary


def baseline(*words: str) -> Figures:
    """The figures of one baseline loop."""
    command = [sys.executable, "-m", "tests.bench.baseline", *words]
    found: Figures = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    return found


def environment() -> dict[str, str]:
    """The environment of the runs: this checkout's package."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def median_ratio(ours: Callable[[], float], theirs: Callable[[], float], n_pairs: int) -> float:
    """The median of ours / theirs over pairs measured in turn, after one pair that does not count."""
    ours(), theirs()
    return statistics.median(ours() / theirs() for _ in range(n_pairs))


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """A folder that goes away."""
    return tempfile.TemporaryDirectory(prefix="loadgen-bench-")


def seconds_to_first_event(folder: str, env: dict[str, str], *flags: str) -> float:
    """From the start of the program to its first line on stdout."""
    command = [sys.executable, "-m", "loadgen", "run", "--output", "-", "--quiet", "--metrics-port", "0", *flags]
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit(f"{' '.join(command)} gave no event")
        took_s = time.perf_counter() - began
        process.stdout.close()
        process.terminate()
    return took_s


class PeakMemory:
    """The most memory that a process ever had, asked for until it is gone.

    Not `ru_maxrss`, which counts what the parent had when it started the process, too.
    """

    def __init__(self, pid: int) -> None:
        """Watch this process from now on."""
        self.rss_bytes = 0
        self._status = Path(f"/proc/{pid}/status")
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()

    def _watch(self) -> None:
        with suppress(OSError):
            while found := re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text()):
                self.rss_bytes = int(found[1]) * 1024
                time.sleep(ASK_S)

    def result(self) -> int:
        """In bytes, once the process is gone."""
        self._watching.join()
        return self.rss_bytes


def pss_bytes(folder: str, wait_s: float, *flags: str) -> int:
    """The memory of a run and all its processes, shared pages divided among those that share them."""
    command = [sys.executable, "-m", "loadgen", "run", "--quiet", "--metrics-port", "0", *flags]
    with subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.DEVNULL) as process:
        time.sleep(wait_s)
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
        total = sum(member.memory_full_info().pss for member in family)
        process.terminate()
    return int(total)

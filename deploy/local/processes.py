"""Processes that outlive the program that started them, and are found again by their folder.

In: a folder per process and a command. Out: a process in a session of its own, with `pid` and `log` in its folder. One
that has owners ends with the first of them (see guard.py).

The child itself writes its pid file before it becomes the command, so there is no moment in which a process runs that
no file tells of, even if its parent is killed. The file holds the time of the process's start too: a pid that has been
given to another process meanwhile is not ours.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from guard import guard

GRACE_S = 20.0
"""How long a process may take to end in good order before it is killed."""
POLL_S = 0.05
MAX_INHERITED = 1024
"""File descriptors up to this one are closed: a service must not hold its starter's pipes open."""


def start(folder: Path, command: list[str], owners: Sequence[int] = ()) -> int:
    """Start the command in this folder; what it prints goes to `log`. By then its pid is in its file.

    Returns:
        The child to ask `has_succeeded` about: the command itself, or its guard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            _redirect(folder)
            if owners:
                guard(owners, lambda: _become(folder, command), 3, MAX_INHERITED)
            _become(folder, command)
        finally:
            os._exit(127)
    os.close(writer)
    os.read(reader, 1)  # until the child has closed its end, which it does after it has written its pid
    os.close(reader)
    return pid


def _redirect(folder: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _become(folder: Path, command: list[str]) -> None:
    _write_pid(folder / "pid")
    os.closerange(3, MAX_INHERITED)
    os.chdir(folder)
    os.execvp(command[0], command)


def _write_pid(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_text(f"{os.getpid()} {_start_of(os.getpid())}\n")
    new.replace(path)


def pid_of(folder: Path) -> int | None:
    """The process that was started in this folder; None where it has ended."""
    try:
        pid, _, start_of = (folder / "pid").read_text().strip().partition(" ")
    except FileNotFoundError:
        return None
    return int(pid) if start_of and start_of == _start_of(int(pid)) else None


def is_running(pid: int) -> bool:
    """Whether there is such a process, whosever it is."""
    return bool(_start_of(pid))


def _start_of(pid: int) -> str:
    """What tells this process from any other that has had or will have its pid; empty where it has ended."""
    if not Path("/proc/self/stat").exists():
        return subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, ticks = fields[0], fields[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "" if state in "ZX" else f"{boot} {ticks}"


def wait(folder: Path, timeout_s: float) -> bool:
    """Whether the process in this folder has ended within this time."""
    deadline_s = time.monotonic() + timeout_s
    while pid_of(folder) is not None:
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def has_succeeded(pid: int, folder: Path, timeout_s: float) -> bool:
    """Whether the command that this program has started in this folder ends in good order within this time."""
    return wait(folder, timeout_s) and os.waitpid(pid, 0)[1] == 0


def stop(folders: Iterable[Path]) -> list[str]:
    """End the processes of these folders, all at once, and wait until they are gone; the names of those that ran."""
    running = [folder for folder in folders if pid_of(folder) is not None]
    for folder in running:
        _signal(folder, signal.SIGTERM)
        _signal(folder, signal.SIGCONT)  # one that is stopped would not see the first signal
    deadline_s = time.monotonic() + GRACE_S
    for folder in running:
        if not wait(folder, deadline_s - time.monotonic()):
            _signal(folder, signal.SIGKILL)
            wait(folder, GRACE_S)
        (folder / "pid").unlink(missing_ok=True)
    return [folder.name for folder in running]


def _signal(folder: Path, number: signal.Signals) -> None:
    pid = pid_of(folder)
    if pid is not None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def last_lines(folder: Path, n_lines: int = 15) -> str:
    """The end of what the process has printed."""
    log = folder / "log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"  {line}" for line in lines[-n_lines:])

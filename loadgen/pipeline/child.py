"""One process of a pipeline, with what it starts in turn: begun, asked to end, killed.

In: the words of a command. Out: a process in a group of its own, so that a terminal's Ctrl-C reaches only the parent,
which knows the order in which the parts end. What it says goes into a file.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

TAIL_BYTES = 4000


class Child:
    """A process that ends with this one.

    Attributes:
        began_s: when it was started, monotonic.
        log: the file with what it says.
    """

    def __init__(self, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start it.

        Args:
            words: of `loadgen`.
            log: what it says is added to this file.
            environment: its variables.
        """
        command = [sys.executable, "-m", "loadgen.pipeline.tied", str(os.getpid()), *words]
        self.began_s, self.log = time.monotonic(), log
        with log.open("ab") as file:
            self._log_began = file.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(environment), process_group=0
            )

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def ask(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send the process a signal; one that has ended is left alone."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it and what it has started; a group that is gone is left alone, since its number may be another's."""
        if self.code() is not None and not self.has_descendants():
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def has_descendants(self) -> bool:
        """Whether processes of its group live on, after its own end."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                mine = os.getpgid(process.pid) == self.pid and os.getsid(process.pid) == os.getsid(0)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False

    def last_words(self, n_lines: int = 3) -> list[str]:
        """The last lines that it said: those that name an error, or else the last of all."""
        with self.log.open("rb") as file:
            file.seek(max(self._log_began, self.log.stat().st_size - TAIL_BYTES))
            lines = [line.rstrip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines)[-n_lines:]


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

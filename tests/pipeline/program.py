"""Start the real `loadgen pipeline`, find its processes, wait for what it stores."""

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import psutil

from loadgen.store.layout import published
from loadgen.store.local import LocalStore
from loadgen.store.read import read_lines
from tests.ports import free_port
from tests.runner.program import TRACKS, start_program, wait_until

PARTS = ("run", "consume", "dashboard")
"""The commands of producer, consumer and dashboard."""


class Pipeline:
    """A pipeline in a folder.

    Attributes:
        folder: where it was started.
        port: of its page.
        process: the parent.
    """

    def __init__(self, folder: Path, *flags: str, env: dict[str, str] | None = None) -> None:
        self.folder, self.port = folder, free_port()
        small = ("--tracks", TRACKS, "--users", "2000", "--rate", "400/s", "--rotate-interval", "0.5")
        words = ("pipeline", "--json", "--port", str(self.port), *small, *flags)
        self._said = folder / "said.txt"
        with self._said.open("wb") as file:  # a pipe that nobody reads would stop it
            self.process = start_program(folder, *words, env=env, text=True, stdin=subprocess.DEVNULL, stderr=file)

    def child(self, command: str) -> psutil.Process | None:
        """The process of a part that runs now."""
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                with suppress(psutil.Error):
                    if command in child.cmdline()[:8]:
                        return child
        return None

    def family(self) -> list[psutil.Process]:
        """All processes that it has started, and those they have."""
        family: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return family

    def n_stored(self) -> int:
        """Events that are stored."""
        store = LocalStore(self.folder / "music_events")
        chunks = (chunk for file in published(store) for chunk in read_lines(store, file))
        return sum(chunk.count(b"\n") for chunk in chunks)

    def wait_for_events(self, n_more: int = 1) -> None:
        """Wait until so many more events are stored than now."""
        n_wanted = self.n_stored() + n_more
        wait_until(lambda: self.n_stored() >= n_wanted)

    def kill(self, command: str) -> int:
        """kill -9 a part; returns the pid that it had."""
        child = self.child(command)
        assert child is not None, f"{command} does not run"
        child.send_signal(signal.SIGKILL)
        return int(child.pid)

    def wait_for_another(self, command: str, pid: int) -> None:
        """Wait until a part runs again, as another process."""
        wait_until(lambda: (found := self.child(command)) is not None and found.pid != pid)

    def health(self) -> dict[str, Any]:
        """What the dashboard says of itself; empty while nobody answers."""
        return self._answer("health")

    def flow(self) -> dict[str, Any]:
        """What the page shows of the way of events; empty while nobody answers."""
        found: dict[str, Any] = self._answer("api/figures").get("flow", {})
        return found

    def _answer(self, path: str) -> dict[str, Any]:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer:
            found: dict[str, Any] = orjson.loads(answer.read())
            return found
        return {}

    def shown(self) -> str:
        """What it has shown so far."""
        return self._said.read_text()

    def end(
        self, number: signal.Signals | None = signal.SIGINT, timeout_s: float = 50.0
    ) -> tuple[int, dict[str, Any], str]:
        """Send a signal, wait for the end: exit code, summary, what was shown."""
        if number is not None:
            self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, orjson.loads(out) if out.strip() else {}, self.shown()


@contextmanager
def pipeline(folder: Path, *flags: str, env: dict[str, str] | None = None) -> Iterator[Pipeline]:
    """A pipeline that is not left behind, whatever becomes of the test."""
    started = Pipeline(folder, *flags, env=env)
    family: list[psutil.Process] = []
    try:
        yield started
    finally:
        with suppress(psutil.Error):
            family = started.family()
        started.process.kill()
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        started.process.wait()
        assert started.process.stdout is not None
        started.process.stdout.close()


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; one that nobody has buried yet has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def assert_proved(summary: dict[str, Any], said: str) -> None:
    """Each event that was sent is stored once."""
    assert summary["verdict"] == "proved", said
    faults = {name: summary[name] for name in ("lost", "repeated", "altered", "foreign", "out_of_order")}
    assert faults == dict.fromkeys(faults, 0), said
    assert summary["found"] > 0, said


def open_files(folder: Path) -> list[str]:
    """What is left in a folder of files that are only there while something goes on."""
    return [os.fspath(path) for path in folder.rglob("*.reached")]

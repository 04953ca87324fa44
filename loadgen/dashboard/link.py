"""The reading process as the answering one knows it: its latest snapshot, and whether it still lives.

In: where events come from. Out: the latest snapshot. A reading process that dies is started anew, and reads everything
again; meanwhile the last figures stay.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import orjson

from loadgen.dashboard.feed import Origin
from loadgen.dashboard.feed import main as read_and_count
from loadgen.dashboard.state import State
from loadgen.signals import held_back

SILENT_S = 30.0
"""A store that hangs keeps the reading process for 20 s."""
AGAIN_S, MOST_AGAIN_S = 1.0, 30.0
END_S = 2.0


@dataclass(slots=True)
class Latest:
    """What is known.

    Attributes:
        snapshot: see `loadgen.dashboard.feed.Feed.snapshot`; empty before the first.
        state: how things are.
    """

    snapshot: dict[str, Any] = field(default_factory=dict)
    state: State = field(default_factory=State)


class Link:
    """Starts the reading process, and listens to it in a thread."""

    def __init__(
        self,
        origin: Origin,
        note: Callable[[str], None],
        target: Callable[[Connection, Origin], None] = read_and_count,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is started yet.

        Args:
            origin: where events come from.
            note: says something to the user.
            target: the reading process.
            clock: seconds, monotonic.
        """
        self._origin, self._note, self._target, self._clock = origin, note, target, clock
        self._latest = Latest()
        self._heard_s = clock()
        self._failure = ""
        self._ending = threading.Event()
        self._process: BaseProcess | None = None
        self._thread = threading.Thread(target=self._listen, name="reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def latest(self) -> Latest:
        """What is known now."""
        silent_s = self._clock() - self._heard_s
        if silent_s <= SILENT_S:
            return self._latest
        reason = f"the reading process has said nothing for {silent_s:.0f} s"
        return Latest(self._latest.snapshot, State("stale", reason))

    def close(self) -> None:
        """End the reading process."""
        self._ending.set()
        if self._process is not None:
            self._process.kill()  # it writes nothing
        if self._thread.is_alive():
            self._thread.join(END_S)

    def _listen(self) -> None:
        wait_s = AGAIN_S
        while not self._ending.is_set():
            heard = self._listen_to_one()
            wait_s = AGAIN_S if heard and not self._failure else min(2 * wait_s, MOST_AGAIN_S)
            if not self._ending.is_set():
                code = self._process.exitcode if self._process else None
                ended = f"failed: {self._failure}" if self._failure else f"ended (exit code {code})"
                reason = f"the reading process {ended}; it is started anew, and reads all again"
                self._latest = Latest(self._latest.snapshot, State("stale", reason))
                self._note(reason)
                self._ending.wait(wait_s)

    def _listen_to_one(self) -> bool:
        """Start a process and listen until it ends; whether it said anything."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=self._target, args=(theirs, self._origin), name="reader", daemon=True)
        with held_back():
            self._process.start()
        theirs.close()
        heard = False
        self._failure = ""
        with suppress(EOFError, OSError):
            while not self._ending.is_set():
                said = orjson.loads(ours.recv_bytes())
                if "failed" in said:
                    self._failure = said["failed"]
                    break
                self._take(said)
                heard = True
        ours.close()
        self._process.join(END_S)
        return heard

    def _take(self, snapshot: dict[str, Any]) -> None:
        before = self._latest.state
        state = State(**snapshot["state"])
        self._latest, self._heard_s = Latest(snapshot, state), self._clock()
        if (state.status, state.reason) != (before.status, before.reason):
            self._note(_sentence(state, snapshot))


def _sentence(state: State, snapshot: dict[str, Any]) -> str:
    """A state, for the terminal."""
    n_events = snapshot["figures"]["totals"]["events"]
    said = {
        "reading": f"reading what is in {snapshot['name']}",
        "ok": f"up to date with {snapshot['name']}: {n_events:,} events",
    }
    return ": ".join(filter(None, (said.get(state.status, state.status), state.reason)))

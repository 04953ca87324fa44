"""Processes that go forward one step of the store at a time, and can be killed or left standing between any two.

In: what a process is to do. Out: it does it in a thread of its own, which stops before each step of the store until it
is told to take it; one thread runs at a time, so that a sequence of steps always has the same outcome.
"""

import threading
from collections.abc import Callable

from loadgen.errors import StoreUnreachable
from tests.consume.failing_store import Disk, FailingStore, Killed, When

READING = ("list", "read", "length")
"""Steps that change nothing: no reply is all that can go wrong."""


class Process:
    """A process with its own way to the store.

    Attributes:
        store: its way; each step of it waits until it is allowed.
        busy: whether it is in the middle of something.
        error: what ended it, if it was not killed and did not come to its end.
    """

    def __init__(self, disk: Disk) -> None:
        """It has nothing to do yet."""
        self.store = FailingStore(disk, self._watch)
        self.busy = False
        self.error: BaseException | None = None
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._n_allowed = 0
        self._fate: tuple[When, type[BaseException]] | None = None
        self._is_dead = False

    def start(self, work: Callable[[], None]) -> None:
        """Begin; it comes to a halt before its first step."""
        assert not self.busy
        self.busy = True
        threading.Thread(target=self._run, args=(work,), daemon=True).start()
        self._stopped.acquire()

    def walk(self, n_steps: int) -> None:
        """Take so many steps, fewer if it comes to its end, and halt before the next."""
        if self.busy and n_steps > 0:
            self._n_allowed = n_steps
            self._go.release()
            self._stopped.acquire()

    def finish(self) -> None:
        """Take all steps that there are."""
        while self.busy:
            self.walk(1 << 30)

    def disturb(self, when: When, *, kills: bool) -> None:
        """Let the next step be its last, or get an error for a reply; the step takes effect only with `after`."""
        self._fate = (when, Killed if kills else StoreUnreachable)
        self.walk(1)
        if kills:
            self.finish()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.busy = False
        self._stopped.release()

    def _watch(self, when: When, step: str, path: str) -> None:
        if self._is_dead:
            raise Killed
        if when == "before":
            self._halt()
        if self._fate is not None and (self._fate[0] == when or step in READING):
            kind, self._fate = self._fate[1], None
            self._is_dead = kind is Killed
            raise kind("injected")

    def _halt(self) -> None:
        if self._n_allowed == 0:
            self._stopped.release()
            self._go.acquire()
        self._n_allowed -= 1

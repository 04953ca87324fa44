"""The signals that end a command in good order: what each is called, and the exit code that it means.

In: a handler, or the reason why something ended. Out: the handler is called, or an exit code. What was asked for an
amount (N events, a duration, "until idle") and was stopped before is not done: 128 + the signal's number, as a shell
says it. What goes on until it is stopped is done when SIGTERM or SIGHUP stops it: 0. Ctrl-C is 130 always.
"""

import errno
import os
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
EARLY = " early"
CALLED = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP, its terminal was closed"}
"""What a person calls them."""
Handler = Callable[[int, FrameType | None], Any]


class Stopped(KeyboardInterrupt):
    """A signal has asked the program to end while nothing better listened to it.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def stop(number: int, _frame: FrameType | None) -> NoReturn:
    """A handler that ends the program the way Ctrl-C does: what it has begun is cleared up."""
    raise Stopped(number)


@contextmanager
def listening(handler: Handler) -> Iterator[None]:
    """Have all of them call this; a SIGHUP that is ignored, as nohup does, stays so. In another thread: nothing."""

    def hear(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            let_go_of_the_terminal()
        handler(number, frame)

    numbers = _heard() if threading.current_thread() is threading.main_thread() else []
    previous = {number: signal.signal(number, hear) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


@contextmanager
def deferred() -> Iterator[None]:
    """Let all of them come only when this is over, for what must not be left half done."""
    came: list[int] = []
    with listening(lambda number, _frame: came.append(number)):
        yield
    for number in came:
        signal.raise_signal(number)


def ignore() -> None:
    """Let none of them disturb what is done from now on."""
    for number in NAMES:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def held_back() -> Iterator[None]:
    """Processes of `multiprocessing` that are started in here never hear any of them.

    A terminal sends Ctrl-C and SIGHUP to every process of the group, and one that has not yet begun to ignore them
    prints a traceback. The resource tracker comes first, since starting it takes SIGINT and SIGTERM out of the mask.
    """
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, NAMES)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def reason_of(number: int, *, is_early: bool) -> str:
    """Why something ended that this signal has stopped, before its own end or not."""
    return NAMES[signal.Signals(number)] + (EARLY if is_early else "")


def number_in(reason: str) -> signal.Signals | None:
    """The signal that a reason tells of; None where it is another reason."""
    return next((number for number, name in NAMES.items() if reason in (name, name + EARLY)), None)


def exit_code(reason: str) -> int:
    """The exit code of what ended for this reason, with nothing wrong."""
    number = number_in(reason)
    if number is None or (number != signal.SIGINT and not reason.endswith(EARLY)):
        return 0
    return 128 + number


def exit_code_of(stopped: BaseException) -> int:
    """The exit code of what this exception, or what caused it, has ended."""
    number = next((one.number for one in (stopped, stopped.__cause__) if isinstance(one, Stopped)), signal.SIGINT)
    return 128 + number


def let_go_of_the_terminal() -> None:
    """What is said from now on goes nowhere: every write to a terminal that is gone fails, and would end the drain."""
    for descriptor in (0, 1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)


def _heard() -> list[signal.Signals]:
    return [number for number in NAMES if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]

"""Which signals end a command in good order, and the exit code of each."""

import os
import signal
import threading

import pytest

from loadgen import signals
from loadgen.signals import Stopped, deferred, exit_code, exit_code_of, ignore, listening, number_in, reason_of, stop


@pytest.mark.parametrize(
    ("number", "is_early", "reason", "code"),
    [
        (signal.SIGINT, False, "interrupted", 130),
        (signal.SIGINT, True, "interrupted early", 130),
        (signal.SIGTERM, False, "terminated", 0),
        (signal.SIGTERM, True, "terminated early", 143),
        (signal.SIGHUP, False, "hung up", 0),
        (signal.SIGHUP, True, "hung up early", 129),
    ],
)
def test_what_is_stopped_before_its_end_is_not_done_and_what_has_none_is(
    number: signal.Signals, is_early: bool, reason: str, code: int
) -> None:
    assert reason_of(number, is_early=is_early) == reason
    assert exit_code(reason) == code
    assert number_in(reason) == number


@pytest.mark.parametrize("reason", ["duration", "events", "idle", "found", "interrupted twice", "", "error"])
def test_other_reasons_are_no_signals(reason: str) -> None:
    assert number_in(reason) is None
    assert exit_code(reason) == 0


@pytest.mark.parametrize("number", list(signals.NAMES))
def test_all_of_them_are_heard_and_what_was_before_is_restored(number: signal.Signals) -> None:
    before, heard = signal.getsignal(number), list[int]()
    with listening(lambda number, _frame: heard.append(number)):
        signal.raise_signal(number)
    assert heard == [number]
    assert signal.getsignal(number) == before


def test_a_hangup_that_nohup_has_switched_off_stays_off() -> None:
    before, heard = signal.signal(signal.SIGHUP, signal.SIG_IGN), list[int]()
    try:
        with listening(lambda number, _frame: heard.append(number)):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == []


def test_where_nothing_better_listens_a_signal_ends_the_program_as_ctrl_c_does() -> None:
    with pytest.raises(KeyboardInterrupt) as stopped, listening(stop):
        signal.raise_signal(signal.SIGTERM)
    assert exit_code_of(stopped.value) == 143
    assert exit_code_of(KeyboardInterrupt()) == 130
    wrapped = RuntimeError()
    wrapped.__cause__ = Stopped(signal.SIGHUP)
    assert exit_code_of(wrapped) == 129


def test_what_must_not_be_left_half_done_is_done_first() -> None:
    done: list[str] = []

    def work() -> None:
        with deferred():
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")
        done.append("what comes after")

    with listening(stop), pytest.raises(Stopped):
        work()
    assert done == ["all of it"]


def test_in_another_thread_nothing_listens() -> None:
    def listen() -> None:
        with listening(stop):
            found.append(signal.getsignal(signal.SIGTERM))

    found: list[object] = []
    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def test_what_is_ignored_disturbs_nothing() -> None:
    before = {number: signal.getsignal(number) for number in signals.NAMES}
    try:
        ignore()
        for number in signals.NAMES:
            os.kill(os.getpid(), number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

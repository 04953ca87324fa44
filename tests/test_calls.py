"""A call that hangs is given up at its deadline."""

import threading
import time
from collections.abc import Iterator

import pytest

from loadgen import calls as module
from loadgen.calls import Calls, Unanswered


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a call can wait for; happens at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_an_answer_is_handed_on() -> None:
    assert Calls().make(lambda: 7, 5.0) == 7


@pytest.mark.parametrize("error", [KeyError("x"), FileNotFoundError("x"), TimeoutError("the call's own")])
def test_what_a_call_raises_is_raised(error: Exception) -> None:
    def call() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        Calls().make(call, 5.0)
    assert caught.value is error


def test_a_panic_of_the_library_is_an_error_like_others() -> None:
    class Panic(BaseException):
        pass

    def call() -> None:
        raise Panic("index out of bounds")

    with pytest.raises(RuntimeError, match="the library failed: index out of bounds"):
        Calls().make(call, 5.0)


def test_a_call_that_hangs_is_given_up(hanging: threading.Event) -> None:
    began_s = time.monotonic()
    with pytest.raises(Unanswered, match=r"no answer for 0\.05 s"):
        Calls().make(hanging.wait, 0.05)
    assert time.monotonic() - began_s < 2.0


def test_a_long_call_is_waited_for_while_there_are_signs_of_life(hanging: threading.Event) -> None:
    signs = []

    def is_alive() -> None:
        signs.append(1)
        if len(signs) == 3:
            hanging.set()

    assert Calls().make(hanging.wait, 0.02, is_alive) is True
    assert len(signs) >= 3


def test_a_long_call_is_given_up_with_the_reason_once_there_are_none(hanging: threading.Event) -> None:
    def is_alive() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        Calls().make(hanging.wait, 0.02, is_alive)


def test_with_too_many_calls_hanging_no_more_are_made_until_some_come_back(
    hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNANSWERED", 3)
    calls = Calls()
    for _ in range(3):
        with pytest.raises(Unanswered, match="no answer for"):
            calls.make(hanging.wait, 0.01)
    with pytest.raises(Unanswered, match="3 earlier calls have no answer yet"):
        calls.make(lambda: 7, 5.0)
    hanging.set()
    time.sleep(0.2)
    assert [calls.make(lambda: 7, 5.0) for _ in range(5)] == [7] * 5

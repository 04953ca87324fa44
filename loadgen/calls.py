"""Calls of libraries that may hang, each with a deadline.

In: a function without arguments. Out: its result within a time limit, or `Unanswered`; the call itself goes on in its
thread, and may still have its effect.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import TypeVar

T = TypeVar("T")

MAX_UNANSWERED = 100
"""The limit of calls in progress: most of these hang, and their callers have given up."""


class Unanswered(Exception):
    """No answer came in time, or too many calls have no answer yet."""


class Calls:
    """Makes calls with deadlines, each in its own thread (0.1 ms): a hanging one delays neither others nor the exit."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._n_unanswered = 0

    def make(self, call: Callable[[], T], patience_s: float, is_alive: Callable[[], object] | None = None) -> T:
        """The call's answer.

        Args:
            call: what to do.
            patience_s: how long its answer may take.
            is_alive: for a call that takes as long as it takes: asked whenever so much time has passed; the wait goes
                on unless this raises.

        Raises:
            Unanswered: it took too long, or there are too many calls without an answer.
            Exception: what `call`, or `is_alive`, raised.
        """
        answer = self.start(call)
        while True:
            try:
                return answer.result(patience_s)
            except TimeoutError:
                if answer.done():  # it is the call that raised this
                    return answer.result()
                if is_alive is None:
                    raise Unanswered(f"no answer for {patience_s:g} s") from None
            is_alive()

    def start(self, call: Callable[[], T]) -> "Future[T]":
        """Begin a call; raises Unanswered where there are too many."""
        with self._lock:
            if self._n_unanswered >= MAX_UNANSWERED:
                raise Unanswered(f"{self._n_unanswered} earlier calls have no answer yet")
            self._n_unanswered += 1
        answer: Future[T] = Future()
        threading.Thread(target=self._run, args=(call, answer), name="call", daemon=True).start()
        return answer

    def _run(self, call: Callable[[], T], answer: "Future[T]") -> None:
        try:
            result = call()
        except Exception as error:
            self._count_answer()
            answer.set_exception(error)
        except BaseException as error:  # what a library in Rust raises where it panics
            self._count_answer()
            answer.set_exception(RuntimeError(f"the library failed: {error}"))
        else:
            self._count_answer()
            answer.set_result(result)

    def _count_answer(self) -> None:
        with self._lock:
            self._n_unanswered -= 1

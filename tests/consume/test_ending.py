"""A consumer that has said all ends, though a thread of its store may hang."""

import threading
from concurrent.futures import ThreadPoolExecutor

from loadgen.consume import THREADS, are_threads_done


def test_threads_that_are_idle_are_done_and_one_that_hangs_is_not_waited_for() -> None:
    pool, answer = ThreadPoolExecutor(2, THREADS), threading.Event()
    try:
        pool.submit(answer.wait)
        pool.shutdown(wait=False)
        assert not are_threads_done(0.2)
    finally:
        answer.set()
    assert are_threads_done(5.0)

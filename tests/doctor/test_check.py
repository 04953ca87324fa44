"""Findings in words, and checks that must come to an end."""

import threading
import time

import pytest

from loadgen.doctor.broker import clock
from loadgen.doctor.checks import Mark, bad, good, in_time, stuck, untried
from loadgen.errors import BrokerUnreachable, LoadgenError


def test_a_finding_is_one_line_and_the_next_step_stands_below_what_is_bad() -> None:
    assert good("a", "it works").lines() == ["✓ it works"]
    assert untried("a", "not asked for").lines() == ["– not asked for"]
    error = LoadgenError("no such thing; make it, or\n  name another")
    assert bad("a", "thing", error, "unused").lines() == [
        "✗ thing: no such thing",
        "    → make it, or",
        "      name another",
    ]
    assert bad("a", "thing", LoadgenError("gone"), "look for it").lines() == ["✗ thing: gone", "    → look for it"]


def test_a_broker_that_does_not_answer_is_the_fact_and_the_question_is_the_step() -> None:
    error = BrokerUnreachable("no broker answered at a:1 within 4 s (refused): is one listening there? Name another")
    finding = bad("kafka", "Kafka", error)
    assert finding.said == "Kafka: no broker answered at a:1 within 4 s (refused)"
    assert finding.next_step == "is one listening there? Name another"


def test_what_takes_too_long_is_given_up_and_known_to_be_stuck() -> None:
    release = threading.Event()
    began_s = time.monotonic()
    with pytest.raises(LoadgenError, match=r"no answer within 0\.1 s"):
        in_time(release.wait, 0.1)
    assert time.monotonic() - began_s < 5
    assert stuck()
    release.set()
    assert in_time(lambda: 5, 5.0) == 5


def test_what_goes_wrong_in_a_check_goes_wrong_outside() -> None:
    def fail() -> None:
        raise LoadgenError("no")

    with pytest.raises(LoadgenError, match=r"^no$"):
        in_time(fail, 5.0)


@pytest.mark.parametrize(
    ("skew_s", "mark", "words"),
    [
        (None, Mark.NONE, "not compared"),
        (0.5, Mark.GOOD, "0.50 s behind the broker's"),
        (-1.9, Mark.GOOD, "1.90 s ahead of the broker's"),
        (90.0, Mark.BAD, "90.00 s behind"),
        (-90.0, Mark.BAD, "90.00 s ahead"),
    ],
)
def test_clocks_are_compared(skew_s: float | None, mark: Mark, words: str) -> None:
    finding = clock(skew_s, 0.1)
    assert (finding.mark, words in finding.said) == (mark, True)

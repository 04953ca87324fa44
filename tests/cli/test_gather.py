"""Words of a command line, told apart before anything is known of their values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.cli.parsing import spread, told_apart

MANY = ["--files"]
lines = st.lists(
    st.sampled_from(["--files", "--files=a", "--show", "--json", "a", "b", "-", "--", "-b", ""]), max_size=8
)


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("m --files a b", "m --files a --files b"),
        ("--files=a b --show 5 c", "--files=a --files b --show 5 c"),
        ("--files a -- b", "--files a -- b"),
        ("--files --show b", "--files --show --files b"),
        ("--show a b", "--show a b"),
    ],
)
def test_each_word_behind_a_flag_that_takes_many_gets_the_flag(line: str, written: str) -> None:
    assert spread(line.split(), MANY) == written.split()


@given(words=lines)
def test_what_is_spread_is_not_spread_again(words: list[str]) -> None:
    assert spread(spread(words, MANY), MANY) == spread(words, MANY)


@given(words=lines)
def test_where_no_flag_takes_many_nothing_changes(words: list[str]) -> None:
    assert spread(words, []) == words


def test_the_word_behind_an_unknown_flag_may_be_its_value() -> None:
    words = ["a", "--x", "b", "c", "--y=1", "d"]
    assert told_apart(words) == [("a", False), ("--x", True), ("c", False), ("--y", True), ("d", False)]

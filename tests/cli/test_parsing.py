"""The command line is read to its end, and flags of other programs are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.cli import main
from loadgen.cli.command import spellings
from loadgen.cli.parsing import INSTEAD, SAME, split_flags, spread
from loadgen.config.settings import ALL

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
    assert split_flags(words) == [("a", False), ("--x", True), ("c", False), ("--y", True), ("d", False)]


OURS = {flag for kind in ALL for flag in spellings(kind)}


def test_what_is_answered_is_a_flag_of_some_verb() -> None:
    assert [key for key in SAME if f"--{key}" not in OURS] == []


def test_no_flag_of_ours_is_answered_as_anothers() -> None:
    others = [*(f"--{word}" for words in SAME.values() for word in words.split() if len(word) > 1), *INSTEAD]
    assert [flag for flag in others if flag in OURS] == []


def test_no_word_has_two_answers() -> None:
    words = [word for words in SAME.values() for word in words.split()] + list(INSTEAD)
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--bootstrap-server", "a"], "unknown flag '--bootstrap-server'; here it is --brokers"),
        (["dashboard", "--bootstrap-servers=a"], "unknown flag '--bootstrap-servers'; here it is --brokers"),
        (["run", "--broker-list", "a"], "unknown flag '--broker-list'; here it is --brokers"),
        (["run", "-b", "a"], "unknown flag '-b'; here it is --brokers"),
        (["run", "--num-records", "5"], "unknown flag '--num-records'; here it is --events"),
        (["run", "--throughput", "5"], "unknown flag '--throughput'; here it is --rate"),
        (["run", "--producer.config", "x"], "unknown flag '--producer.config'; here it is --kafka-config"),
        (["run", "--producer-props", "x"], "unknown flag '--producer-props'; here it is --kafka-option"),
        (["run", "--record-size", "9"], "unknown flag '--record-size'; the size of an event follows from --format"),
        (["run", "--linger.ms", "9"], "unknown flag '--linger.ms'; write --kafka-option linger.ms=VALUE"),
        (["run", "--buffer.memory", "9"], "the Java client's: write queue.buffering.max.kbytes, in KiB"),
        (["consume", "--from-beginning"], "a group without offsets begins with the oldest event; leave it out"),
        (["consume", "--group-id", "g"], "unknown flag '--group-id'; here it is --group"),
        (["consume", "--timeout-ms", "9"], "unknown flag '--timeout-ms'; here it is --until-idle"),
        (["compact", "--throughput", "5"], "--rate is meant, which belongs to loadgen run, loadgen pipeline"),
        (["run", "hunter:2@host"], "unexpected word '***@host'"),
        (["run", "--kafka-option", "sasl.password", "hunter"], "unexpected word ***; "),
        (["hunter:2@host"], "unknown command '***@host'"),
        (["run", "--hunter:2@host"], "unknown flag '***@host'"),
        (["run", "--quiet=hunter:2@host"], "--quiet must stand alone, got '***@host'"),
        (["catalog", "import", "http://hunter:2@host/x"], "got 'http://***@host/x'"),
        (["catalog", "show", "hunter:2@host"], "unexpected extra argument(s) (***@host)"),
    ],
)
def test_a_flag_of_kafkas_tools_is_answered_and_no_password_shown(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "hunter" not in shown

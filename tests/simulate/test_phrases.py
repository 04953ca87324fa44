"""Texts are composed as their patterns say."""

import numpy as np
import pytest

from loadgen.simulate.catalog_names import Phrases, choices
from loadgen.simulate.vocabulary import Voice

WORDS = {"noun": ("rose", "bed of thorns", "¿mar?"), "adj": ("red", "deep")}


def compose(text: str, n: int = 500, title_case: bool = False) -> list[str]:
    voice = Voice(WORDS, {"titles": ((1.0, text),)}, title_case)
    composed: list[str] = Phrases([voice], "titles").compose(np.zeros(n, int), np.random.default_rng(1)).to_pylist()
    return composed


def test_literal_text_stays_where_it_is() -> None:
    assert set(compose('The "{adj}" {noun}!')) == {f'The "{a}" {n}!' for a in WORDS["adj"] for n in WORDS["noun"]}


def test_a_pattern_without_slots_is_itself() -> None:
    assert set(compose("Always")) == {"Always"}


def test_two_slots_of_a_list_never_give_the_same_word() -> None:
    found = set(compose("{noun} & {^noun}"))
    assert len(found) == 6
    assert not any(left.lower() == right.lower() for left, right in (text.split(" & ") for text in found))


@pytest.mark.parametrize(("title_case", "shown"), [(False, "Bed of thorns"), (True, "Bed of Thorns")])
def test_capitals_follow_the_case_of_the_voice(title_case: bool, shown: str) -> None:
    assert shown in compose("{^noun}", title_case=title_case)


def test_each_text_is_in_the_voice_of_its_row() -> None:
    voices = [Voice({}, {"titles": ((1.0, text),)}) for text in ("zero", "one", "two")]
    voice = np.random.default_rng(2).integers(0, 3, 1000)
    texts = Phrases(voices, "titles").compose(voice, np.random.default_rng(3)).to_pylist()
    assert texts == [("zero", "one", "two")[i] for i in voice]


def test_no_texts_are_composed_for_no_rows() -> None:
    voice = Voice({}, {"titles": ((1.0, "x"),)})
    assert len(Phrases([voice], "titles").compose(np.zeros(0, int), np.random.default_rng(1))) == 0


def test_each_word_of_a_list_is_as_likely_as_the_others() -> None:
    n = 30_000
    counts = np.unique(compose("{noun}", n), return_counts=True)[1]
    standard_error = np.sqrt(n * (1 / 3) * (2 / 3))
    assert np.abs(counts - n / 3).max() < 4 * standard_error


def test_a_table_of_choices_holds_each_position_by_its_weight() -> None:
    table = choices([1, 0, 2, 1], resolution=400)
    assert np.bincount(table, minlength=4).tolist() == [100, 0, 200, 100]


def test_a_capital_follows_an_opening_mark() -> None:
    assert "¿Mar?" in compose("{^noun}")

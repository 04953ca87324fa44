"""The vocabularies are complete and fit for what they are used for."""

import re

import pytest

from loadgen.simulate.vocabulary import PURPOSES, USER_FIRST_NAMES, USER_LAST_NAMES, Vocabulary, load_vocabulary


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary()


@pytest.mark.parametrize("names", [USER_FIRST_NAMES, USER_LAST_NAMES], ids=["first", "last"])
def test_user_names_are_distinct_lower_case_ascii(names: tuple[str, ...]) -> None:
    assert len(names) >= 300
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]{2,12}", name) for name in names)


def test_each_voice_of_a_genre_exists(vocabulary: Vocabulary) -> None:
    used = {voice for genre in vocabulary.genres.values() for voice in genre.voices}
    assert used == set(vocabulary.voices)


def test_each_slot_of_each_pattern_has_words(vocabulary: Vocabulary) -> None:
    for voice in vocabulary.voices.values():
        for purpose in PURPOSES:
            slots = {slot for _, text in voice.patterns[purpose] for slot in re.findall(r"\{\^?(\w+)\}", text)}
            assert all(voice.words[slot] for slot in slots)


def test_no_word_is_empty_or_has_blanks_around_it(vocabulary: Vocabulary) -> None:
    words = {word for voice in vocabulary.voices.values() for words in voice.words.values() for word in words}
    assert all(word and word == word.strip() for word in words)


def test_every_list_of_words_is_used(vocabulary: Vocabulary) -> None:
    patterns = [text for voice in vocabulary.voices.values() for p in voice.patterns.values() for _, text in p]
    used = {slot for text in patterns for slot in re.findall(r"\{\^?(\w+)\}", text)}
    listed = {slot for voice in vocabulary.voices.values() for slot in voice.words}
    assert listed == used

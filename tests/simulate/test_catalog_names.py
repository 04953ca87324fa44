"""Names and titles read like names and titles, in several scripts."""

import re

import numpy as np
import pyarrow as pa
import pytest

from loadgen.simulate.catalog_build import build_contents
from loadgen.simulate.catalog_file import Contents
from loadgen.simulate.catalog_names import occurrences

N_TRACKS = 60_000


@pytest.fixture(scope="module")
def contents() -> Contents:
    return build_contents(N_TRACKS, seed=5)


@pytest.fixture(scope="module")
def artists(contents: Contents) -> list[str]:
    names: list[str] = contents.artists["name"].to_pylist()
    return names


@pytest.fixture(scope="module")
def titles(contents: Contents) -> list[str]:
    found: list[str] = contents.tracks["title"].to_pylist()
    return found


def test_no_two_artists_have_the_same_name(artists: list[str]) -> None:
    assert len({name.lower() for name in artists}) == len(artists) == 10_558


def test_nothing_reads_like_a_placeholder(artists: list[str], titles: list[str]) -> None:
    placeholder = re.compile(r"[_{}^]|[A-Za-z]+\d{3,}$|\b(lorem|ipsum|None|null)\b|  |^\s|\s$")
    assert [text for text in (*artists, *titles) if not text or placeholder.search(text)] == []


@pytest.mark.parametrize(
    ("letters", "least"), [("[가-힣]", 300), ("[ぁ-ヿ]", 50), ("[一-鿿]", 300), ("[À-ÖØ-öø-ɏ]", 500)],
    ids=["Korean", "kana", "Chinese characters", "accents"],
)  # fmt: skip
def test_several_scripts_are_used(artists: list[str], titles: list[str], letters: str, least: int) -> None:
    assert sum(bool(re.search(letters, name)) for name in artists) >= least
    assert sum(bool(re.search(letters, title)) for title in titles) >= least


def test_most_korean_pop_is_written_in_korean(contents: Contents) -> None:
    k_pop = pa.array(contents.tracks["genre"].to_numpy() == contents.genres.index("K-Pop"))
    titles = contents.tracks["title"].filter(k_pop).to_pylist()
    assert sum(bool(re.search("[가-힣]", title)) for title in titles) > 0.8 * len(titles)


@pytest.mark.parametrize("mark", ['"', "'", "&", "(", "/", "?", "é"])
def test_some_titles_hold_characters_that_encoders_stumble_over(titles: list[str], mark: str) -> None:
    assert any(mark in title for title in titles)


def test_titles_of_an_artist_are_distinct(contents: Contents) -> None:
    artist = contents.tracks["artist"].to_numpy().astype(np.int64)
    repeated = (occurrences(artist, contents.tracks["title"].combine_chunks()) > 0).sum()
    assert repeated <= N_TRACKS / 20_000


def test_titles_vary(titles: list[str]) -> None:
    assert len(set(titles)) > 0.6 * len(titles)


def test_nobody_is_a_guest_on_their_own_track(contents: Contents, artists: list[str], titles: list[str]) -> None:
    guests = 0
    for row, title in zip(contents.tracks["artist"].to_pylist(), titles, strict=True):
        if found := re.search(r" \(feat\. (.*)\)$", title):
            guests += 1
            assert found[1] != artists[row]
    assert 0.03 * N_TRACKS < guests < 0.05 * N_TRACKS


def test_occurrences_count_the_earlier_rows_of_the_same_owner_and_text() -> None:
    owner = np.array([0, 0, 1, 0, 1, 1, 0])
    texts = pa.array(["a", "b", "a", "a", "a", "b", "a"])
    assert occurrences(owner, texts).tolist() == [0, 0, 0, 1, 1, 0, 2]

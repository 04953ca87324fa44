"""A built catalogue has the shape that published figures describe."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from loadgen.simulate.catalog_build import N_ARTISTS, artist_weights, build_contents, tracks_per_artist
from loadgen.simulate.catalog_file import Contents

N_TRACKS = 60_000


@pytest.fixture(scope="module")
def contents() -> Contents:
    return build_contents(N_TRACKS, seed=3)


def column(contents: Contents, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = contents.tracks[name].to_numpy()
    return values


def slope(weight: np.ndarray, first: int, last: int) -> float:
    rank = np.arange(first, last + 1)
    return float(np.polyfit(np.log(rank), np.log(weight[rank - 1]), 1)[0])


def test_artist_weights_fall_and_sum_to_one() -> None:
    weight = artist_weights()
    assert len(weight) == N_ARTISTS == 10_558
    assert (np.diff(weight) < 0).all()
    assert weight.sum() == pytest.approx(1.0, abs=1e-12)


def test_tiers_lean_towards_the_top_of_what_is_published() -> None:
    shares = [part.sum() for part in np.split(artist_weights(), [8, 58, 558])]
    assert shares == pytest.approx([0.16, 0.27, 0.34, 0.23], abs=0.005)


def test_artists_are_as_concentrated_as_published() -> None:
    weight = artist_weights()
    cumulative = np.cumsum(weight)
    gini = 2 * np.sum(cumulative - weight / 2) / N_ARTISTS - 1
    assert 0.40 < cumulative[105] < 0.58
    assert 0.79 < cumulative[1055] < 0.90
    assert 0.85 < gini < 0.92


def test_the_zipf_slope_is_flatter_at_the_head() -> None:
    weight = artist_weights()
    assert slope(weight, 10, 1000) == pytest.approx(-0.99, abs=0.07)
    assert slope(weight, 1, 100) == pytest.approx(-0.78, abs=0.05)


def test_the_weight_does_not_jump_between_tiers() -> None:
    log = np.log(artist_weights())
    for border in (8, 58, 558):  # the fall at a border is between the falls on either side of it
        falls = -np.diff(log[border - 3 : border + 3])
        assert min(falls[1], falls[3]) <= falls[2] <= max(falls[1], falls[3])


@pytest.mark.parametrize("n_tracks", [N_ARTISTS, N_ARTISTS + 1, 60_000, 3_000_000])
def test_each_artist_has_a_track_and_none_is_missing(n_tracks: int) -> None:
    per_artist = tracks_per_artist(n_tracks, np.random.default_rng(1))
    assert per_artist.min() >= 1
    assert per_artist.sum() == n_tracks


def test_a_track_is_less_popular_than_the_one_before_it_of_the_same_artist(contents: Contents) -> None:
    same_artist = np.diff(column(contents, "artist")) == 0
    assert (np.diff(column(contents, "play_count"))[same_artist] <= 0).all()
    assert (np.diff(column(contents, "popularity").astype(int))[same_artist] <= 0).all()


def test_popularity_spans_one_to_a_hundred_and_follows_the_plays(contents: Contents) -> None:
    popularity, plays = column(contents, "popularity"), column(contents, "play_count")
    assert (popularity.min(), popularity.max()) == (1, 100)
    assert np.corrcoef(popularity, np.log(plays))[0, 1] > 0.999


def test_an_artist_has_the_plays_that_its_weight_says(contents: Contents) -> None:
    plays = np.bincount(column(contents, "artist"), weights=column(contents, "play_count"))
    assert plays / plays.sum() == pytest.approx(artist_weights(), rel=1e-3)


def test_about_two_percent_of_plays_are_liked(contents: Contents) -> None:
    likes, plays = column(contents, "likes"), column(contents, "play_count")
    assert (likes <= plays).all()
    assert 0.0182 < likes.sum() / plays.sum() < 0.0202


def test_lengths_are_those_of_songs(contents: Contents) -> None:
    length_s = column(contents, "length_ms") / 1000
    assert np.average(length_s, weights=column(contents, "play_count")) == pytest.approx(205, abs=2)
    assert length_s.min() >= 60
    assert length_s.max() <= 900
    assert 30 < length_s.std() < 80
    assert len(np.unique(column(contents, "length_ms") % 1000)) == 1000


def test_release_years_lie_in_the_age_of_records_and_lean_to_the_present(contents: Contents) -> None:
    year = column(contents, "release_year")
    assert year.min() >= 1955
    assert year.max() == 2026
    assert np.median(year) > 2000
    assert np.quantile(year, 0.1) < 1995


def test_no_genre_is_older_than_itself(contents: Contents) -> None:
    k_pop = column(contents, "genre") == contents.genres.index("K-Pop")
    assert column(contents, "release_year")[k_pop].min() >= 1994


def test_tracks_of_an_album_came_out_together(contents: Contents) -> None:
    seen: dict[tuple[int, str], set[int]] = {}
    albums = contents.tracks["album"].to_pylist()
    for artist, album, year in zip(column(contents, "artist"), albums, column(contents, "release_year"), strict=True):
        seen.setdefault((artist, album), set()).add(year)
    together = sum(len(years) == 1 for years in seen.values())
    assert together >= 0.999 * len(seen)


def test_a_track_has_the_genre_of_its_artist(contents: Contents) -> None:
    of_artist = contents.artists["genre"].to_numpy()
    assert (column(contents, "genre") == of_artist[column(contents, "artist")]).all()
    assert len(np.unique(of_artist)) == len(contents.genres) == 20


def test_the_same_seed_gives_the_same_catalogue_and_another_seed_another_one(contents: Contents) -> None:
    again = build_contents(N_TRACKS, seed=3)
    other = build_contents(N_TRACKS, seed=4)
    assert again.tracks.equals(contents.tracks)
    assert again.artists.equals(contents.artists)
    assert not other.tracks["title"].equals(contents.tracks["title"])

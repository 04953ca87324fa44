"""Tracks come from the buckets in their exact shares, by popularity, and from a repertoire that changes slowly."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from loadgen.errors import CatalogError
from loadgen.event import TIERS, Int64s
from loadgen.rng import draw, keys_of
from loadgen.simulate.behaviour import Bucket
from loadgen.simulate.choice import KINDS, Chooser
from loadgen.simulate.state import TASTE_BIT, TILT_BIT
from tests.simulate.world import BEHAVIOUR, CATALOG, DAY_MS, MONDAY_MS, chi_square_deviation

N = 300_000
MAX_SIGMAS = 4.5
FIRST_GENRE, SECOND_GENRE = 2, 4
CHOOSER = Chooser(CATALOG, BEHAVIOUR)
KEYS = keys_of(1, np.arange(N, dtype=np.int64))
BITS = draw(KEYS, np.array([70_000], np.uint64))


def _profiles(taste: int, tilt: int = 1, n: int = N) -> Int64s:
    return np.full(n, FIRST_GENRE | SECOND_GENRE << 8 | taste << TASTE_BIT | tilt << TILT_BIT, np.int64)


def _choose(taste: int, tilt: int = 1) -> tuple[Int64s, Int64s]:
    track, kind_byte = CHOOSER.choose(KEYS, _profiles(taste, tilt), np.full(N, MONDAY_MS), BITS)
    return track, kind_byte.astype(np.int64) // 8


def _attraction(bucket: Bucket) -> npt.NDArray[np.float64]:
    """How often each artist is drawn by listeners of the middle tilt; the small catalogue is in the order of weight."""
    rank = np.arange(1, len(CATALOG.artist_weight) + 1)
    prominence = 1 / (1 + (rank / (0.01 * len(rank))) ** 4)
    exponent = BEHAVIOUR.choice.exponents[bucket]
    return CATALOG.artist_weight**exponent * BEHAVIOUR.choice.tilt_factors[1] ** prominence


def _artist(track: Int64s) -> Int64s:
    return np.searchsorted(CATALOG.first_track, track, side="right") - 1


@pytest.mark.parametrize(
    ("taste", "shares"),
    [
        (0, {"chart": 0.6, "genre": 0.3, "random": 0.1}),
        (1, {"indie": 0.5, "genre": 0.3, "random": 0.2}),
        (2, {"chart": 0.3, "genre": 0.3, "indie": 0.2, "random": 0.2}),
    ],
)
def test_buckets_come_in_the_shares_of_the_specification(taste: int, shares: dict[str, float]) -> None:
    _, kind = _choose(taste)
    expected = [shares["genre"] * 2 / 3, shares["genre"] / 3, *(shares.get(name, 0.0) for name in KINDS[2:])]
    counts = np.bincount(kind, minlength=len(KINDS))
    drawn = np.array(expected) > 0
    assert counts[~drawn].sum() == 0
    assert abs(chi_square_deviation(counts[drawn], np.array(expected)[drawn])) < MAX_SIGMAS


def test_each_bucket_holds_the_artists_it_is_named_after() -> None:
    track, kind = _choose(2)
    artist = _artist(track)
    assert (CATALOG.artist_genre[artist[kind == 0]] == FIRST_GENRE).all()
    assert (CATALOG.artist_genre[artist[kind == 1]] == SECOND_GENRE).all()
    assert (CATALOG.artist_tier[artist[kind == 2]] < TIERS.index("indie")).all()
    assert (CATALOG.artist_tier[artist[kind == 3]] == TIERS.index("indie")).all()
    assert len(np.unique(CATALOG.artist_tier[artist[kind == 4]])) == len(TIERS)


def test_artists_of_the_chart_come_by_popularity() -> None:
    track, kind = _choose(0)
    chart = _artist(track)[kind == 2]
    weights = _attraction("chart")[CATALOG.artist_tier < TIERS.index("indie")]
    counts = np.bincount(chart, minlength=len(weights))
    assert abs(chi_square_deviation(counts, weights / weights.sum())) < MAX_SIGMAS


def test_tracks_of_an_artist_follow_zipfs_law() -> None:
    track, _ = _choose(0)
    top = track[_artist(track) == 1]
    n_tracks = int(CATALOG.first_track[2] - CATALOG.first_track[1])
    number = np.arange(1, n_tracks + 1)
    shares = np.log1p(1 / number) / np.log(n_tracks + 1)
    counts = np.bincount(top - CATALOG.first_track[1], minlength=n_tracks)
    assert abs(chi_square_deviation(counts, shares)) < MAX_SIGMAS


def test_the_more_mainstream_the_bigger_the_names() -> None:
    weight = [CATALOG.artist_weight[_artist(_choose(0, tilt)[0])].mean() for tilt in range(3)]
    assert weight == sorted(weight)
    assert weight[2] > 1.3 * weight[0]


def _plays_of_one(days: float, n: int = 2000) -> Int64s:
    """What one listener plays, n times within so many days."""
    bits = draw(np.repeat(KEYS[:1], n), np.arange(70_000, 70_000 + n, dtype=np.uint64))
    at_ms = MONDAY_MS + (np.arange(n) * (days * DAY_MS / n)).astype(np.int64)
    return CHOOSER.choose(np.repeat(KEYS[:1], n), _profiles(0, n=n), at_ms, bits)[0]


def test_a_listener_comes_back_to_the_same_tracks() -> None:
    in_a_day = len(np.unique(_plays_of_one(days=1)))
    in_two_years = len(np.unique(_plays_of_one(days=730)))
    assert in_a_day < 700
    assert in_two_years > 1.2 * in_a_day


def test_two_listeners_have_different_repertoires() -> None:
    bits = np.repeat(BITS[:1], 1000)
    track, _ = CHOOSER.choose(KEYS[:1000], _profiles(0, n=1000), np.full(1000, MONDAY_MS), bits)
    assert len(np.unique(track)) > 30


def test_an_empty_bucket_stands_for_the_whole_catalogue() -> None:
    no_indie = replace(CATALOG, artist_tier=np.minimum(CATALOG.artist_tier, 2))
    track, kind = Chooser(no_indie, BEHAVIOUR).choose(KEYS, _profiles(1), np.full(N, MONDAY_MS), BITS)
    weights = _attraction("indie")
    counts = np.bincount(_artist(track)[kind.astype(np.int64) == 24], minlength=len(weights))
    assert abs(chi_square_deviation(counts, weights / weights.sum())) < MAX_SIGMAS


def test_an_artist_without_tracks_is_never_played() -> None:
    first_track = CATALOG.first_track.copy()
    first_track[1:3] = first_track[1]  # the second artist gives its tracks to the third
    track, _ = Chooser(replace(CATALOG, first_track=first_track), BEHAVIOUR).choose(
        KEYS, _profiles(0), np.full(N, MONDAY_MS), BITS
    )
    assert track.min() >= 0
    assert track.max() < len(CATALOG.length_ms)


def test_too_many_genres_are_refused_with_the_number() -> None:
    crowded = replace(CATALOG, genres=tuple(f"genre {i}" for i in range(251)))
    with pytest.raises(CatalogError, match="250 genres at most, got 251"):
        Chooser(crowded, BEHAVIOUR)

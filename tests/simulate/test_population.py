"""Listeners are who the behaviour says, depend on seed and id alone, and have names of their own."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc
import pytest

from loadgen.event import DAY_MS, Int64s, Labels, Listeners
from loadgen.places import CITIES
from loadgen.simulate.population import PAID, draw_listeners, user_names
from loadgen.simulate.state import age_band
from tests.simulate.world import BEHAVIOUR, CATALOG, MONDAY_MS, chi_square_deviation, settings

N = 200_000
MAX_SIGMAS = 4.5
PEOPLE = BEHAVIOUR.population


def _draw(user_ids: Int64s, seed: int = 1) -> Listeners:
    return draw_listeners(settings(users=N, seed=seed), user_ids, CATALOG)


@pytest.fixture(scope="module")
def everybody() -> Listeners:
    return _draw(np.arange(N, dtype=np.int64))


def _columns(listeners: Listeners) -> list[np.ndarray]:
    return [getattr(listeners, field.name) for field in fields(listeners)]


def test_a_listener_is_the_same_in_any_subset(everybody: Listeners) -> None:
    ids = np.arange(5, N, 77, dtype=np.int64)
    for alone, among_all in zip(_columns(_draw(ids)), _columns(everybody), strict=True):
        assert np.array_equal(alone, among_all[ids])


def test_another_seed_gives_other_listeners(everybody: Listeners) -> None:
    assert (_draw(everybody.user_id, seed=2).age != everybody.age).mean() > 0.9


def test_a_listener_takes_38_bytes(everybody: Listeners) -> None:
    assert sum(column.nbytes for column in _columns(everybody)) == 38 * N


def test_ages_are_13_to_80_and_bands_as_configured(everybody: Listeners) -> None:
    assert (everybody.age.min(), everybody.age.max()) == (13, 80)
    counts = np.bincount(age_band(everybody.age))
    assert abs(chi_square_deviation(counts, np.array(list(PEOPLE.age_bands.values())))) < MAX_SIGMAS


def test_as_many_pay_as_configured_and_most_from_25_to_34(everybody: Listeners) -> None:
    paid = everybody.level == PAID
    assert abs(paid.mean() - PEOPLE.paid_prob) < MAX_SIGMAS * np.sqrt(0.24 / N)
    edges = [16, 25, 35, 45, 55, 65]
    shares = [paid[(everybody.age >= low) & (everybody.age < high)].mean() for low, high in pairwise(edges)]
    assert shares[1:] == sorted(shares[1:], reverse=True)
    assert shares[1] / shares[4] == pytest.approx(62 / 28, rel=0.08)


def test_plays_per_day_have_the_published_mean_and_median(everybody: Listeners) -> None:
    assert 12 < everybody.plays_per_day.mean() < 18
    assert 8 < np.median(everybody.plays_per_day) < 12
    assert 3.5 < np.quantile(everybody.plays_per_day, 0.9) / np.median(everybody.plays_per_day) < 5


def test_activity_says_how_much_somebody_plays(everybody: Listeners) -> None:
    low, high = PEOPLE.activity_plays
    assert np.array_equal(everybody.activity == 0, everybody.plays_per_day < low)
    assert np.array_equal(everybody.activity == 2, everybody.plays_per_day >= high)


@pytest.mark.parametrize(("column", "shares"), [("platform", PEOPLE.platforms), ("device", PEOPLE.devices)])
def test_platforms_and_devices_come_in_their_shares(
    everybody: Listeners, column: str, shares: dict[str, float]
) -> None:
    counts = np.bincount(getattr(everybody, column), minlength=len(shares))
    assert abs(chi_square_deviation(counts, np.array(list(shares.values())))) < MAX_SIGMAS


def test_cities_come_by_weight(everybody: Listeners) -> None:
    weights = np.array([city.weight for city in CITIES])
    counts = np.bincount(everybody.city, minlength=len(CITIES))
    assert abs(chi_square_deviation(counts, weights / weights.sum())) < MAX_SIGMAS


def test_tastes_follow_the_mainstream_propensity(everybody: Listeners) -> None:
    by_taste = [everybody.mainstream[everybody.taste == taste] for taste in range(3)]
    assert by_taste[1].max() < by_taste[2].min() < by_taste[2].max() < by_taste[0].min()
    assert len(by_taste[1]) / N == pytest.approx(PEOPLE.tastes["indie"], abs=MAX_SIGMAS * np.sqrt(0.25 / N))


def test_the_two_favourite_genres_differ_and_depend_on_age(everybody: Listeners) -> None:
    assert (everybody.genres[:, 0] != everybody.genres[:, 1]).all()
    classical = everybody.genres[:, 0] == CATALOG.genres.index("Classical")
    band = age_band(everybody.age)
    assert classical[band == 5].mean() > 5 * classical[band == 0].mean()


def test_everybody_registered_before_the_start(everybody: Listeners) -> None:
    assert everybody.registered_day.max() < MONDAY_MS // DAY_MS
    assert everybody.registered_day.min() >= MONDAY_MS // DAY_MS - 1 - 366 * PEOPLE.registered_years


LABELS = Labels((), (), (), (), (), ("minji", "ana", "paul", "wei"), ("kim", "silva", "meyer"))


def test_no_two_listeners_have_the_same_name() -> None:
    names = user_names(np.arange(500_000, dtype=np.int64), 3, LABELS)
    assert pc.count_distinct(names).as_py() == 500_000


def test_names_at_the_end_of_ten_million_are_as_unique() -> None:
    ids = np.concatenate([np.arange(100_000), np.arange(9_900_000, 10_000_000)])
    assert pc.count_distinct(user_names(ids, 3, LABELS)).as_py() == 200_000


def test_a_name_reads_like_a_name_and_depends_on_id_and_seed_alone() -> None:
    ids = np.array([5, 123_456], np.int64)
    names = user_names(ids, 3, LABELS).to_pylist()
    assert all(pc.match_substring_regex(user_names(ids, 3, LABELS), r"^[a-z]+\.[a-z]+[0-9]*$").to_pylist())
    assert user_names(ids[1:], 3, LABELS).to_pylist() == names[1:]
    assert user_names(ids, 4, LABELS).to_pylist() != names

"""Drawn values are as they were asked for, and what cannot be drawn is refused."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest

from loadgen.drawn import Drawn
from loadgen.rng import N_SLOTS
from tests.own_fields import ALL

WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: Drawn.choice([]), "1..65,536 values, got 0"),
    (lambda: Drawn.choice({"a": -1}), "weight of 'a' must be a number of at least 0, got -1"),
    (lambda: Drawn.choice({"a": 0}), "above 0"),
    (lambda: Drawn.choice({"a": True}), "weight of 'a'"),
    (lambda: Drawn.choice([None]), "text, an integer or a float, got None"),  # type: ignore[list-item]
    (lambda: Drawn.choice([True]), "got True"),
    (lambda: Drawn.choice(["a", 1]), "all text or all numbers"),
    (lambda: Drawn.choice(["\ud800"]), "valid Unicode"),
    (lambda: Drawn.choice([1 << 63]), "64 bits"),
    (lambda: Drawn.choice([math.nan]), "finite"),
    (lambda: Drawn.choice(["a" * 1001]), "1,000 characters"),
    (lambda: Drawn.choice(["a"], per="day"), "per must be one of event, session, listener, got 'day'"),  # type: ignore[arg-type]
    (lambda: Drawn.normal(0, 0), "deviation of normal must be above 0, got 0"),
    (lambda: Drawn.normal(0, 1, decimals=7), "decimals must be 0..6, got 7"),
    (lambda: Drawn.normal(0, 1, lowest=2, highest=1), "lowest must be below highest"),
    (lambda: Drawn.normal(0, 1, lowest=100), "possible between 100"),
    (lambda: Drawn.normal(1e14, 1), "15 digits at most"),
    (lambda: Drawn.log_normal(1, 99), "15 digits at most"),
    (lambda: Drawn.exponential(-1), "mean of exponential must be above 0"),
    (lambda: Drawn.uniform(0.1, 0.2, decimals=0), "no number with 0 decimals"),
    (lambda: Drawn.faker("a b"), "name of a method of Faker"),
    (lambda: Drawn.faker("company", 0), "n must be 1..65,536"),
    (lambda: Drawn.of({"drawn": "table"}), "drawn must be one of"),
    (lambda: Drawn.faker("nothing").table("x"), "Faker must have provider 'nothing'"),
    (lambda: Drawn.faker("boolean", 3).table("x"), "must have 3 different texts, got 2"),
]


@pytest.mark.parametrize(("make", "rule"), WRONG)
def test_what_cannot_be_drawn_is_refused_with_its_rule(make: Callable[[], Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule.replace("(", "\\(")):
        make()


def values(drawn: Drawn) -> Any:
    """The value of each slot."""
    table = drawn.table("x")
    return np.array(table.values)[table.of_slot]


def test_a_distribution_has_its_mean_its_deviation_and_its_decimals() -> None:
    normal = values(Drawn.normal(10, 2, decimals=3))
    assert (round(normal.mean(), 3), round(normal.std(), 2)) == (10, 2)
    assert (np.round(normal, 3) == normal).all()
    exponential = values(Drawn.exponential(5))
    assert (round(exponential.mean(), 1), exponential.min()) == (5, 0)
    assert np.median(values(Drawn.log_normal(40, 0.5))) == 40
    assert round(np.log(values(Drawn.log_normal(40, 0.5))).std(), 2) == 0.5


def test_bounds_cut_a_distribution_off_and_pile_nothing_up_at_them() -> None:
    found = values(Drawn.normal(0, 1, lowest=-1, highest=2))
    assert (found.min(), found.max()) == (-1, 2)
    assert (found == -1).mean() < 0.003


def test_each_number_of_a_uniform_field_is_as_likely_as_any_other() -> None:
    found = np.bincount(values(Drawn.uniform(1, 6, decimals=0)))
    assert found[0] == 0
    assert np.abs(found[1:] - N_SLOTS / 6).max() <= 1


def test_no_value_is_minus_zero_which_is_written_in_another_way() -> None:
    for found in (values(Drawn.normal(0, 1)), values(Drawn.choice([-0.0]))):
        assert b"-0.0" not in orjson.dumps(found[found == 0].tolist())


def test_weights_are_kept_to_a_slot() -> None:
    shares = dict(zip(*np.unique(values(Drawn.choice({"a": 3, "b": 1})), return_counts=True), strict=True))
    assert shares == {"a": N_SLOTS * 3 // 4, "b": N_SLOTS // 4}


def test_the_texts_of_faker_differ_and_follow_from_the_name_of_the_field() -> None:
    drawn = Drawn.faker("city", 50, locale="ko_KR")
    assert drawn.type == "text"
    assert len(set(drawn.table("home").values)) == 50
    assert Drawn.faker("city", 50, locale="ko_KR", per="session").digest("home") == drawn.digest("home")
    assert drawn.table("work").values != drawn.table("home").values


@pytest.mark.parametrize("drawn", [field.source for field in ALL if isinstance(field.source, Drawn)])
def test_a_definition_gives_the_same_values_back(drawn: Drawn) -> None:
    again = Drawn.of(orjson.loads(orjson.dumps(drawn.definition)))
    assert again == drawn
    assert again.digest("x") == drawn.digest("x")

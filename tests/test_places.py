"""The cities are real places with usable time zones."""

import zoneinfo

from loadgen.places import CITIES


def test_each_location_occurs_once() -> None:
    locations = [city.location for city in CITIES]
    assert len(CITIES) >= 150
    assert len(set(locations)) == len(locations)


def test_a_location_is_the_city_and_its_country() -> None:
    seoul = next(city for city in CITIES if city.name == "Seoul")
    assert seoul.location == "Seoul, KR"
    assert seoul.zone == "Asia/Seoul"


def test_each_time_zone_is_known() -> None:
    assert {city.zone for city in CITIES} <= zoneinfo.available_timezones()


def test_each_country_has_two_capital_letters() -> None:
    assert all(len(c.country) == 2 and c.country.isalpha() and c.country.isupper() for c in CITIES)


def test_every_continent_with_listeners_is_there() -> None:
    regions = {city.zone.split("/")[0] for city in CITIES}
    assert {"Africa", "America", "Asia", "Australia", "Europe", "Pacific"} <= regions
    south_america = {"AR", "BO", "BR", "CL", "CO", "EC", "PE", "PY", "UY", "VE"}
    assert south_america <= {city.country for city in CITIES}


def test_no_city_outweighs_the_others() -> None:
    total = sum(city.weight for city in CITIES)
    assert all(0 < city.weight < 0.05 * total for city in CITIES)


def test_the_united_states_are_the_largest_market() -> None:
    per_country: dict[str, float] = {}
    for city in CITIES:
        per_country[city.country] = per_country.get(city.country, 0.0) + city.weight
    assert max(per_country, key=lambda country: per_country[country]) == "US"

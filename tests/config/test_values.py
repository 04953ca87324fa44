"""Values as users write them."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.config import names, values
from loadgen.config.values import BadValue, ShardOf

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAY_MS = 86_400_000
users = values.count(1, 10_000_000, "50k")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("50000", 50_000),
        ("50_000", 50_000),
        ("50k", 50_000),
        ("50 K", 50_000),
        ("1.5M", 1_500_000),
        ("10M", 10_000_000),
        ("2e3", 2000),
        (7, 7),
        (7.0, 7),
    ],
)
def test_a_count_reads_as_a_user_writes_it(text: Any, number: int) -> None:
    assert users(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "-1", "10000001", "1.5", "1_", "_1", "1k5", "x", "٣", "1e99", "1e999", "9" * 99, "nan", "inf"),
        *(True, None, [1], float("nan"), float("inf"), 10**400),
    ],
)
def test_what_is_no_count_in_range_is_refused_with_an_example(text: Any) -> None:
    with pytest.raises(BadValue) as refused:
        users(text)
    assert refused.value.rule == "must be a whole number 1..10,000,000"
    assert refused.value.next_step == "write for example 50k"


def test_a_seed_of_64_bits_keeps_every_bit() -> None:
    seed = values.count(0, 2**64 - 1, "42")
    assert seed(str(2**64 - 1)) == seed(2**64 - 1) == 2**64 - 1


@pytest.mark.parametrize(
    ("text", "per_s"),
    [
        ("natural", "natural"),
        ("max", "max"),
        ("100k/s", 100_000.0),
        ("100k / s", 100_000.0),
        ("5/s", 5.0),
        ("1.5M", 1_500_000.0),
        ("300/min", 5.0),
        ("3600/h", 1.0),
        (250, 250.0),
    ],
)
def test_a_rate_is_in_events_per_second(text: Any, per_s: str | float) -> None:
    assert values.rate(text) == per_s


@pytest.mark.parametrize("text", ["", "0", "-5/s", "5/day", "/s", "fast", "k/s", None, True, {}, "1e9k"])
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match="must be natural, max or a number of events per second"):
        values.rate(text)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30", 30.0),
        (30, 30.0),
        ("0.5", 0.5),
        ("90s", 1.5),
        ("2h", 120.0),
        ("1 d", 1440.0),
        ("5min", 5.0),
        ("1m30s", 1.5),
        ("0.5h", 30.0),
        ("1h 30m", 90.0),
        ("1w", 10080.0),
    ],
)
def test_a_duration_has_its_own_unit_or_the_settings(text: Any, minutes: float) -> None:
    assert values.duration(60, 0.001, 86400 * 365, "30")(text) == minutes


@pytest.mark.parametrize(
    ("length_s", "said"),
    [
        (0, "0s"), (20, "20s"), (0.25, "0.25s"), (90, "1m30s"), (1800, "30m"), (7200, "2h"), (20 / 60 * 60, "20s"),
        (86400 * 36500, "36500d"), (100_000.5, "1d3h46m40.5s"),
    ],
)  # fmt: skip
def test_a_duration_is_said_as_it_is_written(length_s: float, said: str) -> None:
    assert values.say_duration(length_s) == said
    assert values.duration_s(said, 1.0) == length_s


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.2.3", "1.2.3s", ".", "5 weeks", "30k", "1m30", "s", "1m-30s", "99999999h", None, []]
)
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match=r"must be a duration of 0\.001 s to 365 days"):
        values.duration(60, 0.001, 86400 * 365, "30")(text)


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2026-01-01", NOW_MS),
        ("2026-01-01T00:00:00Z", NOW_MS),
        ("2026-01-01T09:00:00+09:00", NOW_MS),
        ("2026-01-01 00:00:00.250", NOW_MS + 250),
        ("now", NOW_MS),
        ("-1d", NOW_MS - DAY_MS),
        ("+2h", NOW_MS + 7_200_000),
        ("-1w", NOW_MS - 7 * DAY_MS),
        ("-1h30m", NOW_MS - 5_400_000),
        ("+0.5h", NOW_MS + 1_800_000),
        ("-500ms", NOW_MS - 500),
        (date(2026, 1, 1), NOW_MS),
        (datetime(2026, 1, 1, tzinfo=UTC), NOW_MS),
        (NOW_MS, NOW_MS),
    ],
)
def test_a_time_without_a_zone_is_utc(text: Any, time_ms: int) -> None:
    assert values.moment_ms(text, NOW_MS) == time_ms


@pytest.mark.parametrize("text", ["", "yesterday", "1969-12-31", "2200-01-02", "2026-13-01", "-99999w", 1.5, None, -1])
def test_a_time_outside_1970_to_2200_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match="must be a time between 1970 and 2200"):
        values.moment_ms(text, NOW_MS)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("131072", 131_072),
        ("131_072", 131_072),
        ("64k", 65_536),
        ("64 KiB", 65_536),
        ("64KB", 65_536),
        ("1.5M", 1_572_864),
        ("2G", 2 << 30),
        ("4096B", 4096),
        (4096, 4096),
        (4096.0, 4096),
    ],
)
def test_a_size_is_in_bytes_and_powers_of_1024(text: Any, size_bytes: int) -> None:
    assert values.size(1 << 10, 1 << 40, "128M")(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "1023", "2T", "1025G", "1k5", "x", "-5M", "4096.5", "kB", "9" * 99, True, None, [1], float("nan")]
)
def test_what_is_no_size_in_range_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match=r"must be a size of 1k to 1T; write for example 128M"):
        values.size(1 << 10, 1 << 40, "128M")(text)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1970-01-01", 0),
        ("2026-01-01", 20_454),
        ("2026-01-01T23:59:59", 20_454),
        ("2026-01-02T01:00:00+09:00", 20_454),
        ("now", 20_454),
        ("-1d", 20_453),
        (date(2026, 1, 1), 20_454),
        (20_454, 20_454),
    ],
)
def test_a_day_is_counted_from_1970_in_utc(text: Any, day: int) -> None:
    assert values.day(text, NOW_MS) == day


@pytest.mark.parametrize("text", ["", "20454", "tomorrow", "1969-12-31", -1, 84_007, NOW_MS, True, 1.5, None])
def test_what_is_no_day_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match="must be a day between 1970 and 2200"):
        values.day(text, NOW_MS)


def test_a_wrong_choice_is_answered_with_the_nearest_right_one() -> None:
    with pytest.raises(BadValue) as refused:
        values.choice("activity", "listen", "full")("activty")
    assert refused.value.rule == "must be one of activity, listen, full"
    assert refused.value.next_step == "did you mean activity?"


@pytest.mark.parametrize(
    ("text", "value"), [("yes", True), ("ON", True), ("1", True), (False, False), ("no", False), ("0", False)]
)
def test_a_switch_reads_the_usual_words(text: Any, value: bool) -> None:
    assert values.boolean(text) is value


def test_a_shard_is_its_number_of_how_many() -> None:
    assert values.shard("3/4") == ShardOf(index=3, count=4)
    assert str(values.shard("3/4")) == "3/4"


@pytest.mark.parametrize("text", ["4/4", "1", "0/0", "-1/2", "1/2/3", "0/257", "0/1000", "", None, 5])
def test_a_shard_that_is_none_of_n_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match="must be I/N"):
        values.shard(text)


PARSERS = [
    users,
    values.positive(1e6, "60"),
    values.duration(1, 0, 1e9, "30"),
    values.rate,
    lambda value: values.moment_ms(value, NOW_MS),
    values.choice("a", "b"),
    values.boolean,
    names.path,
    names.brokers,
    names.topic,
    names.name,
    names.host,
    names.paths,
    names.path_texts,
    names.servers,
    names.group,
    names.store,
    values.size(1, 1 << 50, "128M"),
    lambda value: values.day(value, NOW_MS),
    values.shard,
    values.pairs,
]
anything = st.one_of(
    st.text(),
    st.text("0123456789.,:/=+-_ekMhsdT Z", max_size=30),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.times(),
    st.lists(st.text() | st.integers(), max_size=3),
    st.dictionaries(st.text(), st.text(), max_size=3),
)


@given(value=anything)
def test_a_parser_gives_a_value_or_says_why_not(value: Any) -> None:
    for parse in PARSERS:
        try:
            parse(value)
        except BadValue:
            continue


def test_a_moment_is_said_as_a_date() -> None:
    assert values.say_moment(NOW_MS) == "2026-01-01T00:00:00+00:00"
    assert values.moment_ms(values.say_moment(NOW_MS + 7)) == NOW_MS + 7

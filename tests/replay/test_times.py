"""Numbers and texts as times: as they were written, and alone as in a column."""

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.replay.times import LAST_US, time_us, times_us

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(1974, 1, 1), datetime(2999, 1, 1))
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
texts = st.one_of(
    st.text(max_size=30),
    st.text("0123456789-:.TZ+ ", max_size=30),
    moments.map(datetime.isoformat),
    st.builds(lambda moment, zone: moment.replace(tzinfo=zone).isoformat(), moments, zones),
    moments.map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")),
    moments.map(lambda moment: moment.isoformat(" ", "milliseconds")),
    st.dates().map(str),
    st.floats().map(str),
    st.integers().map(str),
)


def us_of(moment: datetime) -> int:
    return (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@given(moments)
def test_a_number_is_in_the_unit_that_its_size_says(moment: datetime) -> None:
    at_us = us_of(moment)
    assert time_us(at_us // 1_000_000) == at_us // 1_000_000 * 1_000_000
    assert time_us(at_us // 1000) == at_us // 1000 * 1000
    assert time_us(at_us) == at_us
    assert time_us(at_us // 1_000_000 * 10**9) == at_us // 1_000_000 * 10**6
    assert time_us(str(at_us // 1000)) == at_us // 1000 * 1000


@given(moments, zones)
def test_a_text_in_iso_8601_is_its_moment_in_utc_where_it_names_no_offset(moment: datetime, zone: timezone) -> None:
    assert time_us(moment.isoformat()) == us_of(moment)
    in_zone = moment.replace(tzinfo=zone)
    assert time_us(in_zone.isoformat()) == us_of(in_zone.astimezone(UTC).replace(tzinfo=None))


@pytest.mark.parametrize(
    "value", [None, True, "", "soon", -1, -0.5, float("nan"), float("inf"), 10**30, "2026-02-30", "1969-12-31", [], {}]
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert time_us(value) is None


@given(
    st.one_of(
        st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()).map(lambda values: pa.array(values, pa.int64())),
        st.lists(st.integers(0, 2**64 - 1) | st.none()).map(lambda values: pa.array(values, pa.uint64())),
        st.lists(st.floats() | st.floats(0, 1e19) | st.none()).map(lambda values: pa.array(values, pa.float64())),
        st.lists(texts | st.none()).map(lambda values: pa.array(values, pa.string())),
        *(
            st.lists(kind, min_size=1).map(lambda values: pa.array(values, pa.string()))
            for kind in (moments.map(datetime.isoformat), moments.map(lambda one: f"{one.isoformat()}Z"))
        ),
    )
)
def test_a_column_has_the_times_of_its_values(values: pa.Array) -> None:
    found = times_us(values).to_pylist()
    assert found == [time_us(value) for value in values.to_pylist()]
    assert all(one is None or 0 <= one <= LAST_US for one in found)


def test_timestamps_and_dates_of_tables_are_times() -> None:
    moment = datetime(2026, 3, 1, 18, 0, 0, 250_000)
    for kind in (pa.timestamp("ns"), pa.timestamp("ms", "UTC"), pa.timestamp("us", "Asia/Seoul")):
        values = pa.array([us_of(moment), None], pa.timestamp("us")).cast(pa.timestamp(kind.unit)).cast(pa.int64())
        assert times_us(values.cast(kind)).to_pylist() == [us_of(moment), None]
    assert times_us(pa.array([moment.date()])).to_pylist() == [us_of(datetime(2026, 3, 1))]

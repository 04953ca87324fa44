"""Columns of JSON text equal orjson's text of each value."""

import numpy as np
import orjson
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from loadgen import json_text
from loadgen.encode import text


@given(st.lists(st.text()))
def test_strings_are_escaped_as_orjson_escapes_them(values: list[str]) -> None:
    encodable = [value.encode(errors="ignore").decode() for value in values]
    found = json_text.strings(pa.array(encodable, pa.string())).to_pylist()
    assert found == [orjson.dumps(value) for value in encodable]


@given(st.lists(st.integers(0, 10_000_000)))
def test_milliseconds_become_the_shortest_decimal_of_seconds(values_ms: list[int]) -> None:
    found = text.seconds(np.array(values_ms, np.int64)).to_pylist()
    assert found == [orjson.dumps(value / 1000) for value in values_ms]


ISO_TIMES = text.IsoTimes()


@given(st.lists(st.integers(0, 4_102_444_800_000), min_size=1))
def test_times_are_iso_8601_with_microseconds_in_utc(ts_ms: list[int]) -> None:
    times = np.array(ts_ms, np.int64)
    found = ISO_TIMES.texts(times, b"at ").to_pylist()
    assert found == [
        f"at {value}+00:00".encode() for value in np.datetime_as_string(times.astype("datetime64[ms]"), "us")
    ]

"""What a value of a recorded event means as a time.

In: numbers, texts, Arrow columns. Out: microseconds since 1970 (UTC), or None (null) where it is no time.

A number is seconds, milliseconds, microseconds or nanoseconds since 1970, by its size: seconds up to 10^11 (the year
5138), milliseconds up to 10^14, microseconds up to 10^17. A text is such a number, or ISO 8601, in UTC where it names
no offset. Times before 1970 and after the year 9999 are none.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.event import Float64s, Int64s

LAST_US = 253_402_300_799_999_999
"""The end of the year 9999."""
_SECONDS, _MILLIS, _MICROS = 10**11, 10**14, 10**17
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,18})?", re.ASCII)
_PLAIN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3}([0-9]{3})?)?"
"""The texts that Arrow reads as Python does: dates, and times in seconds, ms or µs."""


def time_us(value: Any) -> int | None:
    """The time that a value of JSON means."""
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _of_int(value) if isinstance(value, int) else _of_float(value)


def times_us(values: pa.Array) -> pa.Array:
    """The times of a column: an int64 array, null where there is none."""
    kind = values.type
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        return _within(_of_ints(values.fill_null(-1).cast(pa.int64()).to_numpy(zero_copy_only=False)))
    if pa.types.is_floating(kind):
        return _within(_of_floats(values.fill_null(-1.0).cast(pa.float64()).to_numpy(zero_copy_only=False)))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        known = values.cast(pa.timestamp("us", kind.tz if pa.types.is_timestamp(kind) else None), safe=False)
        return _within(known.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_texts(values.cast(pa.string()))
    return pa.array([time_us(value) for value in values.to_pylist()], pa.int64())


def _of_text(text: str) -> int | None:
    if _NUMBER.fullmatch(text):
        return _of_float(float(text)) if "." in text else _of_int(int(text))
    try:
        moment = datetime.fromisoformat(text)
        found = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _US
    except (ValueError, OverflowError):
        return None
    return _checked(found)


def _of_int(value: int) -> int | None:
    if value < _SECONDS:
        return _checked(value * 1_000_000)
    if value < _MILLIS:
        return _checked(value * 1000)
    return _checked(value if value < _MICROS else value // 1000)


def _of_float(value: float) -> int | None:
    if not math.isfinite(value) or not 0 <= value < 2**63:
        return None
    return _checked(int(_of_floats(np.array([value]))[0]))


def _checked(found_us: int) -> int | None:
    return found_us if 0 <= found_us <= LAST_US else None


def _of_ints(values: Int64s) -> Int64s:
    """In µs; -1 for what is negative."""
    is_seconds, is_millis = values < _SECONDS, values < _MILLIS
    factor = np.where(is_seconds, 1_000_000, np.where(is_millis, 1000, 1))
    scaled = np.where(values < _MICROS, values * factor, values // 1000)
    return np.where(values < 0, -1, scaled)


def _of_floats(values: Float64s) -> Int64s:
    """In µs; -1 for what is negative or no number."""
    is_good = (values >= 0) & (values < 2.0**63)
    good = np.where(is_good, values, 0.0)
    factor = np.where(good < _SECONDS, 1e6, np.where(good < _MILLIS, 1e3, np.where(good < _MICROS, 1.0, 1e-3)))
    return np.where(is_good, np.rint(good * factor), -1).astype(np.int64)


def _within(found_us: Int64s) -> pa.Array:
    return pa.array(found_us, mask=(found_us < 0) | (found_us > LAST_US))


def _of_texts(values: pa.StringArray) -> pa.Array:
    for pattern, zone in ((_PLAIN + "(Z|[+-][0-9]{2}:[0-9]{2})$", "UTC"), (_PLAIN + "$", None)):
        if values.null_count == 0 and pc.all(pc.match_substring_regex(values, pattern)).as_py():
            try:
                known = values.cast(pa.timestamp("us", zone))
            except pa.ArrowInvalid:  # the 30th of February
                break
            return _within(known.cast(pa.int64()).to_numpy(zero_copy_only=False))
    return pa.array([time_us(value) for value in values.to_pylist()], pa.int64())

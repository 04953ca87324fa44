"""Local time: which time zone an event's place is in, and what its clocks say.

In: places as the formats name them ("Seoul, KR", "KR"), moments in UTC. Out: positions in ZONES; local times.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.places import CITIES

Ints = npt.NDArray[np.int64]

QUARTER_MS = 900_000
"""Clocks differ from UTC by quarters of an hour."""
DAY_QUARTERS = 96
ZONES = tuple(sorted({city.zone for city in CITIES}))


def zone_table() -> pa.Table:
    """place → zone: every city; every country all of whose cities have the same time zone."""
    zones = {city.location: ZONES.index(city.zone) for city in CITIES}
    of_country = defaultdict(set)
    for city in CITIES:
        of_country[city.country].add(ZONES.index(city.zone))
    zones |= {country: min(found) for country, found in of_country.items() if len(found) == 1}
    return pa.table({"place": pa.array(zones.keys()), "zone": pa.array(zones.values(), pa.uint16())})


def local_quarters(zone: int, quarters: Ints) -> Ints:
    """What the clocks of a zone say at these moments; both in quarters of an hour since 1970."""
    days, place = np.unique(quarters // DAY_QUARTERS, return_inverse=True)
    found: Ints = quarters + np.array([_offset(zone, int(day) * DAY_QUARTERS) for day in days], np.int64)[place]
    for day in [int(day) for day in days if _is_changed(zone, int(day))]:
        at = np.flatnonzero(quarters // DAY_QUARTERS == day)
        found[at] = [quarter + _offset(zone, quarter) for quarter in quarters[at].tolist()]
    return found


def _is_changed(zone: int, day: int) -> bool:
    """Whether clocks are put forward or back on this UTC day."""
    return _offset(zone, day * DAY_QUARTERS) != _offset(zone, (day + 1) * DAY_QUARTERS)


@cache
def _offset(zone: int, quarter: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=quarter * QUARTER_MS)
    offset = moment.astimezone(ZoneInfo(ZONES[zone])).utcoffset() or timedelta()
    return round(offset / timedelta(milliseconds=QUARTER_MS))

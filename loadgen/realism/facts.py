"""Reads every event once into a compact row: numbers instead of names, and local time.

In: batches of files (see `store.event_files`), or messages of a topic. Out: a table `facts` in DuckDB with the columns
of KEPT, about 60 bytes per event; what does not fit into memory spills to a folder. A place as the formats name it
("Seoul, KR", "KR") becomes a position in ZONES.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from loadgen.analyze import events
from loadgen.analyze.tally import CombinationCounts
from loadgen.event import LEVELS, PAGES, TIERS, Int64s
from loadgen.formats import OWN, KnownFormats
from loadgen.places import CITIES
from loadgen.store.event_files import Interval
from loadgen.store.json_lines import folded_if_json

QUARTER_MS = 900_000
"""Clocks differ from UTC by quarters of an hour."""
DAY_QUARTERS = 96
ZONES = tuple(sorted({city.zone for city in CITIES}))


def zone_table() -> pa.Table:
    """Place → zone, of every city, and of every country whose cities share one time zone."""
    zones = {city.location: ZONES.index(city.zone) for city in CITIES}
    of_country = defaultdict(set)
    for city in CITIES:
        of_country[city.country].add(ZONES.index(city.zone))
    zones |= {country: min(found) for country, found in of_country.items() if len(found) == 1}
    return pa.table({"place": pa.array(zones.keys()), "zone": pa.array(zones.values(), pa.uint16())})


def local_quarters(zone: int, quarters: Int64s) -> Int64s:
    """The local time of these moments in a zone; both in quarters of an hour since 1970."""
    days, place = np.unique(quarters // DAY_QUARTERS, return_inverse=True)
    found: Int64s = quarters + np.array([_offset(zone, int(day) * DAY_QUARTERS) for day in days], np.int64)[place]
    for day in days.tolist():
        if _offset(zone, day * DAY_QUARTERS) == _offset(zone, (day + 1) * DAY_QUARTERS):
            continue  # the clocks do not change on this UTC day
        at = np.flatnonzero(quarters // DAY_QUARTERS == day)
        found[at] = [quarter + _offset(zone, quarter) for quarter in quarters[at].tolist()]
    return found


@cache
def _offset(zone: int, quarter: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=quarter * QUARTER_MS)
    offset = moment.astimezone(ZoneInfo(ZONES[zone])).utcoffset() or timedelta()
    return round(offset / timedelta(milliseconds=QUARTER_MS))


PLAY, LIKE, DISLIKE, ADD, OTHER = range(5)
"""The values of `kind`."""
LINES_AT_ONCE = 200_000
"""The number of messages per query."""
SILENCE_MS = 30 * 60_000
"""A pause of this length ends a session, if events do not name their session."""
_PAGES = {PLAY: ("play",), LIKE: ("like",), DISLIKE: ("dislike",), ADD: ("add_to_playlist",)}
_PLACE = "coalesce(location, country)"
_NAMED = (
    "userId",
    "ts",
    "sessionId",
    "page",
    "level",
    "itemInSession",
    "location",
    "artist",
    "song",
    "length",
    "artist_tier",
    "user",
    "action",
    "country",
    "track",
    "timestamp",
    "duration",
)


def _place_in(column: str, words: tuple[str, ...]) -> str:
    """The SQL of a word's position in a list."""
    whens = " ".join(f"WHEN '{word}' THEN {place}" for place, word in enumerate(words))
    return f"CAST(CASE {column} {whens} END AS UTINYINT)"


def _kind() -> str:
    by_action = [f"WHEN action IN {_tuple(names)} THEN {kind}" for kind, names in _PAGES.items()]
    pages = {kind: tuple(PAGES.names[PAGES.actions.index(name)] for name in names) for kind, names in _PAGES.items()}
    by_page = [f"WHEN page IN {_tuple(names)} THEN {kind}" for kind, names in pages.items()]
    whens = " ".join([f"WHEN {events.IS_PLAY} THEN {PLAY}", *by_page, *by_action])
    return f"CAST(CASE {whens} ELSE {OTHER} END AS UTINYINT)"


def _tuple(words: tuple[str, ...]) -> str:
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"


KEPT = {
    "ts_ms": events.ROW["ts_ms"],
    "listener": events.ROW["listener"],
    "session": "sessionId",
    "item": "itemInSession",
    "kind": _kind(),
    "artist": "CASE WHEN artist IS NOT NULL THEN hash(artist) END",
    "track": f"CASE WHEN artist IS NOT NULL AND {events.ROW['title']} IS NOT NULL "
    f"THEN hash(artist, {events.ROW['title']}) END",
    "length_ms": f"CAST(1000 * {events.ROW['duration_s']} AS INTEGER)",
    "tier": _place_in("artist_tier", TIERS),
    "level": _place_in("level", LEVELS),
    "age": "age",
    "zone": "zone",
}
"""Column → SQL: kind is one of PLAY …; artist and track are hashes; tier and level positions in event.TIERS and LEVELS;
zone a position in ZONES, NULL for an unknown place."""


class Facts(CombinationCounts):
    """Keeps a compact row of each event; `CombinationCounts` reads the files."""

    fields: ClassVar[Mapping[str, str]] = {name: events.FIELDS[name] for name in _NAMED} | {"age": "UTINYINT"}

    def __init__(self, interval: Interval, spill: Path | None, known: KnownFormats = OWN) -> None:
        super().__init__(interval, spill, known)
        self._pending: list[bytes] = []

    def prepare(self) -> None:
        """Create the table of places that `kept` joins."""
        places = zone_table()
        self.connection.register("places", places)
        self.connection.execute("CREATE TEMP TABLE zones AS SELECT * FROM places")
        self.connection.unregister("places")

    def kept(self, source: str) -> str:
        """The SQL of the compact rows of a source."""
        columns = ", ".join(f"{sql} AS {name}" for name, sql in KEPT.items())
        joined = f"{source} AS records LEFT JOIN zones ON zones.place = {_PLACE}"
        conditions = ["ts_ms IS NOT NULL", "listener IS NOT NULL", *self.interval.limits()]
        return f"SELECT * FROM (SELECT {columns} FROM {joined}) WHERE {' AND '.join(conditions)}"

    def take(self, values: Iterable[bytes]) -> None:
        """Keep the events in the values of these messages."""
        lines = map(folded_if_json, values)
        self._pending += [line for line in lines if line is not None and line.strip()]
        if len(self._pending) >= LINES_AT_ONCE:
            self._insert_pending()

    def _insert_pending(self) -> None:
        lines, self._pending = b"\n".join(self._pending) + b"\n", []
        with events.as_file(self.connection, lines) as path:
            self.connection.execute(f"INSERT INTO parts {self.kept(events.from_json([path], self.fields, self.known))}")

    def columns(self, question: str) -> dict[str, Any]:
        """The result as one NumPy array per column; NULL in numbers is masked."""
        return dict(self.connection.execute(question).fetchnumpy())

    def finish(self) -> None:
        """Create `facts` from the rows; events without a session get one."""
        if self._pending:
            self._insert_pending()
        ((n_without,),) = self.ask("SELECT count(*) FROM parts WHERE session IS NULL")
        if not n_without:
            self.connection.execute("CREATE TEMP VIEW facts AS SELECT * FROM parts")
            return
        new = f"CASE WHEN ts_ms - lag(ts_ms) OVER o > {SILENCE_MS} THEN 1 ELSE 0 END"
        order = "WINDOW o AS (PARTITION BY listener ORDER BY ts_ms)"
        marked = f"SELECT *, {new} AS new FROM parts WHERE session IS NULL {order}"
        number = "-1 - CAST(sum(new) OVER (PARTITION BY listener ORDER BY ts_ms ROWS UNBOUNDED PRECEDING) AS BIGINT)"
        self.connection.execute(
            f"CREATE TEMP TABLE facts AS SELECT * FROM parts WHERE session IS NOT NULL "
            f"UNION ALL SELECT * EXCLUDE (new) REPLACE ({number} AS session) FROM ({marked})"
        )

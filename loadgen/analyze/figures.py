"""The listening metrics, computed from tables of counted combinations.

In: a function that answers SQL over the four tables of `tally`: visits, tracks, kinds, minutes. The queries use only
what DuckDB and Spark have in common, so that both give the same metrics. Out: `ListeningFigures`. Counts are whole
numbers; divisions are made here.

An event is a record with a time; a play is an event that starts a track (action play or skip). Lists are ordered by
plays, then by name; those of platforms, actions and countries by events.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from loadgen.analyze.events import LONGEST_S, ROW
from loadgen.event import TIERS

Ask = Callable[[str], list[tuple[Any, ...]]]

BIN_S = 30
N_BINS = 21
"""Lengths are counted in bins of half a minute; the last one holds ten minutes and more."""
MOST_STEPS = 200
LENGTH_MS = "CAST(round(1000 * length_s) AS BIGINT)"
STARTED = f"tracks WHERE plays > 0 AND length_s BETWEEN 0 AND {LONGEST_S}"
"""Tracks that were started and have a known length."""
STEPS_MIN = (1, 5, 15, 60, 360, 1440, 10_080, 40_320)
"""The possible steps of the timeline; the finest is used that gives at most MOST_STEPS."""


@dataclass(frozen=True, slots=True)
class Count:
    """The number of events with some value.

    Attributes:
        name: the genre, platform, action, country or artist; of a track "artist – title".
        events: events with this value.
        plays: of these, those that start a track.
    """

    name: str
    events: int
    plays: int


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The distribution of some values.

    Attributes:
        n: their number.
        mean, min, p10, p50, p90, max: None without values. A percentile is one of the values.
    """

    n: int = 0
    mean: float | None = None
    min: float | None = None
    p10: float | None = None
    p50: float | None = None
    p90: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class ListeningFigures:
    """The listening metrics of some events.

    Attributes:
        unreadable: lines or rows that are not events.
        listeners, artists, tracks, sessions: the numbers of different ones.
        first_ms, last_ms: the earliest and the latest time, milliseconds since 1970 (UTC); None without events.
        top_artists, top_tracks: the most played.
        durations_s: lengths of the tracks started, seconds.
        played_s: their sum.
        duration_bins: plays by length in bins of BIN_S; the last one is open.
        hours: events by hour of the day (UTC), 24 numbers.
        step_min: the step of over_time, minutes.
        over_time: time (milliseconds since 1970), events, plays; without empty steps.
        skip_share: the share of the tracks started that cut the one before short; None if unknown.
    """

    events: int
    plays: int
    unreadable: int
    listeners: int
    artists: int
    tracks: int
    sessions: int
    first_ms: int | None
    last_ms: int | None
    genres: list[Count]
    platforms: list[Count]
    actions: list[Count]
    countries: list[Count]
    top_artists: list[Count]
    top_tracks: list[Count]
    top_by_tier: dict[str, list[Count]]
    durations_s: Quantiles
    played_s: float
    duration_bins: list[int]
    hours: list[int]
    step_min: int
    over_time: list[tuple[int, int, int]]
    session_events: Quantiles
    session_minutes: Quantiles
    skip_share: float | None

    def as_json(self) -> dict[str, Any]:
        """The metrics as JSON types."""
        return asdict(self)


def figures_of(ask: Ask, top: int) -> ListeningFigures:
    """Compute all metrics.

    Args:
        ask: answers SQL over the four tables.
        top: the length of the lists of artists and tracks.
    """
    ((events, plays, n_rows),) = ask("SELECT sum(events), sum(plays), sum(n_rows) FROM minutes")
    ((first_ms, last_ms, listeners, sessions),) = ask(
        "SELECT min(first_ms), max(last_ms), count(DISTINCT listener), count(session) FROM visits"
    )
    ((artists,),) = ask("SELECT count(DISTINCT artist) FROM tracks")
    ((tracks,),) = ask("SELECT count(*) FROM (SELECT DISTINCT artist, title FROM tracks WHERE title IS NOT NULL) AS t")
    skips = "sum(CASE WHEN action = 'skip' THEN plays END)"
    ((skipped, started),) = ask(f"SELECT {skips}, sum(plays) FROM kinds WHERE action IN ('play', 'skip')")
    step_min = _step_min(first_ms, last_ms)
    durations_ms, played_ms = _spread(ask, LENGTH_MS, "plays", STARTED)
    return ListeningFigures(
        events=int(events or 0),
        plays=int(plays or 0),
        unreadable=int(n_rows or 0) - int(events or 0),
        listeners=listeners,
        artists=artists,
        tracks=tracks,
        sessions=sessions,
        first_ms=first_ms,
        last_ms=last_ms,
        genres=_counts(ask, "genre", "tracks", by_plays=True),
        platforms=_counts(ask, "platform", "kinds"),
        actions=_counts(ask, ROW["action"], "kinds"),
        countries=_counts(ask, ROW["country"], "kinds"),
        top_artists=_top(ask, "artist", "artist IS NOT NULL", top),
        top_tracks=_top(ask, "artist, title", "title IS NOT NULL", top),
        top_by_tier=_by_tier(ask, top),
        durations_s=_scaled(durations_ms, 1000),
        played_s=played_ms / 1000,
        duration_bins=_bins(ask),
        hours=_hours(ask),
        step_min=step_min,
        over_time=_over_time(ask, step_min),
        session_events=_spread(ask, "events", "1", "visits WHERE session IS NOT NULL")[0],
        session_minutes=_scaled(_spread(ask, "last_ms - first_ms", "1", "visits WHERE session IS NOT NULL")[0], 60_000),
        skip_share=int(skipped or 0) / int(started) if started else None,
    )


def _counts(ask: Ask, name: str, table: str, by_plays: bool = False) -> list[Count]:
    rows = ask(f"SELECT {name}, sum(events), sum(plays) FROM {table} WHERE {name} IS NOT NULL GROUP BY {name}")
    found = [Count(text, int(events), int(plays)) for text, events, plays in rows]
    return sorted(found, key=lambda one: (-one.plays if by_plays else -one.events, -one.events, one.name.encode()))


def _top(ask: Ask, names: str, where: str, top: int) -> list[Count]:
    rows = ask(
        f"SELECT sum(events), sum(plays), {names} FROM tracks WHERE {where} GROUP BY {names} HAVING sum(plays) > 0 "
        f"ORDER BY sum(plays) DESC, {', '.join(f'{name} NULLS FIRST' for name in names.split(', '))} LIMIT {top}"
    )
    return [Count(" – ".join(text or "?" for text in texts), int(events), int(plays)) for events, plays, *texts in rows]


def _by_tier(ask: Ask, top: int) -> dict[str, list[Count]]:
    """Tier → its most played artists; the known tiers first, in their order."""
    rows = ask(
        "SELECT tier, artist, events, plays FROM (SELECT tier, artist, sum(events) AS events, sum(plays) AS plays, "
        "row_number() OVER (PARTITION BY tier ORDER BY sum(plays) DESC, artist) AS place FROM tracks "
        f"WHERE tier IS NOT NULL AND artist IS NOT NULL GROUP BY tier, artist) AS t WHERE place <= {top} AND plays > 0 "
        "ORDER BY tier, place"
    )
    names = [*TIERS, *sorted({row[0] for row in rows} - set(TIERS))]
    lists = {tier: [Count(row[1], int(row[2]), int(row[3])) for row in rows if row[0] == tier] for tier in names}
    return {tier: found for tier, found in lists.items() if found}


def _spread(ask: Ask, value: str, weight: str, table: str) -> tuple[Quantiles, int]:
    """The distribution of weighted whole numbers, and their sum."""
    marks = ", ".join(f"min(CASE WHEN upto * 100 >= n * {mark} THEN v END)" for mark in (10, 50, 90))
    ((n, total, least, p10, p50, p90, most),) = ask(
        f"SELECT max(n), sum(v * w), min(v), {marks}, max(v) FROM (SELECT v, w, sum(w) OVER (ORDER BY v) AS upto, "
        f"sum(w) OVER () AS n FROM (SELECT {value} AS v, sum({weight}) AS w FROM {table} GROUP BY {value}) AS a) AS b"
    )
    if not n:
        return Quantiles(), 0
    return Quantiles(int(n), int(total) / int(n), least, p10, p50, p90, most), int(total)


def _scaled(spread: Quantiles, unit: int) -> Quantiles:
    """The distribution in a larger unit."""
    values = {name: value if name == "n" or value is None else value / unit for name, value in asdict(spread).items()}
    return Quantiles(**values)


def _bins(ask: Ask) -> list[int]:
    bin_of = f"least(CAST(floor({LENGTH_MS} / {BIN_S}000.0) AS INTEGER), {N_BINS - 1})"
    return _filled(ask(f"SELECT {bin_of}, sum(plays) FROM {STARTED} GROUP BY {bin_of}"), N_BINS)


def _hours(ask: Ask) -> list[int]:
    hour = "CAST(floor(minute / 60.0) AS INTEGER) % 24"
    return _filled(ask(f"SELECT {hour}, sum(events) FROM minutes WHERE minute IS NOT NULL GROUP BY {hour}"), 24)


def _filled(rows: Iterable[tuple[Any, ...]], n: int) -> list[int]:
    found = {int(place): int(count) for place, count in rows}
    return [found.get(place, 0) for place in range(n)]


def _step_min(first_ms: int | None, last_ms: int | None) -> int:
    if first_ms is None or last_ms is None:
        return STEPS_MIN[0]
    minutes = (last_ms - first_ms) / 60_000
    return next((step for step in STEPS_MIN if minutes / step < MOST_STEPS), STEPS_MIN[-1])


def _over_time(ask: Ask, step_min: int) -> list[tuple[int, int, int]]:
    step = f"CAST(floor(minute / {step_min}.0) AS INTEGER)"
    rows = ask(
        f"SELECT {step}, sum(events), sum(plays) FROM minutes WHERE minute IS NOT NULL AND events > 0 "
        f"GROUP BY {step} ORDER BY {step}"
    )
    return [(int(number) * step_min * 60_000, int(events), int(plays)) for number, events, plays in rows]

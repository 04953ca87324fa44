"""The few thousand numbers from which statistics and curves are computed, however many events there are.

In: `Facts`. Out: `ObservedListening`. Each query reads the compact rows once; what depends on the order of a session's
plays is a window function over them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from loadgen.event import Float64s, Int64s
from loadgen.realism.facts import PLAY, QUARTER_MS, Facts

TOLERANCE_MS = 1000
"""A track is skipped if it stops more than this before its end, because lengths may be rounded to seconds."""
STEPS = 1000
"""Played shares are counted in thousandths, rounded down."""
MOST_S = 3600
FIRST_POSITIONS = 4
LEAST_PLAYS = 50
"""The plays from which a listener's taste is known."""
TOP_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class ObservedListening:
    """The aggregates of some events.

    Attributes:
        first_ms, last_ms: times of the first event and the last.
        events: how many by kind, see `facts`: int64[5].
        plays: int64, by listener.
        paid: int64, by listener: 1 paid, 0 free, -1 not said; ages: int64, years, -1 not said.
        paid_plays: by level free, paid: int64[2].
        sizes: int64, sessions by their plays; the first number is that of sessions with one.
        skips: (position 1..4, age or -1, level or -1, skipped) → plays with a next one; int64, columns of equal length.
        played: plays with a next one by thousandths of the track's length: int64[1001].
        next_s: plays with a next one that begins within 0..1, 1..2 … seconds, and before the track's end: int64[3600].
        artists: int64, plays by artist, falling; tier_plays: by tier: int64[4].
        mainstream: float64, by listener with LEAST_PLAYS or more: the share of the top artists.
        pairs, paired: different pairs of listener and track; plays that name a track.
        length_ms: sum over plays that tell it; n_lengths: how many do.
        hours: (zone, quarter of an hour since 1970 UTC, plays): int64, columns of equal length.
    """

    first_ms: int
    last_ms: int
    events: Int64s
    plays: Int64s
    paid: Int64s
    ages: Int64s
    paid_plays: Int64s
    sizes: Int64s
    skips: dict[str, Int64s]
    played: Int64s
    next_s: Int64s
    artists: Int64s
    tier_plays: Int64s
    mainstream: Float64s
    pairs: int
    paired: int
    length_ms: int
    n_lengths: int
    hours: dict[str, Int64s]


def seen_in(facts: Facts) -> ObservedListening:
    """Compute all aggregates."""
    ((first_ms, last_ms),) = facts.ask("SELECT coalesce(min(ts_ms), 0), coalesce(max(ts_ms), 0) FROM facts")
    kinds = _columns(facts, "SELECT kind, count(*) AS n FROM facts GROUP BY kind")
    listeners = _columns(facts, LISTENERS)
    levels = _columns(facts, f"SELECT level, count(*) AS n FROM facts WHERE kind = {PLAY} GROUP BY level")
    known = levels["level"] >= 0
    sizes = _columns(facts, SIZES)
    ((length_ms, n_lengths),) = facts.ask(f"SELECT sum(length_ms), count(length_ms) FROM facts WHERE kind = {PLAY}")
    return ObservedListening(
        first_ms=first_ms,
        last_ms=last_ms,
        events=_counted(kinds["kind"], kinds["n"], 5),
        plays=listeners["plays"],
        paid=listeners["paid"],
        ages=listeners["age"],
        paid_plays=_counted(levels["level"][known], levels["n"][known], 2),
        sizes=_counted(sizes["plays"] - 1, sizes["n"], int(sizes["plays"].max(initial=0))),
        **_following(facts),
        **_music(facts),
        length_ms=int(length_ms or 0),
        n_lengths=n_lengths,
        hours=_columns(facts, HOURS),
    )


LISTENERS = f"""
    SELECT count(*) FILTER (kind = {PLAY}) AS plays, coalesce(arg_max(level, ts_ms), -1) AS paid,
           coalesce(max(age), -1) AS age
    FROM facts GROUP BY listener"""
SIZES = f"""
    SELECT plays, count(*) AS n FROM
    (SELECT count(*) AS plays FROM facts WHERE kind = {PLAY} GROUP BY listener, session) GROUP BY plays"""
HOURS = f"""
    SELECT zone, ts_ms // {QUARTER_MS} AS quarter, count(*) AS plays
    FROM facts WHERE kind = {PLAY} AND zone IS NOT NULL GROUP BY ALL"""
FOLLOWING = f"""
    WITH ordered AS (
        SELECT age, level, length_ms, row_number() OVER next AS place, lead(ts_ms) OVER next - ts_ms AS heard_ms
        FROM facts WHERE kind = {PLAY}
        WINDOW next AS (PARTITION BY listener, session ORDER BY ts_ms, item)
    ), told AS (
        SELECT least(place, {FIRST_POSITIONS}) AS position, coalesce(age, -1) AS age, coalesce(level, -1) AS level,
               heard_ms < length_ms - {TOLERANCE_MS} AS skipped,
               least(heard_ms * {STEPS} // length_ms, {STEPS}) AS played,
               CASE WHEN heard_ms < length_ms - {TOLERANCE_MS} THEN least(heard_ms // 1000, {MOST_S - 1}) END AS next_s
        FROM ordered WHERE heard_ms >= 0 AND length_ms > 0
    )
    SELECT CAST(grouping(position) AS BIGINT) + 2 * CAST(grouping(played) AS BIGINT) AS kind, position, age, level,
           CAST(skipped AS INTEGER) AS skipped, played, next_s, count(*) AS n
    FROM told GROUP BY GROUPING SETS ((position, age, level, skipped), (played), (next_s))"""


def _following(facts: Facts) -> dict[str, Any]:
    """The time and kind of what follows each play: three tables in one query."""
    found = _columns(facts, FOLLOWING)
    skips, played, next_s = found["kind"] == 2, found["kind"] == 1, (found["kind"] == 3) & (found["next_s"] >= 0)
    return {
        "skips": {name: found[name][skips] for name in ("position", "age", "level", "skipped", "n")},
        "played": _counted(found["played"][played], found["n"][played], STEPS + 1),
        "next_s": _counted(found["next_s"][next_s], found["n"][next_s], MOST_S),
    }


def _music(facts: Facts) -> dict[str, Any]:
    """The aggregates of how often each listener played each track."""
    facts.connection.execute(
        "CREATE OR REPLACE TEMP TABLE pairs AS SELECT listener, track, any_value(artist) AS artist, "
        f"any_value(tier) AS tier, count(*) AS n FROM facts WHERE kind = {PLAY} AND track IS NOT NULL "
        "GROUP BY listener, track"
    )
    artists = _columns(facts, "SELECT sum(n) AS n FROM pairs GROUP BY artist ORDER BY n DESC")["n"]
    tiers = _columns(facts, "SELECT tier, sum(n) AS n FROM pairs WHERE tier IS NOT NULL GROUP BY tier")
    n_top = max(1, round(TOP_SHARE * len(artists)))
    top = f"SELECT artist FROM pairs GROUP BY artist ORDER BY sum(n) DESC, artist LIMIT {n_top}"
    mainstream = facts.columns(
        f"SELECT coalesce(sum(n) FILTER (artist IN ({top})), 0) / sum(n) AS share FROM pairs GROUP BY listener "
        f"HAVING sum(n) >= {LEAST_PLAYS} ORDER BY share"
    )
    ((pairs, paired),) = facts.ask("SELECT count(*), coalesce(sum(n), 0) FROM pairs")
    return {
        "artists": artists,
        "tier_plays": _counted(tiers["tier"], tiers["n"], 4),
        "mainstream": np.asarray(mainstream["share"], np.float64),
        "pairs": pairs,
        "paired": int(paired),
    }


def _columns(facts: Facts, question: str) -> dict[str, Int64s]:
    """The answer as whole numbers; NULL is -1."""
    answer: dict[str, Any] = {name: np.ma.asarray(column) for name, column in facts.columns(question).items()}
    return {name: column.astype(np.int64).filled(-1) for name, column in answer.items()}


def _counted(places: Int64s, counts: Int64s, n: int) -> Int64s:
    """Counts at their places: int64[n]."""
    found = np.zeros(n, np.int64)
    np.add.at(found, places, counts)
    return found

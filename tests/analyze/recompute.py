"""The figures of lines of JSON, worked out one event after another in plain Python: what DuckDB and Spark must give.

In: lines that are one of the three formats, or no events. Out: what `ListeningFigures.as_json` gives.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from loadgen.analyze.figures import MOST_STEPS, STEPS_MIN
from loadgen.event import PAGES, TIERS

ACTION_OF_PAGE = dict(zip(PAGES.names, PAGES.actions, strict=True))
Row = dict[str, Any]


def figures_of_lines(lines: Iterable[bytes], top: int = 10, since_ms: int = 0, until_ms: int = 1 << 62) -> Row:
    """What the figures must be."""
    lines = [line for line in lines if line.strip()]
    rows = [row for row in map(_row, lines) if row is not None]
    unreadable = len(lines) - len(rows)
    rows = [row for row in rows if since_ms <= row["ts_ms"] < until_ms]
    plays = [row for row in rows if row["is_play"]]
    lengths_ms = [round(row["length"] * 1000) for row in plays if row["length"] is not None]
    times = [row["ts_ms"] for row in rows]
    told = [row for row in plays if row["says_action"]]
    visits = _visits(rows)
    step_min = _step_min(times)
    return {
        "events": len(rows),
        "plays": len(plays),
        "unreadable": unreadable,
        "listeners": len({row["listener"] for row in rows} - {None}),
        "artists": len({row["artist"] for row in rows} - {None}),
        "tracks": len({(row["artist"], row["title"]) for row in rows if row["title"] is not None}),
        "sessions": len(visits),
        "first_ms": min(times, default=None),
        "last_ms": max(times, default=None),
        "genres": _counts(rows, "genre", by_plays=True),
        "platforms": _counts(rows, "platform"),
        "actions": _counts(rows, "action"),
        "countries": _counts(rows, "country"),
        "top_artists": _top(rows, ("artist",), "artist", top),
        "top_tracks": _top(rows, ("artist", "title"), "title", top),
        "top_by_tier": dict(_by_tier(rows, top)),
        "durations_s": _spread(lengths_ms, 1000),
        "played_s": sum(lengths_ms) / 1000,
        "duration_bins": _bins(min(length // 30_000, 20) for length in lengths_ms),
        "hours": _bins((time // 3_600_000 % 24 for time in times), 24),
        "step_min": step_min,
        "over_time": _over_time(rows, step_min * 60_000),
        "session_events": _spread([len(visit) for visit in visits], 1),
        "session_minutes": _spread([max(visit) - min(visit) for visit in visits], 60_000),
        "skip_share": sum(row["action"] == "skip" for row in told) / len(told) if told else None,
    }


def _row(line: bytes) -> Row | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    ts_ms = _time(record) if isinstance(record, dict) else None
    if ts_ms is None:
        return None
    page, said = record.get("page"), record.get("action")
    place = (record.get("location") or "").rpartition(", ")[2]
    return {
        "ts_ms": ts_ms,
        "listener": record.get("userId", record.get("user")),
        "session": record.get("sessionId"),
        "artist": record.get("artist"),
        "title": record.get("song", record.get("track")),
        "tier": record.get("artist_tier"),
        "action": said or (page and ACTION_OF_PAGE.get(page, page.lower().replace(" ", "_"))),
        "says_action": said is not None,
        "is_play": page == "NextSong" or said in ("play", "skip"),
        "genre": record.get("genre"),
        "platform": record.get("platform"),
        "country": record.get("country") or place or None,
        "length": record.get("length", record.get("duration")),
    }


def _time(record: Row) -> int | None:
    if "ts" in record:
        return int(record["ts"])
    if "timestamp" not in record:
        return None
    moment = datetime.fromisoformat(record["timestamp"])
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _visits(rows: Iterable[Row]) -> list[list[int]]:
    """The times of each session's events."""
    visits = defaultdict(list)
    for row in rows:
        if row["session"] is not None:
            visits[row["listener"], row["session"]].append(row["ts_ms"])
    return list(visits.values())


def _tally(rows: Iterable[Row], keys: tuple[str, ...]) -> tuple[Counter[Any], Counter[Any]]:
    rows = list(rows)
    events = Counter(tuple(row[key] for key in keys) for row in rows)
    return events, Counter(tuple(row[key] for key in keys) for row in rows if row["is_play"])


def _counts(rows: Iterable[Row], key: str, by_plays: bool = False) -> list[Row]:
    events, plays = _tally((row for row in rows if row[key] is not None), (key,))
    found = [{"name": name, "events": n, "plays": plays[(name,)]} for (name,), n in events.items()]
    return sorted(found, key=lambda one: (-one["plays"] * by_plays, -one["events"], one["name"].encode()))


def _top(rows: Iterable[Row], keys: tuple[str, ...], needed: str, top: int) -> list[Row]:
    events, plays = _tally((row for row in rows if row[needed] is not None), keys)
    order = sorted(plays, key=lambda names: (-plays[names], tuple((name or "").encode() for name in names)))
    return [
        {"name": " – ".join(name or "?" for name in names), "events": events[names], "plays": plays[names]}
        for names in order[:top]
    ]


def _by_tier(rows: list[Row], top: int) -> Iterator[tuple[str, list[Row]]]:
    for tier in (*TIERS, *sorted({row["tier"] for row in rows} - {*TIERS, None})):
        found = _top([row for row in rows if row["tier"] == tier], ("artist",), "artist", top)
        if found:
            yield tier, found


def _spread(values: list[int], unit: int) -> Row:
    if not values:
        return {"n": 0, **dict.fromkeys(("mean", "min", "p10", "p50", "p90", "max"))}
    values, n = sorted(values), len(values)
    marks = {f"p{mark}": values[-(-n * mark // 100) - 1] / unit for mark in (10, 50, 90)}
    return {"n": n, "mean": sum(values) / n / unit, "min": values[0] / unit, "max": values[-1] / unit, **marks}


def _bins(places: Iterable[int], n: int = 21) -> list[int]:
    found = Counter(places)
    return [found[place] for place in range(n)]


def _step_min(times: list[int]) -> int:
    minutes = (max(times) - min(times)) / 60_000 if times else 0
    return next((step for step in STEPS_MIN if minutes / step < MOST_STEPS), STEPS_MIN[-1])


def _over_time(rows: Iterable[Row], step_ms: int) -> list[tuple[int, int, int]]:
    stepped = [{**row, "step": row["ts_ms"] // step_ms * step_ms} for row in rows]
    events, plays = _tally(stepped, ("step",))
    return sorted((step, n, plays[(step,)]) for (step,), n in events.items())

"""Records for the tests, and a plain recount of them: what the figures must be."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import orjson

from loadgen.dashboard.aggregates import WIDTHS_S

FIRST_MS = 1_767_571_200_000
"""2026-01-05, midnight UTC."""
PAGES = {"NextSong": "play", "Thumbs Up": "like", "Search": "search", "Logout": "logout"}


def record(number: int, **fields: Any) -> dict[str, Any]:
    """A record of the format `full`, each number another one, a second after the one before."""
    return {
        "ts": FIRST_MS + 1000 * number,
        "userId": number % 7,
        "sessionId": 7,
        "page": "NextSong",
        "level": "free",
        "itemInSession": number,
        "artist": f"Artist {number % 5}",
        "song": f"Song {number % 11}",
        "length": 100.0 + number,
        "user": f"user{number % 7}",
        "genre": ("Rock", "Pop", "Jazz")[number % 3],
        "platform": "Spotify",
        "device": "Mobile",
        "action": "play",
        "country": ("KR", "DE")[number % 2],
        **fields,
    }


def lines(records: Sequence[Any]) -> bytes:
    """As JSON lines; bytes are lines as they are."""
    return b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in records)


def some(first: int, last: int) -> bytes:
    """The lines of the records with these numbers, inclusive."""
    return lines([record(number) for number in range(first, last + 1)])


def time_ms(one: dict[str, Any]) -> int:
    """A record's time."""
    if "ts" in one:
        return int(one["ts"])
    return int(datetime.fromisoformat(one["timestamp"]).timestamp() * 1000)


def recount(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of records that are all events, counted one by one."""

    def titles(one: dict[str, Any]) -> Any:
        return one.get("song", one.get("track"))

    def action(one: dict[str, Any]) -> Any:
        return one.get("action", PAGES.get(one.get("page", "")))

    def country(one: dict[str, Any]) -> Any:
        return one.get("country", one["location"][-2:] if "location" in one else None)

    times = [time_ms(one) for one in records]
    newest_s = max(times) // 1000
    started = [one for one in records if action(one) in ("play", "skip")]
    return {
        "events": len(records),
        "listeners": len({one.get("userId", one.get("user")) for one in records} - {None}),
        "artists": len({one.get("artist") for one in records} - {None}),
        "tracks": len({(one.get("artist"), titles(one)) for one in records if titles(one) is not None}),
        "last_minute": sum(newest_s - 60 < ms // 1000 for ms in times),
        "timeline": over_time(times),
        "top_artists": Counter(one["artist"] for one in started if one.get("artist") is not None),
        "top_tracks": Counter(
            f"{titles(one)} · {one['artist']}" for one in started if None not in (titles(one), one.get("artist"))
        ),
        "genres": Counter(one["genre"] for one in records if one.get("genre") is not None),
        "platforms": Counter(one["platform"] for one in records if one.get("platform") is not None),
        "actions": Counter(action(one) for one in records if action(one) is not None),
        "countries": Counter(country(one) for one in records if country(one) is not None),
        "durations": binned(listened(records)),
        "newest": sorted(times, reverse=True)[:50],
    }


def listened(records: Sequence[dict[str, Any]]) -> list[float]:
    """How long each play of known length lasted that was ended by its session's next one, or by its logout."""
    sessions: dict[Any, dict[int, float | None]] = {}
    for one in records:
        action = one.get("action", PAGES.get(one.get("page", "")))
        if action in ("play", "skip", "logout"):
            who = one.get("sessionId"), one.get("userId", one.get("user"))
            length = None if action == "logout" else one.get("length", one.get("duration"))
            sessions.setdefault(who, {}).setdefault(time_ms(one), length)
    found = []
    for marks in sessions.values():
        for (began_ms, length), (ended_ms, _) in pairwise(sorted(marks.items())):
            if length is not None:
                found.append(min((ended_ms - began_ms) / 1000, float(length)))
    return found


def binned(durations_s: Sequence[float]) -> tuple[int, list[int]]:
    """The width of the bins of the chart of durations, in seconds, and how many are in each; the last is open."""
    for width_s in (1, 2, 5, 10, 15, 30):
        bins = Counter(min(int(duration_s // width_s), 20) for duration_s in durations_s)
        if bins[20] <= 0.01 * len(durations_s):
            break
    return width_s, [bins[place] for place in range(21)]


def over_time(times_ms: Sequence[int]) -> tuple[int, dict[int, int]]:
    """The width of the buckets of the chart over time, in seconds, and the events of each: 60 buckets at most."""
    newest_ms, inside = max(times_ms), Counter[int]()
    for width_s in WIDTHS_S:
        newest = newest_ms // (width_s * 1000)
        inside = Counter(ms // (width_s * 1000) for ms in times_ms if newest - ms // (width_s * 1000) < 60)
        if inside.total() >= 0.99 * len(times_ms):
            break
    return width_s, dict(inside)


def as_recounted(figures: dict[str, Any]) -> dict[str, Any]:
    """The dashboard's figures in the form of `recount`; of groups, those that are shown."""
    timeline = figures["timeline"]
    width_ms = timeline["bucket_s"] * 1000
    first = (timeline["first_ms"] or 0) // width_ms
    return {
        **{name: figures["totals"][name] for name in ("events", "listeners", "artists", "tracks")},
        "last_minute": figures["last_minute"],
        "timeline": (width_ms // 1000, {first + place: n for place, n in enumerate(timeline["counts"]) if n}),
        **{name: dict(group["top"]) for name, group in {**figures["groups"], **figures["played"]}.items()},
        "durations": (figures["durations"]["bin_s"], figures["durations"]["counts"]),
        "newest": [event["ts_ms"] for event in figures["newest"]],
    }

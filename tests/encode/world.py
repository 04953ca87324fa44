"""A small world for tests of the encoder: a few tracks with awkward names, a few listeners, any events."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from loadgen.event import (
    LEVELS,
    NO_TRACK,
    PAGES,
    SKIP_ACTION,
    TIERS,
    TRACK_PAGES,
    EventBatch,
    Labels,
    Listeners,
    Page,
)

ACTIVITY_FIELDS = (
    "ts",
    "userId",
    "sessionId",
    "page",
    "method",
    "status",
    "level",
    "itemInSession",
    "location",
    "age",
)
SONG_FIELDS = ("artist", "song", "length", "artist_tier", "song_popularity")
"""Follow ACTIVITY_FIELDS: in the format `activity` where the page is NextSong, in `full` where it is in TRACK_PAGES."""
FULL_FIELDS = ("user", "genre", "platform", "device", "action", "country")
"""Follow the activity fields in the format `full`; `genre` is null where the event is about no track."""
LISTEN_FIELDS = (
    "user",
    "artist",
    "track",
    "timestamp",
    "genre",
    "duration",
    "platform",
    "device",
    "action",
    "country",
)
"""Always all ten; artist, track, genre and duration are null where the event is about no track."""

TITLES = ['12" Mix', "Back\\slash", "봄의 거리", "Rock & Roll", "tab\there", "", "Ça va", "</script>"]
ARTISTS = ["The Velvet Harbors", '"Quoted"', "김서연"]
LENGTHS_MS = [215_300, 200_000, 60_001, 90_010, 100_100, 899_999, 185_050, 61_000]


@dataclass(frozen=True)
class TinyCatalog:
    """Eight tracks of three artists."""

    genres: tuple[str, ...] = ("Pop", 'R&"B')
    path = Path("tiny")
    digest = "tiny"

    @property
    def tracks(self) -> pa.Table:
        """The columns that the encoder reads."""
        n = len(TITLES)
        return pa.table(
            {
                "title": pa.array(TITLES),
                "artist": pa.array([0, 0, 0, 1, 1, 1, 2, 2], pa.int32()),
                "album": pa.array(["Album"] * n),
                "genre": pa.array([0, 0, 0, 1, 1, 1, 0, 0], pa.uint8()),
                "length_ms": pa.array(LENGTHS_MS, pa.int32()),
                "popularity": pa.array([100, 90, 1, 7, 50, 60, 33, 2], pa.uint8()),
            }
        )

    @property
    def artists(self) -> pa.Table:
        """The columns that the encoder reads."""
        return pa.table({"name": pa.array(ARTISTS), "tier": pa.array([0, 2, 3], pa.uint8())})


LABELS = Labels(
    locations=("Seoul, KR", "São Paulo, BR"),
    countries=("KR", "BR"),
    platforms=("Spotify", 'Odd "Name"'),
    devices=("Mobile", "Car"),
    genres=TinyCatalog().genres,
    first_names=("mina",),
    last_names=("kim",),
)


def user_names(user_ids: np.ndarray) -> pa.Array:
    """mina.kim0, mina.kim1 …"""
    return pa.array([f"mina.kim{user_id}" for user_id in user_ids.tolist()], pa.string())


def some_listeners(n: int, rng: np.random.Generator) -> Listeners:
    """n listeners with any attributes."""
    small = rng.integers(0, 2, (7, n)).astype(np.uint8)
    return Listeners(
        user_id=np.sort(rng.choice(10_000_000, n, replace=False)).astype(np.int64),
        key=rng.integers(0, 2**63, n).astype(np.uint64),
        age=rng.integers(13, 81, n).astype(np.uint8),
        level=small[0],
        activity=small[1],
        city=small[2].astype(np.uint16),
        taste=small[3],
        mainstream=rng.random(n).astype(np.float32),
        genres=small[4:6].T.copy(),
        plays_per_day=rng.random(n).astype(np.float32),
        registered_day=np.zeros(n, np.int32),
        platform=small[6],
        device=small[0],
    )


def some_events(n: int, listeners: Listeners, rng: np.random.Generator) -> EventBatch:
    """n events of these listeners: any page, any track."""
    row = rng.integers(0, len(listeners), n).astype(np.int32)
    page = rng.integers(0, len(PAGES), n).astype(np.uint8)
    track = np.where(np.isin(page, TRACK_PAGES), rng.integers(0, len(TITLES), n), NO_TRACK).astype(np.int32)
    user_id = listeners.user_id[row]
    return EventBatch(
        ts_ms=np.sort(rng.integers(0, 4_000_000_000_000, n)),
        row=row,
        user_id=user_id,
        session_id=user_id * 1_000_000 + rng.integers(1, 99, n),
        item=rng.integers(1, 2_000, n).astype(np.int32),
        page=page,
        level=listeners.level[row],
        track=track,
        skipped=(rng.random(n) < 0.5).astype(np.uint8) * (page == Page.NEXT_SONG),
    )


def activity_record(batch: EventBatch, listeners: Listeners, i: int) -> dict[str, object]:
    """The documented record of one event, built field by field."""
    row, page = batch.row[i], int(batch.page[i])
    record: dict[str, object] = {
        "ts": int(batch.ts_ms[i]),
        "userId": int(batch.user_id[i]),
        "sessionId": int(batch.session_id[i]),
        "page": PAGES.names[page],
        "method": PAGES.methods[page],
        "status": 200,
        "level": LEVELS[batch.level[i]],
        "itemInSession": int(batch.item[i]),
        "location": LABELS.locations[listeners.city[row]],
        "age": int(listeners.age[row]),
    }
    return record | _song_fields(batch, i) if page == Page.NEXT_SONG else record


def _song_fields(batch: EventBatch, i: int) -> dict[str, object]:
    track = {name: column[int(batch.track[i])].as_py() for name, column in _track_columns().items()}
    return {
        "artist": ARTISTS[track["artist"]],
        "song": track["title"],
        "length": track["length_ms"] / 1000,
        "artist_tier": TIERS[(0, 2, 3)[track["artist"]]],
        "song_popularity": track["popularity"],
    }


def full_record(batch: EventBatch, listeners: Listeners, i: int) -> dict[str, object]:
    """activity, then user, genre, platform, device, action and country; the song on every page about a track."""
    row = batch.row[i]
    has_track = batch.page[i] in TRACK_PAGES
    genre = TinyCatalog().genres[_track_columns()["genre"][int(batch.track[i])].as_py()] if has_track else None
    return {
        **activity_record(batch, listeners, i),
        **(_song_fields(batch, i) if has_track else {}),
        "user": f"mina.kim{batch.user_id[i]}",
        "genre": genre,
        "platform": LABELS.platforms[listeners.platform[row]],
        "device": LABELS.devices[listeners.device[row]],
        "action": SKIP_ACTION if batch.skipped[i] else PAGES.actions[batch.page[i]],
        "country": LABELS.countries[listeners.city[row]],
    }


def listen_record(batch: EventBatch, listeners: Listeners, i: int) -> dict[str, object]:
    """The flat record of one event."""
    full = full_record(batch, listeners, i)
    columns, row = _track_columns(), int(batch.track[i])
    has_track = row != NO_TRACK
    when = np.datetime_as_string(np.datetime64(int(batch.ts_ms[i]) * 1000, "us"))
    return {
        "user": full["user"],
        "artist": ARTISTS[columns["artist"][row].as_py()] if has_track else None,
        "track": columns["title"][row].as_py() if has_track else None,
        "timestamp": f"{when}+00:00",
        "genre": TinyCatalog().genres[columns["genre"][row].as_py()] if has_track else None,
        "duration": columns["length_ms"][row].as_py() / 1000 if has_track else None,
        **{name: full[name] for name in ("platform", "device", "action", "country")},
    }


def _track_columns() -> dict[str, pa.ChunkedArray]:
    table = TinyCatalog().tracks
    return {name: table[name] for name in table.column_names}

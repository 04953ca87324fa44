"""Simulated listening as the compact rows that `loadgen realism` makes of files, without writing any."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loadgen.event import EventBatch, Page
from loadgen.places import CITIES
from loadgen.realism.facts import ADD, DISLIKE, LIKE, OTHER, PLAY, ZONES, Facts
from loadgen.realism.observed import ObservedListening, seen_in
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.catalog import CatalogSettings, cache_folder, open_catalog
from loadgen.simulate.catalog_file import Catalog
from loadgen.simulate.feed import MAX_BATCH, window_for
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import SimulationSettings
from loadgen.store.event_files import Interval

START_MS = 1_767_571_200_000
"""2026-01-05, a Monday."""
DAY_MS = 86_400_000
_KIND = np.full(len(Page), OTHER, np.uint8)
_KIND[[Page.NEXT_SONG, Page.THUMBS_UP, Page.THUMBS_DOWN, Page.ADD_TO_PLAYLIST]] = PLAY, LIKE, DISLIKE, ADD
_ZONE = np.array([ZONES.index(city.zone) for city in CITIES], np.uint16)


def with_changes(changes: Mapping[str, Any]) -> Behaviour:
    """The shipped behaviour with these values ("session.tracks_median" → 7.0) in place of its own."""
    content = Behaviour.load(None).model_dump()
    for path, value in changes.items():
        *inner, last = path.split(".")
        place: Any = content
        for key in inner:
            place = place[key]
        place[last] = value
    return Behaviour.model_validate(content)


def simulated(
    behaviour: Behaviour, users: int, days: int, seed: int, catalog: Catalog | None = None
) -> ObservedListening:
    """What is seen of so many listeners' everyday in so many days."""
    songs = catalog or open_catalog(CatalogSettings(), cache_folder())
    settings = SimulationSettings(users, seed, START_MS, "everyday", behaviour)
    shard = Shard(settings, songs, np.arange(users))
    artist_of = songs.tracks["artist"].to_numpy()
    window_ms = window_for(shard.events_per_s, 4 * MAX_BATCH)
    end_ms = START_MS + days * DAY_MS
    with tempfile.TemporaryDirectory() as spill:
        facts = Facts(Interval(), Path(spill))
        try:
            while shard.now_ms < end_ms:
                batch = shard.step(min(end_ms, shard.now_ms + window_ms))
                facts.connection.register("rows", _rows(batch, shard, songs, artist_of))
                facts.connection.execute("INSERT INTO parts SELECT * FROM rows")
            facts.finish()
            return seen_in(facts)
        finally:
            facts.close()


def _rows(batch: EventBatch, shard: Shard, songs: Catalog, artist_of: Any) -> pa.Table:
    kind = _KIND[batch.page]
    no_song = kind != PLAY
    track = np.where(no_song, 0, batch.track)
    artist = artist_of[track]
    columns = {
        "ts_ms": batch.ts_ms,
        "listener": batch.user_id.astype(np.uint64),
        "session": batch.session_id,
        "item": batch.item,
        "kind": kind,
        "artist": pa.array(artist.astype(np.uint64), mask=no_song),
        "track": pa.array(track.astype(np.uint64), mask=no_song),
        "length_ms": pa.array(songs.length_ms[track], mask=no_song),
        "tier": pa.array(songs.artist_tier[artist], mask=no_song),
        "level": batch.level,
        "age": shard.listeners.age[batch.row],
        "zone": _ZONE[shard.listeners.city[batch.row]],
    }
    return pa.table(columns)

"""How the golden events are made: a small catalogue and population, fixed in every respect, in one process."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import make_track_parts
from loadgen.event import Int64s
from loadgen.formats import format_of
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.population import user_names
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import SimulationSettings, labels
from tests.simulate.world import CATALOG, SmallCatalog

N_EVENTS = 1000
N_USERS = 300
START_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z
WINDOW_MS = 1_200_000
TITLES = ("Slow Rain", "봄의 거리", '12" Mix', "Ça va", "夜の電車", "Rock & Roll", "Back\\slash")


@dataclass(frozen=True)
class NamedCatalog:
    """The small catalogue of the simulation's tests, with names."""

    songs: SmallCatalog = CATALOG
    genres: tuple[str, ...] = CATALOG.genres
    first_names: tuple[str, ...] = ("mina", "jonas", "aiko", "lucia")
    last_names: tuple[str, ...] = ("kim", "berg", "tanaka", "ruiz")

    @property
    def path(self) -> Path:
        """There is no file."""
        raise FileNotFoundError

    @property
    def digest(self) -> str:
        """There is no file."""
        raise FileNotFoundError

    @property
    def artists(self) -> pa.Table:
        """Artist 0, Artist 1 …"""
        names = pa.array([f"Artist {i}" for i in range(len(self.songs.artist_tier))])
        return pa.table({"name": names, "tier": pa.array(self.songs.artist_tier)})

    @property
    def tracks(self) -> pa.Table:
        """Titles in several scripts, popularity by position."""
        artist = np.repeat(np.arange(len(self.songs.artist_tier)), np.diff(self.songs.first_track)).astype(np.int32)
        rows = range(len(artist))
        return pa.table(
            {
                "title": pa.array([f"{TITLES[row % len(TITLES)]} {row}" for row in rows]),
                "artist": pa.array(artist),
                "genre": pa.array(self.songs.artist_genre[artist]),
                "length_ms": pa.array(self.songs.length_ms),
                "popularity": pa.array([1 + row % 100 for row in rows], pa.uint8()),
            }
        )


def golden_path(wire_format: str) -> Path:
    """The file of a format."""
    return Path(__file__).with_name(f"{wire_format}.jsonl")


def made_now(wire_format: str) -> bytes:
    """The first events of the listeners, as lines."""
    catalog, behaviour = NamedCatalog(), Behaviour.load(None)
    shard = Shard(SimulationSettings(N_USERS, 1, START_MS, "online", behaviour), CATALOG, np.arange(N_USERS))
    words = labels(catalog, behaviour)

    def names(user_ids: Int64s) -> pa.Array:
        return user_names(user_ids, 1, words)

    parts = make_track_parts(catalog, format_of(wire_format))
    batch = shard.step(START_MS + WINDOW_MS)
    encoder = Encoder(format_of(wire_format), parts, words, shard.listeners, names)
    lines, _ = encoder.encode(batch.take(slice(0, N_EVENTS)))
    return b"".join(lines.to_pylist())

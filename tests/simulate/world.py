"""A small world for tests: a catalogue in memory, settings, and what statistical tests need."""

from dataclasses import dataclass, fields
from math import sqrt

import numpy as np
import numpy.typing as npt

from loadgen.event import EventBatch, Int32s, Int64s, UInt8s
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import Presence, SimulationSettings

MONDAY_MS = 1_750_032_000_000
"""2025-06-16 00:00 UTC, a Monday."""
DAY_MS = 86_400_000
BEHAVIOUR = Behaviour.load(None)
N_TIERS = (3, 10, 60, 800)


@dataclass(frozen=True)
class SmallCatalog:
    """The columns that the simulation reads."""

    artist_tier: UInt8s
    artist_genre: UInt8s
    artist_weight: npt.NDArray[np.float64]
    first_track: Int32s
    length_ms: Int32s
    genres: tuple[str, ...]


def small_catalog() -> SmallCatalog:
    """873 artists in four tiers and six genres, with 3 to 60 tracks each of 90 to 320 s."""
    tier = np.repeat(np.arange(4), N_TIERS).astype(np.uint8)
    weight = 1.0 / np.arange(1, len(tier) + 1)
    n_tracks = 3 + np.arange(len(tier)) * 7 % 38 + 20 * (tier < 3)
    first_track = np.concatenate([[0], np.cumsum(n_tracks)]).astype(np.int32)
    length_ms = (90_000 + np.arange(first_track[-1]) * 48_271 % 230_003).astype(np.int32)
    genre = (np.arange(len(tier)) % 6).astype(np.uint8)
    names = ("Pop", "Hip-Hop", "Rock", "Classical", "K-Pop", "Jazz")
    return SmallCatalog(tier, genre, weight / weight.sum(), first_track, length_ms, names)


CATALOG = small_catalog()


def settings(
    users: int = 500, presence: Presence = "online", seed: int = 7, start_ms: int = MONDAY_MS
) -> SimulationSettings:
    """Settings with the shipped behaviour."""
    return SimulationSettings(users, seed, start_ms, presence, BEHAVIOUR)


def shard(chosen: SimulationSettings, index: int = 0, count: int = 1) -> Shard:
    """Shard `index` of `count`, cut by slices."""
    ids = np.arange(chosen.users, dtype=np.int64)
    return Shard(chosen, CATALOG, ids[ids % 256 % count == index])


def joined(batches: list[EventBatch]) -> EventBatch:
    """All events of these batches, one behind the other."""
    return EventBatch(*(np.concatenate([getattr(b, f.name) for b in batches]) for f in fields(EventBatch)))


def run(one: Shard, duration_ms: int, window_ms: int) -> EventBatch:
    """All events of so much simulated time, in steps of window_ms."""
    end_ms, batches = one.now_ms + duration_ms, []
    while one.now_ms < end_ms:
        batches.append(one.step(min(end_ms, one.now_ms + window_ms)))
    return joined(batches)


def chi_square_deviation(observed: Int64s, shares: npt.NDArray[np.float64]) -> float:
    """How far the chi-square statistic of counts lies above its mean, in its standard deviations."""
    expected = shares * observed.sum()
    degrees = len(shares) - 1
    statistic = float(((observed - expected) ** 2 / expected).sum())
    return (statistic - degrees) / sqrt(2 * degrees)

"""What an event is: its columns and its pages.

Both halves of the program share this file: the producing half fills an `EventBatch` and encodes it, the
consuming half reads the fields back (formats.py).
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

N_VIRTUAL_SHARDS = 256
"""The population is cut into this many fixed virtual shards: listener i belongs to virtual shard i % N_VIRTUAL_SHARDS.

A worker owns whole virtual shards, so that neither the number of workers nor of machines changes an event."""

DAY_MS = 86_400_000
NO_TRACK = -1
SESSIONS_PER_LISTENER = 1_000_000
"""session_id = user_id * SESSIONS_PER_LISTENER + the listener's session count: unique without asking anyone."""


PAGE_BITS = 5
MAX_PAGES = 1 << PAGE_BITS


class Page(IntEnum):
    """The built-in pages of the service; a behaviour may add more. The value is the row of the transition table."""

    HOME = 0
    NEXT_SONG = 1
    SEARCH = 2
    BROWSE = 3
    THUMBS_UP = 4
    THUMBS_DOWN = 5
    ADD_TO_PLAYLIST = 6
    SETTINGS = 7
    LOGOUT = 8


SKIP_ACTION = "skip"
"""What `action` says instead of `play` when the track before was cut short: the listener pressed next."""

TRACK_PAGES = (Page.NEXT_SONG, Page.THUMBS_UP, Page.THUMBS_DOWN, Page.ADD_TO_PLAYLIST)
"""Built-in pages that are about a track: their events carry one in `EventBatch.track`."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a run: the built-in ones, then those that its behaviour adds. The position is the page's code.

    Attributes:
        names, methods, actions: what the fields `page`, `method` and `action` say.
        like: the built-in page whose fields its events have; of a built-in page, the page itself.
    """

    names: tuple[str, ...]
    methods: tuple[str, ...]
    actions: tuple[str, ...]
    like: tuple[Page, ...] = tuple(Page)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def have_track(self) -> npt.NDArray[np.bool_]:
        """Whether the events of each page are about a track: bool[n]."""
        return np.isin(self.like, TRACK_PAGES)


PAGES = Pages(
    names=(
        "Home",
        "NextSong",
        "Search",
        "Browse",
        "Thumbs Up",
        "Thumbs Down",
        "Add to Playlist",
        "Settings",
        "Logout",
    ),
    methods=("GET", "PUT", "GET", "GET", "PUT", "PUT", "PUT", "GET", "PUT"),
    actions=("home", "play", "search", "browse", "like", "dislike", "add_to_playlist", "settings", "logout"),
)
"""The built-in pages."""

LEVELS = ("free", "paid")
TIERS = ("mega", "top", "famous", "indie")

Bools = npt.NDArray[np.bool_]
Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
UInt8s = npt.NDArray[np.uint8]
UInt16s = npt.NDArray[np.uint16]
UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]


@dataclass(slots=True)
class EventBatch:
    """Events as columns of equal length, sorted by (ts_ms, user_id).

    Attributes:
        ts_ms: int64, simulated time, milliseconds since 1970 (UTC).
        row: int32, position of the listener in its shard's arrays.
        user_id: int64, the listener, 0..users-1.
        session_id: int64, see SESSIONS_PER_LISTENER.
        item: int32, itemInSession, 1, 2, 3 … without gaps.
        page: uint8, a code of the run's `Pages`.
        level: uint8, position in LEVELS.
        track: int32, row of the catalogue's tracks; NO_TRACK where the page is not about one.
        skipped: uint8, 1 where this NextSong cut the track before short.
    """

    ts_ms: Int64s
    row: Int32s
    user_id: Int64s
    session_id: Int64s
    item: Int32s
    page: UInt8s
    level: UInt8s
    track: Int32s
    skipped: UInt8s

    def __len__(self) -> int:
        return len(self.ts_ms)

    def take(self, rows: npt.NDArray[Any] | slice) -> Self:
        """The events at these positions (indices, mask or slice), in that order."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(slots=True)
class Listeners:
    """The unchanging attributes of a shard's listeners: one array per attribute, row = listener.

    Attributes:
        user_id: int64, ascending.
        key: uint64, the root of every random number of this listener (a hash of seed and user_id).
        age: uint8, years.
        level: uint8, position in LEVELS.
        activity: uint8, 0 low, 1 medium, 2 high.
        city: uint16, position in Labels.locations.
        taste: uint8, 0 mainstream, 1 indie, 2 mixed.
        mainstream: float32, mainstream propensity, 0..1.
        genres: uint8, shape (n, 2), positions in Labels.genres, the favourite first.
        plays_per_day: float32, mean number of tracks a day under `--presence everyday`.
        registered_day: int32, days since 1970 (UTC), before the run's start, or when the listener joins in it.
        platform, device: uint8, positions in Labels.platforms and Labels.devices.
    """

    user_id: Int64s
    key: UInt64s
    age: UInt8s
    level: UInt8s
    activity: UInt8s
    city: UInt16s
    taste: UInt8s
    mainstream: npt.NDArray[np.float32]
    genres: UInt8s
    plays_per_day: npt.NDArray[np.float32]
    registered_day: Int32s
    platform: UInt8s
    device: UInt8s

    def __len__(self) -> int:
        return len(self.user_id)


@dataclass(frozen=True, slots=True)
class Labels:
    """The words behind the codes of `Listeners` and of the catalogue.

    Attributes:
        locations: "Seoul, KR" …; countries: two letters, one per location.
        platforms, devices, genres: names in the order of their codes.
        first_names, last_names: the parts of user names (ASCII, lower case).
        pages: of the run.
    """

    locations: tuple[str, ...]
    countries: tuple[str, ...]
    platforms: tuple[str, ...]
    devices: tuple[str, ...]
    genres: tuple[str, ...]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    pages: Pages = PAGES


def rank_within(labels: npt.NDArray[np.integer[Any]], n_labels: int) -> tuple[Int64s, Int64s]:
    """For each element its rank among equal labels, in order, and the count of each label.

    Args:
        labels: 0..n_labels - 1, any integer dtype.
    """
    narrow = np.uint16 if n_labels <= 1 << 16 else np.uint32  # sorting the former takes a fraction of the time
    order = np.argsort(labels.astype(narrow), kind="stable")
    counts = np.bincount(labels, minlength=n_labels)
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = np.arange(len(labels)) - np.repeat(starts, counts)
    return ranks, counts

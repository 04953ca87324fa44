"""A batch of events to lines of JSON and their hashes: static pieces gathered, numbers cast, all joined at once.

An `EventBatch` goes in; a binary array with one line per event (ending in a newline) and a uint64 hash per event come
out. Each line equals orjson.dumps of the same record; the fields and their order are event.py's.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from loadgen.encode import text
from loadgen.encode.tracks import TrackParts
from loadgen.event import (
    LEVELS,
    NO_TRACK,
    PAGE_ACTIONS,
    PAGE_METHODS,
    PAGE_NAMES,
    SKIP_ACTION,
    EventBatch,
    Format,
    Int64s,
    Labels,
    Listeners,
    Page,
    UInt64s,
)
from loadgen.fingerprint import NO_KEY, hash_integers, hash_null, hash_texts, mix

STATUS = 200
OLDEST = 128  # ages are 0..127
N_PAGES = len(PAGE_NAMES)

UserNames = Callable[[Int64s], pa.Array]


class Encoder(Protocol):
    """Encodes the batches of one shard."""

    def encode(self, batch: EventBatch) -> tuple[pa.BinaryArray, UInt64s]:
        """The lines of the events, each ending in a newline, and their hashes."""


def make_encoder(
    wire_format: Format,
    tracks: TrackParts,
    labels: Labels,
    listeners: Listeners,
    user_names: UserNames,
    key: np.uint64 = NO_KEY,
) -> Encoder:
    """The encoder of a wire format for these listeners.

    Args:
        wire_format: activity, listen or full.
        tracks: the parts of the kind that KIND_OF names for the format.
        labels: the words behind the codes.
        listeners: the shard's listeners; a batch's `row` points into them.
        user_names: gives the user names of user ids.
        key: of the hashes, see fingerprint.run_key.
    """
    if wire_format == "activity":
        return ActivityEncoder(tracks, labels, listeners, key)
    if wire_format == "full":
        return FullEncoder(tracks, labels, listeners, user_names, key)
    return ListenEncoder(tracks, labels, listeners, user_names, key)


class ActivityEncoder:
    """`{"ts":…,"userId":…,…,"age":…}`, with the five song fields where the page is NextSong."""

    def __init__(self, tracks: TrackParts, labels: Labels, listeners: Listeners, key: np.uint64) -> None:
        self._tracks, self._key = tracks, key
        self._place = (listeners.city.astype(np.int32) * OLDEST + listeners.age).astype(np.int32)
        self._place_text = _place_texts(labels)
        self._visit_text, self._visit_hash = _visit_table(key)
        self._listener_hash = (
            hash_integers("userId", listeners.user_id, key)
            + hash_texts("location", pa.array(labels.locations))[listeners.city]
            + hash_integers("age", listeners.age, key)
        )

    def encode(self, batch: EventBatch) -> tuple[pa.BinaryArray, UInt64s]:
        """The lines of the events, each ending in a newline, and their hashes."""
        song = _track_where(batch, self._names_song(batch), self._tracks)
        lines = text.join(*self._pieces(batch, song), text.literal("}\n"))
        return lines, mix(self._hash(batch, song))

    def _names_song(self, batch: EventBatch) -> npt.NDArray[np.bool_]:
        """Which events have the song fields."""
        named: npt.NDArray[np.bool_] = batch.page == Page.NEXT_SONG
        return named

    def _pieces(self, batch: EventBatch, song: npt.NDArray[np.int32]) -> list[pa.BinaryArray | pa.Scalar]:
        return [
            text.literal('{"ts":'),
            text.integers(batch.ts_ms),
            text.literal(',"userId":'),
            text.integers(batch.user_id),
            text.literal(',"sessionId":'),
            text.integers(batch.session_id),
            self._visit_text.take(pa.array(_visit_row(batch))),
            text.integers(batch.item),
            self._place_text.take(pa.array(self._place[batch.row])),
            self._tracks.pieces[0].take(pa.array(song)),
        ]

    def _hash(self, batch: EventBatch, song: npt.NDArray[np.int32]) -> UInt64s:
        return (
            self._listener_hash[batch.row]
            + self._tracks.hash[song]
            + self._visit_hash[_visit_row(batch)]
            + hash_integers("ts", batch.ts_ms, self._key)
            + hash_integers("sessionId", batch.session_id, self._key)
            + hash_integers("itemInSession", batch.item, self._key)
        )


class FullEncoder(ActivityEncoder):
    """The activity fields, then user, genre, platform, device, action and country.

    Every event about a track has the song fields, not only NextSong: a thumb up without its song says little.
    """

    def __init__(
        self, tracks: TrackParts, labels: Labels, listeners: Listeners, user_names: UserNames, key: np.uint64
    ) -> None:
        super().__init__(tracks, labels, listeners, key)
        self._person = _Person(labels, listeners, user_names)
        self._genre_text = text.dumped([*labels.genres, None])
        self._genre_hash = np.append(hash_texts("genre", pa.array(labels.genres)), hash_null("genre"))

    def _names_song(self, batch: EventBatch) -> npt.NDArray[np.bool_]:
        named: npt.NDArray[np.bool_] = batch.track != NO_TRACK
        return named

    def _pieces(self, batch: EventBatch, song: npt.NDArray[np.int32]) -> list[pa.BinaryArray | pa.Scalar]:
        return [
            *super()._pieces(batch, song),
            text.literal(',"user":'),
            self._person.names(batch),
            text.literal(',"genre":'),
            self._genre_text.take(pa.array(self._tracks.genre[song])),
            *self._person.ending(batch),
        ]

    def _hash(self, batch: EventBatch, song: npt.NDArray[np.int32]) -> UInt64s:
        return (
            super()._hash(batch, song)
            + self._genre_hash[self._tracks.genre[song]]
            + self._person.hash_of_row[batch.row]
            + self._person.action_hash[action_rows(batch)]
        )


class ListenEncoder:
    """One flat record: user, artist, track, timestamp, genre, duration, platform, device, action, country."""

    def __init__(
        self, tracks: TrackParts, labels: Labels, listeners: Listeners, user_names: UserNames, key: np.uint64
    ) -> None:
        self._tracks, self._key = tracks, key
        self._person = _Person(labels, listeners, user_names)
        self._times = text.IsoTimes()

    def encode(self, batch: EventBatch) -> tuple[pa.BinaryArray, UInt64s]:
        """The lines of the events, each ending in a newline, and their hashes."""
        track = _track_where(batch, batch.track != NO_TRACK, self._tracks)
        track_rows = pa.array(track)
        lines = text.join(
            text.literal('{"user":'),
            self._person.names(batch),
            self._tracks.pieces[0].take(track_rows),
            *self._times.pieces(batch.ts_ms),
            self._tracks.pieces[1].take(track_rows),
            *self._person.ending(batch),
            text.literal("}\n"),
        )
        hashes = (
            self._person.hash_of_row[batch.row]
            + self._tracks.hash[track]
            + self._person.action_hash[action_rows(batch)]
            + hash_integers("timestamp", batch.ts_ms, self._key)
        )
        return lines, mix(hashes)


class _Person:
    """The parts of a line that say who: user name, platform, device, action and country."""

    def __init__(self, labels: Labels, listeners: Listeners, user_names: UserNames) -> None:
        self._user_names = user_names
        self._country_text = text.dumped(list(labels.countries))
        self._city = listeners.city
        self._n_actions = len(PAGE_ACTIONS) + 1
        self._client = listeners.platform.astype(np.int32) * len(labels.devices) + listeners.device
        actions = [*PAGE_ACTIONS, SKIP_ACTION]
        self._client_text = pa.array(
            [
                _client_text(platform, device, action)
                for platform in labels.platforms
                for device in labels.devices
                for action in actions
            ]
        )
        self.action_hash = hash_texts("action", pa.array(actions))
        self.hash_of_row = (
            hash_texts("platform", pa.array(labels.platforms))[listeners.platform]
            + hash_texts("device", pa.array(labels.devices))[listeners.device]
            + hash_texts("country", pa.array(labels.countries))[listeners.city]
            + hash_texts("user", user_names(listeners.user_id))
        )

    def names(self, batch: EventBatch) -> pa.BinaryArray:
        """Quoted user names; they are ASCII letters, digits and dots."""
        return text.quoted(self._user_names(batch.user_id))

    def ending(self, batch: EventBatch) -> tuple[pa.BinaryArray, pa.BinaryArray]:
        """Platform, device, action and country."""
        client = self._client[batch.row] * self._n_actions + action_rows(batch)
        return self._client_text.take(pa.array(client)), self._country_text.take(pa.array(self._city[batch.row]))


def _client_text(platform: str, device: str, action: str) -> bytes:
    record = orjson.dumps({"platform": platform, "device": device, "action": action})
    return b"," + record[1:-1] + b',"country":'


def _track_where(batch: EventBatch, wanted: npt.NDArray[np.bool_], tracks: TrackParts) -> npt.NDArray[np.int32]:
    """The track of each event, or the row that stands for no track."""
    return np.where(wanted, batch.track, np.int32(len(tracks.hash) - 1))


def _visit_row(batch: EventBatch) -> npt.NDArray[np.uint8]:
    return batch.page * np.uint8(len(LEVELS)) + batch.level


def action_rows(batch: EventBatch) -> npt.NDArray[np.uint8]:
    """Position in PAGE_ACTIONS, or behind it where the listener skipped."""
    return np.where(batch.skipped, np.uint8(N_PAGES), batch.page)


def _visit_table(key: np.uint64) -> tuple[pa.BinaryArray, UInt64s]:
    """Text and hash of page, method, status and level, row = page * 2 + level."""
    rows = [(page, level) for page in range(N_PAGES) for level in LEVELS]
    texts = [
        f',"page":"{PAGE_NAMES[page]}","method":"{PAGE_METHODS[page]}","status":{STATUS},"level":"{level}",'
        f'"itemInSession":'
        for page, level in rows
    ]
    hashes = (
        hash_texts("page", pa.array([PAGE_NAMES[page] for page, _ in rows]))
        + hash_texts("method", pa.array([PAGE_METHODS[page] for page, _ in rows]))
        + hash_integers("status", np.full(len(rows), STATUS), key)
        + hash_texts("level", pa.array([level for _, level in rows]))
    )
    return pa.array([line.encode() for line in texts]), hashes


def _place_texts(labels: Labels) -> pa.BinaryArray:
    """`,"location":"Seoul, KR","age":23`, row = city * OLDEST + age."""
    places = text.strings(pa.array(labels.locations))
    n_cities = len(labels.locations)
    return text.join(
        text.literal(',"location":'),
        places.take(pa.array(np.repeat(np.arange(n_cities), OLDEST))),
        text.literal(',"age":'),
        text.integers(np.tile(np.arange(OLDEST), n_cities)),
    )

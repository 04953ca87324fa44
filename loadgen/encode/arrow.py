"""Events to Arrow record batches, whose columns bear the names of a wire format.

The values of a listener or of a track are gathered from columns that are made once; no text is made for an event.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.encode.lines import STATUS, UserNames, action_rows
from loadgen.encode.text import MS_PER_SECOND
from loadgen.encode.tracks import TrackSource
from loadgen.event import (
    LEVELS,
    PAGE_ACTIONS,
    PAGE_METHODS,
    PAGE_NAMES,
    SKIP_ACTION,
    TIERS,
    EventBatch,
    Labels,
    Listeners,
)
from loadgen.formats import FULL, OF_TRACK, Field, FieldType, Format, Source

TIME = pa.timestamp("ms", "UTC")
_TYPES: dict[FieldType, pa.DataType] = {"integer": pa.int64(), "float": pa.float64(), "text": pa.string()}
Codes = npt.NDArray[Any]


def arrow_schema(wire_format: Format = FULL) -> pa.Schema:
    """The columns of a format: times as timestamp[ms, UTC], integers as int64, lengths as double, texts as string."""
    times = (Source.TIME_MS, Source.TIME_ISO)
    return pa.schema(
        [(field.name, TIME if field.source in times else _TYPES[field.type]) for field in wire_format.fields]
    )


class ArrowEncoder:
    """Makes the record batches of the listeners of a shard."""

    def __init__(
        self,
        catalog: TrackSource,
        labels: Labels,
        listeners: Listeners,
        user_names: UserNames,
        wire_format: Format = FULL,
    ) -> None:
        """Prepare the columns to gather from.

        Args:
            catalog: what the events' tracks are rows of.
            labels: the words behind the codes.
            listeners: the shard's listeners; a batch's `row` points into them.
            user_names: gives the user names of user ids.
            wire_format: whose fields become columns.
        """
        self.schema = arrow_schema(wire_format)
        self._fields = wire_format.fields
        sources = {field.source for field in wire_format.fields}
        self._values = _listener_values(labels, listeners, user_names, sources) | _track_values(catalog)

    def to_arrow(self, batch: EventBatch) -> pa.RecordBatch:
        """A row for each event, in order; null where its record has no such field or no value for it."""
        return pa.RecordBatch.from_arrays([self._column(field, batch) for field in self._fields], schema=self.schema)

    def _column(self, field: Field, batch: EventBatch) -> pa.Array:
        if field.source not in self._values:
            return _numbers(field, batch)
        table, code_of = self._values[field.source]
        is_absent = _is_absent(field, batch)
        if is_absent is None:
            return table.take(pa.array(code_of(batch)))
        return table.take(pa.array(code_of(batch), mask=is_absent))


Values = dict[Source, tuple[pa.Array, Callable[[EventBatch], Codes]]]
"""By source: the values that it has, and which of them each event has."""


def _listener_values(labels: Labels, listeners: Listeners, user_names: UserNames, sources: set[Source]) -> Values:
    """The sources that depend on the listener and on the page."""
    names = user_names(listeners.user_id) if Source.USER_NAME in sources else pa.array([], pa.string())
    return {
        Source.PAGE: (pa.array(PAGE_NAMES), lambda batch: batch.page),
        Source.METHOD: (pa.array(PAGE_METHODS), lambda batch: batch.page),
        Source.LEVEL: (pa.array(LEVELS), lambda batch: batch.level),
        Source.ACTION: (pa.array([*PAGE_ACTIONS, SKIP_ACTION]), action_rows),
        Source.USER_NAME: (names, lambda batch: batch.row),
        Source.LOCATION: (pa.array(labels.locations), lambda batch: listeners.city[batch.row]),
        Source.COUNTRY: (pa.array(labels.countries), lambda batch: listeners.city[batch.row]),
        Source.AGE: (pa.array(listeners.age.astype(np.int64)), lambda batch: batch.row),
        Source.PLATFORM: (pa.array(labels.platforms), lambda batch: listeners.platform[batch.row]),
        Source.DEVICE: (pa.array(labels.devices), lambda batch: listeners.device[batch.row]),
    }


def _track_values(catalog: TrackSource) -> Values:
    """The sources that depend on the track; what they give for "no track" is hidden by a mask."""
    tracks, artists = catalog.tracks, catalog.artists
    artist = tracks["artist"].to_numpy()
    tier, genre = artists["tier"].to_numpy(), tracks["genre"].to_numpy()
    return {
        Source.ARTIST: (artists["name"].combine_chunks(), lambda batch: artist[batch.track]),
        Source.TITLE: (tracks["title"].combine_chunks(), lambda batch: batch.track),
        Source.LENGTH: (pa.array(tracks["length_ms"].to_numpy() / MS_PER_SECOND), lambda batch: batch.track),
        Source.TIER: (pa.array(TIERS), lambda batch: tier[artist[batch.track]]),
        Source.POPULARITY: (tracks["popularity"].combine_chunks().cast(pa.int64()), lambda batch: batch.track),
        Source.GENRE: (pa.array(catalog.genres), lambda batch: genre[batch.track]),
    }


def _is_absent(field: Field, batch: EventBatch) -> npt.NDArray[np.bool_] | None:
    """Which events have no value for the field; None where all have one."""
    if field.pages is None:
        return batch.track < 0 if field.source in OF_TRACK else None
    has_field = np.array([field.is_on(page) for page in range(len(PAGE_NAMES))])
    is_absent: npt.NDArray[np.bool_] = ~has_field[batch.page]
    return is_absent | (batch.track < 0) if field.is_nullable else is_absent


def _numbers(field: Field, batch: EventBatch) -> pa.Array:
    """A column that is one of the batch's, or the same number everywhere."""
    is_absent = _is_absent(field, batch)
    if field.source in (Source.TIME_MS, Source.TIME_ISO):
        return pa.array(batch.ts_ms.astype(np.int64, copy=False).view("datetime64[ms]"), TIME, mask=is_absent)
    values = {
        Source.USER_ID: batch.user_id,
        Source.SESSION_ID: batch.session_id,
        Source.ITEM: batch.item.astype(np.int64),
        Source.STATUS: np.broadcast_to(np.int64(STATUS), len(batch)),
    }
    return pa.array(values[field.source], mask=is_absent)

"""Events to Arrow record batches, whose columns bear the names of a wire format.

The values of a listener or of a track are gathered from columns that are made once; no text is made for an event.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.drawn import Drawn, FieldType
from loadgen.encode.drawn import drawn_values
from loadgen.encode.lines import UserNames
from loadgen.encode.tracks import TrackSource, track_values
from loadgen.encode.values import Axis, Codes, axis_values, kinds_of, listener_codes, pages_with
from loadgen.event import EventBatch, Labels, Listeners
from loadgen.formats import FULL, OF_TRACK, TIMES, Field, Format, Source

TIME = pa.timestamp("ms", "UTC")
_TYPES: dict[FieldType, pa.DataType] = {"integer": pa.int64(), "float": pa.float64(), "text": pa.string()}


def arrow_schema(wire_format: Format = FULL) -> pa.Schema:
    """The columns of a format: times as timestamp[ms, UTC], integers as int64, lengths as double, texts as string."""
    return pa.schema(
        [(field.name, TIME if field.source in TIMES else _TYPES[field.type]) for field in wire_format.fields]
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
        self._pages = labels.pages
        self._few, self._codes = axis_values(labels), listener_codes(listeners)
        self._of_track = track_values(catalog)
        self._drawn = drawn_values(wire_format, listeners, labels.pages)
        if any(field.source is Source.USER_NAME for field in wire_format.fields):
            self._user_names = user_names(listeners.user_id)

    def to_arrow(self, batch: EventBatch) -> pa.RecordBatch:
        """A row for each event, in order; null where its record has no such field or no value for it."""
        kinds = kinds_of(batch, self._pages)
        return pa.RecordBatch.from_arrays(
            [self.column(field, batch, kinds) for field in self._fields], schema=self.schema
        )

    def column(self, field: Field, batch: EventBatch, kinds: Codes | None = None) -> pa.Array:
        """One of its columns; kinds: of the events, where they are known."""
        is_absent = self._is_absent(field, batch)
        if field.name in self._drawn:
            drawn = self._drawn[field.name]
            return drawn.values.take(pa.array(drawn.codes(batch), mask=is_absent))
        if field.source in self._of_track:
            values, codes = self._of_track[field.source]
            return values.take(pa.array(batch.track if codes is None else codes[batch.track], mask=is_absent))
        if field.source in self._few:
            axis, values = self._few[field.source]
            if axis is Axis.KIND:
                codes = kinds_of(batch, self._pages) if kinds is None else kinds
            else:
                codes = self._codes[axis][batch.row]
            return values.take(pa.array(codes, mask=is_absent))
        if field.source is Source.USER_NAME:
            return self._user_names.take(pa.array(batch.row, mask=is_absent))
        if field.source in TIMES:
            return pa.array(batch.ts_ms.astype(np.int64, copy=False).view("datetime64[ms]"), TIME, mask=is_absent)
        numbers: dict[Source | Drawn, Codes] = {
            Source.USER_ID: batch.user_id,
            Source.SESSION_ID: batch.session_id,
            Source.ITEM: batch.item,
        }
        return pa.array(numbers[field.source], pa.int64(), mask=is_absent)

    def _is_absent(self, field: Field, batch: EventBatch) -> npt.NDArray[np.bool_] | None:
        """Which events have no value for the field; None where all have one."""
        if field.pages is None:
            return batch.track < 0 if field.source in OF_TRACK else None
        is_absent: npt.NDArray[np.bool_] = ~pages_with(field, self._pages)[batch.page]
        return is_absent | (batch.track < 0) if field.is_nullable else is_absent

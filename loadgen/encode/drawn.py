"""Which of its drawn values each event has: a hash of its listener, session, item and the field's name."""

import numpy as np
import pyarrow as pa

from loadgen.drawn import Drawn
from loadgen.encode.values import Codes, pages_with
from loadgen.event import EventBatch, Listeners, Pages, UInt64s
from loadgen.fingerprint import field_key
from loadgen.formats import Field, Format
from loadgen.rng import SLOT_BITS, draw

_ARROW = {"integer": pa.int64(), "float": pa.float64(), "text": pa.string()}


def drawn_values(wire_format: Format, listeners: Listeners, pages: Pages) -> "dict[str, DrawnValues]":
    """Those of each field of the format that has drawn values, by its name; raises ValueError as `DrawnValues` does."""
    return {
        field.name: DrawnValues(field, field.source, listeners, pages)
        for field in wire_format.fields
        if isinstance(field.source, Drawn)
    }


class DrawnValues:
    """The values of a field of drawn ones, for the listeners of a shard.

    Attributes:
        values: each once.
    """

    def __init__(self, field: Field, source: Drawn, listeners: Listeners, pages: Pages) -> None:
        """Make the table.

        Raises:
            ValueError: Faker cannot make the values.
        """
        table = source.table(field.drawn_as)
        self.values = pa.array(table.values, _ARROW[source.type])
        self._of_slot, self._source, self._listener_keys = table.of_slot, source, listeners.key
        self._key = field_key(field.drawn_as)
        self._pages = None if field.pages is None else pages_with(field, pages)
        if source.per == "listener":
            self._of_listener = self._at(listeners.key, np.zeros(1, np.uint64))

    def codes(self, batch: EventBatch) -> Codes:
        """Of each event, the position of its value; len(values) where its page has none."""
        found = self._of_events(batch)
        if self._pages is None:
            return found
        return np.where(self._pages[batch.page], found, np.int32(len(self.values)))

    def _of_events(self, batch: EventBatch) -> Codes:
        if self._source.per == "listener":
            return self._of_listener[batch.row]
        counter = batch.session_id << SLOT_BITS  # that of a listener is 0
        if self._source.per == "event":
            counter += batch.item
        return self._at(self._listener_keys[batch.row], counter.view(np.uint64))

    def _at(self, keys: UInt64s, counter: UInt64s) -> Codes:
        slot = draw(keys + self._key, counter).view(np.uint64) >> np.uint64(64 - SLOT_BITS)
        found: Codes = self._of_slot[slot]
        return found

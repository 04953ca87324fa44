"""How many events there were of each genre, platform, action, country, artist or track.

In: columns of text. Out: the most frequent values with their counts.
"""

from heapq import nlargest
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

MOST_VALUES = 10_000
"""So many different values are counted one by one; events of further ones are counted together, as `others`."""
MOST_LETTERS = 100
"""A longer text is cut: what is kept has a bound whatever producers send."""


class Groups:
    """Counts by value.

    Attributes:
        n_events: events that have a value.
        others: of them, those whose value came after MOST_VALUES different ones.
    """

    def __init__(self) -> None:
        """None yet."""
        self.n_events = 0
        self.others = 0
        self._counts: dict[str, int] = {}

    def add(self, column: pa.ChunkedArray) -> None:
        """Count the values of a column of text; null is none. Costs a step for each different value, not each event."""
        counted = pc.value_counts(column.combine_chunks())
        for value, count in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True):
            if value is not None:
                self._count(value[:MOST_LETTERS], count)

    def figures(self, n_top: int) -> dict[str, Any]:
        """The most frequent values, how many events have one, and how many values there are."""
        top = nlargest(n_top, self._counts.items(), key=lambda item: (item[1], item[0]))
        return {"top": top, "n_events": self.n_events, "n_values": len(self._counts)}

    def _count(self, value: str, count: int) -> None:
        self.n_events += count
        if value in self._counts or len(self._counts) < MOST_VALUES:
            self._counts[value] = self._counts.get(value, 0) + count
        else:
            self.others += count

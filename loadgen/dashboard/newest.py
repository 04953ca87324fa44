"""The newest events, by their own time.

In: rows of events, in any order. Out: the 50 newest as they are shown, the newest first.
"""

from typing import Any

import numpy as np
import pyarrow as pa

N_NEWEST = 50
MOST_LETTERS = 200
SHOWN = (
    "ts_ms",
    "listener",
    "name",
    "session",
    "item",
    "action",
    "artist",
    "title",
    "genre",
    "platform",
    "device",
    "country",
    "level",
)
EXACT = ("listener", "session")
"""Numbers that may be too large for JavaScript: they go as text."""


class Newest:
    """Keeps the newest events; of equal times, those that came later."""

    def __init__(self) -> None:
        """None yet."""
        self._events: list[dict[str, Any]] = []
        self._n_seen = 0

    def add(self, rows: pa.Table) -> None:
        """Look through rows; makes Python objects of at most N_NEWEST of them."""
        times_ms = rows["ts_ms"].to_numpy()
        places = np.argsort(times_ms, kind="stable")[-N_NEWEST:]
        if len(self._events) == N_NEWEST:
            places = places[times_ms[places] >= self._events[-1]["ts_ms"]]
        if len(places) == 0:
            return
        found = rows.select(SHOWN).take(pa.array(places)).to_pylist()
        for event in found:
            self._n_seen += 1
            self._events.append({"id": self._n_seen, **{name: _shown(name, event[name]) for name in SHOWN}})
        self._events.sort(key=lambda event: (event["ts_ms"], event["id"]), reverse=True)
        del self._events[N_NEWEST:]

    def figures(self) -> list[dict[str, Any]]:
        """The newest first; `id` tells an event from every other one."""
        return list(self._events)


def _shown(name: str, value: Any) -> Any:
    if name in EXACT and value is not None:
        return str(value)
    return value[:MOST_LETTERS] if isinstance(value, str) else value

"""All figures of the page, kept up to date event by event: what is shown costs the same after ten as after ten million.

In: pieces of rows, each event once, in any order. Out: figures for JSON. Nothing here grows with the number of events:
groups, window and open plays are bounded, and distinct counts take 8 bytes for each different listener, artist and
track.
"""

from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loadgen.dashboard.distinct import Distinct
from loadgen.dashboard.groups import Groups
from loadgen.dashboard.listened import STARTS, Listened
from loadgen.dashboard.newest import Newest
from loadgen.dashboard.rows import Piece
from loadgen.dashboard.window import Window

GROUPS = {
    "genres": ("genre", 10),
    "platforms": ("platform", 10),
    "actions": ("action", 10),
    "countries": ("country", 12),
}
"""Panel → column, and how many values are shown."""
N_TOP_PLAYED = 10
PLAYS = pa.array(STARTS)
"""The actions that start a track."""


class Aggregates:
    """The figures of all events so far.

    Attributes:
        n_events: events.
        n_unreadable: records that are no events.
    """

    def __init__(self) -> None:
        """No event yet."""
        self.n_events = 0
        self.n_unreadable = 0
        self._listeners, self._artists, self._tracks = Distinct(), Distinct(), Distinct()
        self._groups = {panel: Groups() for panel in GROUPS}
        self._played = {"top_artists": Groups(), "top_tracks": Groups()}
        self._window, self._newest = Window(), Newest()
        self._listened = Listened()

    def add(self, piece: Piece) -> None:
        """Count the events of a piece."""
        self.n_unreadable += piece.n_unreadable
        rows = piece.rows
        if rows.num_rows == 0:
            return
        self.n_events += rows.num_rows
        self._listeners.add(piece.listeners)
        self._artists.add(piece.artists)
        self._tracks.add(piece.tracks)
        for panel, (column, _) in GROUPS.items():
            self._groups[panel].add(rows[column])
        self._add_played(rows)
        self._window.add(rows["ts_ms"].to_numpy())
        self._newest.add(rows)
        self._listened.add(rows)

    def figures(self) -> dict[str, Any]:
        """Everything that the page shows, as JSON types. Costs the same however many events there were."""
        newest = self._newest.figures()
        return {
            "totals": {
                "events": self.n_events,
                "listeners": len(self._listeners),
                "artists": len(self._artists),
                "tracks": len(self._tracks),
                "unreadable": self.n_unreadable,
            },
            "newest_ms": newest[0]["ts_ms"] if newest else None,
            "last_minute": self._window.last_minute(),
            "timeline": asdict(self._window.timeline()),
            "groups": {panel: self._groups[panel].figures(n_top) for panel, (_, n_top) in GROUPS.items()},
            "played": {panel: groups.figures(N_TOP_PLAYED) for panel, groups in self._played.items()},
            "durations": self._listened.figures(),
            "newest": newest,
        }

    def _add_played(self, rows: pa.Table) -> None:
        """Count the artist and the track of each track that was started; where either is missing, the pair is none."""
        plays = rows.filter(pc.is_in(rows["action"], value_set=PLAYS))
        self._played["top_artists"].add(plays["artist"])
        self._played["top_tracks"].add(pc.binary_join_element_wise(plays["title"], plays["artist"], " · "))

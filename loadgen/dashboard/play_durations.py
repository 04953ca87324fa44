"""How long tracks were listened to: from each start until the session's next track or its logout.

In: rows of events, those of a session in order. Out: counts by duration.

A play is open until its end is seen. Other events, such as a like, do not end it. Its duration is at most the length of
the track, because a listener who does nothing afterwards no longer listens. Events without a session, as in the format
`listen`, are ordered by listener instead. A session numbers its events: where the number does not rise, another run has
reused the session's number, and the play before has no known end.

Memory is bounded: beyond MOST_OPEN open plays, the oldest are given up and counted.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.event import Bools, Float64s, Int64s

MOST_S = 600
"""Durations are counted by the second; all from 10 minutes on together."""
WIDTHS_S = (1, 2, 5, 10, 15, 30)
N_BINS = 20
"""The number of bins shown, all of one of WIDTHS_S; one more holds all longer plays."""
COVERED = 0.99
"""The bins are wide enough to hold at least this share of the plays."""
MOST_OPEN = 1 << 18
"""40 bytes each."""
STARTS, ENDS = ("play", "skip"), ("play", "skip", "logout")
_ENDS = pa.array(ENDS)
_SESSION_MIX, _LISTENER_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
"""Odd multipliers that combine session and listener into one key."""
NO_LENGTH = float("nan")
NO_ITEM = -1


MARK = np.dtype(
    [("key", np.uint64), ("time_ms", np.int64), ("length_s", np.float64), ("item", np.int64), ("order", np.int64)]
)
"""A start or a logout: the key of the session and its listener; milliseconds since 1970; the length of the track that
begins, NO_LENGTH where none does, or none is known; the number of the event in its session, or NO_ITEM; the order of
arrival."""
Marks = npt.NDArray[np.void]
"""MARK[n]."""


class PlayDurations:
    """Counts plays by how long they were listened to."""

    def __init__(self) -> None:
        self._counts = np.zeros(MOST_S + 1, np.int64)
        self._sum_s = 0.0
        self._n_given_up = self._n_seen = 0
        self._open: Marks = np.empty(0, MARK)

    def add(self, rows: pa.Table) -> None:
        """Count the plays that these rows end; costs no step in Python for each."""
        marks = self._marks(rows)
        if len(marks) == 0:
            return
        goes_on = np.isin(self._open["key"], marks["key"])
        marks = _in_order(np.concatenate((self._open[goes_on], marks)))
        has_next = np.append(marks["key"][1:] == marks["key"][:-1], False)
        is_cut_off = has_next & ~_goes_on(marks["item"])
        is_known = ~np.isnan(marks["length_s"])
        self._n_given_up += int((is_cut_off & is_known).sum())
        (ended,) = (has_next & ~is_cut_off & is_known).nonzero()
        until_next_s = (marks["time_ms"][ended + 1] - marks["time_ms"][ended]) / 1000
        self._count(np.minimum(until_next_s, marks["length_s"][ended]))
        self._keep(np.concatenate((self._open[~goes_on], marks[~has_next & is_known])))

    def figures(self) -> dict[str, Any]:
        """Counts in bins of a width that fits the data, the mean, and the number of plays without a known end."""
        n_plays = int(self._counts.sum())
        width_s = next(
            (one for one in WIDTHS_S if self._counts[: one * N_BINS].sum() >= COVERED * n_plays), WIDTHS_S[-1]
        )
        shown = self._counts[: width_s * N_BINS].reshape(N_BINS, width_s).sum(axis=1)
        return {
            "bin_s": width_s,
            "counts": [*shown.tolist(), n_plays - int(shown.sum())],
            "mean_s": self._sum_s / n_plays if n_plays else None,
            "n_open": len(self._open) + self._n_given_up,
        }

    def _marks(self, rows: pa.Table) -> Marks:
        """The starts and logouts in these rows that have a session or a listener."""
        is_mark = pc.and_(
            pc.is_in(rows["action"], value_set=_ENDS), pc.or_(rows["session"].is_valid(), rows["listener"].is_valid())
        )
        found = rows.select(["session", "listener", "ts_ms", "duration_s", "item"]).filter(is_mark)
        session = pc.fill_null(found["session"], -1).to_numpy().astype(np.int64).view(np.uint64)
        listener = pc.fill_null(found["listener"], 0).to_numpy().astype(np.uint64)
        marks = np.empty(found.num_rows, MARK)
        marks["key"] = session * _SESSION_MIX + listener * _LISTENER_MIX
        marks["time_ms"] = found["ts_ms"].to_numpy()
        marks["length_s"] = pc.fill_null(found["duration_s"], NO_LENGTH).to_numpy()
        marks["item"] = pc.fill_null(found["item"], NO_ITEM).to_numpy()
        marks["order"] = self._n_seen + np.arange(found.num_rows)
        self._n_seen += found.num_rows
        return marks

    def _count(self, durations_s: Float64s) -> None:
        seconds = np.minimum(durations_s, MOST_S).astype(np.int64)
        self._counts += np.bincount(seconds, minlength=MOST_S + 1)
        self._sum_s += float(durations_s.sum())

    def _keep(self, marks: Marks) -> None:
        n_too_many = len(marks) - MOST_OPEN
        if n_too_many > 0:
            self._n_given_up += n_too_many
            marks = marks[np.argpartition(marks["order"], n_too_many)[n_too_many:]]
        self._open = marks


def _goes_on(items: Int64s) -> Bools:
    """Whether the event after each one comes later in the session, as far as its number shows."""
    is_later = (items[1:] > items[:-1]) | (items[1:] == NO_ITEM) | (items[:-1] == NO_ITEM)
    return np.append(is_later, True)


def _in_order(marks: Marks) -> Marks:
    """By session, then by time; two marks of a session at the same time are one event that was delivered twice."""
    marks = marks[np.lexsort((marks["order"], marks["time_ms"], marks["key"]))]
    keys, times_ms = marks["key"], marks["time_ms"]
    once: Marks = marks[np.append(True, (keys[1:] != keys[:-1]) | (times_ms[1:] != times_ms[:-1]))]
    return once

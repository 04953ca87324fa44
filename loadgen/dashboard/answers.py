"""What the server answers: the metrics, cached for 3 s, and the health.

In: the latest snapshot; the file in which a pipeline publishes its progress (`Flow`), because the dashboard is a
process of its own and cannot see that in the store. Out: JSON, as bytes.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from loadgen import __version__
from loadgen.files import write_whole
from loadgen.terminal import utc

if TYPE_CHECKING:  # a pipeline imports `Flow` without what the reading process needs
    from loadgen.dashboard.feed import Latest

FRESH_S = 10.0
"""Older progress is not shown: a running pipeline writes it every second."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Progress of a pipeline since its start; None is unknown.

    Attributes:
        sent: events that the topic has acknowledged.
        stored: events that are stored and published.
        is_timed: whether an event's time is the wall-clock time at which it was due, so that its latency is known.
    """

    sent: int | None
    stored: int | None
    lag: int | None
    is_timed: bool
    is_over: bool
    written_s: float

    def write(self, path: Path) -> None:
        """Replace this file atomically. Raises OSError."""
        write_whole(path, orjson.dumps(asdict(self)))


def read_flow(path: Path, now_s: float) -> Flow | None:
    """The progress in the file; None where there is none, or only an old one."""
    try:
        flow = Flow(**orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, TypeError):
        return None
    return flow if flow.is_over or abs(now_s - flow.written_s) <= FRESH_S else None


KEEP_S = 3.0
REFRESH_S = 5.0


class Answers:
    """Builds the answers; belongs to one thread."""

    def __init__(
        self,
        latest: Callable[[], "Latest"],
        place: dict[str, str | None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        flow: Path | None = None,
    ) -> None:
        """Begin.

        Args:
            place: where events come from, for /health: `store`, `topic`, `brokers`.
            now: seconds since 1970; the lag is measured against it.
            flow: the file in which a pipeline publishes its progress.
        """
        self._latest, self._place, self._clock, self._now, self._flow = latest, place, clock, now, flow
        self._made_s = float("-inf")
        self._figures = b""

    def figures(self) -> bytes:
        """All metrics of the page; the same bytes for KEEP_S."""
        now_s = self._clock()
        if now_s - self._made_s >= KEEP_S:
            self._figures, self._made_s = orjson.dumps(self._all()), now_s
        return self._figures

    def health(self) -> bytes:
        """The current health, never cached."""
        return orjson.dumps(self._health(self._latest()))

    def _all(self) -> dict[str, Any]:
        latest = self._latest()
        snapshot = latest.snapshot
        return {
            "health": self._health(latest),
            "now_ms": int(self._now() * 1000),
            "refresh_s": REFRESH_S,
            "arrived_last_minute": snapshot.get("arrived_last_minute", 0),
            "flow": self._flow_figures(snapshot),
            "figures": snapshot.get("figures"),
        }

    def _flow_figures(self, snapshot: dict[str, Any]) -> dict[str, Any]:
        """The way of the events to the page; None is unknown.

        Where no pipeline says which clock the events' times belong to, their age is shown if they look like times of
        the wall clock; it is a latency only if they are the times at which the events were due.
        """
        flow = None if self._flow is None else read_flow(self._flow, self._now())
        latency = snapshot.get("latency")
        is_shown = flow.is_timed if flow is not None else latency is not None and latency["is_plausible"]
        return {
            "sent": None if flow is None else flow.sent,
            "stored": None if flow is None else flow.stored,
            "lag": None if flow is None else flow.lag,
            "unread": snapshot.get("unread"),
            "latency": latency if is_shown else None,
            "is_timed": flow is not None and flow.is_timed,
        }

    def _health(self, latest: "Latest") -> dict[str, Any]:
        figures = latest.snapshot.get("figures") or {}
        newest_ms = figures.get("newest_ms")
        return {
            **latest.state.as_json(),
            **self._place,
            "last_event": None if newest_ms is None else utc(newest_ms, "milliseconds"),
            "lag_s": None if newest_ms is None else round(self._now() - newest_ms / 1000, 3),
            "events": figures.get("totals", {}).get("events", 0),
            "version": __version__,
        }

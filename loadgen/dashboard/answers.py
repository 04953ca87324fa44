"""What the server answers: figures from a cache of 3 s, and how things are.

In: the latest snapshot. Out: JSON, as bytes.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from loadgen import __version__
from loadgen.dashboard.flow import read_flow
from loadgen.dashboard.link import Latest

KEEP_S = 3.0
REFRESH_S = 5.0


class Answers:
    """Makes answers; belongs to one thread."""

    def __init__(
        self,
        latest: Callable[[], Latest],
        place: dict[str, str | None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        flow: Path | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            latest: what is known now.
            place: where events come from, as /health says it: `store`, `topic`, `brokers`.
            clock: seconds, monotonic; the cache goes by it.
            now: seconds since 1970; the lag goes by it.
            flow: the file in which a pipeline says how far it is.
        """
        self._latest, self._place, self._clock, self._now, self._flow = latest, place, clock, now, flow
        self._made_s = float("-inf")
        self._figures = b""

    def figures(self) -> bytes:
        """Everything that the page shows; the same bytes for KEEP_S."""
        now_s = self._clock()
        if now_s - self._made_s >= KEEP_S:
            self._figures, self._made_s = orjson.dumps(self._all()), now_s
        return self._figures

    def health(self) -> bytes:
        """How things are, always of now."""
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
        """How events get here; None is not known.

        Where no pipeline says what clock the events' times are of, their age is told as long as they look like the
        wall clock's; it is the latency only if the times are those at which they were due.
        """
        flow = None if self._flow is None else read_flow(self._flow, self._now())
        latency = snapshot.get("latency")
        is_told = flow.is_timed if flow is not None else latency is not None and latency["is_plausible"]
        return {
            "sent": None if flow is None else flow.sent,
            "stored": None if flow is None else flow.stored,
            "lag": None if flow is None else flow.lag,
            "unread": snapshot.get("unread"),
            "latency": latency if is_told else None,
            "is_timed": flow is not None and flow.is_timed,
        }

    def _health(self, latest: Latest) -> dict[str, Any]:
        figures = latest.snapshot.get("figures") or {}
        newest_ms = figures.get("newest_ms")
        return {
            **latest.state.as_json(),
            **self._place,
            "last_event": None if newest_ms is None else _iso(newest_ms),
            "lag_s": None if newest_ms is None else round(self._now() - newest_ms / 1000, 3),
            "events": figures.get("totals", {}).get("events", 0),
            "version": __version__,
        }


def _iso(time_ms: int) -> str:
    """ISO 8601, UTC, milliseconds."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

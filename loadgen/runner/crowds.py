"""The figures of each crowd of a run over time, beside those of all its events.

In: the tallies by crowd that totals have, and the loads of the crowds. Out: a `CrowdWindow` of each crowd for each
window of the history, and a `CrowdRecord` of each for the summary. A run without crowds has none of these.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loadgen.config import RunSettings
from loadgen.config.crowds import Crowd, crowd_users
from loadgen.histogram import Histogram, Sparse
from loadgen.ledger import CrowdTally, Outcome
from loadgen.record import CrowdRecord, CrowdSpan, Percentiles, finite
from loadgen.simulate.crowd_load import CrowdLoad, crowd_loads
from loadgen.simulate.feed import crowd_parts, owned_virtual_shards, whole_load

LATENCIES = ("ack", "intended_to_ack")
OUTCOMES = ("planned", "delivered", "failed", "dropped", "unfinished")
TIMES = ("on_s", "asked_s", "scheduled")
"""What adds up from window to window, as the outcomes do."""


@dataclass(frozen=True, slots=True)
class CrowdWindow:
    """What happened to the events of a crowd between two moments, see `Window`.

    Attributes:
        planned, delivered, failed, dropped, unfinished: events that were offered, and that ended this way, in it.
        in_flight: events without a report, at its end.
        on_s, asked_s: for how long of it the crowd was on, and of that, for how long events were offered.
        scheduled: events that the crowd's load asked for; nan at the natural rate.
        ack, intended_to_ack: durations of the events that were reported in it.
    """

    planned: int
    delivered: int
    failed: int
    dropped: int
    unfinished: int
    in_flight: int
    on_s: float
    asked_s: float
    scheduled: float
    ack: Sparse
    intended_to_ack: Sparse

    def record(self) -> CrowdSpan:
        """Counts as they are, durations as percentiles."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in OUTCOMES}
        for name in LATENCIES:
            counts[f"{name}_ms"] = Percentiles(**getattr(self, name).summary_ms())
        return CrowdSpan(**counts)


Windows = Mapping[str, CrowdWindow]
"""Crowd → its window."""


@dataclass(frozen=True, slots=True)
class CrowdState:
    """The totals of each crowd at one moment, in the order of the names; see `CrowdWindow`."""

    names: tuple[str, ...]
    tally: CrowdTally
    scheduled: list[float]
    on_s: list[float]
    asked_s: list[float]

    def until(self, later: "CrowdState") -> dict[str, CrowdWindow]:
        """What happened from here to there."""
        return {name: self._one(later, number) for number, name in enumerate(self.names)}

    def _one(self, later: "CrowdState", number: int) -> CrowdWindow:
        before, now = self.tally, later.tally
        ended = np.maximum(now.by_outcome[:, number] - before.by_outcome[:, number], 0).tolist()
        others: dict[str, Any] = {name: getattr(later, name)[number] - getattr(self, name)[number] for name in TIMES}
        for name in LATENCIES:
            after: Histogram = getattr(now, f"{name}_s").one(number)
            others[name] = Sparse.of(after.since(getattr(before, f"{name}_s").one(number)))
        return CrowdWindow(
            planned=max(0, int(now.planned[number] - before.planned[number])),
            delivered=ended[Outcome.DELIVERED],
            failed=ended[Outcome.FAILED],
            dropped=ended[Outcome.DROPPED],
            unfinished=ended[Outcome.UNFINISHED],
            in_flight=int(now.planned[number] - now.by_outcome[:, number].sum()),
            **others,
        )


class CrowdSums:
    """Adds up windows of the crowds, and takes some away again."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._latencies: dict[str, dict[str, Histogram]] = {}

    def count(self, windows: Windows, sign: int) -> None:
        """Add these, or take them away with the sign -1."""
        for name, window in windows.items():
            counts = self._counts.setdefault(name, dict.fromkeys(OUTCOMES, 0))
            for key in OUTCOMES:
                counts[key] += sign * getattr(window, key)
            latencies = self._latencies.setdefault(name, {key: Histogram() for key in LATENCIES})
            for key, total in latencies.items():
                part: Sparse = getattr(window, key)
                total.counts[part.buckets] += sign * part.counts
                total.sum_s += sign * part.sum_s

    def whole(self, parts: Sequence[Windows]) -> dict[str, CrowdWindow]:
        """One window of each crowd that spans these, which are those that are counted now."""
        found = {}
        for name, latencies in self._latencies.items():
            for key, total in latencies.items():
                total.max_s = max(getattr(part[name], key).max_s for part in parts)
            values: dict[str, Any] = dict(self._counts[name])
            for key in TIMES:  # without the rounding errors of what was added and taken away
                values[key] = math.fsum(getattr(part[name], key) for part in parts)
            values |= {key: Sparse.of(total) for key, total in latencies.items()}
            found[name] = CrowdWindow(**values | {"in_flight": parts[-1][name].in_flight})
        return found


def merged(parts: Iterable[Windows]) -> dict[str, CrowdWindow]:
    """One window of each crowd that spans these neighbours, oldest first."""
    sums, listed = CrowdSums(), list(parts)
    for part in listed:
        sums.count(part, 1)
    return sums.whole(listed)


class Crowds:
    """The crowds of a run on this machine.

    Attributes:
        names: of the crowds; none where all listeners are one.
    """

    def __init__(self, settings: RunSettings) -> None:
        self.names = tuple(crowd.name for crowd in settings.crowd)
        self._crowds, self._users = settings.crowd, crowd_users(settings.crowd, settings.users)
        self._loads: list[CrowdLoad] | None = None
        loads = crowd_loads(settings, whole_load(settings)) if settings.crowd and not settings.unpaced else None
        if loads is not None:
            owned = owned_virtual_shards(settings.shard.index, settings.shard.count, 0, 1)
            parts = zip(loads, crowd_parts(settings, owned), strict=True)
            self._loads = [load.part(n, of) if n else load.part(1, of) for load, (n, of) in parts]

    def state(self, tally: CrowdTally | None = None, at_s: float = 0.0, offered_s: float = 0.0) -> CrowdState:
        """The totals at a moment.

        Args:
            tally: of the first sink; None where nothing is counted yet.
            at_s: the moment, seconds after the start of the run.
            offered_s: for how long events have been offered.
        """
        scheduled = [float("nan")] * len(self.names)
        if self._loads is not None:
            scheduled = [float(load.integral(offered_s)) for load in self._loads]
        on_s, asked_s = ([_on_s(crowd, until_s) for crowd in self._crowds] for until_s in (at_s, offered_s))
        return CrowdState(self.names, tally or CrowdTally.of(len(self.names)), scheduled, on_s, asked_s)

    def records(self, tally: CrowdTally | None, windows: Windows) -> list[CrowdRecord]:
        """The figures of each crowd: counts of the whole run; rates, while it was on, and latencies after the warm-up.

        Args:
            tally: of the first sink, the whole run.
            windows: what was measured.
        """
        counted = tally or CrowdTally.of(len(self.names))
        return [
            CrowdRecord(
                **counted.counts(number),
                name=name,
                users=self._users[number],
                target_per_s=finite(windows[name].scheduled / windows[name].asked_s) if windows[name].asked_s else None,
                achieved_per_s=round(windows[name].delivered / max(windows[name].on_s, 1e-9), 3),
                ack_ms=Percentiles(**windows[name].ack.summary_ms()),
                intended_to_ack_ms=Percentiles(**windows[name].intended_to_ack.summary_ms()),
            )
            for number, name in enumerate(self.names)
            if name in windows
        ]


def _on_s(crowd: Crowd, until_s: float) -> float:
    """For how long a crowd was on until then, seconds."""
    stop_s = until_s if crowd.stop_s is None else min(until_s, crowd.stop_s)
    return max(0.0, stop_s - crowd.start_s)


def of_their_own(windows: Windows) -> dict[str, CrowdWindow]:
    """The same with the outcomes of the events that were planned in them only, and none in flight."""
    return {name: _of_its_own(window) for name, window in windows.items()}


def _of_its_own(window: CrowdWindow) -> CrowdWindow:
    unfinished = window.unfinished + window.in_flight
    n_before = window.delivered + window.failed + window.dropped + unfinished - window.planned
    return replace(window, delivered=max(0, window.delivered - max(0, n_before)), unfinished=unfinished)

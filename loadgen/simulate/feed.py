"""The events of one worker in their fixed order: windows of the simulation, cut to what the run asks for.

A shard and limits go in; batches come out until the end of the simulated window, or of the slices' quotas, is reached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from loadgen.event import N_SLICES, EventBatch, Int64s, rank_within
from loadgen.simulate.impair import Impairer, Leaving, unimpaired
from loadgen.simulate.shard import Shard

MAX_BATCH = 65_536
PACED_BATCH = 32_768
"""A step of the simulation costs as much as 2,000 events besides its events: the larger a batch, the less that is."""
LOOK_AHEAD_S = 0.5
"""No paced batch is longer, in wall-clock time: "active users" is of a moment two of them ahead at most."""
QUIET_LIMIT_MS = 10 * 366 * 86_400_000
"""Simulated time without one event after which a shard is taken to be silent for good."""


def slice_users(users: int) -> Int64s:
    """The number of listeners in each slice: int64[N_SLICES]."""
    every, rest = divmod(users, N_SLICES)
    listeners = np.full(N_SLICES, every, np.int64)
    listeners[:rest] += 1
    return listeners


def slice_quotas(events: int, users: int) -> Int64s:
    """Split exactly `events` over the slices in proportion to their listeners: int64[N_SLICES].

    Depends on nothing else, so every worker and every machine knows all quotas without asking.
    """
    listeners = slice_users(users)
    edges = [0, *np.cumsum(listeners).tolist()]
    cuts = [events * edge // users for edge in edges]
    return np.array([after - before for before, after in pairwise(cuts)], np.int64)


def owned_slices(machine: int, n_machines: int, worker: int, n_workers: int) -> npt.NDArray[np.bool_]:
    """Which slices a worker of a machine owns: bool[N_SLICES]. Machines may have different numbers of workers."""
    slice_of = np.arange(N_SLICES)
    owned: npt.NDArray[np.bool_] = (slice_of % n_machines == machine) & (slice_of // n_machines % n_workers == worker)
    return owned


def owned_listeners(users: int, owned: npt.NDArray[np.bool_]) -> Int64s:
    """The user ids of these slices: int64, ascending."""
    ids = np.arange(users, dtype=np.int64)
    return ids[owned[ids % N_SLICES]]


@dataclass(slots=True)
class Quota:
    """How many events each slice may still give: int64[N_SLICES]."""

    left: Int64s

    def cut(self, batch: EventBatch) -> EventBatch:
        """The events of the batch that are within their slice's quota, which they use up."""
        slice_of = batch.user_id % N_SLICES
        ranks, counts = rank_within(slice_of, N_SLICES)
        keep = ranks < self.left[slice_of]
        self.left = np.maximum(self.left - counts, 0)
        return batch if keep.all() else batch.take(np.flatnonzero(keep))


class Feed:
    """Batches of a shard until its end."""

    def __init__(
        self,
        shard: Shard,
        window_ms: int | Callable[[int], int],
        end_ms: int | None = None,
        quotas: Int64s | None = None,
        impairer: Impairer | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            shard: the simulation.
            window_ms: simulated milliseconds per batch, see `window_for`; or what gives those of the next batch by the
                number of events that have left before it.
            end_ms: no event at or after this simulated time.
            quotas: int64[N_SLICES], events per slice; zero for slices that are not the shard's.
            impairer: spoils events on purpose; None leaves them as they are.
        """
        self._shard = shard
        self._window_ms = window_ms
        self._end_ms = end_ms
        self._quota = Quota(quotas) if quotas is not None else None
        self._impairer = impairer
        self._last_event_ms = shard.now_ms
        self._n_left = 0

    def next_batch(self) -> Leaving | None:
        """What leaves in the next window (perhaps nothing); None when there will be no more."""
        leaving = self._next()
        self._n_left += 0 if leaving is None else len(leaving)
        return leaving

    def _next(self) -> Leaving | None:
        if self._ended():
            return self._impairer.rest() if self._impairer else None
        until_ms = self._shard.now_ms + (
            self._window_ms if isinstance(self._window_ms, int) else self._window_ms(self._n_left)
        )
        if self._end_ms is not None:
            until_ms = min(until_ms, self._end_ms)
        batch = self._shard.step(until_ms)
        if len(batch):
            self._last_event_ms = int(batch.ts_ms[-1])
        if self._quota:
            batch = self._quota.cut(batch)
        return self._impairer.impair(batch, until_ms) if self._impairer else unimpaired(batch)

    def _ended(self) -> bool:
        now_ms = self._shard.now_ms
        over = self._end_ms is not None and now_ms >= self._end_ms
        spent = self._quota is not None and not self._quota.left.any()
        silent = now_ms - self._last_event_ms > QUIET_LIMIT_MS
        return over or spent or silent


def window_for(events_per_s: float, n_events: float, most_s: float = float("inf")) -> int:
    """Simulated milliseconds in which a shard of this rate makes about n_events, but at most most_s."""
    return max(1, round(1000 * min(n_events / max(events_per_s, 1e-9), most_s, 86_400.0)))

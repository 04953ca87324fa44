"""The events of some virtual shards in their fixed order, cut to what the run asks for; and when they are due.

In: a run's settings and virtual shards. Out: a `Feed` of batches until the end of the simulated window, or until the
quotas of the virtual shards are used up, and their schedule. Workers and `verify` take both from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from loadgen.config.crowds import crowd_users
from loadgen.event import N_VIRTUAL_SHARDS, EventBatch, Int64s, rank_within
from loadgen.simulate.crowd_load import CrowdLoad, TotalLoad, crowd_loads
from loadgen.simulate.impair import Impairer, OutgoingBatch, unimpaired
from loadgen.simulate.pacers import PacerShape, find_pacer, length_of
from loadgen.simulate.schedule import NaturalSchedule, RateSchedule
from loadgen.simulate.shapes import Shape, shape_of
from loadgen.simulate.shard import Shard

if TYPE_CHECKING:
    from loadgen.config import RunSettings

Offered = Shape | PacerShape | TotalLoad
Load = Offered | CrowdLoad

MAX_BATCH = 65_536
PACED_BATCH = 32_768
"""A step of the simulation costs as much as 2,000 events besides its events: the larger a batch, the less that is."""
LOOK_AHEAD_S = 0.5
"""No paced batch is longer, in wall-clock time: "active users" is of a moment two of them ahead at most."""
LEAST_SHARE = 8192
"""Of a batch, where it is merged from those of several crowds."""
QUIET_LIMIT_MS = 10 * 366 * 86_400_000
"""Simulated time without one event after which a shard is taken to be silent for good."""


def virtual_shard_users(users: int) -> Int64s:
    """The number of listeners in each virtual shard: int64[N_VIRTUAL_SHARDS]."""
    every, rest = divmod(users, N_VIRTUAL_SHARDS)
    listeners = np.full(N_VIRTUAL_SHARDS, every, np.int64)
    listeners[:rest] += 1
    return listeners


def virtual_shard_quotas(events: int, listeners: Int64s) -> Int64s:
    """Split exactly `events` over the virtual shards in proportion to their listeners: int64[N_VIRTUAL_SHARDS] each.

    Depends on nothing else, so every worker and every machine knows all quotas without asking.
    """
    edges = [0, *np.cumsum(listeners).tolist()]
    cuts = [events * edge // edges[-1] for edge in edges]
    return np.array([after - before for before, after in pairwise(cuts)], np.int64)


def owned_virtual_shards(machine: int, n_machines: int, worker: int, n_workers: int) -> npt.NDArray[np.bool_]:
    """The virtual shards of a worker of a machine: bool[N_VIRTUAL_SHARDS]. Numbers of workers may differ by machine."""
    virtual_shard = np.arange(N_VIRTUAL_SHARDS)
    owned: npt.NDArray[np.bool_] = (virtual_shard % n_machines == machine) & (
        virtual_shard // n_machines % n_workers == worker
    )
    return owned


def owned_listeners(users: int, owned: npt.NDArray[np.bool_]) -> Int64s:
    """The user ids of these virtual shards: int64, ascending."""
    ids = np.arange(users, dtype=np.int64)
    return ids[owned[ids % N_VIRTUAL_SHARDS]]


@dataclass(slots=True)
class Quota:
    """How many events each virtual shard may still give: int64[N_VIRTUAL_SHARDS]."""

    left: Int64s

    def cut(self, batch: EventBatch) -> EventBatch:
        """The events of the batch that are within their virtual shard's quota, which they use up."""
        virtual_shard = batch.user_id % N_VIRTUAL_SHARDS
        ranks, counts = rank_within(virtual_shard, N_VIRTUAL_SHARDS)
        keep = ranks < self.left[virtual_shard]
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
            quotas: int64[N_VIRTUAL_SHARDS], events per virtual shard; zero for virtual shards that are not the shard's.
            impairer: spoils events on purpose; None leaves them as they are.
        """
        self._shard = shard
        self._window_ms = window_ms
        self._end_ms = end_ms
        self._quota = Quota(quotas) if quotas is not None else None
        self._impairer = impairer
        self._last_event_ms = shard.now_ms
        self._n_left = 0

    def next_batch(self, until_ms: int | None = None) -> OutgoingBatch | None:
        """What leaves in the next window, or before until_ms (perhaps nothing); None when there will be no more."""
        leaving = self._next(until_ms)
        self._n_left += 0 if leaving is None else len(leaving)
        return leaving

    def _next(self, until_ms: int | None) -> OutgoingBatch | None:
        if self._ended():
            return self._impairer.rest() if self._impairer else None
        if until_ms is None:
            window_ms = self._window_ms if isinstance(self._window_ms, int) else self._window_ms(self._n_left)
            until_ms = self._shard.now_ms + window_ms
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


Owned = npt.NDArray[np.bool_]
"""Which virtual shards: bool[N_VIRTUAL_SHARDS]."""


def feed_of(
    settings: "RunSettings", owned: Owned, shard: Shard, impairer: Impairer | None, n_events: float | None = None
) -> Feed:
    """The events of a shard that holds the listeners of these virtual shards.

    Args:
        settings: of the run.
        owned: the virtual shards.
        shard: their listeners.
        impairer: see `Feed`.
        n_events: about this many come at a time; None for what a worker takes.
    """
    quotas = None
    if settings.events is not None:
        quotas = np.where(owned, virtual_shard_quotas(settings.events, virtual_shard_users(settings.users)), 0)
    end_ms = settings.end_ms if len(shard.listeners) else shard.now_ms
    load = None if n_events or settings.unpaced else offered(settings, owned)
    return Feed(shard, windows(settings, load, shard, n_events), end_ms, quotas, impairer)


def windows(
    settings: "RunSettings", load: Load | None, shard: Shard, n_events: float | None, n_sharing: int = 1
) -> int | Callable[[int], int]:
    """Simulated milliseconds of each batch: for n_events, or for what a worker takes at a time.

    Args:
        settings: of the run.
        load: what the shard offers; None where its listeners decide.
        shard: it steps by such windows.
        n_events: about this many come at a time; None for what a worker takes.
        n_sharing: how many shards the worker's batches are merged from.
    """
    if load is None or load.constant_per_s is not None:
        wall_rate = load.constant_per_s if load else None
        return window_for(shard.events_per_s, n_events or _batch_of(settings, wall_rate, shard, n_sharing))
    most = _at_a_time(PACED_BATCH, n_sharing)
    return lambda n_before: window_for(shard.events_per_s, min(most, _soon_due(load, n_before)))


def _batch_of(settings: "RunSettings", wall_rate: float | None, shard: Shard, n_sharing: int) -> float:
    """How many events a worker takes at a time, where it is always the same."""
    if settings.unpaced:
        return _at_a_time(MAX_BATCH, n_sharing)
    per_s = wall_rate or shard.events_per_s * settings.speed
    return min(_at_a_time(PACED_BATCH, n_sharing), per_s * LOOK_AHEAD_S)


def _at_a_time(most: int, n_sharing: int) -> int:
    """The events of each shard where a batch is merged from several: few would make the fixed cost of a step large."""
    return most if n_sharing == 1 else min(most, max(LEAST_SHARE, MAX_BATCH // n_sharing))


def _soon_due(shape: Load, n_before: int) -> float:
    """How many events are due in the LOOK_AHEAD_S after the next one is, that one included."""
    next_s = float(shape.invert(n_before))
    return max(1.0, float(shape.integral(next_s + LOOK_AHEAD_S)) - n_before) if next_s < float("inf") else 1.0


def offered(settings: "RunSettings", owned: Owned | None = None) -> Offered | None:
    """The load that is asked of all listeners, or of these virtual shards; None without any.

    It is that of --rate, --shape or --pacer, or the sum of the crowds' loads.
    """
    if settings.crowd:
        loads = crowd_loads(settings, whole_load(settings))
        if loads is None:
            return None
        return TotalLoad(
            [load.part(*of) for load, of in zip(loads, crowd_parts(settings, owned), strict=True) if of[0]]
        )
    whole = whole_load(settings)
    if whole is None or owned is None:
        return whole
    return whole.part(int(virtual_shard_users(settings.users)[owned].sum()), settings.users)


def whole_load(settings: "RunSettings") -> Shape | PacerShape | None:
    """The load that --rate, --shape or --pacer asks of all listeners; None without any."""
    rate_per_s = None if isinstance(settings.rate, str) else settings.rate
    if settings.pacer is not None:
        pacer = find_pacer(settings.pacer)
        return PacerShape(pacer, length_of(pacer, settings.duration_s, settings.events))
    if settings.shape is not None:
        return shape_of(settings.shape, rate_per_s, settings.duration_s, settings.events)
    return None if rate_per_s is None else Shape.constant(rate_per_s)


def crowd_parts(settings: "RunSettings", owned: Owned | None) -> list[tuple[int, int]]:
    """Of each crowd, how many of its listeners these virtual shards have (None: all), and how many there are."""
    parts, first = [], 0
    for n_users in crowd_users(settings.crowd, settings.users):
        counts = virtual_shard_users(first + n_users) - virtual_shard_users(first)
        parts.append((int(counts.sum() if owned is None else counts[owned].sum()), n_users))
        first += n_users
    return parts


def paced_schedule(settings: "RunSettings", owned: Owned, t0_ns: int) -> NaturalSchedule | RateSchedule:
    """When the events of these virtual shards are due; for settings that are not `unpaced`."""
    shape = offered(settings, owned)
    if shape is not None:
        return RateSchedule(t0_ns, shape)
    return NaturalSchedule(t0_ns, settings.start_ms, settings.speed)

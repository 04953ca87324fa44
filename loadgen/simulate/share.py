"""What part of a run some slices of the listeners are: which events, how many a second, due when.

The run's settings and slices go in; the feed and the schedule of these slices come out. The worker that produces the
events, and `verify`, which makes them again, take both from here.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from loadgen.simulate.feed import (
    LOOK_AHEAD_S,
    MAX_BATCH,
    PACED_BATCH,
    Feed,
    slice_quotas,
    slice_users,
    window_for,
)
from loadgen.simulate.impair import Impairer
from loadgen.simulate.schedule import NaturalSchedule, RateSchedule
from loadgen.simulate.shard import Shard

if TYPE_CHECKING:
    from loadgen.config import RunSettings

Owned = npt.NDArray[np.bool_]
"""Which slices: bool[N_SLICES]."""


def feed_of(
    settings: "RunSettings", owned: Owned, shard: Shard, impairer: Impairer | None, n_events: float | None = None
) -> Feed:
    """The events of a shard that holds the listeners of these slices.

    Args:
        settings: of the run.
        owned: the slices.
        shard: their listeners.
        impairer: see `Feed`.
        n_events: about so many come at a time; None for what a worker takes.
    """
    quotas = None
    if settings.events is not None:
        quotas = np.where(owned, slice_quotas(settings.events, settings.users), 0)
    window_ms = window_for(shard.events_per_s, n_events or _batch_of(settings, owned, shard))
    end_ms = settings.end_ms if len(shard.listeners) else shard.now_ms
    return Feed(shard, window_ms, end_ms, quotas, impairer)


def _batch_of(settings: "RunSettings", owned: Owned, shard: Shard) -> float:
    """How many events a worker takes at a time."""
    if settings.unpaced:
        return MAX_BATCH
    wall_rate = rate_of(settings, owned) or shard.events_per_s * settings.speed
    return min(PACED_BATCH, wall_rate * LOOK_AHEAD_S)


def rate_of(settings: "RunSettings", owned: Owned) -> float | None:
    """Events per second that --rate asks of these slices: their share of the listeners; None at natural rate."""
    if isinstance(settings.rate, str):
        return None
    n_listeners = slice_users(settings.users)[owned].sum()
    return float(settings.rate * n_listeners / settings.users)


def paced_schedule(settings: "RunSettings", owned: Owned, t0_ns: int) -> NaturalSchedule | RateSchedule:
    """When the events of these slices are due; for settings that are not `unpaced`."""
    rate_per_s = rate_of(settings, owned)
    if rate_per_s is not None:
        return RateSchedule(t0_ns, rate_per_s)
    return NaturalSchedule(t0_ns, settings.start_ms, settings.speed)

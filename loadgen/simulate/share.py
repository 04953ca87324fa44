"""What part of a run some slices of the listeners are: which events, how many a second, due when.

The run's settings and slices go in; the feed and the schedule of these slices come out. The worker that produces the
events, and `verify`, which makes them again, take both from here.
"""

from collections.abc import Callable
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
from loadgen.simulate.phases import shape_of
from loadgen.simulate.schedule import NaturalSchedule, RateSchedule
from loadgen.simulate.shapes import Shape
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
    end_ms = settings.end_ms if len(shard.listeners) else shard.now_ms
    return Feed(shard, _windows(settings, owned, shard, n_events), end_ms, quotas, impairer)


def _windows(settings: "RunSettings", owned: Owned, shard: Shard, n_events: float | None) -> int | Callable[[int], int]:
    """Simulated milliseconds of each batch: for n_events, or for what a worker takes at a time."""
    shape = None if n_events or settings.unpaced else offered(settings, owned)
    if shape is None or shape.constant_per_s is not None:
        wall_rate = shape.constant_per_s if shape else None
        return window_for(shard.events_per_s, n_events or _batch_of(settings, wall_rate, shard))
    return lambda n_before: window_for(shard.events_per_s, min(PACED_BATCH, _soon_due(shape, n_before)))


def _batch_of(settings: "RunSettings", wall_rate: float | None, shard: Shard) -> float:
    """How many events a worker takes at a time, where it is always the same."""
    if settings.unpaced:
        return MAX_BATCH
    return min(PACED_BATCH, (wall_rate or shard.events_per_s * settings.speed) * LOOK_AHEAD_S)


def _soon_due(shape: Shape, n_before: int) -> float:
    """How many events are due in the LOOK_AHEAD_S after the next one is, that one included."""
    next_s = float(shape.invert(n_before))
    return max(1.0, float(shape.integral(next_s + LOOK_AHEAD_S)) - n_before) if next_s < float("inf") else 1.0


def offered(settings: "RunSettings", owned: Owned | None = None) -> Shape | None:
    """The load that --rate and --shape ask of all listeners, or of these slices; None where none is asked for."""
    rate_per_s = None if isinstance(settings.rate, str) else settings.rate
    if settings.shape is not None:
        whole = shape_of(settings.shape, rate_per_s, settings.duration_s, settings.events)
    elif rate_per_s is not None:
        whole = Shape.constant(rate_per_s)
    else:
        return None
    return whole if owned is None else whole.part(int(slice_users(settings.users)[owned].sum()), settings.users)


def paced_schedule(settings: "RunSettings", owned: Owned, t0_ns: int) -> NaturalSchedule | RateSchedule:
    """When the events of these slices are due; for settings that are not `unpaced`."""
    shape = offered(settings, owned)
    if shape is not None:
        return RateSchedule(t0_ns, shape)
    return NaturalSchedule(t0_ns, settings.start_ms, settings.speed)

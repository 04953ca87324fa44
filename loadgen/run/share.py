"""What part of a run one worker has: its slices of the listeners, its rate, and so its feed and its schedule.

A `Task` goes in; what the worker reads from and keeps to comes out. It depends on the plan alone, so that the
successor of a worker that died has the same.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loadgen.run.feed import (
    LOOK_AHEAD_S,
    MAX_BATCH,
    PACED_BATCH,
    Feed,
    owned_slices,
    slice_quotas,
    slice_users,
    window_for,
)
from loadgen.run.messages import Go, Legacy, Plan
from loadgen.run.schedule import NaturalSchedule, RateSchedule, Schedule, Unpaced
from loadgen.simulate.impair import Impairer
from loadgen.simulate.shard import Shard


@dataclass(frozen=True, slots=True)
class Task:
    """Which part of the run a worker is: number `index` of this machine's workers."""

    plan: Plan
    index: int
    legacy: Legacy = field(default_factory=Legacy)

    def owned(self) -> npt.NDArray[np.bool_]:
        """The slices of this worker: bool[N_SLICES]."""
        settings = self.plan.settings
        return owned_slices(settings.shard.index, settings.shard.count, self.index, settings.workers)


def make_feed(task: Task, shard: Shard, impairer: Impairer | None) -> Feed:
    settings = task.plan.settings
    quotas = None
    if settings.events is not None:
        quotas = np.where(task.owned(), slice_quotas(settings.events, settings.users), 0)
    if settings.unpaced:
        window_ms = window_for(shard.events_per_s, MAX_BATCH)
    else:
        wall_rate = rate_of(task) or shard.events_per_s * settings.speed
        n_events = min(PACED_BATCH, wall_rate * LOOK_AHEAD_S)
        window_ms = window_for(shard.events_per_s, n_events)
    end_ms = settings.end_ms if len(shard.listeners) else shard.now_ms
    return Feed(shard, window_ms, end_ms, quotas, impairer)


def rate_of(task: Task) -> float | None:
    """Events per second that --rate asks of this worker: its share of the listeners; None at natural rate."""
    settings = task.plan.settings
    if isinstance(settings.rate, str):
        return None
    n_listeners = slice_users(settings.users)[task.owned()].sum()
    return float(settings.rate * n_listeners / settings.users)


def make_schedule(task: Task, go: Go) -> Schedule:
    settings = task.plan.settings
    if settings.unpaced:
        return Unpaced()
    rate_per_s = rate_of(task)
    if rate_per_s is not None:
        return RateSchedule(go.t0_ns, rate_per_s)
    return NaturalSchedule(go.t0_ns, task.plan.simulation.start_ms, settings.speed)

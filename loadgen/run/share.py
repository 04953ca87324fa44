"""What part of a run one worker has: its slices of the listeners, and so its feed and its schedule.

A `Task` goes in; what the worker reads from and keeps to comes out. It depends on the plan alone, so that the
successor of a worker that died has the same.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loadgen.run.messages import Go, Legacy, Plan
from loadgen.run.schedule import Unpaced
from loadgen.simulate.feed import Feed, owned_slices
from loadgen.simulate.impair import Impairer
from loadgen.simulate.schedule import Schedule
from loadgen.simulate.shard import Shard
from loadgen.simulate.share import feed_of, paced_schedule


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
    """The events of a worker."""
    return feed_of(task.plan.settings, task.owned(), shard, impairer)


def make_schedule(task: Task, go: Go) -> Schedule:
    """When they are due."""
    settings = task.plan.settings
    return Unpaced() if settings.unpaced else paced_schedule(settings, task.owned(), go.t0_ns)

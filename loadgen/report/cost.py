"""What an event costs in CPU time, where that can be told from the CPU time of a whole run.

In: figures of a run. Out: microseconds, or None. A worker that starts, and then mostly waits for its schedule, spends
its CPU time on that: divided by its events it can be a hundred times what an event costs.
"""

MANY, BUSY = 10_000, 0.25
"""It is told of so many events, where each worker was busy for this share of the time."""


def cost_us(cpu_s: float, n_planned: int, elapsed_s: float, n_workers: int) -> float | None:
    """Microseconds of CPU time for an event; None where there was too little load to tell.

    Args:
        cpu_s: of all workers.
        n_planned: events.
        elapsed_s: of the run.
        n_workers: how many workers there were.
    """
    is_load = n_planned >= MANY and cpu_s >= BUSY * elapsed_s * n_workers
    return cpu_s / n_planned * 1e6 if is_load else None

"""The memory of a worker over time; in a long test it must not grow.

In: sizes, a few times a minute. Out: at most MOST of them, evenly spaced in time, and their growth per hour.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil

MOST = 240
EVERY_S = 5.0
STEADY_SHARE = 0.5
"""Growth is measured over this latest share of the time, because caches and queues fill first."""
MB = 1e6


def own_bytes() -> int:
    """The memory of this process without pages of files, which the kernel loads and drops at will."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))  # macOS does not report them


@dataclass(slots=True)
class Memory:
    """The memory of one process.

    Attributes:
        sizes: (seconds, bytes), oldest first.
    """

    sizes: list[tuple[float, int]] = field(default_factory=list)
    _every_s: float = EVERY_S

    def see(self, at_s: float, n_bytes: int) -> None:
        """Record a size; 0 is unknown."""
        if n_bytes <= 0 or (self.sizes and at_s - self.sizes[-1][0] < self._every_s):
            return
        self.sizes.append((at_s, n_bytes))
        if len(self.sizes) >= MOST:
            self.sizes, self._every_s = self.sizes[::2], 2 * self._every_s

    def growth_per_hour(self) -> float | None:
        """Bytes per hour in the steady part; None with fewer than three sizes.

        The median slope of all pairs of sizes (Theil–Sen), because an allocator takes memory in steps of some MB, and
        one step is not growth.
        """
        if not self.sizes:
            return None
        first_s, last_s = self.sizes[0][0], self.sizes[-1][0]
        steady = [size for size in self.sizes if size[0] >= last_s - STEADY_SHARE * (last_s - first_s)]
        if len(steady) < 3:
            return None
        times_s, n_bytes = np.array(steady, np.float64).T
        earlier, later = np.triu_indices(len(steady), 1)
        slopes = (n_bytes[later] - n_bytes[earlier]) / (times_s[later] - times_s[earlier])
        return float(np.median(slopes)) * 3600.0

    def as_json(self) -> dict[str, Any] | None:
        """First, last and largest size in MB (10^6 bytes), growth in MB per hour; None without sizes."""
        if not self.sizes:
            return None
        n_bytes, growth = [size for _, size in self.sizes], self.growth_per_hour()
        shown = {"first_mb": n_bytes[0], "last_mb": n_bytes[-1], "most_mb": max(n_bytes)}
        per_hour = None if growth is None else round(growth / MB, 2)
        return {name: round(size / MB, 1) for name, size in shown.items()} | {"growth_mb_per_hour": per_hour}

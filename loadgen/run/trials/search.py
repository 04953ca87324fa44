"""Looks for the highest rate that a trial passes: which rate is to be tried next.

In: the outcome of each trial. Out: the next rate, until the answer is known. Nothing is run here.

    grow      R, 2R, 4R … until a trial fails
    bisect    the geometric mean of the highest that passed and the lowest that failed, until they are within 5 %
    confirm   the highest that passed once more; where it fails now, it counts as failed, and the search goes on below
"""

from collections import Counter
from dataclasses import dataclass, field

GROWTH = 2.0
CLOSE = 1.05
N_PASSES = 2
MOST_PER_S = 1e9


@dataclass(slots=True)
class Search:
    """A search from a lowest rate upwards.

    Attributes:
        lowest_per_s: the first rate that is tried.
        passes: rate → trials that passed, of rates that no trial failed.
        failed_per_s: the lowest that failed; inf where none did.
    """

    lowest_per_s: float
    passes: Counter[float] = field(default_factory=Counter)
    failed_per_s: float = float("inf")

    @property
    def best_per_s(self) -> float | None:
        """The highest rate that passed, and did not fail another time; None where there is none."""
        return max(self.passes, default=None)

    @property
    def is_confirmed(self) -> bool:
        """Whether that rate passed twice."""
        return self.best_per_s is not None and self.passes[self.best_per_s] >= N_PASSES

    def tell(self, rate_per_s: float, passed: bool) -> None:
        """The outcome of a trial at this rate."""
        if passed:
            self.passes[rate_per_s] += 1
            return
        self.failed_per_s = min(self.failed_per_s, rate_per_s)
        for other in [other for other in self.passes if other >= self.failed_per_s]:
            del self.passes[other]

    def next_per_s(self) -> float | None:
        """The rate to try next; None where nothing is left to find out."""
        best_per_s = self.best_per_s
        if best_per_s is None:
            return self.lowest_per_s if self.failed_per_s > self.lowest_per_s else None
        if self.failed_per_s == float("inf") and best_per_s < MOST_PER_S:
            return min(GROWTH * best_per_s, MOST_PER_S)
        if self.failed_per_s > CLOSE * best_per_s and best_per_s < MOST_PER_S:
            return float(f"{(best_per_s * self.failed_per_s) ** 0.5:.4g}")  # a number that can be typed
        return None if self.is_confirmed else best_per_s

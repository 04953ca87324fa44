r"""The load of each crowd over time, and the load of all of them together.

    events | all         ,----    F(t) of a crowd is its curve between its start and its stop, and level around them.
           |         ,--'         Parts of a total are F·n/m, n of m listeners, and rates of their own add up, so the
           | a    ,-'   b         total is exactly what was asked for. A worker has F·i/n of a crowd with n listeners,
           |___,-'___,-'____ t    of which it has i.

In: settings. Out: a load for each crowd, with the methods of a `Shape`; and how many events each has where a number of
events ends the run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from loadgen.config.crowds import Crowd, crowd_users, largest_remainder
from loadgen.simulate.pacers import PacerShape
from loadgen.simulate.shapes import ENDLESS_S, MOST_S, Floats, Shape, shape_of

if TYPE_CHECKING:
    from loadgen.config import RunSettings

N_DOUBLINGS, N_HALVINGS = 100, 60
"""Of a second, up to a time by which a number of events is due; and of that time, down to its last digit."""
N_TIMES = 4001
"""Moments of a run at which the peak of several crowds is looked for."""


@dataclass(frozen=True, slots=True)
class CrowdLoad:
    """The load of a crowd, or a worker's part of it; for its methods see `Shape`.

    Attributes:
        curve: offered rate over time.
        zero_s: when the curve's own time begins, seconds after the start of the run.
        start_s, stop_s: no event is due before and after; stop_s may be inf.
        is_exact: a number of events ends the run, and rounding lets none be due after the stop.
        n_before: events that the curve has before the start of the crowd.
    """

    curve: Shape | PacerShape
    zero_s: float
    start_s: float
    stop_s: float
    is_exact: bool = False
    n_before: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_before", float(self.curve.integral(self.start_s - self.zero_s)))

    @property
    def constant_per_s(self) -> float | None:
        """The rate, where it is always the same."""
        is_whole = self.start_s == 0 and self.stop_s == float("inf")
        return self.curve.constant_per_s if is_whole else None

    def part(self, n: float, of: float) -> "CrowdLoad":
        """n parts of it."""
        return CrowdLoad(self.curve.part(n, of), self.zero_s, self.start_s, self.stop_s, self.is_exact)

    def integral(self, t_s: npt.ArrayLike) -> Floats:
        """Events due before these times."""
        at_s = np.clip(np.asarray(t_s, np.float64), self.start_s, self.stop_s)
        return np.asarray(self.curve.integral(at_s - self.zero_s) - self.n_before)

    def invert(self, k: npt.ArrayLike) -> Floats:
        """When events k ≥ 0 are due; inf for those that never are."""
        found = self.zero_s + self.curve.invert(np.asarray(k, np.float64) + self.n_before)
        never = self.stop_s if self.is_exact else np.inf
        return np.asarray(np.where(found < self.stop_s, found, never) if self.stop_s < np.inf else found)

    def rate_at(self, t_s: npt.ArrayLike) -> Floats:
        """Events per second at these times."""
        at_s = np.asarray(t_s, np.float64)
        is_on = (at_s >= self.start_s) & (at_s < self.stop_s)
        return np.asarray(np.where(is_on, self.curve.rate_at(np.maximum(at_s - self.zero_s, 0.0)), 0.0))

    @property
    def peak_per_s(self) -> float:
        """The highest rate of its curve."""
        return self.curve.peak_per_s

    def turns_s(self) -> list[float]:
        """Moments at which its rate may jump."""
        inner_s = [start_s + self.zero_s for start_s in self.curve.start_s.tolist()]
        return [at_s for at_s in (self.start_s, self.stop_s, *inner_s) if at_s < float("inf")]


@dataclass(frozen=True, slots=True)
class TotalLoad:
    """The load of all crowds; for its methods see `Shape`.

    Attributes:
        loads: of the crowds.
        length_s: of the run; the peak is looked for in this time.
        start_s: float64, when the rate may jump.
    """

    loads: Sequence[CrowdLoad]
    length_s: float = ENDLESS_S
    start_s: Floats = field(init=False)
    cycle_s: ClassVar[float] = float("inf")
    constant_per_s: ClassVar[None] = None

    def __post_init__(self) -> None:
        turns_s = sorted({0.0, *(at_s for load in self.loads for at_s in load.turns_s())})
        object.__setattr__(self, "start_s", np.array(turns_s))

    def integral(self, t_s: npt.ArrayLike) -> Floats:
        """Events due before these times."""
        return np.asarray(sum(load.integral(t_s) for load in self.loads))

    def rate_at(self, t_s: npt.ArrayLike) -> Floats:
        """Events per second at these times."""
        return np.asarray(sum(load.rate_at(t_s) for load in self.loads))

    def invert(self, k: npt.ArrayLike) -> Floats:
        """When events k ≥ 0 are due, to the last digit; inf for those that never are."""
        wanted, n_doublings = np.asarray(k, np.float64), 0
        while n_doublings < N_DOUBLINGS and not (self.integral(2.0**n_doublings) > wanted).all():
            n_doublings += 1
        early, late = np.zeros_like(wanted), np.full_like(wanted, 2.0**n_doublings)
        for _ in range(N_HALVINGS + n_doublings):
            middle_s = (early + late) / 2
            is_before = self.integral(middle_s) <= wanted
            early, late = np.where(is_before, middle_s, early), np.where(is_before, late, middle_s)
        return np.asarray(np.where(self.integral(2.0**n_doublings) > wanted, late, np.inf))

    @property
    def peak_per_s(self) -> float:
        """The highest rate that is found in the run."""
        at_s = np.concatenate([self.start_s, np.linspace(0.0, self.length_s, N_TIMES)])
        return float(self.rate_at(at_s).max())


def crowd_loads(settings: "RunSettings", whole: Shape | PacerShape | None) -> list[CrowdLoad] | None:
    """The load of each crowd; None where the listeners decide, or nothing does.

    Args:
        settings: of the run.
        whole: what --rate, --shape or --pacer asks of all listeners.
    """
    if whole is None and not any(crowd.is_paced for crowd in settings.crowd):
        return None
    sizes = crowd_users(settings.crowd, settings.users)
    return [_load(settings, crowd, n_users, whole) for crowd, n_users in zip(settings.crowd, sizes, strict=True)]


def _load(settings: "RunSettings", crowd: Crowd, n_users: int, whole: Shape | PacerShape | None) -> CrowdLoad:
    stop_s = float("inf") if crowd.stop_s is None else crowd.stop_s
    rate_per_s = crowd.rate_per_s
    if rate_per_s is None and isinstance(settings.rate, float):
        rate_per_s = settings.rate * n_users / settings.users
    zero_s = crowd.start_s
    if crowd.shape is not None:
        ends_s = [end_s - crowd.start_s for end_s in (settings.duration_s, crowd.stop_s) if end_s is not None]
        curve: Shape | PacerShape = shape_of(crowd.shape, rate_per_s, min(ends_s, default=None))
    elif crowd.rate_per_s is not None:
        curve = Shape.constant(crowd.rate_per_s)
    else:
        assert whole is not None  # a rule of the settings
        curve, zero_s = whole.part(n_users, settings.users), 0.0
    return CrowdLoad(curve, zero_s, crowd.start_s, stop_s, settings.events is not None)


def crowd_events(settings: "RunSettings", loads: Sequence[CrowdLoad] | None) -> list[int]:
    """How many of `settings.events` each crowd has: what it offers until all have offered so many, or, without loads,
    its share of the listeners. They add up exactly.
    """
    assert settings.events is not None
    weights = [Fraction(n_users) for n_users in crowd_users(settings.crowd, settings.users)]
    if loads is not None:
        end_s = float(TotalLoad(loads).invert(settings.events))
        weights = [Fraction(float(load.integral(min(end_s, MOST_S)))) for load in loads]
    return largest_remainder(weights, settings.events)

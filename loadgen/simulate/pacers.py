r"""Pacers of other packages: when events are due, by two methods, from which everything else is derived.

    F(t)      integral(t): events due before t seconds after the start; 0 at 0, and never falling
    F⁻¹(k)    invert(k): when event k = 0, 1, 2 … is due, the largest t with F(t) ≤ k; inf for one that never is

     events |          ,--F
          k |--------,'           the rate is the slope of F; a worker with n of m listeners has F(t)·n/m, so
            |     ,-'|            that its event k is due at F⁻¹(k·m/n)
          0 |_,--'___|____ t
                     F⁻¹(k)

`loadgen run --pacer my_package:MyPacer` finds one. A `Shape` is a pacer too.
"""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Protocol, cast

import numpy as np
import numpy.typing as npt

from loadgen.errors import UsageError, described
from loadgen.extensions import make, name_of
from loadgen.simulate.shapes import ENDLESS_S, Floats

N_TIMES = 1001
"""How many moments of a run, and how many of its events, are looked at."""
LEAST_S = 0.001
"""All events of a run may be due at once."""
STEP = "integral(t) is the number of events due before t, invert(k) the time at which event k is due"


class Pacer(Protocol):
    """Says when events are due; both methods take and return float64[n], and have no state."""

    def integral(self, t_s: Floats) -> Floats:
        """Events due before these seconds after the start."""

    def invert(self, k: Floats) -> Floats:
        """When these events are due, seconds after the start; k ≥ 0 may have a fraction."""


def find_pacer(pacer: object) -> Pacer:
    """The pacer that --pacer names, or a caller of the library gives.

    Raises:
        UsageError: it is not found, cannot be made from its options, or lacks a method.
    """
    made = _found(pacer) if isinstance(pacer, str) else make("pacer", pacer)
    if not all(callable(getattr(made, method, None)) for method in ("integral", "invert")):
        step = "give it the two methods of loadgen.Pacer"
        raise UsageError(f"--pacer {name_of(pacer)} must have integral and invert, got {type(made).__name__}; {step}")
    return cast(Pacer, made)


@cache  # workers ask more than once
def _found(pacer: str) -> object:
    return make("pacer", pacer)


@dataclass(frozen=True, slots=True)
class PacerShape:
    """A pacer, or a worker's part of one, that answers what a `Shape` does.

    Attributes:
        pacer: of the whole run.
        length_s: of the run; the highest rate is looked for in this time.
        share: the part of the events that is meant, 0..1.
    """

    pacer: Pacer
    length_s: float = ENDLESS_S
    share: float = 1.0
    constant_per_s: ClassVar[None] = None
    start_s: ClassVar[Floats] = np.zeros(1)
    cycle_s: ClassVar[float] = float("inf")

    def part(self, n: float, of: float) -> "PacerShape":
        """n parts of it, see `Shape.part`."""
        return PacerShape(self.pacer, self.length_s, self.share * n / of)

    def integral(self, t_s: npt.ArrayLike) -> Floats:
        """Events due before these times: float64, of the same shape."""
        at_s = np.maximum(np.asarray(t_s, np.float64), 0.0)
        return np.asarray(self.pacer.integral(at_s.reshape(-1)), np.float64).reshape(at_s.shape) * self.share

    def invert(self, k: npt.ArrayLike) -> Floats:
        """When events k ≥ 0 are due, seconds: float64, of the same shape."""
        whole = np.asarray(k, np.float64) / self.share
        return np.asarray(self.pacer.invert(whole.reshape(-1)), np.float64).reshape(whole.shape)

    def rate_at(self, t_s: npt.ArrayLike) -> Floats:
        """Events per second at these times, as the mean of a ten-thousandth of the run."""
        step_s = self.length_s / (10 * N_TIMES)
        at_s = np.asarray(t_s, np.float64)
        return np.asarray((self.integral(at_s + step_s) - self.integral(at_s)) / step_s)

    @property
    def peak_per_s(self) -> float:
        """The highest rate that is found in the run."""
        return float(self.rate_at(np.linspace(0.0, self.length_s, 10 * N_TIMES)).max())


def length_of(pacer: Pacer, duration_s: float | None, n_events: int | None) -> float:
    """How long a run takes that a duration or a number of events ends, seconds; ENDLESS_S where nothing does."""
    ends = [] if duration_s is None else [duration_s]
    if n_events is not None:
        ends += np.asarray(pacer.invert(np.array([n_events], np.float64))).tolist()
    return max(min((end for end in ends if end < float("inf")), default=ENDLESS_S), LEAST_S)


def check_pacer(pacer: Pacer, name: str, duration_s: float | None = None, n_events: int | None = None) -> None:
    """Try a pacer on a grid of the run's times and events.

    Args:
        pacer: to be tried.
        name: of it.
        duration_s, n_events: what ends the run; None where it is something else.

    Raises:
        UsageError: a method fails, falls, or does not agree with the other; it names the value and the rule.
    """

    def asked(method: str, given: Floats) -> Floats:
        try:
            found = np.asarray(getattr(pacer, method)(given), np.float64)
        except Exception as error:
            raise _broken(name, f"{method} must take an array of float64", described(error)) from error
        if found.shape != given.shape:
            raise _broken(name, f"{method} must return a number for each of {len(given)}", f"shape {found.shape}")
        bad = ~(found >= 0) if method == "invert" else ~((found >= 0) & (found < np.inf))
        bad[1:] |= found[1:] < found[:-1]
        if bad.any():
            at = int(np.argmax(bad))
            before = f" and {method}({given[at - 1]:.9g}), which is {found[at - 1]:.9g}" if at else ""
            raise _broken(name, f"{method}({given[at]:.9g}) must be a number, at least 0{before}", f"{found[at]:.9g}")
        return found

    asked("invert", np.array([n_events or 0.0]))
    n_due = asked("integral", np.linspace(0.0, length_of(pacer, duration_s, n_events), N_TIMES))
    if n_due[0] != 0:
        raise _broken(name, "integral(0) must be 0", f"{n_due[0]:.9g}")
    k = np.linspace(0.0, max(n_due[-1], n_events or 0), N_TIMES)
    due_s = asked("invert", k)
    k, due_s = k[due_s < np.inf], due_s[due_s < np.inf]
    around_s = 1e-6 + 1e-9 * due_s  # there a burst begins, or a rounding error ends
    before, after = asked("integral", np.maximum(due_s - around_s, 0.0)), asked("integral", due_s + around_s)
    wrong = (before > k + 1e-6 * (1 + k)) | (after < k - 1e-6 * (1 + k))
    if wrong.any():
        at = int(np.argmax(wrong))
        rule = f"integral(invert({k[at]:.9g})) must be {k[at]:.9g}, where invert gives {due_s[at]:.9g} s"
        raise _broken(name, rule, f"{before[at] if before[at] > k[at] else after[at]:.6g}")


def _broken(name: str, rule: str, got: str) -> UsageError:
    return UsageError(f"pacer {name}: {rule}, got {got}; {STEP}")

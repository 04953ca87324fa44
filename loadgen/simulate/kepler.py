"""Kepler's equation, by which the moment of an event in a wave of load is found.

    M = E − e·sin E,   0 ≤ |e| ≤ 1

In: M, which counts events, and e, how deep the wave is. Out: E, which is time. A negative e is half a period further.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
N_STEPS = 5
"""Enough for every M and e; always the same number, so that a result does not depend on what else is asked for."""


def eccentric_anomaly(mean: Floats, e: Floats) -> Floats:
    """E for M ≥ 0: float64, radians, as far beyond 2π as M is.

    Args:
        mean: M.
        e: 0..1; or -1..0, for waves that begin with their crest.
    """
    shift = np.where(e < 0, np.pi, 0.0)  # E − e·sin E with e < 0 is the same curve from its middle on
    n_turns, rest = np.divmod(mean + shift, 2 * np.pi)
    is_late = rest > np.pi
    half = _solve(np.where(is_late, 2 * np.pi - rest, rest), np.abs(e))
    return np.maximum(0.0, n_turns * (2 * np.pi) + np.where(is_late, 2 * np.pi - half, half) - shift)


def _solve(mean: Floats, e: Floats) -> Floats:
    """E for 0 ≤ M ≤ π, 0 ≤ e ≤ 1.

    f(E) = E − e·sin E − M is convex on 0..π, so Newton's steps from above the root stay above it and need no bisection.
    The start is the least of three bounds from above; the last of them is from E − sin E ≥ E³/π².
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.fmin(mean / (1 - e), np.cbrt(np.pi**2 * mean / e))
    found: Floats = np.fmin(np.minimum(mean + e, np.pi), bound)
    for _ in range(N_STEPS):
        slope = 1 - e * np.cos(found)
        step = (found - e * np.sin(found) - mean) / np.where(slope > 0, slope, 1.0)
        found = np.clip(found - step, mean, np.pi)
    return found

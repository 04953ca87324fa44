"""New releases: tracks of the chart that everybody hears for a while, and then less and less.

Plays that come from the chart go in; some of them become plays of a release. No list of releases is kept: a play draws
how long ago its release came out, which gives the release's number, and a hash of that number names artist and track.

    age     a gamma distribution of shape 2: density ~ t exp(-t / peak), highest at the peak
    number  floor((now - age) / every)
"""

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s
from loadgen.fingerprint import GOLDEN, mix
from loadgen.simulate.behaviour import Releases
from loadgen.simulate.rng import N_SLOTS, field16, third

DAY_MS = 86_400_000.0
_SECRET = np.uint64(0x8EBC6AF09C88C6E3)


class NewReleases:
    """Which plays are of releases, and of which; see `put_in`.

    Attributes:
        is_on: whether there are any.
    """

    __slots__ = ("_age_ms", "_every_ms", "_pool", "_slots", "is_on")

    def __init__(self, releases: Releases, pool: int) -> None:
        """Prepare; pool is where the artists of all releases come from."""
        self._slots = round(releases.share * N_SLOTS)
        self.is_on = self._slots > 0
        self._pool = pool
        self._every_ms = round(releases.every_days * DAY_MS)
        self._age_ms = np.round(_gamma_quantiles() * releases.peak_days * DAY_MS).astype(np.int64)

    def put_in(
        self, from_chart: npt.NDArray[np.bool_], pool: Int64s, name: Int64s, at_ms: Int64s, bits: Int64s
    ) -> None:
        """Let plays of the chart be of releases; changes `pool` and `name` there.

        Args:
            from_chart: bool[n], whether a play comes from the chart.
            pool, name: int64[n], see `Chooser.choose`.
            at_ms: int64[n], simulated time.
            bits: int64[n], the plays' own random bits.
        """
        more = third(bits)
        at = (from_chart & (field16(more, 0) < self._slots)).nonzero()[0]
        number = (at_ms.take(at) - self._age_ms.take(field16(more.take(at), 1))) // self._every_ms
        pool[at] = self._pool
        name[at] = mix(number.view(np.uint64) * GOLDEN + _SECRET).view(np.int64)


def _gamma_quantiles() -> npt.NDArray[np.float64]:
    """The quantiles of the gamma distribution of shape 2 and scale 1 at the middle of 2**16 equal steps."""
    x = np.linspace(0.0, 40.0, 400_001)
    reached = 1.0 - (1.0 + x) * np.exp(-x)
    return np.round(np.interp((np.arange(N_SLOTS) + 0.5) / N_SLOTS, reached, x), 9)

"""A pacer: a rate that doubles again and again."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Doubling:
    """Begins with per_s events a second, and doubles every every_s seconds."""

    def __init__(self, per_s: float | str = 100, every_s: float | str = 60) -> None:
        self.grow_s = float(every_s) / np.log(2)
        self.scale = float(per_s) * self.grow_s

    def integral(self, t_s: Floats) -> Floats:  # how many events are due before t_s
        return np.asarray(self.scale * np.expm1(t_s / self.grow_s))

    def invert(self, k: Floats) -> Floats:  # when event k is due: the inverse
        return np.asarray(self.grow_s * np.log1p(k / self.scale))

"""Load shapes for Locust: the number of users over time, defined as for `loadgen run --shape`.

In: a shape's name or file, --users as its height, --run-time as its length. Out: a LoadTestShape. Use one by
`--shape spike`, or in a locustfile of your own: `from loadgen.scenarios.shapes import Spike`.
"""

from functools import cached_property
from typing import ClassVar

from locust import LoadTestShape

from loadgen.config.shape_files import shape_spec
from loadgen.config.shapes import ShapeSpec
from loadgen.simulate.shapes import Shape, shape_of

CATCH_UP_PER_S = 1.0
"""A spawn rate at which any change takes less than a second, because the shape, not --spawn-rate, sets the slope."""


class ListenerShape(LoadTestShape):
    """Users after a shape of loadgen.

    Attributes:
        shape: its name or file.
    """

    abstract = True
    use_common_options = True  # --users and --run-time are read, so Locust shall not warn
    shape: ClassVar[str]

    def users_at(self, at_s: float) -> int:
        """Users online at this second of the test."""
        return round(float(self._curve().rate_at(at_s)))

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate, once a second; None at the end."""
        at_s = float(self.get_run_time())  # type: ignore[no-untyped-call]
        run_s = self._run_s()
        if run_s is not None and at_s >= run_s:
            return None
        return self.users_at(at_s), max(1.0, self._n_users() / CATCH_UP_PER_S)

    def _curve(self) -> Shape:
        return shape_of(self._spec, float(self._n_users()), self._run_s())

    @cached_property
    def _spec(self) -> ShapeSpec:
        return shape_spec(self.shape)  # once: it may be a large file, and Locust asks every second

    def _n_users(self) -> int:
        return int(self._option("num_users") or 1)

    def _run_s(self) -> float | None:
        run_s = self._option("run_time")
        return float(run_s) if run_s else None

    def _option(self, name: str) -> float | None:
        options = self.runner.environment.parsed_options if self.runner else None
        found: float | None = getattr(options, name, None)
        return found


class Ramp(ListenerShape):
    """From 0 to --users in a straight line."""

    shape = "ramp"


class Step(ListenerShape):
    """Five equal steps up."""

    shape = "step"


class Spike(ListenerShape):
    """A tenth of --users; in the middle all of them, for a fifth of the time."""

    shape = "spike"


class Soak(ListenerShape):
    """Up in the first twentieth of the time, then all."""

    shape = "soak"


class Sine(ListenerShape):
    """Three waves."""

    shape = "sine"


def shape_class(name: str) -> ListenerShape:
    """The LoadTestShape of a valid name or file."""
    found = {kind.shape: kind for kind in (Ramp, Step, Spike, Soak, Sine)}
    kind = found.get(name) or type("FromFile", (ListenerShape,), {"shape": name})
    return kind()  # type: ignore[no-any-return]  # of the three-argument type()

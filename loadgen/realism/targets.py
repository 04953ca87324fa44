"""The targets: targets.toml, or a file of the user's own, read and checked.

In: a path (or None for the included file). Out: targets, or one UsageError that lists every problem of the file.
"""

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadgen.config.layers import problem_lines, read_toml
from loadgen.config.values import did_you_mean
from loadgen.errors import UsageError
from loadgen.event import DAY_MS
from loadgen.realism.observed import ObservedListening
from loadgen.realism.statistics import STATISTICS

DAY_SLACK = 0.1
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Bound = Annotated[float, Field(allow_inf_nan=False)]


def _known(name: str) -> str:
    if name not in STATISTICS:
        raise ValueError(f"unknown statistic; {did_you_mean(name, STATISTICS, 'see the shipped targets.toml')}")
    return name


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Number(_Table):
    """A statistic, what was published, and what passes; without `low` and `high` it is reported only."""

    statistic: Annotated[str, AfterValidator(_known)]
    published: Text
    low: Bound | None = None
    high: Bound | None = None

    @model_validator(mode="after")
    def _is_band(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high go together; give both or neither")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low must not be above high; swap them")
        return self

    def passes(self, value: float | None) -> bool | None:
        """Whether a value is in the band; None where there is no value, or no band."""
        if value is None or self.low is None or self.high is None:
            return None
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Sample:
    """The extent of the events; `days`: from the first event to the last."""

    n_listeners: int
    days: float

    @classmethod
    def of(cls, seen: ObservedListening) -> Self:
        """The extent of these events."""
        return cls(len(seen.plays), (seen.last_ms - seen.first_ms) / DAY_MS)


class Target(_Table):
    """Numbers of one source, and the listeners and days that are needed to judge them."""

    name: Text
    source: Text
    how: Text
    listeners: Annotated[int, Field(strict=True, ge=0)] = 0
    days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    numbers: Annotated[tuple[Number, ...], Field(min_length=1)]

    @property
    def is_gated(self) -> bool:
        """Whether it can fail."""
        return any(number.low is not None for number in self.numbers)

    def is_enough(self, sample: Sample) -> bool:
        """Whether this extent suffices; DAY_SLACK, because a run of two days lasts a little less."""
        return sample.n_listeners >= self.listeners and sample.days + DAY_SLACK >= self.days

    @property
    def needs(self) -> str:
        """The needed extent, in words."""
        return f"needs ≥ {self.listeners:,} listeners, {self.days:g} days"


class Point(_Table):
    """A published point of a curve."""

    x: Bound
    y: Bound
    label: Annotated[str, Field(max_length=60)]


Curve = Literal["day", "sessions", "hazard", "zipf", "skips", "positions"]


class Targets(_Table):
    """The content of a file."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    curves: dict[Curve, tuple[Point, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _have_unique_names(self) -> Self:
        names = [target.name for target in self.targets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each target has a name of its own, got twice: {', '.join(twice)}; rename one")
        return self


def load_targets(path: Path | None) -> Targets:
    """Read a file of targets.

    Args:
        path: a TOML file; None for the included one.

    Raises:
        UsageError: with a line for every problem of the file.
    """
    return checked(read_toml(path) if path else shipped(), path)


def checked(content: dict[str, Any], path: Path | None) -> Targets:
    """The targets of a file's content; raises UsageError."""
    try:
        return Targets.model_validate(content)
    except ValidationError as error:
        raise UsageError("\n".join(problem_lines(f"targets file {path}", error))) from None


def shipped() -> dict[str, Any]:
    """The content of the shipped file."""
    return tomllib.loads(resources.files("loadgen.realism").joinpath("targets.toml").read_text("utf-8"))

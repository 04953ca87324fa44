"""Load shapes as users write them: an offered rate over time, as phases one after another.

A ShapeSpec is the shape whole, whatever becomes of the file that it was read from. shape_tables.py reads it from
tables, shape_files.py from names and files; what a phase means in events is in simulate/phases.py.

    kind     says                                             its own keys
    hold     one rate                                         at
    ramp     from one rate to another, in a straight line     from, to
    steps    from one rate to another, in equal held steps    from, to, steps
    sine     waves that begin at one rate and reach another   from, to, every
    series   points of time and rate                          points or file, levels, between

A rate is a factor of --rate (0.5), or events per second by itself ("20k/s"). A time is seconds (30, "2m"), or a part of
the run ("40%"). `from` may be left out: a phase then begins where the one before it ended, the first at 0.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Level:
    """A rate: events per second of all listeners where `per_s`, else a factor of --rate."""

    value: float
    per_s: bool = False

    def public(self) -> float | str:
        """As a user writes it."""
        return f"{self.value!r}/s" if self.per_s else self.value


@dataclass(frozen=True, slots=True)
class Length:
    """A time: percent of the run where `percent`, else seconds."""

    value: float
    percent: bool = False

    def public(self) -> float | str:
        """As a user writes it."""
        return f"{self.value!r}%" if self.percent else self.value

    def in_s(self, run_s: float) -> float:
        """Seconds, in a run of so many."""
        return self.value / 100 * run_s if self.percent else self.value


ZERO = Level(0.0)
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a shape.

    Attributes:
        kind: see the table above.
        start, end: the rate at its first and its last moment; of a sine, its first trough (or crest) and first crest.
        length: how long it takes.
        n_steps: of `steps`.
        period: of a sine: from trough to trough.
        points: of a series: seconds after the phase's start, ascending from 0; and rates, of the same unit as `start`.
        is_held: whether a series keeps each rate until the next point, rather than going there in a straight line.
    """

    kind: str
    start: Level
    end: Level
    length: Length
    n_steps: int = 1
    period: Length | None = None
    points: Points = ()
    is_held: bool = False

    @property
    def last(self) -> Level:
        """The rate from which the next phase goes on; waves count as whole ones."""
        return self.start if self.kind == "sine" else self.end

    def public(self) -> dict[str, Any]:
        """As a user writes it."""
        if self.kind == "series":
            unit, between = "per_s" if self.start.per_s else "factor", "held" if self.is_held else "linear"
            points = [list(point) for point in self.points]
            return {"kind": "series", "points": points, "levels": unit, "between": between}
        rates = {"at": self.start} if self.kind == "hold" else {"from": self.start, "to": self.end}
        found = {"kind": self.kind, **{key: rate.public() for key, rate in rates.items()}, "for": self.length.public()}
        if self.kind == "steps":
            found["steps"] = self.n_steps
        if self.period is not None:
            found["every"] = self.period.public()
        return found

    def levels(self) -> list[Level]:
        """Every rate that it names."""
        return [self.start, self.end, *(Level(rate, self.start.per_s) for _, rate in self.points)]


@dataclass(frozen=True, slots=True)
class ShapeSpec:
    """A shape, complete.

    Attributes:
        name: what it is called on the screen.
        phases: one after another.
        repeats: whether it begins again where the run is longer; else its last rate goes on.
    """

    name: str
    phases: tuple[Phase, ...]
    repeats: bool = False

    def public(self) -> dict[str, Any]:
        """As a user writes it: JSON types, from which shape_files.shape_spec makes the same again."""
        return {"name": self.name, "repeat": self.repeats, "phase": [phase.public() for phase in self.phases]}

    @property
    def is_absolute(self) -> bool:
        """Whether it says all its rates in events per second, so that it needs no --rate."""
        return all(level.per_s for phase in self.phases for level in phase.levels() if level.value)

    @property
    def peak(self) -> float:
        """The highest number among its rates."""
        return max(level.value for phase in self.phases for level in phase.levels())

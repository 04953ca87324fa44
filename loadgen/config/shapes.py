"""Load shapes as users write them: an offered rate over time, as a sequence of phases.

In: the tables of a TOML file or a setting. Out: a `ShapeSpec`, or BadValue with the phase and the key. A `ShapeSpec` is
complete: it does not need its file any more. `shape_files` reads names and files; `simulate/shapes.py` computes events.

    kind     meaning                                          its own keys
    hold     one rate                                         at
    ramp     from one rate to another, in a straight line     from, to
    steps    from one rate to another, in equal held steps    from, to, steps
    sine     waves from one rate to another and back          from, to, every
    series   points of time and rate                          points or file, levels, between

A rate is a factor of --rate (0.5), or events per second ("20k/s"). A time is seconds (30, "2m"), or a part of the run
("40%"). Without `from` a phase starts at the rate where the phase before it ended, the first at 0.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from loadgen.config import values
from loadgen.config.values import BadValue


@dataclass(frozen=True, slots=True)
class Level:
    """A rate: events per second of all listeners if `per_s`, else a factor of --rate."""

    value: float
    per_s: bool = False

    def public(self) -> float | str:
        """As a user writes it."""
        return f"{self.value!r}/s" if self.per_s else self.value


@dataclass(frozen=True, slots=True)
class Length:
    """A time: percent of the run if `percent`, else seconds."""

    value: float
    percent: bool = False

    def public(self) -> float | str:
        """As a user writes it."""
        return f"{self.value!r}%" if self.percent else self.value

    def in_s(self, run_s: float) -> float:
        """The time in seconds, in a run of `run_s`."""
        return self.value / 100 * run_s if self.percent else self.value


ZERO = Level(0.0)
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a shape.

    Attributes:
        start, end: the rates at its start and its end; of a sine, the rates between which it swings.
        points: of a series: seconds after the phase's start, ascending from 0; and rates, of the same unit as `start`.
        is_held: whether a series holds each rate until the next point; else it is interpolated.
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
        """The rate at which the next phase starts; a sine ends where it began."""
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
        """All its rates."""
        return [self.start, self.end, *(Level(rate, self.start.per_s) for _, rate in self.points)]


@dataclass(frozen=True, slots=True)
class ShapeSpec:
    """A complete shape; `repeats`: whether it starts over in a longer run; else the last rate is held."""

    name: str
    phases: tuple[Phase, ...]
    repeats: bool = False

    def public(self) -> dict[str, Any]:
        """As a user writes it, in JSON types; the inverse of `shape_files.shape_spec`."""
        return {"name": self.name, "repeat": self.repeats, "phase": [phase.public() for phase in self.phases]}

    @property
    def is_absolute(self) -> bool:
        """Whether all its rates are events per second, so that it needs no --rate."""
        return all(level.per_s for phase in self.phases for level in phase.levels() if level.value)

    @property
    def peak(self) -> float:
        """The largest number among its rates."""
        return max(level.value for phase in self.phases for level in phase.levels())


_KINDS: dict[str, tuple[str, ...]] = {
    "hold": ("at", "for"),
    "ramp": ("from", "to", "for"),
    "steps": ("from", "to", "steps", "for"),
    "sine": ("from", "to", "every", "for"),
    "series": ("points", "file", "levels", "between"),
}
"""The keys of each kind, besides `kind`."""
MAX_FACTOR, MAX_PER_S = 1000.0, 1e9
MIN_PER_S = 1e-9
"""The least rate, except for 0."""
MIN_LENGTH_S, MAX_LENGTH_S, MIN_GAP_S = 0.001, 86400.0 * 36500, 1e-6
MAX_PHASES, MAX_STEPS, MAX_POINTS = 1000, 1000, 100_000
_FLOAT = re.compile(r"[+-]?[0-9]{1,25}(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?")
_PER = re.compile(r"(.{1,40}?) ?/ ?(s|sec|m|min|h)")
_UNITS_S = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_seconds = values.duration(1, MIN_LENGTH_S, MAX_LENGTH_S, "30 (seconds), 2m or 40% (of the run)")
ReadPoints = Callable[[Any], tuple[Points, bool]]
"""Reads the file of a series: its points, and whether they are events per second."""


def spec_of(content: Mapping[Any, Any], name: str, read_points: ReadPoints) -> ShapeSpec:
    """The shape of a table with `phase` and perhaps `repeat` and `name`.

    Args:
        name: used if the table has none.

    Raises:
        BadValue: with the phase and the key.
    """
    _check_keys(content, ("phase", "repeat", "name"))
    listed = content.get("phase")
    if not isinstance(listed, list | tuple) or not 1 <= len(listed) <= MAX_PHASES:
        raise BadValue(f"must have 1..{MAX_PHASES} phases", 'write [[phase]], below it kind = "ramp", to = 1, for = 30')
    phases: list[Phase] = []
    for number, table in enumerate(listed, 1):
        before = phases[-1].last if phases else ZERO
        phases.append(within(f"phase {number}", partial(_phase, table, before, read_points)))
    if not any(level.value for phase in phases for level in phase.levels()):
        raise BadValue("must have a rate above 0 in some phase", 'write for example kind = "hold", at = 1')
    if sum(len(phase.points) + phase.n_steps for phase in phases) > MAX_POINTS:
        raise BadValue(f"must have at most {MAX_POINTS:,} points and steps in all", "give fewer of them")
    given = content.get("name", name)
    is_name = isinstance(given, str) and given.isprintable() and 0 < len(given) <= 100
    return ShapeSpec(given if is_name else name, tuple(phases), _get(content, "repeat", values.boolean, False))


def within(place: str, read: Callable[[], Any]) -> Any:
    """The result of `read`; a BadValue is raised again with the place before its rule."""
    try:
        return read()
    except BadValue as bad:
        raise BadValue(f"{place} {bad.rule}", bad.next_step) from None


def _get(table: Mapping[Any, Any], key: str, parse: values.Parser, default: Any) -> Any:
    """The parsed value of a key; a bad one is quoted in the BadValue."""
    if key not in table:
        return default
    try:
        return parse(table[key])
    except BadValue as bad:
        raise BadValue(f"{key} {bad.rule}, here {str(table[key])[:40]!r}", bad.next_step) from None


def _need(table: Mapping[Any, Any], key: str, parse: values.Parser) -> Any:
    if key not in table:
        raise BadValue(f"must say {key}", f"add {key} = …")
    return _get(table, key, parse, None)


def _check_keys(table: Any, known: tuple[str, ...]) -> None:
    if not isinstance(table, Mapping):
        raise BadValue("must be a table", 'write for example kind = "hold", at = 1, for = 30')
    for key in table:
        if key not in known:
            step = values.did_you_mean(str(key), known, f"known: {', '.join(known)}")
            raise BadValue(f"must have no key {str(key)[:40]!r}", step)


def _phase(table: Any, before: Level, read_points: ReadPoints) -> Phase:
    """A phase; `before` is the last rate of the phase before it."""
    if not isinstance(table, Mapping):
        raise BadValue("must be a table", 'write for example {kind = "hold", at = 1, for = 30}')
    kind = _need(table, "kind", values.choice(*_KINDS))
    _check_keys(table, ("kind", *_KINDS[kind]))
    if kind == "series":
        return _series(table, read_points)
    length = _need(table, "for", _length)
    if kind == "hold":
        at = _need(table, "at", _level)
        return Phase(kind, at, at, length)
    start, end = _get(table, "from", _level, before), _need(table, "to", _level)
    if kind == "steps":
        return Phase(kind, start, end, length, n_steps=_need(table, "steps", values.count(1, MAX_STEPS, "5")))
    return Phase(kind, start, end, length, period=_get(table, "every", _length, length) if kind == "sine" else None)


def _series(table: Mapping[Any, Any], read_points: ReadPoints) -> Phase:
    if ("file" in table) == ("points" in table):
        raise BadValue("must say points or file", 'write for example points = [[0, 0.1], [30, 1]] or file = "day.csv"')
    if "file" in table:
        points, per_s = read_points(table["file"])
    else:
        points, per_s = checked_points(table["points"]), False
    per_s = _get(table, "levels", values.choice("factor", "per_s"), "per_s" if per_s else "factor") == "per_s"
    is_held = _get(table, "between", values.choice("linear", "held"), "linear") == "held"
    for _, rate in points:
        checked_level(Level(rate, per_s))
    start, end = Level(points[0][1], per_s), Level(points[-1][1], per_s)
    return Phase("series", start, end, Length(points[-1][0]), points=points, is_held=is_held)


def checked_points(listed: Any) -> Points:
    """Points of seconds and rate, shifted so that the first is at 0. Raises BadValue if they do not ascend."""
    if not isinstance(listed, list | tuple) or not 2 <= len(listed) <= MAX_POINTS:
        raise BadValue(f"must have 2..{MAX_POINTS:,} points", "write for example points = [[0, 0.1], [30, 1]]")
    found: list[tuple[float, float]] = []
    for place, point in enumerate(listed, 1):
        pair = [_number(value) for value in point] if isinstance(point, list | tuple) else []
        if len(pair) != 2 or pair[0] is None or pair[1] is None or abs(pair[0]) > MAX_LENGTH_S:
            raise BadValue(f"point {place} must be two numbers, seconds and rate", "write for example [30, 0.5]")
        if found and pair[0] < found[-1][0] + MIN_GAP_S:
            rule = f"point {place} must be later than the one before it, here {pair[0]:g} s after {found[-1][0]:g} s"
            raise BadValue(rule, "sort the points by time, one for each moment")
        found.append((pair[0], pair[1]))
    return tuple((at_s - found[0][0], rate) for at_s, rate in found)


def checked_level(level: Level) -> Level:
    """The level itself. Raises BadValue if it is out of bounds."""
    most = MAX_PER_S if level.per_s else MAX_FACTOR
    if not _is_rate(level.value, most):
        unit = "events/s" if level.per_s else "times --rate"
        step = "write for example 0.5 (half of --rate) or 20k/s"
        raise BadValue(f"must be rates of 0..{most:,.0f} {unit}, here {level.value:g}", step)
    return level


def _is_rate(value: float, most: float) -> bool:
    return value == 0 or MIN_PER_S <= value <= most


def _level(value: Any) -> Level:
    match = _PER.fullmatch(value.strip()) if isinstance(value, str) else None
    number = _number(match[1] if match else value)
    most = MAX_PER_S if match else MAX_FACTOR
    per_s = number / _UNITS_S[match[2]] if match and number is not None else number
    if per_s is None or not _is_rate(per_s, most):
        rule = f"must be a factor of --rate, 0..{MAX_FACTOR:,.0f}, or events per second"
        raise BadValue(rule, "write for example 0.5 or 20k/s")
    return Level(per_s, match is not None)


def _length(value: Any) -> Length:
    if isinstance(value, str) and value.strip().endswith("%"):
        percent = _number(value.strip()[:-1].strip())
        if percent is None or not 0.001 <= percent <= 100:
            raise BadValue("must be 0.001%..100% of the run", "write for example 40%")
        return Length(percent, percent=True)
    return Length(_seconds(value))


def _number(value: Any) -> float | None:
    """A finite number as in other settings, or as Python writes a float."""
    if isinstance(value, float) or (isinstance(value, str) and _FLOAT.fullmatch(value.strip())):
        number = float(value)
        return number if math.isfinite(number) else None
    found = values.read_number(value)
    return None if found is None else float(found)

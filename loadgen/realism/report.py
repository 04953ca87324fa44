"""Values beside their bands, as text for a person and as JSON for a program.

In: targets and the values of their statistics. Out: text; a list of objects.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadgen.config.values import say_duration
from loadgen.realism.statistics import Value
from loadgen.realism.targets import Number, Sample, Target

DAY_S = 86_400
SHORTEST_DAYS = 0.5
"""What lasts a shorter time is said in hours, minutes and seconds."""
WIDTH = 29
"""Of the longest statistic's name."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A target, and what was found.

    Attributes:
        target: what events are held against.
        values: one for each of its numbers.
        is_enough: whether there are as many listeners and days as the target needs.
    """

    target: Target
    values: tuple[Value, ...]
    is_enough: bool = True

    @property
    def passed(self) -> bool | None:
        """Whether all numbers that can be told are in their bands; None where none can be told, or has a band."""
        told = [result for result in (self.result(*row) for row in self.rows()) if result is not None]
        return all(told) if told else None

    @property
    def lacks_data(self) -> bool:
        """Whether it could fail or pass if there were more listeners or days."""
        return self.target.is_gated and not self.is_enough

    @property
    def could_be_told(self) -> bool:
        """Whether it lacks data, and no more than that: these events have some of its numbers."""
        return self.lacks_data and any(value is not None for _, value in self.rows())

    def result(self, number: Number, value: Value) -> bool | None:
        """Whether one of its numbers is in its band; None where that cannot be told."""
        return number.passes(value) if self.is_enough else None

    def rows(self) -> Iterator[tuple[Number, Value]]:
        """Its numbers with their values."""
        yield from zip(self.target.numbers, self.values, strict=True)


@dataclass(frozen=True, slots=True)
class Report:
    """All that a page says in words.

    Attributes:
        extent: how many events, of how many listeners, in how many days.
        judged: every target.
        unread: files that could not be read.
    """

    extent: str
    judged: Sequence[Judged]
    unread: tuple[str, ...] = ()


def extent_of(n_events: int, sample: Sample) -> str:
    """How many events there are, of how many listeners, in how long a time."""
    lasts_s = sample.days * DAY_S
    lasts = f"{sample.days:.1f} days" if sample.days >= SHORTEST_DAYS else say_duration(round(lasts_s, lasts_s < 10))
    return f"{n_events:,} events of {sample.n_listeners:,} listeners in {lasts}"


def judge(targets: Sequence[Target], values: Mapping[str, Value], sample: Sample) -> list[Judged]:
    """Put values beside their bands."""
    return [
        Judged(target, tuple(values[number.statistic] for number in target.numbers), target.is_enough(sample))
        for target in targets
    ]


def none_failed(judged: Sequence[Judged]) -> bool:
    """Whether no target failed; and one at least passed or needs more data, else these events tell nothing."""
    is_told = any(one.passed or one.could_be_told for one in judged)
    return is_told and not any(one.passed is False for one in judged)


def as_list(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """What --json prints: one object for each number."""
    return [
        {
            "target": one.target.name,
            "statistic": number.statistic,
            "value": value,
            "low": number.low,
            "high": number.high,
            "passed": one.result(number, value),
            "needs": one.target.needs if one.lacks_data else None,
            "published": number.published,
            "source": one.target.source,
        }
        for one in judged
        for number, value in one.rows()
    ]


def text_of(judged: Sequence[Judged], title: str) -> str:
    """What a person reads."""
    lines = [title, ""]
    for one in judged:
        lines += [_heading(one), *(_line(one, number, value) for number, value in one.rows())]
        lines += [f"      {one.target.source}", ""]
    return "\n".join([*lines, verdict(judged)]) + "\n"


def verdict(judged: Sequence[Judged]) -> str:
    """One line."""
    gated = [one for one in judged if one.target.is_gated]
    passed, failed = ([one for one in gated if one.passed is result] for result in (True, False))
    few = [one for one in gated if one.lacks_data]
    untold = len(gated) - len(passed) - len(failed) - len(few)
    text = f"{len(passed)} of {len(gated)} targets pass"
    text += f", {untold} cannot be told from these events" if untold else ""
    text += f", {len(few)} need more data ({_most(few)} for all)" if few else ""
    return text + (f"; these do not: {', '.join(one.target.name for one in failed)}" if failed else "")


def _most(few: Sequence[Judged]) -> str:
    listeners, days = (max(getattr(one.target, name) for one in few) for name in ("listeners", "days"))
    return f"≥ {listeners:,} listeners, {days:g} days"


def _heading(one: Judged) -> str:
    return f"{_mark(one)} {one.target.name}" + (f": {one.target.needs}" if one.lacks_data else "")


def _mark(one: Judged) -> str:
    if not one.target.is_gated:
        return "·"
    return {True: "✓", False: "✗", None: "?"}[one.passed]


def _line(one: Judged, number: Number, value: Value) -> str:
    name = number.statistic.ljust(WIDTH)
    if value is None:
        return f"    {name} not told by these events".rstrip()
    band = "" if number.low is None else f"{shown(number.low)} … {shown(number.high)}"
    wrong = "   outside" if one.result(number, value) is False else ""
    return f"    {name} {shown(value):>8}   {band:<16}   published: {number.published}{wrong}"


def shown(value: float | None) -> str:
    """A number in at most four digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"

"""Values beside their bands, as text for a person and as JSON for a program.

In: targets and the values of their statistics. Out: text; a list of objects.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadgen.realism.statistics import Value
from loadgen.realism.targets import Number, Target

WIDTH = 29
"""Of the longest statistic's name."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A target, and what was found.

    Attributes:
        target: what events are held against.
        values: one for each of its numbers.
    """

    target: Target
    values: tuple[Value, ...]

    @property
    def passed(self) -> bool | None:
        """Whether all numbers that the events tell are in their bands; None where they tell none, or have no band."""
        results = [number.passes(value) for number, value in self.rows() if number.low is not None]
        told = [result for result in results if result is not None]
        return all(told) if told else None

    def rows(self) -> Iterator[tuple[Number, Value]]:
        """Its numbers with their values."""
        yield from zip(self.target.numbers, self.values, strict=True)


def judge(targets: Sequence[Target], values: Mapping[str, Value]) -> list[Judged]:
    """Put values beside their bands."""
    return [Judged(target, tuple(values[number.statistic] for number in target.numbers)) for target in targets]


def all_passed(judged: Sequence[Judged]) -> bool:
    """Whether no target failed, and one at least was told."""
    results = [one.passed for one in judged]
    return False not in results and True in results


def as_list(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """What --json prints: one object for each number."""
    return [
        {
            "target": one.target.name,
            "statistic": number.statistic,
            "value": value,
            "low": number.low,
            "high": number.high,
            "passed": number.passes(value),
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
        lines += [f"{_mark(one)} {one.target.name}", *(_line(number, value) for number, value in one.rows())]
        lines += [f"      {one.target.source}", ""]
    return "\n".join([*lines, verdict(judged)]) + "\n"


def verdict(judged: Sequence[Judged]) -> str:
    """One line."""
    gated = [one for one in judged if one.target.is_gated]
    passed, failed = ([one for one in gated if one.passed is result] for result in (True, False))
    untold = len(gated) - len(passed) - len(failed)
    text = f"{len(passed)} of {len(gated)} targets pass"
    text += f", {untold} cannot be told from these events" if untold else ""
    return text + (f"; these do not: {', '.join(one.target.name for one in failed)}" if failed else "")


def _mark(one: Judged) -> str:
    if not one.target.is_gated:
        return "·"
    return {True: "✓", False: "✗", None: "?"}[one.passed]


def _line(number: Number, value: Value) -> str:
    name = number.statistic.ljust(WIDTH)
    if value is None:
        return f"    {name} not told by these events".rstrip()
    band = "" if number.low is None else f"{shown(number.low)} … {shown(number.high)}"
    wrong = "   outside" if number.passes(value) is False else ""
    return f"    {name} {shown(value):>8}   {band:<16}   published: {number.published}{wrong}"


def shown(value: float | None) -> str:
    """A number in at most four digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"

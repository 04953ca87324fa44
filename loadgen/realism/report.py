"""The values of the statistics beside their bands: as text, as JSON, as a picture or a page.

In: judged targets, `ObservedListening`, published points. Out: text; a list of objects; the file of
`loadgen realism --report`, written atomically, which needs no network.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from loadgen.config.values import say_duration
from loadgen.files import unwritable, write_whole
from loadgen.realism.curves import Picture, Points, picture_of, pictures_of
from loadgen.realism.observed import ObservedListening
from loadgen.realism.statistics import Value
from loadgen.realism.targets import Number, Sample, Target
from loadgen.report import html
from loadgen.report.html import Child, document, exact, panel, table, tag

DAY_S = 86_400
SHORTEST_DAYS = 0.5
"""What lasts a shorter time is said in hours, minutes and seconds."""
WIDTH = 29
"""Of the longest statistic's name."""


@dataclass(frozen=True, slots=True)
class TargetResult:
    """A target, a value for each of its numbers, and whether there are as many listeners and days as it needs."""

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
    def could_be_judged(self) -> bool:
        """Whether only the amount of data is missing: these events have some of its numbers."""
        return self.lacks_data and any(value is not None for _, value in self.rows())

    def result(self, number: Number, value: Value) -> bool | None:
        """Whether one of its numbers is in its band; None if that is unknown."""
        return number.passes(value) if self.is_enough else None

    def rows(self) -> Iterator[tuple[Number, Value]]:
        """Its numbers with their values."""
        yield from zip(self.target.numbers, self.values, strict=True)


@dataclass(frozen=True, slots=True)
class RealismReport:
    """The words of a page: how much was read, every target, and the files that could not be read."""

    extent: str
    judged: Sequence[TargetResult]
    unread: tuple[str, ...] = ()


def extent_of(n_events: int, sample: Sample) -> str:
    """The numbers of events, listeners and days, in words."""
    lasts_s = sample.days * DAY_S
    lasts = f"{sample.days:.1f} days" if sample.days >= SHORTEST_DAYS else say_duration(round(lasts_s, lasts_s < 10))
    return f"{n_events:,} events of {sample.n_listeners:,} listeners in {lasts}"


def judge(targets: Sequence[Target], values: Mapping[str, Value], sample: Sample) -> list[TargetResult]:
    """Put values beside their bands."""
    return [
        TargetResult(target, tuple(values[number.statistic] for number in target.numbers), target.is_enough(sample))
        for target in targets
    ]


def none_failed(judged: Sequence[TargetResult]) -> bool:
    """Whether no target failed, and at least one passed or only needs more data."""
    is_told = any(one.passed or one.could_be_judged for one in judged)
    return is_told and not any(one.passed is False for one in judged)


def as_list(judged: Sequence[TargetResult]) -> list[dict[str, Any]]:
    """The output of --json: one object per number."""
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


def text_of(judged: Sequence[TargetResult], title: str) -> str:
    """The report as text."""
    lines = [title, ""]
    for one in judged:
        mark = {True: "✓", False: "✗", None: "?"}[one.passed] if one.target.is_gated else "·"
        lines.append(f"{mark} {one.target.name}" + (f": {one.target.needs}" if one.lacks_data else ""))
        lines += [*(_line(one, number, value) for number, value in one.rows())]
        lines += [f"      {one.target.source}", ""]
    return "\n".join([*lines, verdict(judged)]) + "\n"


def verdict(judged: Sequence[TargetResult]) -> str:
    """The verdict in one line."""
    gated = [one for one in judged if one.target.is_gated]
    passed, failed = ([one for one in gated if one.passed is result] for result in (True, False))
    few = [one for one in gated if one.lacks_data]
    untold = len(gated) - len(passed) - len(failed) - len(few)
    text = f"{len(passed)} of {len(gated)} targets pass"
    text += f", {untold} cannot be told from these events" if untold else ""
    if few:
        listeners, days = (max(getattr(one.target, name) for one in few) for name in ("listeners", "days"))
        text += f", {len(few)} need more data (≥ {listeners:,} listeners, {days:g} days for all)"
    return text + (f"; these do not: {', '.join(one.target.name for one in failed)}" if failed else "")


def _line(one: TargetResult, number: Number, value: Value) -> str:
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


HEAD = ("Target", "Statistic", "Result", "Value", "Low", "High", "Published, and source")


def write(path: Path, report: RealismReport, seen: ObservedListening, points: Points) -> None:
    """Write a file: .png, or a page. Raises OutputUnwritable."""
    if path.suffix.lower() == ".png":
        content = picture_of(seen, points)
    else:
        content = page_of(report, pictures_of(seen, points)).encode()
    try:
        write_whole(path, content)
    except OSError as error:
        raise unwritable(path, error) from error


def page_of(report: RealismReport, pictures: Iterable[Picture]) -> str:
    """The page: the verdict, the curves, a row for each number of each target."""
    title = tag("h1", "Events against published figures")
    header = (tag("p", "Realism report", class_="kind"), title, tag("p", report.extent, class_="hint"))
    rows = [_row(one, number, value) for one in report.judged for number, value in one.rows()]
    hint = "A target passes if all its numbers lie between low and high; numbers without these are reported only."
    targets = panel("targets", "Targets", table(HEAD, rows, "Targets", 3, 1), hint=hint)
    main = (_verdict(report), *map(_picture, pictures), targets)
    return document("loadgen realism", header, main, "these events")


def _verdict(report: RealismReport) -> Element:
    said = [part[0].upper() + part[1:] for part in verdict(report.judged).split("; ", 1)]
    said += [f"Could not be read: {name}" for name in report.unread]
    return html.verdict("verdict", _state(report), said[0], [("hint", "•", words) for words in said[1:]])


def _state(report: RealismReport) -> str:
    """As the exit code; "open" if nothing failed and some targets could not be judged."""
    if report.unread or not none_failed(report.judged):
        return "failed"
    return "passed" if all(one.passed for one in report.judged if one.target.is_gated) else "open"


def _picture(picture: Picture) -> Element:
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    return panel(picture.key, picture.title, tag("img", class_="picture", alt=picture.words, src=source), size="third")


def _row(one: TargetResult, number: Number, value: Value) -> list[Child]:
    source = tag("span", tag("span", number.published), tag("span", one.target.source, class_="hint"), class_="source")
    figures = [exact(shown(figure), figure) for figure in (value, number.low, number.high)]
    return [one.target.name, tag("code", number.statistic), _result(one, number, value), *figures, source]


def _result(one: TargetResult, number: Number, value: Value) -> Element:
    if value is None:
        return tag("span", "not told by these events", class_="hint")
    if number.low is None:
        return tag("span", "reported only", class_="hint")
    if one.lacks_data:
        needs = tag("span", one.target.needs, class_="needs hint")
        return tag("span", tag("span", "? needs more data", class_="warn"), needs)
    words, kind = ("✓ passed", "good") if one.result(number, value) else ("✗ failed", "bad")
    return tag("span", words, class_=kind)

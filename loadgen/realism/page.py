"""What `loadgen realism --report` writes: a picture of the curves, or a page like that of a run.

In: judged targets, what was seen, published points. Out: a file, written whole or not at all, that needs no network.
"""

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from loadgen import __version__
from loadgen.disk import reason, write_whole
from loadgen.errors import OutputUnwritable
from loadgen.realism.curves import Picture, Points, picture_of, pictures_of
from loadgen.realism.report import Judged, Report, none_failed, shown, verdict
from loadgen.realism.seen import Seen
from loadgen.realism.statistics import Value
from loadgen.realism.targets import Number
from loadgen.report.document import document
from loadgen.report.markup import Child, tag
from loadgen.report.tables import exact, panel, table

HEAD = ("Target", "Statistic", "Result", "Value", "Low", "High", "Published, and source")
MARKS = {"passed": "✓", "failed": "✗", "open": "?"}


def write(path: Path, report: Report, seen: Seen, points: Points) -> None:
    """Write a file: .png, or a page.

    Raises:
        OutputUnwritable: it cannot be written, or the disk is full.
    """
    if path.suffix.lower() == ".png":
        content = picture_of(seen, points)
    else:
        content = page_of(report, pictures_of(seen, points)).encode()
    try:
        write_whole(path, content)
    except OSError as error:
        raise OutputUnwritable(f"cannot write {str(path)!r}: {reason(error)}; give another --report") from error


def page_of(report: Report, pictures: Iterable[Picture]) -> str:
    """The page: verdict, a row for each number of each target, the curves that these events tell."""
    return document("loadgen realism", _body(report, pictures))


def _body(report: Report, pictures: Iterable[Picture]) -> Iterator[Element]:
    yield tag("a", "Skip to the figures", class_="skip", href="#figures")
    title = tag("h1", "Events against published figures")
    yield tag("header", tag("p", "Realism report", class_="kind"), title, tag("p", report.extent, class_="hint"))
    parts = [_verdict(report), *map(_picture, pictures), _targets(report.judged)]
    yield tag("main", parts, id="figures", tabindex="-1")
    made = f"Made by loadgen {__version__} from these events. This page asks no network for anything."
    yield tag("footer", tag("p", made))


def _verdict(report: Report) -> Element:
    state = _state(report)
    title, *others = verdict(report.judged).split("; ", 1)
    said = [title[0].upper() + title[1:], *(other[0].upper() + other[1:] for other in others)]
    said += [f"Could not be read: {name}" for name in report.unread]
    rows = [tag("li", tag("span", "•", class_="hint"), tag("span", words)) for words in said[1:]]
    mark = tag("span", MARKS[state], class_="mark", aria_hidden="true")
    heading = tag("h2", said[0], id="verdict-title")
    listed = tag("ul", rows) if rows else None
    place = {"id": "verdict", "data_state": state, "aria_labelledby": "verdict-title"}
    return tag("section", mark, tag("div", heading, listed), class_="panel wide verdict", **place)


def _state(report: Report) -> str:
    """As the exit code says it; "open" where nothing failed, and not everything could be told."""
    if report.unread or not none_failed(report.judged):
        return "failed"
    return "passed" if all(one.passed for one in report.judged if one.target.is_gated) else "open"


def _picture(picture: Picture) -> Element:
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    return panel(picture.key, picture.title, tag("img", class_="picture", alt=picture.words, src=source), size="third")


def _targets(judged: Iterable[Judged]) -> Element:
    rows = [_row(one, number, value) for one in judged for number, value in one.rows()]
    hint = "A target passes if all its numbers lie between low and high; numbers without these are reported only."
    said = table(HEAD, rows, "Targets", 3, 1)
    return panel("targets", "Targets", said, hint=hint)


def _row(one: Judged, number: Number, value: Value) -> list[Child]:
    source = tag("span", tag("span", number.published), tag("span", one.target.source, class_="hint"), class_="source")
    figures = [exact(shown(figure), figure) for figure in (value, number.low, number.high)]
    return [one.target.name, tag("code", number.statistic), _result(one, number, value), *figures, source]


def _result(one: Judged, number: Number, value: Value) -> Element:
    if value is None:
        return tag("span", "not told by these events", class_="hint")
    if number.low is None:
        return tag("span", "reported only", class_="hint")
    if one.lacks_data:
        needs = tag("span", one.target.needs, class_="needs hint")
        return tag("span", tag("span", "? needs more data", class_="warn"), needs)
    words, kind = ("✓ passed", "good") if one.result(number, value) else ("✗ failed", "bad")
    return tag("span", words, class_=kind)

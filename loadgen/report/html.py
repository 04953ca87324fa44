"""Elements of a page, whose texts can never become markup; and a page as one file that needs nothing else.

In: texts, other elements, figures for the chart library. Out: elements, and the HTML that they make. Texts are escaped
when it is written, and what would change their direction, or is no letter at all, is shown as an escape.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Literal
from xml.etree.ElementTree import Element, tostring

import orjson

from loadgen import __version__
from loadgen.report.text import plain

Child = Element | str | None
EMPTY_STYLE = ""
"""The chart library makes a style element without content, and adds its rules by the object model."""


def tag(name: str, *children: Child | Iterable[Child], **attributes: str | None) -> Element:
    """An element with these children; `class_` is the attribute class, `data_value` is data-value, None is left out."""
    named = {key.rstrip("_").replace("_", "-"): plain(value) for key, value in attributes.items() if value is not None}
    element = Element(name, named)
    for child in children:
        for one in [child] if child is None or isinstance(child, str | Element) else child:
            _append(element, one)
    return element


def _append(element: Element, child: Child) -> None:
    if isinstance(child, Element):
        element.append(child)
    elif child is not None and len(element):
        element[-1].tail = (element[-1].tail or "") + plain(child)
    elif child is not None:
        element.text = (element.text or "") + plain(child)


def html(*elements: Element) -> str:
    """The elements as HTML, each on a line of its own."""
    return "\n".join(tostring(element, encoding="unicode", method="html") for element in elements)


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: nothing in it ends that element."""
    return orjson.dumps(value).decode().replace("<", "\\u003c")


def policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """A Content-Security-Policy that lets these inline scripts and styles run, and asks no network for anything.

    Pictures may be data: and blob:, for the chart library saves a chart as PNG that way.
    """
    allowed = {"script-src": scripts, "style-src": [*styles, EMPTY_STYLE]}
    lists = [f"{kind} {' '.join(map(_digest, texts))}" for kind, texts in allowed.items()]
    return "; ".join(["default-src 'none'", *lists, "img-src data: blob:", "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def panel(key: str, title: str, *children: Child | Iterable[Child], hint: str = "", size: str = "wide") -> Element:
    """A part of the page under a heading; its size is "wide", "half", "third", or "" in a column."""
    heading = tag("h2", title, id=f"{key}-title")
    said = tag("p", hint, class_="hint") if hint else None
    return tag("section", heading, said, *children, class_=f"panel {size}", id=key, aria_labelledby=f"{key}-title")


def table(
    head: Sequence[str], rows: Iterable[Sequence[Child]], label: str, n_texts: int = 1, n_last: int = 0
) -> Element:
    """A table that scrolls by itself where it is too wide.

    Args:
        n_texts: columns at the beginning that are texts; the others are numbers.
        n_last: columns at the end that are texts too.
    """
    kinds = ["number" if n_texts <= place < len(head) - n_last else None for place in range(len(head))]
    titles = [tag("th", title, scope="col", class_=kind) for title, kind in zip(head, kinds, strict=True)]
    whole = tag("table", tag("thead", tag("tr", titles)), tag("tbody", [_row(row, kinds) for row in rows]))
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=label)


def _row(cells: Sequence[Child], kinds: Sequence[str | None]) -> Element:
    """The first cell is the row's title."""
    others = [tag("td", cell, class_=kind) for cell, kind in zip(cells[1:], kinds[1:], strict=True)]
    return tag("tr", tag("th", cells[0], scope="row", class_=kinds[0]), others)


def pairs(rows: Iterable[tuple[str, str]]) -> Element:
    """Names and values."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows], class_="pairs")


def fold(title: str, *children: Child) -> Element:
    """Something that opens on demand."""
    return tag("details", tag("summary", title), *children)


def exact(words: str, value: float | None) -> Element:
    """A figure in words, with the exact number for programs."""
    return tag("span", words, data_value=None if value is None else repr(value))


def bars(shares: Sequence[float]) -> Element:
    """A bar for each share 0..1, as drawings: the page's policy allows no style attributes."""
    return tag("span", [_bar(share, "ab"[place]) for place, share in enumerate(shares)])


def _bar(share: float, kind: str) -> Element:
    track = tag("rect", width="100", height="6", class_="track")
    filled = tag("rect", width=f"{max(0.4, 100 * share):.2f}", height="6", class_=kind)
    view = {"viewBox": "0 0 100 6", "preserveAspectRatio": "none"}
    return tag("svg", track, filled, class_="bar", aria_hidden="true", **view)


MARKS = {"passed": "✓", "failed": "✗", "open": "?"}


def verdict(
    key: str, state: str, title: str, rows: Sequence[tuple[str, str, str]], size: Literal["wide", "half"] = "wide"
) -> Element:
    """The panel of a verdict, whose state is one of MARKS; a row is the class of its mark, the mark, and a sentence."""
    mark = tag("span", MARKS[state], class_="mark", aria_hidden="true")
    listed = [tag("li", tag("span", sign, class_=kind), tag("span", words)) for kind, sign, words in rows]
    said = tag("div", tag("h2", title, id=f"{key}-title"), tag("ul", listed) if rows else None)
    place = {"id": key, "data_state": state, "aria_labelledby": f"{key}-title"}
    return tag("section", mark, said, class_=f"panel {size} verdict", **place)


def document(
    title: str,
    header: Iterable[Child],
    main: Iterable[Child],
    made_from: str,
    figures: Mapping[str, Any] | None = None,
) -> str:
    """A whole page; without figures (by the key of their place) it has no script."""
    made = f"Made by loadgen {__version__} from {made_from}. This page asks no network for anything."
    body = (
        tag("a", "Skip to the figures", class_="skip", href="#figures"),
        tag("header", header),
        tag("main", main, id="figures", tabindex="-1"),
        tag("footer", tag("p", made)),
    )
    scripts, styles = ([], []) if figures is None else _library()
    style = _own("style.css")
    data = "" if figures is None else f'<script type="application/json" id="charts">{embedded_json(figures)}</script>'
    return Template(_own("page.html")).substitute(
        policy=escape(policy(scripts, [style, *styles])),
        version=escape(__version__),
        title=escape(plain(title)),
        style=style,
        body=html(*body),
        scripts="\n".join([data, *(f"<script>{script}</script>" for script in scripts)]),
    )


def _library() -> tuple[list[str], list[str]]:
    """The scripts that draw charts, and the style sheets that they add as elements: that of the library's maps."""
    from plotly.offline import get_plotlyjs

    library = get_plotlyjs()
    return [library, _own("charts.js")], re.findall(r"\.textContent='(\.[^'\\]{1000,})'", library)


def _own(name: str) -> str:
    return files("loadgen.report").joinpath(name).read_text(encoding="utf-8")

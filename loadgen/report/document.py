"""The frame of a page: one file with its style, and its chart library where it has charts, that needs nothing else.

In: a title, the body's elements, figures for the chart library. Out: HTML.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any
from xml.etree.ElementTree import Element

from loadgen import __version__
from loadgen.report.markup import embedded_json, html, policy
from loadgen.report.text import plain


def document(title: str, body: Iterable[Element], figures: Mapping[str, Any] | None = None) -> str:
    """A whole page; without figures (by the key of their place) it has no script."""
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

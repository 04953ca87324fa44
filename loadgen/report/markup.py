"""Elements of a page, whose texts can never become markup; and what the page's own scripts and styles may do.

In: names, texts, other elements. Out: elements, and the HTML that they make. Texts are escaped when it is written, and
what would change their direction, or is no letter at all, is shown as an escape.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element, tostring

import orjson

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

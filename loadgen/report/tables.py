"""Tables, lists of names and values, folds: what the parts of the page are made of.

In: texts and elements. Out: elements.
"""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from loadgen.report.markup import Child, tag


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
        head: the titles of its columns.
        rows: a cell for each column.
        label: what it is, for who cannot see it.
        n_texts: so many columns at the beginning are texts, the others numbers.
        n_last: so many at the end are texts too.
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

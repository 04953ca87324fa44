"""The figures as CSV files, as RFC 4180 says, for spreadsheets and other programs.

In: figures. Out: text. Names come from events, and so from anybody: one that a spreadsheet would take for a formula
gets an apostrophe in front, which spreadsheets do not show.
"""

import csv
import io
from collections.abc import Iterable

from loadgen.analyze.figures import Count, Figures

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How formulas begin, also in the wide letters that some spreadsheets take for the narrow ones."""


def tables_of(figures: Figures) -> dict[str, str]:
    """Name of the table → its CSV text; `events` are the events by action."""
    columns = {
        "genres": ("genre", figures.genres),
        "platforms": ("platform", figures.platforms),
        "countries": ("country", figures.countries),
        "events": ("action", figures.actions),
    }
    return {name: _csv(title, counts) for name, (title, counts) in columns.items()}


def harmless(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _csv(title: str, counts: Iterable[Count]) -> str:
    counts = list(counts)
    total = sum(one.events for one in counts)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow((title, "events", "plays", "share"))
    writer.writerows((harmless(one.name), one.events, one.plays, f"{one.events / total:.6f}") for one in counts)
    return file.getvalue()

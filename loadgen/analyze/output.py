"""The figures as CSV files, as RFC 4180 says, for spreadsheets and other programs.

In: figures. Out: text. Names come from events, and so from anybody: one that a spreadsheet would take for a formula
gets an apostrophe in front, which spreadsheets do not show.

Where the figures go: files in a folder.

In: figures. Out: `music_stats_YYYYMMDD_HHMMSS` with `.txt`, `.json`, `_genres.csv` and so on, each whole or not at all.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from loadgen.analyze.figures import Count, ListeningFigures
from loadgen.errors import OutputUnwritable
from loadgen.files import Bytes, reason, write_whole

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How formulas begin, also in the wide letters that some spreadsheets take for the narrow ones."""


def tables_of(figures: ListeningFigures) -> dict[str, str]:
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


PREFIX = "music_stats"


def prepare(folder: Path) -> None:
    """Make the folder, before hours of reading show that it cannot be. Raises OutputUnwritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "no permission to write there")
    except OSError as error:
        raise _unwritable(folder, error) from error


def write(folder: Path, stamp: str, files: Mapping[str, Bytes]) -> None:
    """Write files.

    Args:
        folder: where; it is there.
        stamp: YYYYMMDD_HHMMSS.
        files: what follows the stamp in the file's name → content.

    Raises:
        OutputUnwritable: the folder cannot be written, or the disk is full.
    """
    for ending, content in files.items():
        path = folder / f"{PREFIX}_{stamp}{ending}"
        try:
            write_whole(path, content)
        except OSError as error:
            raise _unwritable(path, error) from error


def as_json(value: dict[str, Any]) -> bytes:
    """The object, as a person reads it."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _unwritable(path: Path, error: OSError) -> OutputUnwritable:
    return OutputUnwritable(f"cannot write {str(path)!r}: {reason(error)} (see --out)")

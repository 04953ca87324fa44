"""The metrics as files in a folder: a report as text, JSON, and CSV tables (RFC 4180).

In: metrics. Out: `music_stats_YYYYMMDD_HHMMSS` with `.txt`, `.json`, `_genres.csv` and so on, each written atomically.
Names come from events, so anyone may have chosen them: in text, unprintable characters become "?", in CSV an
apostrophe, which spreadsheets do not show, precedes a name that they would take for a formula.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from loadgen.analyze.figures import BIN_S, Count, ListeningFigures, Quantiles
from loadgen.files import Bytes, unwritable, write_whole
from loadgen.terminal import utc

BAR = 32
NAME = 44
NONE = "–"


def report_of(figures: ListeningFigures, title: str, top: int) -> str:
    """The report."""
    parts = (_totals, _sessions, _durations, _hours, lambda f: _lists(f, top), lambda f: _tiers(f, top))
    lines = chain([plain(title), "=" * min(len(title), 100)], *(["", *part(figures)] for part in parts))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def plain(text: str) -> str:
    """The text on one line, without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _totals(figures: ListeningFigures) -> Iterator[str]:
    span = NONE
    if figures.first_ms is not None and figures.last_ms is not None:
        span = f"{utc(figures.first_ms)} to {utc(figures.last_ms)}"
    names = ("events", "plays", "unreadable", "listeners", "artists", "tracks", "sessions")
    yield from (f"{name:<12}{getattr(figures, name):>16,}" for name in names)
    yield f"{'time span':<12}{span}"


def _sessions(figures: ListeningFigures) -> Iterator[str]:
    yield f"{'Sessions':<24}{'mean':>10}{'p10':>10}{'p50':>10}{'p90':>10}{'longest':>10}"
    yield _spread("length in events", figures.session_events)
    yield _spread("length in minutes", figures.session_minutes)
    share = NONE if figures.skip_share is None else f"{figures.skip_share:.1%}"
    yield f"{'  skipped to':<24}{share:>10}  of the tracks started"


def _durations(figures: ListeningFigures) -> Iterator[str]:
    yield f"{'Tracks started':<24}{'mean':>10}{'p10':>10}{'p50':>10}{'p90':>10}{'longest':>10}"
    yield _spread("length in seconds", figures.durations_s)
    yield f"{'  in all':<24}{figures.played_s / 3600:>10,.1f}  hours"
    last = len(figures.duration_bins) - 1
    for place, n in enumerate(figures.duration_bins):
        if n:
            upper = "" if place == last else f"– {_clock((place + 1) * BIN_S)}"
            yield f"  {_clock(place * BIN_S):>6} {upper:<9}{n:>14,}  {_bar(n, figures.duration_bins)}"


def _hours(figures: ListeningFigures) -> Iterator[str]:
    yield "Events by hour of the day (UTC)"
    for hour, n in enumerate(figures.hours):
        yield f"  {hour:02}:00 {n:>23,}  {_bar(n, figures.hours)}"


def _lists(figures: ListeningFigures, top: int) -> Iterator[str]:
    by_plays = {"genres": figures.genres, "artists": figures.top_artists, "tracks": figures.top_tracks}
    by_events = {"platforms": figures.platforms, "actions": figures.actions, "countries": figures.countries}
    for name, counts in by_plays.items():
        yield from _list(f"Top {name}", counts[:top], "plays")
    for name, counts in by_events.items():
        yield from _list(f"Top {name}", counts[:top], "events")


def _tiers(figures: ListeningFigures, top: int) -> Iterator[str]:
    for tier, counts in figures.top_by_tier.items():
        yield from _list(f"Top artists of tier {plain(tier)}", counts[:top], "plays")


def _list(title: str, counts: list[Count], unit: str) -> Iterator[str]:
    values = [getattr(one, unit) for one in counts]
    yield f"{title:<46}{unit:>14}"
    yield from (
        f"  {_cut(one.name)}{value:>14,}  {_bar(value, values)}" for one, value in zip(counts, values, strict=True)
    )
    if not counts:
        yield f"  {NONE}"
    yield ""


def _spread(name: str, spread: Quantiles) -> str:
    values = (spread.mean, spread.p10, spread.p50, spread.p90, spread.max)
    return f"  {name:<22}" + "".join(f"{NONE if value is None else f'{value:,.1f}':>10}" for value in values)


def _cut(name: str) -> str:
    """The name in NAME columns of a terminal, where Korean and Japanese letters take two."""
    from rich.cells import set_cell_size

    return set_cell_size(plain(name), NAME)


def _bar(value: int, values: Iterable[int]) -> str:
    most = max(values, default=0)
    return "█" * round(BAR * value / most) if most else ""


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The first characters of formulas, including the full-width forms that some spreadsheets accept."""


def tables_of(figures: ListeningFigures) -> dict[str, str]:
    """Table → CSV text; the table `events` is by action."""
    columns = {
        "genres": ("genre", figures.genres),
        "platforms": ("platform", figures.platforms),
        "countries": ("country", figures.countries),
        "events": ("action", figures.actions),
    }
    return {name: _csv(title, counts) for name, (title, counts) in columns.items()}


def harmless(text: str) -> str:
    """The text, after an apostrophe if a spreadsheet would take it for a formula."""
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


def write(folder: Path, stamp: str, files: Mapping[str, Bytes]) -> None:
    """Write files.

    Args:
        stamp: YYYYMMDD_HHMMSS.
        files: the end of the file's name, after the stamp → content.

    Raises:
        OutputUnwritable: the folder cannot be written, or the disk is full.
    """
    for ending, content in files.items():
        path = folder / f"{PREFIX}_{stamp}{ending}"
        try:
            write_whole(path, content)
        except OSError as error:
            raise unwritable(path, error) from error


def as_json(value: dict[str, Any]) -> bytes:
    """The object as indented JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"

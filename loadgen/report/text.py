"""Figures and texts as a person reads them, on the page and in the terminal.

In: numbers, values of settings. Out: short texts; None is a dash.
"""

from datetime import UTC, datetime
from typing import Any

import orjson

NONE = "–"


def count(value: float | None) -> str:
    """150,000."""
    return NONE if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """Four digits that matter: 4,998, 12.35, 0.0123."""
    if value is None:
        return NONE
    if value == int(value) or abs(value) < 0.01:
        return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"
    return f"{value:,.{0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3}f}"


def rate(value_per_s: float | None) -> str:
    """4,998.2/s."""
    return NONE if value_per_s is None else f"{value_per_s:,.1f}/s"


def micros(value_us: float | None) -> str:
    """12.35 µs."""
    return NONE if value_us is None else f"{number(value_us)} µs"


def duration_ms(value_ms: float | None) -> str:
    """In the unit that suits: 850 µs, 12.1 ms, 4.25 s, 2 min 5 s."""
    if value_ms is None:
        return NONE
    if value_ms < 0.9995:
        return f"{value_ms * 1e3:.0f} µs"
    if value_ms < 999.5:
        return f"{value_ms:.{2 if value_ms < 9.995 else 1 if value_ms < 99.95 else 0}f} ms"
    return seconds(value_ms / 1e3)


def seconds(value_s: float | None) -> str:
    """4.25 s, 30 s, 2 min 5 s, 3 h 20 min."""
    if value_s is None:
        return NONE
    if value_s < 119.5:
        return f"{value_s:.2f}".rstrip("0").rstrip(".") + " s"
    minutes, rest_s = divmod(round(value_s), 60)
    if minutes < 120:
        return f"{minutes} min {rest_s} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def size(n_bytes: float | None) -> str:
    """25.97 MB."""
    if n_bytes is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.4g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.4g} TB"


def share(part: float, whole: float) -> str:
    """79.5 %; a dash of nothing."""
    return NONE if whole == 0 else f"{100 * part / whole:.2f} %"


def moment(at_ms: float | None) -> str:
    """2026-11-22 10:15:00 UTC."""
    if at_ms is None:
        return NONE
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def value(given: Any) -> str:
    """A setting's value on one line: texts as they are, the rest as JSON."""
    if isinstance(given, str):
        return plain(given)
    try:
        return plain(orjson.dumps(given).decode())
    except (TypeError, ValueError):  # nested deeper than anyone writes settings
        return "…"


def plain(text: str) -> str:
    """The text with what a terminal, or a page's text direction, would obey written as an escape."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)

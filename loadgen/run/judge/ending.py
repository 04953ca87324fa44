"""How far a run came that ended before its end, as a sentence.

In: settings, why it ended, when, and how much it had planned by then. Out: "stopped after 12.0 s of 60.0 s: SIGTERM".
What is said of the rates, the schedule and the deliveries of such a run holds until then, and for no longer.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loadgen.signals import CALLED, number_in

if TYPE_CHECKING:
    from loadgen.config import RunSettings

BROKEN_OFF = ("error", "interrupted twice")
"""Ends that leave events without an outcome: whether the schedule was kept cannot be known."""
_WHY = {
    "interrupted twice": "Ctrl-C twice, without waiting for events in flight",
    "threshold": "a threshold was broken, and says abort",
    "reader gone": "whoever read its output had seen enough",
    "error": "an error",
}


def cut_short(
    settings: "RunSettings", reason: str, stopped_s: float | None, n_planned: int = 0, simulated_ms: int = 0
) -> str:
    """How far it came, of what it was asked for, and what stopped it.

    Args:
        settings: of the run.
        reason: why it ended.
        stopped_s: when, seconds after the schedule's zero; None where that never came.
        n_planned: events.
        simulated_ms: the time of the last of them.
    """
    number = number_in(reason)
    why = _WHY.get(reason, reason) if number is None else CALLED[number]
    if stopped_s is None:
        return f"stopped before its first event: {why}"
    return f"stopped after {', '.join(_came(settings, stopped_s, n_planned, simulated_ms))}: {why}"


def _came(settings: "RunSettings", stopped_s: float, n_planned: int, simulated_ms: int) -> list[str]:
    duration_s = settings.duration_s
    parts = [f"{stopped_s:,.1f} s" if duration_s is None else f"{stopped_s:,.1f} s of {duration_s:,.1f} s"]
    if settings.events is not None:
        its = "" if settings.shard.count == 1 else f"shard {settings.shard}'s part of "
        parts.append(f"with {n_planned:,} of {its}{settings.events:,} events")
    if settings.end_ms is not None:
        parts.append(f"at {_moment(simulated_ms)} of a window that ends {_moment(settings.end_ms)}")
    return parts


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")

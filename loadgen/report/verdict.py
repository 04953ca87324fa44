"""What a run kept of what it promised, in sentences.

In: a run. Out: whether it passed, and a sentence for each promise, with whether it was kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loadgen.record import Counts, FarEndRecord, RunRecord
from loadgen.report import text
from loadgen.signals import CALLED, EARLY, number_in

BROKEN_OFF = ("error", "interrupted twice")
"""Ends that leave events without an outcome: whether the schedule was kept cannot be known."""
REASONS = {
    "duration": "its time was up",
    "events": "it had sent all of its events",
    "end": "the simulated window, or the recording, was over",
    "interrupted": "Ctrl-C, and a clean drain",
    "interrupted twice": "Ctrl-C twice, without waiting for events in flight",
    "terminated": "SIGTERM, and a clean drain",
    "hung up": "SIGHUP, its terminal was closed, and a clean drain",
    "threshold": "a threshold was broken, and says abort",
    "reader gone": "the reader of its output closed it",
    "running": "this is what it said last",
}
MARKS = {"good": "✓", "bad": "✗", "warn": "!", "hint": "•"}


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence about the run.

    Attributes:
        kind: "good" and "bad" are promises, kept and broken; "warn" is worth a look, "hint" is worth knowing.
    """

    kind: Literal["good", "bad", "warn", "hint"]
    words: str

    @property
    def mark(self) -> str:
        """✓, ✗, ! or a dot."""
        return MARKS[self.kind]


def statements(run: RunRecord) -> list[Statement]:
    """What there is to say, the most important first."""
    promises = (*_error(run), *_cut(run), *_delivery(run), *_schedule(run), *_thresholds(run))
    return [*promises, *_stalls(run), *_remarks(run)]


def passed(run: RunRecord) -> bool:
    """Whether every promise was kept."""
    return all(one.kind != "bad" for one in statements(run))


def outcome(run: RunRecord) -> str:
    """The verdict in a few words."""
    broken = [one for one in statements(run) if one.kind == "bad"]
    number = number_in(run.summary.exit_reason)
    if number is not None and broken == list(_cut(run)):
        own_end = " before its end" if broken else ""
        return f"Stopped{own_end} by {CALLED[number]}; until then every promise was kept"
    if broken:
        return "Failed: not every promise was kept"
    return "Passed: every promise was kept"


def exit_reason(run: RunRecord) -> str:
    """Why the run ended, as a sentence."""
    reason = run.summary.exit_reason
    why = REASONS.get(reason.removesuffix(EARLY))
    return f"Ended by: {reason} ({why})." if why else f"Ended by: {reason or 'not known'}."


def _error(run: RunRecord) -> Iterator[Statement]:
    if run.error:
        yield Statement("bad", run.error)
    if run.reached is not None:
        yield Statement("bad", "The run did not come to its end: it was killed, or goes on.")


def _cut(run: RunRecord) -> Iterator[Statement]:
    """How far a run came that did not come to its end."""
    if run.summary.cut_short:
        yield Statement("bad", f"{run.summary.cut_short[0].upper()}{run.summary.cut_short[1:]}.")


def _is_cut(run: RunRecord) -> bool:
    """Whether what is said of it holds for no more than the part that was run."""
    return bool(run.summary.cut_short) or run.reached is not None


def _delivery(run: RunRecord) -> Iterator[Statement]:
    """One sentence a sink."""
    ledgers: dict[str, Counts] = {**run.summary.sinks, **run.sinks} or {"": run.summary}
    for name, ledger in ledgers.items():
        where = f" to {name}" if len(ledgers) > 1 else ""
        if ledger.aborted and ledger.delivered + ledger.aborted == ledger.planned:
            said = f"{text.count(ledger.delivered)} events were delivered{where}"
            yield Statement("good", f"{said}, {text.count(ledger.aborted)} aborted on purpose, and none lost.")
            continue
        if ledger.delivered == ledger.planned:
            every = "Every event that was planned until then" if _is_cut(run) else "Every planned event"
            yield Statement("good", f"{every} was delivered{where}: {text.count(ledger.delivered)}.")
            continue
        ends = {
            "aborted on purpose": ledger.aborted,
            "failed": ledger.failed,
            "dropped": ledger.dropped,
            "unfinished": ledger.unfinished,
        }
        named = ", ".join(f"{text.count(number)} {end}" for end, number in ends.items() if number)
        share = text.share(ledger.delivered, ledger.planned)
        said = f"{text.count(ledger.delivered)} of {text.count(ledger.planned)} planned events were delivered{where}"
        yield Statement("bad", f"{said} ({share}): {named or 'the rest is not accounted for'}.")


def _schedule(run: RunRecord) -> Iterator[Statement]:
    summary = run.summary
    is_clear = summary.limited_by not in ("", "unknown")
    limit = f"limited by {summary.limited_by}" if is_clear else "what limited it is not clear"
    achieved = f"achieved {text.rate(summary.achieved_per_s)}"
    if _is_cut(run) and not summary.planned:
        yield Statement("hint", "No event was planned until then.")
    elif summary.measured_from_s is None:
        yield Statement("bad", "The run ended in its warm-up: nothing was measured.")
    elif summary.target_per_s is None:
        yield Statement("hint", f"As fast as possible: {achieved}, {limit}.")
    else:
        share = f" ({text.share(summary.achieved_per_s, summary.target_per_s)})" if summary.target_per_s else ""
        rates = f"target {text.rate(summary.target_per_s)}, {achieved}{share}"
        kept = summary.limited_by == "schedule"
        if summary.exit_reason in BROKEN_OFF:
            yield Statement("hint", f"Until it was broken off: {rates}.")
            return
        until = "Until then the" if _is_cut(run) else "The"
        said = f"{until} schedule was kept: {rates}." if kept else f"The schedule was missed: {rates}, {limit}."
        yield Statement("good" if kept else "bad", said)


def _thresholds(run: RunRecord) -> Iterator[Statement]:
    thresholds = run.summary.thresholds
    broken = [one.expr for one in thresholds if not one.passed]
    if broken:
        counted = f"{len(broken)} of {len(thresholds)} thresholds are" if len(thresholds) > 1 else "The threshold is"
        yield Statement("bad", f"{counted} broken: {'; '.join(broken)}.")
    elif thresholds:
        yield Statement("good", f"All thresholds held: {'; '.join(one.expr for one in thresholds)}.")


def _stalls(run: RunRecord) -> Iterator[Statement]:
    stalls = run.summary.stalls
    if not stalls:
        return
    longest = max(stalls, key=lambda stall: stall.to_s - stall.from_s)
    span = f"from {text.seconds(longest.from_s)} to {text.seconds(longest.to_s)} after the start"
    more = f" It was the longest of {len(stalls)} such stretches." if len(stalls) > 1 else ""
    said = f"Nothing was delivered {span}, although {text.count(longest.due)} events were due.{more}"
    yield Statement("warn", said)


def _far_end(far_end: FarEndRecord) -> Iterator[Statement]:
    """What came out of the system under test."""
    counts = {"lost": far_end.lost, "repeated": far_end.repeated, "late": far_end.late}
    told = ", ".join(f"{name} {'not known' if count is None else text.count(count)}" for name, count in counts.items())
    said = f"{text.count(far_end.seen)} events arrived at topic {far_end.topic}: {told}."
    yield Statement("warn" if any(counts.values()) else "hint", said)


def _remarks(run: RunRecord) -> Iterator[Statement]:
    summary = run.summary
    if summary.restarts:
        most = text.count(summary.repeated_possibly)
        yield Statement("warn", f"Workers restarted: {summary.restarts}; at most {most} events were sent twice.")
    for group in summary.groups:
        most = f"{text.count(group.most_lag)} messages and {text.seconds(group.most_behind_s)}"
        end = f"at the end {text.count(group.lag)} messages"
        if group.error:
            end = f"then it was not known any more ({group.error})"
        elif group.catch_up_s is not None:
            end = f"caught up {text.seconds(group.catch_up_s)} after the load"
        yield Statement("hint", f"Group {group.name} was at most {most} behind; {end}.")
    if summary.far_end is not None:
        yield from _far_end(summary.far_end)
    spoilt = [f"{text.count(number)} {kind}" for kind, number in summary.impaired.items() if number]
    if spoilt:
        yield Statement("hint", f"Spoilt on purpose: {', '.join(spoilt)}.")
    if summary.measured_from_s:
        warm_up = text.seconds(summary.measured_from_s)
        yield Statement("hint", f"The first {warm_up} are warm-up: target, achieved rate and latencies leave them out.")

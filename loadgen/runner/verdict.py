"""What a run's figures mean: the rate achieved, what limited it, stalls, thresholds; as JSON and as sentences.

In: the totals, and the part of the run that is measured, which is all but its warm-up. Out: a `Verdict`. It claims
nothing that was not measured: where two causes are about equal, or none is known, it says "unknown".
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from loadgen.config import RunSettings
from loadgen.config.thresholds import OF_FAR_END
from loadgen.histogram import bucket_edges_s
from loadgen.kafka.event_ids import HEADER
from loadgen.ledger import Outcome, cost_us
from loadgen.record import (
    Counts,
    CrowdRecord,
    FarEndRecord,
    GroupRecord,
    Percentiles,
    RecordingRecord,
    Summary,
    finite,
)
from loadgen.replay.records import ReadCounts
from loadgen.runner.crowds import Crowds, of_their_own
from loadgen.runner.history import Window
from loadgen.runner.stalls import Stall
from loadgen.runner.thresholds import ThresholdResult, Thresholds
from loadgen.runner.totals import Totals
from loadgen.signals import CALLED, number_in
from loadgen.terminal import percentiles

BUSY = 0.9
"""A reader of the far end that is busy for more of its time may itself be what events wait for."""
BROKEN_OFF = ("error", "interrupted twice")
"""Ends that leave events without an outcome: whether the schedule was kept cannot be known."""
_WHY = {
    "interrupted twice": "Ctrl-C twice, without waiting for events in flight",
    "threshold": "a threshold was broken, and says abort",
    "reader gone": "the reader of its output closed it",
    "error": "an error",
}


def cut_short(
    settings: RunSettings, reason: str, stopped_s: float | None, n_planned: int = 0, simulated_ms: int = 0
) -> str:
    """How far a run came that ended before its end, as "stopped after 12.0 s of 60.0 s: SIGTERM".

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
    duration_s = settings.duration_s
    parts = [f"{stopped_s:,.1f} s" if duration_s is None else f"{stopped_s:,.1f} s of {duration_s:,.1f} s"]
    if settings.events is not None:
        its = "" if settings.shard.count == 1 else f"shard {settings.shard}'s part of "
        parts.append(f"with {n_planned:,} of {its}{settings.events:,} events")
    if settings.end_ms is not None:
        parts.append(f"at {_moment(simulated_ms)} of a window that ends {_moment(settings.end_ms)}")
    return f"stopped after {', '.join(parts)}: {why}"


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


KEPT_SHARE = 0.99
KEPT_LAG_S = 1.0
"""A run kept its schedule when it achieved this share of its target, or sent this share no later than this."""
UNSENT_S = 0.5
"""What came due in this time before the end may be unsent where a run was told to end: it was not late yet."""
CLEAR = 1.1
"""A cause is named only if it took at least this many times as long as the next one."""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the run went.

    Attributes:
        elapsed_s: from the schedule's zero to the last delivery.
        target_per_s: what the schedule demanded; None where there was none (`--rate max`, backfill).
        achieved_per_s: events delivered per second.
        limited_by: "schedule" when the target was kept, else "generator CPU", "full queue", "broker round trip",
            "disk", or "unknown".
        exit_reason: why it ended: "duration", "events", "end", "interrupted", "terminated" or "hung up" (each with
            " early" where the run had an end of its own, and did not come to it), "interrupted twice", "threshold",
            "reader gone" or "error".
        measured: all that happened after the warm-up, to the last delivery; the two rates are of it. Its outcomes
            are those of the events that were planned in it.
        stalls: when nothing was delivered although events were due, oldest first.
        thresholds: the result of each.
        groups: the consumer groups that were watched.
        far_end: what came out of the system under test; None where that was not watched.
        crowds: the figures of each crowd.
        cut_short: how far a run came that did not come to its end, and why; empty for all others. All other figures
            hold until then.
    """

    elapsed_s: float
    target_per_s: float | None
    achieved_per_s: float
    limited_by: str
    exit_reason: str
    measured: Window
    stalls: Sequence[Stall] = ()
    thresholds: Sequence[ThresholdResult] = ()
    cut_short: str = ""
    groups: Sequence[GroupRecord] = ()
    far_end: FarEndRecord | None = None
    crowds: Sequence[CrowdRecord] = ()

    @property
    def is_broken_off(self) -> bool:
        """Whether it ended with events that have no outcome: then nothing is said of its schedule."""
        return self.exit_reason in BROKEN_OFF

    @property
    def in_warm_up(self) -> bool:
        """Whether the run ended in its warm-up, so that nothing is measured."""
        return self.measured.start_s > 0 and self.measured.length_s == 0

    @property
    def missed_target(self) -> bool:
        """Whether the generator failed to offer what its schedule demanded."""
        is_judged = self.target_per_s is not None and not self.in_warm_up and not self.is_broken_off
        return is_judged and self.limited_by != "schedule"

    @property
    def behind_groups(self) -> list[str]:
        """The groups that were waited for, and did not catch up."""
        if math.isnan(self.measured.catch_up_s):
            return []
        return [group.name for group in self.groups if group.catch_up_s is None]

    @property
    def kept(self) -> bool:
        """Whether all that was promised of rates and latencies was kept."""
        is_bad = self.missed_target or self.in_warm_up or self.is_broken_off
        return not is_bad and all(judged.passed for judged in self.thresholds)


def judge(
    totals: Totals,
    measured: Window,
    elapsed_s: float,
    exit_reason: str,
    *,
    paced: bool = True,
    stalls: Sequence[Stall] = (),
    thresholds: Thresholds | None = None,
    cut_short: str = "",
    groups: Sequence[GroupRecord] = (),
    far_end: FarEndRecord | None = None,
    crowds: Crowds | None = None,
) -> Verdict:
    """What the figures say about the run.

    Args:
        totals: of all workers, of the whole run.
        measured: what happened after the warm-up.
        elapsed_s: from the schedule's zero to the last delivery.
        exit_reason: see `Verdict`.
        paced: whether there is a schedule.
        stalls, thresholds: what was seen while the run went on.
        cut_short, groups, far_end: see `Verdict`.
        crowds: of the run, if it has any.
    """
    measured = _of_its_own(measured, elapsed_s)
    is_measured = (measured.length_s > 0 or measured.start_s == 0) and exit_reason not in BROKEN_OFF
    achieved = measured.delivered / max(measured.length_s, 1e-9)
    is_asked = paced and not np.isnan(measured.scheduled)
    target = measured.scheduled / max(measured.offered_s, 1e-9) if is_asked else None
    kept = target is not None and _kept(measured, achieved, target)
    return Verdict(
        elapsed_s=elapsed_s,
        target_per_s=target,
        achieved_per_s=achieved,
        limited_by=UNKNOWN if not is_measured else "schedule" if kept else bottleneck(totals),
        exit_reason=exit_reason,
        measured=measured,
        stalls=[stall for stall in stalls if stall.end_s > measured.start_s],
        thresholds=thresholds.judged(measured) if thresholds else (),
        cut_short=cut_short,
        groups=groups,
        far_end=far_end,
        crowds=() if crowds is None else crowds.records(totals.primary_sink.crowds, measured.crowds),
    )


def _of_its_own(measured: Window, elapsed_s: float) -> Window:
    """The window up to the last delivery, with the outcomes of the events that were planned in it only.

    Events that were in flight when the warm-up ended are left out: they would make the rate seem higher than it was."""
    if measured.length_s <= 0:
        return measured
    unfinished = measured.unfinished + measured.in_flight  # never reported
    n_ended = measured.delivered + measured.aborted + measured.failed + measured.dropped + unfinished
    n_before = n_ended - measured.planned
    delivered, end_s = measured.delivered - max(0, n_before), max(elapsed_s, measured.start_s)
    crowds = of_their_own(measured.crowds)
    return replace(measured, end_s=end_s, delivered=max(0, delivered), unfinished=unfinished, crowds=crowds)


def _kept(measured: Window, achieved_per_s: float, target_per_s: float) -> bool:
    """Whether nearly all that was due was delivered in the time, or at least sent with little delay."""
    aborted_per_s = measured.aborted / max(measured.length_s, 1e-9)
    if achieved_per_s + aborted_per_s >= KEPT_SHARE * target_per_s:
        return True
    n_overdue = int(measured.scheduled - target_per_s * UNSENT_S)
    n_due = max(measured.planned, n_overdue)
    in_time = measured.schedule_lag.buckets < int(np.searchsorted(bucket_edges_s(), KEPT_LAG_S, side="right"))
    return int(measured.schedule_lag.counts[in_time].sum()) >= KEPT_SHARE * n_due


def bottleneck(totals: Totals) -> str:
    """What the workers spent most of their busy time on; "unknown" where that is not clear."""
    spent = totals.seconds
    if "kafka" in totals.tallies:
        waiting = "broker round trip" if totals.slow_s > spent.full / 2 else "full queue"
        shares = {"generator CPU": spent.generate + spent.send, waiting: spent.full}
    else:
        shares = {"generator CPU": spent.generate, "disk": spent.send + spent.full}
    cause = max(shares, key=lambda name: shares[name])
    second_s = sum(shares.values()) - shares[cause]
    return cause if shares[cause] > CLEAR * second_s else UNKNOWN


def summary(totals: Totals, verdict: Verdict, seed: int | None, manifest: str) -> Summary:
    """The object that --json prints: counts of the whole run, rates and latencies of what was measured."""
    primary, measured = totals.primary_sink, verdict.measured
    return Summary(
        **primary.counts(),
        repeated_possibly=totals.repeated_possibly,
        bytes=primary.bytes_delivered,
        elapsed_s=max(0.0, round(verdict.elapsed_s, 3)),  # a manifest is written before the schedule's zero, too
        cpu_s=round(totals.cpu_s, 3),
        target_per_s=None if verdict.target_per_s is None else round(verdict.target_per_s, 3),
        achieved_per_s=round(verdict.achieved_per_s, 3),
        schedule_lag_ms=Percentiles(**measured.schedule_lag.summary_ms()),
        ack_ms=Percentiles(**measured.ack.summary_ms()),
        intended_to_ack_ms=Percentiles(**measured.intended_to_ack.summary_ms()),
        limited_by=verdict.limited_by,
        seed=seed,
        manifest=manifest,
        exit_reason=verdict.exit_reason,
        restarts=totals.restarts,
        impaired=totals.impaired,
        sinks={name: Counts(**tally.counts()) for name, tally in totals.tallies.items()},
        scheduled=finite(totals.scheduled),
        measured_from_s=None if verdict.in_warm_up else round(measured.start_s, 3),
        stalls=[stall.record() for stall in verdict.stalls],
        thresholds=[judged.record() for judged in verdict.thresholds],
        groups=list(verdict.groups),
        end_to_end_ms=Percentiles(**measured.end_to_end.summary_ms()),
        far_end=verdict.far_end,
        recording=_recording(totals.read),
        crowds=list(verdict.crowds),
        cut_short=verdict.cut_short or None,
    )


DIFFER = 1.5
"""The two latencies differ if one is this many times the other, and by more than DIFFER_MS."""
DIFFER_MS = 10.0


def verdict_lines(totals: Totals, verdict: Verdict) -> Iterator[str]:
    """The verdict as a person reads it: a line each, the thresholds last."""
    if verdict.cut_short:
        yield verdict.cut_short
        if not totals.primary_sink.planned:
            yield "no event was planned until then"
            return
    yield _rates(totals, verdict)
    if len(verdict.measured.intended_to_ack):
        yield _latencies(verdict)
    if verdict.stalls:
        yield _stalls(verdict)
    if not verdict.is_broken_off:
        yield _limit(verdict)
    if totals.restarts:
        yield f"{totals.restarts} workers restarted; at most {totals.repeated_possibly:,} events sent twice"
    if totals.perfect:
        every = f"every {'event that was planned until then' if verdict.cut_short else 'planned event'} was delivered"
        n_aborted = totals.primary_sink.count(Outcome.ABORTED)
        yield f"{every}, or aborted on purpose: {n_aborted:,}" if n_aborted else every
    else:
        yield "NOT every planned event was delivered, see the table"
    yield from map(_crowd, verdict.crowds)
    yield from map(_group, verdict.groups)
    if verdict.far_end is not None:
        yield from _far_end(verdict.far_end, verdict.measured)
    if totals.read is not None:
        yield from _of_recording(totals.read)
    for judged in verdict.thresholds:
        yield f"{'✓' if judged.passed else '✗'} {judged.sentence()}"


def _recording(read: ReadCounts | None) -> RecordingRecord | None:
    if read is None:
        return None
    return RecordingRecord(**{name: getattr(read, name) for name in RecordingRecord.model_fields})


def _of_recording(read: ReadCounts) -> Iterator[str]:
    """What was read of a recording and not sent, or not in its place."""
    parts = ((read.broken, "broken"), (read.without_time, "without a time"), (read.without_value, "without a value"))
    found = ", ".join(f"{n:,} {what}" for n, what in parts if n)
    if found:
        more = f", first: {'; '.join(read.named)}" if read.named else ""
        yield f"{read.read:,} records read, not sent: {found}{more}"
    if read.late:
        yield f"{read.late:,} events were out of order by more than is held in memory, and were sent at once"


def _rates(totals: Totals, verdict: Verdict) -> str:
    measured = verdict.measured
    target = "as fast as possible" if verdict.target_per_s is None else f"target {verdict.target_per_s:,.1f}/s"
    warm_up = f" after {measured.start_s:,.1f} s of warm-up" if measured.start_s else ""
    per_event = cost_us(totals.cpu_s, totals.primary_sink.planned, verdict.elapsed_s, max(1, len(totals.activities)))
    cpu = "" if per_event is None else f"; {per_event:.2f} µs CPU an event"
    return (
        f"{target}, achieved {verdict.achieved_per_s:,.1f}/s over {measured.length_s:,.1f} s{warm_up}; "
        f"schedule lag {percentiles(measured.schedule_lag)}{cpu}"
    )


def _latencies(verdict: Verdict) -> str:
    """THE latency, and the one that does not count what events waited for before they were sent."""
    measured = verdict.measured
    line = f"latency {percentiles(measured.intended_to_ack)} from the intended time to the ack"
    ours, sent = measured.intended_to_ack.summary_ms(), measured.ack.summary_ms()
    excess_ms, name = max(((ours[name] or 0.0) - (sent[name] or 0.0), name) for name in ours)
    if excess_ms <= DIFFER_MS or excess_ms <= (DIFFER - 1) * (sent[name] or 0.0):
        return line
    return (
        f"{line}; {percentiles(measured.ack)} from the send, which hides how long events waited before: "
        f"{name} is {ours[name]:,.1f} ms, not {sent[name]:,.1f} ms"
    )


def _crowd(crowd: CrowdRecord) -> str:
    """What became of a crowd's events, and how fast."""
    target = "" if crowd.target_per_s is None else f" of a target of {crowd.target_per_s:,.1f}/s"
    found = crowd.intended_to_ack_ms
    in_ms = ("–" if ms is None else f"{ms:,.1f}" for ms in (found.p50, found.p99, found.max))
    return (
        f"crowd {crowd.name}: {crowd.delivered:,} of {crowd.planned:,} planned events delivered, "
        f"{crowd.achieved_per_s:,.1f}/s{target}; latency {' / '.join(in_ms)} ms"
    )


def _group(group: GroupRecord) -> str:
    """How far a consumer group was behind."""
    line = (
        f"group {group.name}: at most {group.most_lag:,} messages behind, {group.most_behind_s:,.1f} s; "
        f"{f'then it was not known any more ({group.error})' if group.error else f'at the end {group.lag:,}'}"
    )
    return line if group.catch_up_s is None else f"{line}; caught up {group.catch_up_s:,.1f} s after the load"


def _far_end(far_end: FarEndRecord, measured: Window) -> Iterator[str]:
    """What came out of the system under test."""
    if len(measured.end_to_end):
        yield f"end to end {percentiles(measured.end_to_end)} from the intended time to arrival at {far_end.topic}"
    counts = {name: getattr(far_end, name) for name in OF_FAR_END}
    told = ", ".join(f"{name} {'not known' if count is None else f'{count:,}'}" for name, count in counts.items())
    yield f"far end {far_end.topic}: {far_end.seen:,} events seen; {told}"
    if far_end.unrecognised and not far_end.seen:
        yield f"its {far_end.unrecognised:,} messages lack the header {HEADER}: does the system pass headers on?"
    if far_end.reader_busy > BUSY:
        yield (
            f"loadgen's own reader of {far_end.topic} was busy for {far_end.reader_busy:.0%} of the time: what is "
            "measured end to end may be its own delay"
        )


def _stalls(verdict: Verdict) -> str:
    longest, n_more = max(verdict.stalls, key=lambda stall: stall.length_s), len(verdict.stalls) - 1
    was = "in flight" if verdict.target_per_s is None else "due"
    more = f"; {n_more} more such stretch{'es' if n_more > 1 else ''}" if n_more else ""
    return (
        f"nothing was delivered from {longest.start_s:,.1f} s to {longest.end_s:,.1f} s ({longest.length_s:,.1f} s) "
        f"although {longest.n_due:,} events were {was}{more}"
    )


def _limit(verdict: Verdict) -> str:
    """What the rate was limited by."""
    if verdict.in_warm_up:
        return "the run ended in its warm-up: nothing was measured; lower --warm-up, or let it run longer"
    if verdict.limited_by == "schedule":
        until = "until then " if verdict.cut_short else ""
        return f"{until}the schedule was kept: the offered load is what was asked for"
    cause = "what limited it is not clear" if verdict.limited_by == UNKNOWN else f"limited by {verdict.limited_by}"
    if not verdict.target_per_s:
        return cause
    share = verdict.achieved_per_s / verdict.target_per_s
    return f"the generator MISSED its own target, {share:.1%} of it was achieved: {cause}"

"""What a run's figures mean: the rate that was achieved, what limited it, stalls, thresholds; and the JSON summary.

In: the totals, and the part of the run that is measured, which is all but its warm-up. Out: a `Verdict`. It claims
nothing that was not measured: where two causes are about equal, or none is known, it says "unknown".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loadgen.histogram import bucket_edges_s
from loadgen.run.judge.ending import BROKEN_OFF
from loadgen.run.judge.history import Window
from loadgen.run.judge.stalls import Stall
from loadgen.run.judge.thresholds import Judged, Thresholds
from loadgen.run.totals import Totals

KEPT_SHARE = 0.99
KEPT_LAG_S = 1.0
"""A run kept its schedule when it achieved this share of its target, or sent this share no later than this."""
UNSENT_S = 0.5
"""What came due in this time before the end may be unsent where a run was told to end: it was not late yet."""
CLEAR = 1.1
"""A cause took at least so many times as long as the next one, or it is not named."""
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
        thresholds: what became of each.
        cut_short: how far a run came that did not come to its end, and why; empty for all others. What else is said
            of it holds until then.
    """

    elapsed_s: float
    target_per_s: float | None
    achieved_per_s: float
    limited_by: str
    exit_reason: str
    measured: Window
    stalls: Sequence[Stall] = ()
    thresholds: Sequence[Judged] = ()
    cut_short: str = ""

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
) -> Verdict:
    """What the figures say about the run.

    Args:
        totals: of all workers, of the whole run.
        measured: what happened after the warm-up.
        elapsed_s: from the schedule's zero to the last delivery.
        exit_reason: see `Verdict`.
        paced: whether there is a schedule.
        stalls, thresholds: what was seen while the run went on.
        cut_short: see `Verdict`.
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
    )


def _of_its_own(measured: Window, elapsed_s: float) -> Window:
    """The same to the last delivery, with the outcomes of the events that were planned in it, and of no others.

    What was in flight when the warm-up ended is not counted as delivered: the rate would seem higher than it was."""
    if measured.length_s <= 0:
        return measured
    unfinished = measured.unfinished + measured.in_flight  # never reported
    n_before = measured.delivered + measured.failed + measured.dropped + unfinished - measured.planned
    delivered, end_s = measured.delivered - max(0, n_before), max(elapsed_s, measured.start_s)
    return replace(measured, end_s=end_s, delivered=max(0, delivered), unfinished=unfinished)


def _kept(measured: Window, achieved_per_s: float, target_per_s: float) -> bool:
    """Whether nearly all that was due was delivered in the time, or at least sent with little delay."""
    if achieved_per_s >= KEPT_SHARE * target_per_s:
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


def summary(totals: Totals, verdict: Verdict, seed: int, manifest: str) -> dict[str, Any]:
    """The object that --json prints: counts of the whole run, rates and latencies of what was measured."""
    headline, measured = totals.headline, verdict.measured
    return {
        **headline.counts(),
        "repeated_possibly": totals.repeated_possibly,
        "bytes": headline.bytes_delivered,
        "elapsed_s": round(verdict.elapsed_s, 3),
        "cpu_s": round(totals.cpu_s, 3),
        "target_per_s": None if verdict.target_per_s is None else round(verdict.target_per_s, 3),
        "achieved_per_s": round(verdict.achieved_per_s, 3),
        "schedule_lag_ms": measured.schedule_lag.summary_ms(),
        "ack_ms": measured.ack.summary_ms(),
        "intended_to_ack_ms": measured.intended_to_ack.summary_ms(),
        "limited_by": verdict.limited_by,
        "seed": seed,
        "manifest": manifest,
        "exit_reason": verdict.exit_reason,
        "restarts": totals.restarts,
        "impaired": totals.impaired,
        "sinks": {name: tally.counts() for name, tally in totals.tallies.items()},
        "scheduled": None if np.isnan(totals.scheduled) else round(totals.scheduled, 3),
        "measured_from_s": None if verdict.in_warm_up else round(measured.start_s, 3),
        "stalls": [stall.as_json() for stall in verdict.stalls],
        "thresholds": [judged.as_json() for judged in verdict.thresholds],
        "cut_short": verdict.cut_short or None,
    }

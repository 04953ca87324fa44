"""The verdict as a person reads it: a line each, the thresholds last.

In: totals and verdict. Out: sentences. The latency is the one from the intended time, which a full queue cannot hide.
"""

from collections.abc import Iterator

from loadgen.report.cost import cost_us
from loadgen.run.judge.stalls import Stall
from loadgen.run.judge.verdict import UNKNOWN, Verdict
from loadgen.run.totals import Totals
from loadgen.terminal import percentiles

DIFFER = 1.5
"""The two latencies differ where one is so many times the other, and by more than DIFFER_MS."""
DIFFER_MS = 10.0


def verdict_lines(totals: Totals, verdict: Verdict) -> Iterator[str]:
    """What was asked for, what became of it, and why."""
    if verdict.cut_short:
        yield verdict.cut_short
        if not totals.headline.planned:
            yield "no event was planned until then"
            return
    yield _rates(totals, verdict)
    if len(verdict.measured.intended_to_ack):
        yield _latencies(verdict)
    if verdict.stalls:
        yield _stalls(verdict)
    if limit := _limit(verdict):
        yield limit
    if totals.restarts:
        yield f"{totals.restarts} workers restarted; at most {totals.repeated_possibly:,} events sent twice"
    yield _delivery(totals, verdict)
    for judged in verdict.thresholds:
        yield f"{'✓' if judged.passed else '✗'} {judged.sentence()}"


def _delivery(totals: Totals, verdict: Verdict) -> str:
    if not totals.perfect:
        return "NOT every planned event was delivered, see the table"
    if verdict.cut_short:
        return "every event that was planned until then was delivered"
    return "every planned event was delivered"


def _rates(totals: Totals, verdict: Verdict) -> str:
    measured = verdict.measured
    target = "as fast as possible" if verdict.target_per_s is None else f"target {verdict.target_per_s:,.1f}/s"
    warm_up = f" after {measured.start_s:,.1f} s of warm-up" if measured.start_s else ""
    return (
        f"{target}, achieved {verdict.achieved_per_s:,.1f}/s over {measured.length_s:,.1f} s{warm_up}; "
        f"schedule lag {percentiles(measured.schedule_lag)}{_cpu(totals, verdict)}"
    )


def _cpu(totals: Totals, verdict: Verdict) -> str:
    """What an event costs, where that is what the workers' CPU time went to."""
    per_event = cost_us(totals.cpu_s, totals.headline.planned, verdict.elapsed_s, max(1, len(totals.pulses)))
    return "" if per_event is None else f"; {per_event:.2f} µs CPU an event"


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


def _stalls(verdict: Verdict) -> str:
    longest = max(verdict.stalls, key=lambda stall: stall.length_s)
    n_more = len(verdict.stalls) - 1
    more = f"; {n_more} more such stretch{'es' if n_more > 1 else ''}" if n_more else ""
    return f"{stall_line(longest, verdict.target_per_s is not None)}{more}"


def stall_line(stall: Stall, is_paced: bool) -> str:
    """One stretch in which nothing was delivered."""
    was = "due" if is_paced else "in flight"
    return (
        f"nothing was delivered from {stall.start_s:,.1f} s to {stall.end_s:,.1f} s ({stall.length_s:,.1f} s) "
        f"although {stall.n_due:,} events were {was}"
    )


def _limit(verdict: Verdict) -> str:
    """What the rate was limited by; empty for a run that was broken off."""
    if verdict.is_broken_off:
        return ""
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

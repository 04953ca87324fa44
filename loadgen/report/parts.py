"""The parts of the page below its verdict: figures, thresholds, ledgers, settings, the machine, how to prove the run.

In: one run, or two that are compared. Out: elements, or None where there is nothing to say. Every figure stands here as
text: the charts are a second look.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any
from xml.etree.ElementTree import Element

from pydantic import ValidationError

from loadgen.config import ReplaySettings, RunSettings
from loadgen.config.names import OWN_SINKS
from loadgen.config.shape_files import in_short
from loadgen.errors import LoadgenError
from loadgen.record import RunRecord, ThresholdRecord
from loadgen.report import text
from loadgen.report.figures import (
    LATENCIES,
    MEANINGS,
    PERCENTILES,
    TOLERANCE,
    differences,
    latencies_of,
    percentiles_of,
    sides,
)
from loadgen.report.html import Child, bars, exact, fold, pairs, panel, table, tag

NO_FIGURE = ("manifest", "report", "json", "quiet", "config", "dry_run", "percentile_log", "preview")
"""Settings that change nothing in what a run does."""
MACHINE = {"system": "System", "processor": "Processor", "cores": "Usable cores", "memory_gib": "Memory (GiB)"}
_UNREADABLE = (ValidationError, LoadgenError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
Row = tuple[str, str]


def setting_rows(run: RunRecord) -> tuple[list[Row], list[Row]]:
    """The settings that are not as by default, then the others."""
    changed: list[Row] = []
    others: list[Row] = []
    for key, given in run.settings.items():
        kept = others if key in NO_FIGURE or _is_default(run.settings, key) else changed
        kept.append((key, setting_text(key, given)))
    return changed, others


def setting_text(key: str, given: Any) -> str:
    """A setting's value, with its unit."""
    if given is None:
        return text.NONE
    try:
        return _WRITTEN[key](given) if key in _WRITTEN else text.value(given)
    except _UNREADABLE:  # not of the type that this version gives it
        return text.value(given)


def _rate(given: Any) -> str:
    return f"{given:,g}/s" if isinstance(given, int | float) else text.value(given)


_WRITTEN: dict[str, Callable[[Any], str]] = {
    "start": text.moment,
    "end": text.moment,
    "duration": lambda minutes: text.seconds(minutes * 60),
    "warm_up": text.seconds,
    "max_lag": text.seconds,
    "drain_timeout": text.seconds,
    "rate": _rate,
    "users": text.count,
    "events": text.count,
    "tracks": text.count,
    "shape": lambda public: text.value(in_short(public)),
    "threshold": lambda thresholds: text.plain("; ".join(thresholds)),
}
"""What is not written as JSON writes it."""


def _is_default(settings: Mapping[str, Any], key: str) -> bool:
    """Whether the run would have had this value without being told; False where this version does not know."""
    others = {name: value for name, value in settings.items() if name != key}
    try:
        kind = ReplaySettings if "sources" in settings else RunSettings
        return bool(kind.from_public(others).public_dict().get(key) == settings[key])
    except (*_UNREADABLE, RecursionError):
        return False


def differing(a: RunRecord, b: RunRecord) -> list[tuple[str, str, str]]:
    """Settings, versions and facts about the machine that are not alike: name, a's value, b's value."""
    rows = []
    for kind, prefix in (("settings", ""), ("versions", "version of "), ("machine", "machine: ")):
        ours, theirs = getattr(a, kind), getattr(b, kind)
        keys = dict.fromkeys([*ours, *theirs]) if ours and theirs else {}
        for key in keys:
            if ours.get(key) != theirs.get(key) and key not in NO_FIGURE:
                values = [setting_text(key, side.get(key)) for side in (ours, theirs)]
                rows.append((prefix + text.plain(key), values[0], values[1]))
    return rows


def about_rows(run: RunRecord) -> list[Row]:
    """Who, when, where and with what."""
    begin_ms = run.t0_wall_ms
    end_ms = None if begin_ms is None else begin_ms + run.summary.elapsed_s * 1000
    seed = run.seed if run.seed is not None else run.summary.seed
    return [
        ("Run", run.name),
        ("Began", text.moment(begin_ms)),
        ("Ended", text.moment(end_ms)),
        ("Took", text.seconds(run.summary.elapsed_s)),
        ("Seed", text.NONE if seed is None else str(seed)),
        ("Manifest", run.path or text.NONE),
        *((MACHINE.get(key, key), text.value(fact)) for key, fact in run.machine.items() if fact is not None),
        ("Versions", ", ".join(f"{name} {version}" for name, version in run.versions.items()) or text.NONE),
    ]


def proof(run: RunRecord) -> tuple[str, list[str]]:
    """How to prove the run: a sentence, and the command lines, one for each place its events went to."""
    if run.is_replay:
        return "The events of a replay were recorded: they cannot be made again, so there is nothing to verify.", []
    lines = [line for name in run.sinks for line in _verify_lines(run, name)]
    if lines:
        options = " Give the cluster's options in --kafka-config." if run.settings.get("kafka_option") else ""
        said = "Every event of this run can be made again from its manifest. Whether one was lost, repeated or changed:"
        return said + options, lines
    if run.settings.get("brokers") == "embedded":
        return "The embedded broker ended with the run: there is nothing left to verify.", []
    return "The run kept its events nowhere: there is nothing to verify.", []


def _verify_lines(run: RunRecord, sink: str) -> Iterator[str]:
    brokers, folder, output = (run.settings.get(key) for key in ("brokers", "folder", "output"))
    if sink == "kafka" and isinstance(brokers, str) and brokers != "embedded":
        yield _line(run, "--brokers", brokers, "--topic", str(run.settings.get("topic", "")))
    if sink == "files" and isinstance(folder, str):
        yield _line(run, "--files", folder)
    if sink == "stream" and isinstance(output, str) and output != "-":
        yield _line(run, "--files", output)
    if sink not in OWN_SINKS:
        yield _line(run, "--files", f"JSON_LINES_OF_{sink}")


def _line(run: RunRecord, *words: str) -> str:
    return shlex.join(["loadgen", "verify", run.path, *words])


OUTCOMES = ("planned", "delivered", "aborted", "failed", "dropped", "unfinished")
JUDGED = {"better": "good", "worse": "bad"}
NOISE = (
    f"More throughput is better, less latency is better. Differences up to {TOLERANCE:.0%} count as noise: repeat both "
    "runs before you believe a small one."
)


def thresholds(runs: Sequence[RunRecord]) -> Element | None:
    """What was demanded, what it was, and whether that was enough."""
    rows = [
        [*([side] if side else []), *_threshold(one)] for run, side in sides(runs) for one in run.summary.thresholds
    ]
    head = [*(["Run"] if len(runs) > 1 else []), "Threshold", "", "Value", "Limit", "Worst", "Worst at"]
    said = table(head, rows, "Thresholds", len(head) - 4)
    return panel("thresholds", "Thresholds", said) if rows else None


def _threshold(one: ThresholdRecord) -> Iterator[Child]:
    yield tag("code", one.expr)
    yield tag("span", "✓ held" if one.passed else "✗ broken", class_="good" if one.passed else "bad")
    show = {"ms": text.duration_ms, "/s": text.rate}.get(one.unit, text.number)
    yield from map(show, (one.value, one.limit, one.worst))
    yield text.seconds(one.worst_at_s)


def compared(a: RunRecord, b: RunRecord) -> Element:
    """Every figure of two runs, and their difference."""
    rows: list[list[Child]] = [
        [
            found.figure.label,
            exact(found.figure.shown(found.a), found.a),
            exact(found.figure.shown(found.b), found.b),
            found.change_words,
            tag("span", found.mark, class_=JUDGED.get(found.judgement)),
        ]
        for found in differences(a, b)
    ]
    head = ("Figure", f"A · {a.name}", f"B · {b.name}", "B against A", "")
    return panel("compared", "Figures", table(head, rows, "Figures of both runs"), hint=NOISE)


def latencies(run: RunRecord) -> Element:
    """Percentiles of the whole run."""
    rows = []
    for name in latencies_of(run):
        label = LATENCIES[name]
        values = [getattr(percentiles_of(run, name), key) for key in PERCENTILES]
        rows.append([tag("span", label, title=MEANINGS[name]), *(exact(text.duration_ms(one), one) for one in values)])
    head = ("", *PERCENTILES.values())
    return panel("latencies", "Latency of the whole run", table(head, rows, "Latency percentiles"), size="")


def ledger(run: RunRecord) -> Element:
    """How the events of each sink ended."""
    sinks = run.sinks or run.summary.sinks or {"all": run.summary}
    rows = [[name, *(text.count(getattr(counts, outcome)) for outcome in OUTCOMES)] for name, counts in sinks.items()]
    hint = "Planned = delivered + aborted + failed + dropped + unfinished."
    return panel("ledger", "What became of the events", table(("To", *OUTCOMES), rows, "Ledger"), hint=hint, size="")


def crowds(runs: Sequence[RunRecord]) -> Element | None:
    """The figures of each crowd."""
    rows: list[list[Child]] = []
    for run, side in sides(runs):
        for one in run.summary.crowds:
            counts = [text.count(one.users), *(text.count(getattr(one, outcome)) for outcome in OUTCOMES)]
            rates = [exact(text.rate(rate), rate) for rate in (one.target_per_s, one.achieved_per_s)]
            found = one.intended_to_ack_ms
            latency = [exact(text.duration_ms(value), value) for value in (found.p50, found.p99, found.max)]
            rows.append([*([side] if side else []), one.name, *counts, *rates, *latency])
    which = ["Run"] if len(runs) > 1 else []
    head = [*which, "Crowd", "listeners", *OUTCOMES, "target", "achieved", "p50", "p99", "max"]
    hint = "Events of the whole run; after the warm-up: rates while the crowd was on, latency from the intended time."
    said = table(head, rows, "Crowds", len(which) + 1)
    return panel("crowds", "Crowds", said, hint=hint) if rows else None


def workers(run: RunRecord) -> Element | None:
    """The ledger of each worker."""
    rows = [
        [str(worker.index), name, *(text.count(getattr(counts, one)) for one in OUTCOMES), text.count(worker.restarts)]
        for worker in run.workers
        for name, counts in worker.sinks.items()
    ]
    head = ("Worker", "To", *OUTCOMES, "restarts")
    return panel("workers", "Workers", table(head, rows, "Ledger of each worker", 2), size="") if rows else None


def pages(runs: Sequence[RunRecord]) -> Element | None:
    """Delivered events by page, with their shares."""
    counts = [run.primary_sink.by_page.get("delivered", {}) if run.primary_sink else {} for run in runs]
    totals = [sum(found.values()) for found in counts]
    if not any(totals):
        return None
    rows: list[list[Child]] = []
    for name in sorted({name for found in counts for name in found}, key=lambda name: -counts[0].get(name, 0)):
        shares = [found.get(name, 0) / max(1, total) for found, total in zip(counts, totals, strict=True)]
        numbers = [exact(text.count(found.get(name, 0)), found.get(name, 0)) for found in counts]
        rows.append([name, *numbers, *(f"{100 * share:.2f} %" for share in shares), bars(shares)])
    which = [f" {side}" if side else "" for _, side in sides(runs)]
    head = ["Page", *(f"events{one}" for one in which), *(f"share{one}" for one in which), ""]
    said = table(head, rows, "Delivered events by page")
    return panel("pages", "Page mix", said, hint="Of the delivered events.", size="half" if len(runs) == 1 else "wide")


def making(run: RunRecord, side: str) -> Element:
    """When, where and with what a run was made, and how to prove it."""
    said, lines = proof(run)
    proved = [tag("p", said, class_="proof"), *(tag("pre", tag("code", line), tabindex="0") for line in lines)]
    key, title = (f"about-{side.lower()}", f"About run {side}") if side else ("about", "About this run")
    return panel(key, title, pairs(about_rows(run)), [] if run.is_summary else proved)


def settings(run: RunRecord) -> Element | None:
    """Those that are not as by default; the others in a fold."""
    changed, others = setting_rows(run)
    rest = fold(f"The other {len(others)} settings", pairs(others)) if others else None
    hint = "What is not as by default."
    return panel("settings", "Settings", pairs(changed), rest, hint=hint) if changed or others else None


def differing_settings(a: RunRecord, b: RunRecord) -> Element:
    """What was not alike in the making of two runs."""
    unknown = " and ".join(text.plain(run.path) for run in (a, b) if run.is_summary)
    if unknown:
        said = tag("p", f"{unknown} is what --json printed, which does not say the settings: compare the manifests.")
    else:
        rows = differing(a, b)
        said = table(("Setting", "A", "B"), rows, "Settings that differ", 3) if rows else tag("p", "None.")
    return panel("settings", "Settings that differ", said)


def windows(runs: Sequence[RunRecord]) -> Element | None:
    """Every window in numbers."""
    folds = [_windows(run, side) for run, side in sides(runs) if run.history]
    return panel("windows", "Over time, as numbers", folds) if folds else None


def _windows(run: RunRecord, side: str) -> Element:
    columns = COLUMNS | {name: path for latency in latencies_of(run) for name, path in _columns_of(latency)}
    rows = [[_exactly(attrgetter(path)(window)) for path in columns.values()] for window in run.history]
    title = f"Run {side}" if side else "Windows"
    return fold(f"{title}: {len(rows):,} rows", table(list(columns), rows, title, 0))


def _columns_of(latency: str) -> Iterator[tuple[str, str]]:
    for key in ("p50", "p90", "p99", "max"):
        yield f"{LATENCIES[latency].lower()} {key} (ms)", f"{latency}_ms.{key}"


def _exactly(value: float | None) -> str:
    return text.NONE if value is None else f"{value:,.3f}".rstrip("0").rstrip(".")


COLUMNS = {
    "from (s)": "start_s",
    "to (s)": "end_s",
    "scheduled": "scheduled",
    **{name: name for name in OUTCOMES},
    "in flight": "in_flight",
    "active": "active",
    "CPU (s)": "cpu_s",
}
"""Of the table of windows: title → what it says of a window. Percentiles stand behind them."""

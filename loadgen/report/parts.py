"""The parts of the page below its verdict: figures, thresholds, ledgers, settings.

In: one run, or two that are compared. Out: elements, or None where there is nothing to say. Every figure stands here as
text: the charts are a second look.
"""

from collections.abc import Callable, Iterator, Sequence
from xml.etree.ElementTree import Element

from loadgen.report import text
from loadgen.report.figures import LATENCIES, MEANINGS, PERCENTILES, TOLERANCE, differences, percentiles_of, sides
from loadgen.report.markup import Child, tag
from loadgen.report.read import Run, Threshold, Window
from loadgen.report.shown import about_rows, differing, proof, setting_rows
from loadgen.report.tables import bars, exact, fold, pairs, panel, table

OUTCOMES = ("planned", "delivered", "failed", "dropped", "unfinished")
JUDGED = {"better": "good", "worse": "bad"}
NOISE = (
    f"More throughput is better, less latency is better. Differences up to {TOLERANCE:.0%} count as noise: repeat both "
    "runs before you believe a small one."
)


def thresholds(runs: Sequence[Run]) -> Element | None:
    """What was demanded, what it was, and whether that was enough."""
    rows = [
        [*([side] if side else []), *_threshold(one)] for run, side in sides(runs) for one in run.summary.thresholds
    ]
    head = [*(["Run"] if len(runs) > 1 else []), "Threshold", "", "Value", "Limit", "Worst", "Worst at"]
    said = table(head, rows, "Thresholds", len(head) - 4)
    return panel("thresholds", "Thresholds", said) if rows else None


def _threshold(one: Threshold) -> Iterator[Child]:
    yield tag("code", one.expr)
    yield tag("span", "✓ held" if one.passed else "✗ broken", class_="good" if one.passed else "bad")
    show = {"ms": text.duration_ms, "/s": text.rate}.get(one.unit, text.number)
    yield from map(show, (one.value, one.limit, one.worst))
    yield text.seconds(one.worst_at_s)


def compared(a: Run, b: Run) -> Element:
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


def latencies(run: Run) -> Element:
    """Percentiles of the whole run."""
    rows = []
    for name, label in LATENCIES.items():
        values = [getattr(percentiles_of(run, name), key) for key in PERCENTILES]
        rows.append([tag("span", label, title=MEANINGS[name]), *(exact(text.duration_ms(one), one) for one in values)])
    head = ("", *PERCENTILES.values())
    return panel("latencies", "Latency of the whole run", table(head, rows, "Latency percentiles"), size="")


def ledger(run: Run) -> Element:
    """How the events of each sink ended."""
    sinks = run.sinks or run.summary.sinks or {"all": run.summary}
    rows = [[name, *(text.count(getattr(counts, outcome)) for outcome in OUTCOMES)] for name, counts in sinks.items()]
    hint = "Planned = delivered + failed + dropped + unfinished."
    return panel("ledger", "What became of the events", table(("To", *OUTCOMES), rows, "Ledger"), hint=hint, size="")


def workers(run: Run) -> Element | None:
    """The ledger of each worker."""
    rows = [
        [str(worker.index), name, *(text.count(getattr(counts, one)) for one in OUTCOMES), text.count(worker.restarts)]
        for worker in run.workers
        for name, counts in worker.sinks.items()
    ]
    head = ("Worker", "To", *OUTCOMES, "restarts")
    return panel("workers", "Workers", table(head, rows, "Ledger of each worker", 2), size="") if rows else None


def pages(runs: Sequence[Run]) -> Element | None:
    """Delivered events by page, with their shares."""
    counts = [run.headline.by_page.get("delivered", {}) if run.headline else {} for run in runs]
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


def making(run: Run, side: str) -> Element:
    """When, where and with what a run was made, and how to prove it."""
    said, lines = proof(run)
    proved = [tag("p", said, class_="proof"), *(tag("pre", tag("code", line), tabindex="0") for line in lines)]
    key, title = (f"about-{side.lower()}", f"About run {side}") if side else ("about", "About this run")
    return panel(key, title, pairs(about_rows(run)), [] if run.is_summary else proved)


def settings(run: Run) -> Element | None:
    """Those that are not as by default; the others in a fold."""
    changed, others = setting_rows(run)
    rest = fold(f"The other {len(others)} settings", pairs(others)) if others else None
    hint = "What is not as by default."
    return panel("settings", "Settings", pairs(changed), rest, hint=hint) if changed or others else None


def differing_settings(a: Run, b: Run) -> Element:
    """What was not alike in the making of two runs."""
    unknown = " and ".join(text.plain(run.path) for run in (a, b) if run.is_summary)
    if unknown:
        said = tag("p", f"{unknown} is what --json printed, which does not say the settings: compare the manifests.")
    else:
        rows = differing(a, b)
        said = table(("Setting", "A", "B"), rows, "Settings that differ", 3) if rows else tag("p", "None.")
    return panel("settings", "Settings that differ", said)


def windows(runs: Sequence[Run]) -> Element | None:
    """Every window, for who cannot see charts, or wants the numbers."""
    folds = [_windows(run, side) for run, side in sides(runs) if run.history]
    return panel("windows", "Over time, as numbers", folds) if folds else None


def _windows(run: Run, side: str) -> Element:
    rows = [[of(window) for of in COLUMNS.values()] for window in run.history]
    title = f"Run {side}" if side else "Windows"
    return fold(f"{title}: {len(rows):,} rows", table(list(COLUMNS), rows, title, 0))


def _exactly(value: float | None) -> str:
    return text.NONE if value is None else f"{value:,.3f}".rstrip("0").rstrip(".")


def _percentile(latency: str, key: str) -> Callable[[Window], str]:
    return lambda window: _exactly(getattr(getattr(window, f"{latency}_ms"), key))


def _plain(name: str) -> Callable[[Window], str]:
    return lambda window: _exactly(getattr(window, name))


COLUMNS: dict[str, Callable[[Window], str]] = {
    "from (s)": _plain("start_s"),
    "to (s)": _plain("end_s"),
    "scheduled": _plain("scheduled"),
    **{name: _plain(name) for name in OUTCOMES},
    "in flight": _plain("in_flight"),
    "active": _plain("active"),
    "CPU (s)": _plain("cpu_s"),
    **{
        f"{label.lower()} {key} (ms)": _percentile(name, key)
        for name, label in LATENCIES.items()
        for key in ("p50", "p90", "p99", "max")
    },
}
"""Of the table of windows: title → what it says of a window."""

"""The page: verdict, figures, charts, tables, in one file that needs nothing else.

In: one run, or two to be compared. Out: HTML, with its style, its scripts, and the chart library, all inside.
"""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from loadgen.record import RunRecord
from loadgen.report import parts, text
from loadgen.report.charts import Chart, charts_of
from loadgen.report.figures import (
    LATENCIES,
    cores,
    cpu_us_per_event,
    latencies_of,
    percentiles_of,
    share_of_target,
    sides,
)
from loadgen.report.html import document, exact, tag, verdict
from loadgen.report.verdict import exit_reason, outcome, passed, statements


def page_of(runs: Sequence[RunRecord]) -> str:
    """The page of one run, or of two that are laid over each other."""
    charts = list(charts_of(runs))
    title = f"{' and '.join(run.name for run in runs)} – loadgen report"
    figures = {chart.key: chart.figure for chart in charts}
    return document(title, _header(runs), _main(runs, charts), "what the manifest says", figures)


def _header(runs: Sequence[RunRecord]) -> Iterator[Element]:
    yield tag("p", "Load test report" if len(runs) == 1 else "Two load tests compared", class_="kind")
    yield tag("h1", " · ".join(f"{side} {run.name}".strip() for run, side in sides(runs)))
    for run, side in sides(runs):
        yield tag("p", f"{side}: {_when(run)}" if side else _when(run), class_="hint")


def _main(runs: Sequence[RunRecord], charts: list[Chart]) -> Iterator[Element | None]:
    yield from (_verdict(run, side) for run, side in sides(runs))
    yield _tiles(runs[0]) if len(runs) == 1 else parts.compared(*runs)
    yield parts.thresholds(runs)
    yield parts.crowds(runs)
    yield from map(_chart, charts)
    if charts:
        said = "The charts need JavaScript; all figures are in the tables too."
        yield tag("noscript", tag("p", said, class_="notice"))
    yield parts.pages(runs)
    if len(runs) == 1:
        column = (parts.latencies(runs[0]), parts.ledger(runs[0]), parts.workers(runs[0]))
        yield tag("div", column, class_="column half")
        yield parts.settings(runs[0])
    else:
        yield parts.differing_settings(*runs)
    yield from (parts.making(run, side) for run, side in sides(runs))
    yield parts.windows(runs)


def _when(run: RunRecord) -> str:
    """When, how long, with how many, to where."""
    counted = {"users": "listeners", "workers": "workers"}
    numbers = {word: run.settings.get(key) for key, word in counted.items()}
    facts = [text.moment(run.t0_wall_ms)] if run.t0_wall_ms is not None else []
    facts.append(text.seconds(run.summary.elapsed_s))
    facts += [f"{number:,} {word}" for word, number in numbers.items() if isinstance(number, int)]
    return " · ".join([*facts, *(f"to {name}" for name in run.sinks)])


def _verdict(run: RunRecord, side: str) -> Element:
    rows = [(one.kind, one.mark, one.words) for one in statements(run)]
    rows.append(("hint", "•", exit_reason(run)))
    key, title = (f"verdict-{side.lower()}", f"{side}: {outcome(run)}") if side else ("verdict", outcome(run))
    return verdict(key, "passed" if passed(run) else "failed", title, rows, "half" if side else "wide")


def _tiles(run: RunRecord) -> Element:
    """The few figures that one looks for first."""
    summary, share, per_event = run.summary, share_of_target(run), cpu_us_per_event(run)
    target = "as fast as possible" if share is None else f"{100 * share:.2f} % of {text.rate(summary.target_per_s)}"
    hints = (f"of {text.count(summary.planned)} planned,", text.size(summary.bytes))
    tiles = [
        _tile("achieved", "Achieved", text.rate(summary.achieved_per_s), summary.achieved_per_s, target),
        _tile("delivered", "Delivered", text.count(summary.delivered), summary.delivered, *hints),
    ]
    for name in latencies_of(run):
        found, label = percentiles_of(run, name), LATENCIES[name]
        around = (f"p50 {text.duration_ms(found.p50)},", f"max {text.duration_ms(found.max)}")
        tiles.append(_tile(name.replace("_", "-"), f"{label}, p99", text.duration_ms(found.p99), found.p99, *around))
    there = f" of {run.machine['cores']}" if run.machine.get("cores") else ""
    busy = f"{text.number(cores(run))}{there} cores busy"
    too_little = [] if per_event is not None else ["too little load to tell"]
    tiles.append(_tile("cpu-per-event", "CPU per event", text.micros(per_event), per_event, busy, *too_little))
    return tag("section", tag("dl", tiles), class_="tiles", aria_label="The most important figures")


def _tile(key: str, label: str, words: str, value: float | None, *hints: str) -> Element:
    """The hints break between each other only, not between a number and its unit."""
    big = tag("dd", exact(words, value), id=key, class_="big")
    small = tag("dd", [part for hint in hints for part in (tag("span", hint), " ")], class_="hint")
    return tag("div", tag("dt", label), big, small, class_="panel")


def _chart(chart: Chart) -> Element:
    """A place for a chart, which the page's script fills."""
    key = f"{chart.key}-title"
    place = tag("div", class_="chart", role="img", aria_label=chart.summary, data_chart=chart.key)
    figure = tag("figure", tag("figcaption", chart.caption), place)
    kind = "wide" if chart.is_wide else "third"
    return tag("section", tag("h2", chart.title, id=key), figure, class_=f"panel {kind}", aria_labelledby=key)

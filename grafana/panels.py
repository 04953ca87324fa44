"""The kinds of panels that the dashboards are made of, as Grafana's JSON model wants them.

In: title, what it says, unit, (query, legend) pairs. Out: a dictionary, without the place and the number, which `board`
gives it. Units are Grafana's: eps events/s, Bps bytes/s, s seconds, percentunit 0..1, short any number.
"""

from collections.abc import Mapping
from typing import Any

Panel = dict[str, Any]
Query = tuple[str, str]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
BLUE, GREEN, RED = "blue", "green", "red"
DASHED = {"custom.lineStyle": {"fill": "dash", "dash": [8, 8]}, "custom.fillOpacity": 0}


def stat(
    title: str,
    about: str,
    unit: str,
    *queries: Query,
    bad_from: float | None = None,
    good_from: float | None = None,
    w: int = 3,
) -> Panel:
    """A number with its course behind it; red from bad_from on, or below good_from, else green; blue without these."""
    steps: list[dict[str, Any]] = [{"color": BLUE, "value": None}]
    if bad_from is not None:
        steps = [{"color": GREEN, "value": None}, {"color": RED, "value": bad_from}]
    elif good_from is not None:
        steps = [{"color": RED, "value": None}, {"color": GREEN, "value": good_from}]
    defaults = {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
    }
    return _panel("stat", title, about, unit, queries, defaults, options, w, 4)


def lines(
    title: str,
    about: str,
    unit: str,
    *queries: Query,
    stacked: bool = False,
    dashed: str = "",
    least: float | None = 0,
    w: int = 12,
    h: int = 8,
) -> Panel:
    """Courses over time.

    Args:
        title, about, unit, queries: see above.
        stacked: one on top of the other.
        dashed: the legend of the one that is what the others should be.
        least: where the axis begins; None: at the lowest value.
        w, h: columns of 24, rows.
    """
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 8,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "scaleDistribution": {"type": "linear"},
    }
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom, **({} if least is None else {"min": least})}
    legend = {
        "displayMode": "table",
        "placement": "bottom",
        "showLegend": True,
        "calcs": ["mean", "max", "lastNotNull"],
    }
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    made = _panel("timeseries", title, about, unit, queries, defaults, options, w, h)
    if dashed:
        properties = [{"id": name, "value": value} for name, value in DASHED.items()]
        made["fieldConfig"]["overrides"] = [{"matcher": {"id": "byName", "options": dashed}, "properties": properties}]
    return made


def distribution(title: str, about: str, query: str, *, counted: str = "eps", w: int = 12, h: int = 8) -> Panel:
    """A histogram of seconds over time, by the rate of its buckets: the more there are, the darker."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "steps": 64,
            "exponent": 0.5,
            "reverse": False,
            "fill": "orange",
        },
        "yAxis": {"unit": "s", "axisPlacement": "left"},
        "rowsFrame": {"layout": "auto"},
        "cellValues": {"unit": counted},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False},
        "filterValues": {"le": 1e-9},
    }
    custom = {"scaleDistribution": {"type": "linear"}}
    made = _panel("heatmap", title, about, "s", [(query, "{{le}}")], {"custom": custom}, options, w, h)
    made["targets"][0]["format"] = "heatmap"
    return made


def states(
    title: str, about: str, *queries: Query, words: Mapping[int, tuple[str, str]], w: int = 12, h: int = 8
) -> Panel:
    """What was the case when: value → (word, colour)."""
    mapped = {
        str(value): {"index": index, "text": text, "color": color}
        for index, (value, (text, color)) in enumerate(words.items())
    }
    custom = {"fillOpacity": 70, "lineWidth": 0}
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": custom,
        "mappings": [{"type": "value", "options": mapped}],
        "thresholds": {"mode": "absolute", "steps": [{"color": GREEN, "value": None}]},
    }
    options = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.9,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel("state-timeline", title, about, "short", queries, defaults, options, w, h)


def table(title: str, about: str, query: str, columns: Mapping[str, str], *, w: int = 24, h: int = 5) -> Panel:
    """The labels of what there is now: label → heading, in this order."""
    options = {"showHeader": True, "cellHeight": "sm"}
    defaults = {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}}
    made = _panel("table", title, about, "short", [(query, "{{instance}}")], defaults, options, w, h)
    made["targets"][0] |= {"format": "table", "instant": True, "range": False}
    order = {label: index for index, label in enumerate(columns)}
    organize = {"excludeByName": {}, "includeByName": dict.fromkeys(columns, True), "indexByName": order}
    made["transformations"] = [{"id": "organize", "options": {**organize, "renameByName": dict(columns)}}]
    return made


def row(title: str) -> Panel:
    """A line with a heading, which folds away what follows up to the next one."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}


def _panel(
    kind: str,
    title: str,
    about: str,
    unit: str,
    queries: "list[Query] | tuple[Query, ...]",
    defaults: Mapping[str, Any],
    options: Mapping[str, Any],
    w: int,
    h: int,
) -> Panel:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend, "range": True}
        for index, (query, legend) in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": w, "h": h},
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, **defaults}, "overrides": []},
        "options": dict(options),
    }

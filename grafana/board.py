"""What a dashboard has besides its panels: their places, the variables at the top, the runs as annotations, the links.

In: a `Board`. Out: the text of its JSON file, in the classic model (schema version 41), which Grafana 11 and later
read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana.panels import SOURCE, Panel
from grafana.queries import RUN

FOLDER = Path(__file__).parent / "dashboards"
TAG = "loadgen"
N_COLUMNS = 24
SCHEMA_VERSION = 41
STEP = "5s"
"""Of the annotations: no finer than Prometheus scrapes."""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard.

    Attributes:
        name: of its file, and behind "loadgen-" of its address, which never changes.
        title, about: for people.
        choices: variables at the top: name → (label, a metric that only these instances have).
        panels: in the order in which they are read.
    """

    name: str
    title: str
    about: str
    choices: dict[str, tuple[str, str]]
    panels: tuple[Panel, ...]


def as_json(board: Board) -> str:
    """The file of this dashboard."""
    links = {
        "type": "dashboards",
        "tags": [TAG],
        "title": "loadgen",
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }
    model = {
        "uid": f"loadgen-{board.name}",
        "title": board.title,
        "description": board.about,
        "tags": [TAG],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "links": [links],
        "annotations": {"list": _annotations()},
        "templating": {"list": [_source(), *(_choice(name, *choice) for name, choice in board.choices.items())]},
        "panels": placed(board.panels),
    }
    return json.dumps(model, indent=2, ensure_ascii=False) + "\n"


def placed(panels: tuple[Panel, ...]) -> list[Panel]:
    """The panels with numbers and places: side by side as long as there is room, then on the next line."""
    found, x, y, line_h = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        w, h = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + w > N_COLUMNS:
            x, y, line_h = 0, y + line_h, 0
        found.append({"id": number, **panel, "gridPos": {"x": x, "y": y, "w": w, "h": h}})
        x, line_h = x + w, max(line_h, h)
    return found


def _source() -> dict[str, Any]:
    """The variable that says which Prometheus."""
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "loadgen-prometheus"},
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "skipUrlSync": False,
    }


def _choice(name: str, label: str, metric: str) -> dict[str, Any]:
    """A variable for the instances that have this metric; all of them at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"qryType": 1, "query": f"label_values({metric}, instance)", "refId": name},
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
    }


def _annotations() -> list[dict[str, Any]]:
    """Each run from its start to its end, and each alert as long as it fires.

    Grafana joins values that are one step apart into one region.
    """
    started_ms = f"({RUN.now('loadgen_run_start_timestamp_seconds')} > 0) * 1000"
    which = f"{started_ms} * on (job, instance) group_left (run_id, rate) {RUN.now('loadgen_run_info')}"
    firing = 'max by (alertname, instance, severity) (ALERTS{alertname=~"Loadgen.*",alertstate="firing"})'
    return [
        _annotation(
            "Starts", "green", which, "run {{run_id}} starts", "{{instance}}, rate {{rate}}", value_is_time=True
        ),
        _annotation("Runs", "blue", RUN.now("loadgen_run_info"), "run {{run_id}}", "{{instance}}, seed {{seed}}"),
        _annotation("Alerts", "red", firing, "{{alertname}}", "{{severity}}, {{instance}}"),
    ]


def _annotation(
    name: str, color: str, query: str, title: str, text: str, *, value_is_time: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "datasource": SOURCE,
        "target": {"refId": "Anno", "expr": query, "interval": STEP},
        "expr": query,
        "step": STEP,
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "instance",
        "useValueForTime": value_is_time,
    }

"""Grafana shows what loadgen counts: each metric, label and outcome in a dashboard is one that the program has."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from loadgen.ledger import Outcome
from loadgen.metrics import RUN_METRICS, Metric
from tests.deploy.files import DASHBOARDS, ROOT, SERVICES, load
from tests.deploy.files import mounts as mounts_of

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SERIES = {metric.name + suffix: metric for metric in RUN_METRICS for suffix in SUFFIXES[metric.kind]}
OF_PROMETHEUS = {"instance", "job", "le"}
SOURCE = load("grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
EXPRESSIONS = [
    target["expr"] for board in DASHBOARDS.values() for panel in board["panels"] for target in panel.get("targets", [])
]


def used(expression: str) -> list[Metric | str]:
    """The metrics of an expression; where there is none of that name, the name."""
    return [SERIES.get(name, name) for name in re.findall(r"\bloadgen_\w+", expression)]


def labels_of(expression: str) -> set[str]:
    """The labels that an expression selects or groups by."""
    selected = re.findall(r'(\w+)=~?"', expression)
    grouped = [name for group in re.findall(r"\bby \(([^)]*)\)", expression) for name in group.split(", ")]
    return {*selected, *grouped}


def test_there_are_the_two_dashboards_of_a_run() -> None:
    assert {board["title"] for board in DASHBOARDS.values()} == {"Throughput", "Latency & lag"}
    assert len({board["uid"] for board in DASHBOARDS.values()}) == len(DASHBOARDS)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_exists(expression: str) -> None:
    metrics = used(expression)
    assert metrics
    assert [metric for metric in metrics if isinstance(metric, str)] == []
    known = {label for metric in metrics if isinstance(metric, Metric) for label in metric.labels}
    assert labels_of(expression) <= known | OF_PROMETHEUS
    outcomes = [name for group in re.findall(r'outcome=~?"([^"]*)"', expression) for name in group.split("|")]
    assert set(outcomes) <= {outcome.name.lower() for outcome in Outcome}


def test_every_metric_of_a_run_is_shown() -> None:
    shown = {metric for expression in EXPRESSIONS for metric in used(expression)}
    assert set(RUN_METRICS) - shown == set()


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    unit = panel["options"]["yAxis"]["unit"] if panel["type"] == "heatmap" else panel["fieldConfig"]["defaults"]["unit"]
    assert unit in {"eps", "Bps", "s", "short"}
    assert all(target["legendFormat"] for target in panel["targets"])
    seconds = [name for name in re.findall(r"quantile\([^)]*?(loadgen_\w+)", json.dumps(panel)) if "_seconds" in name]
    assert not seconds or unit == "s"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_ids_of_their_own_and_do_not_overlap(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_promtool_takes_every_expression(tmp_path: Path) -> None:
    plain = [re.sub(r"\$__(rate_interval|range)", "1m", expression) for expression in EXPRESSIONS]
    assert [
        expression for expression in plain if "$_" in expression or expression.count("(") != expression.count(")")
    ] == []
    if promtool := shutil.which("promtool"):
        rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(plain)]
        file = tmp_path / "rules.json"
        file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
        done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout


def test_the_data_come_from_the_prometheus_next_to_it() -> None:
    assert SOURCE["url"] == "http://prometheus:9090"
    assert "127.0.0.1:9090:9090" in SERVICES["prometheus"]["ports"]
    assert SOURCE["jsonData"]["timeInterval"] == load("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"]
    named = {
        uid for board in DASHBOARDS.values() for uid in re.findall(r'"uid": "([^"]*)"', json.dumps(board["panels"]))
    }
    assert named == {SOURCE["uid"]}


def test_grafana_finds_its_dashboards_where_they_are_mounted() -> None:
    mounted = mounts_of(SERVICES["grafana"])
    (provider,) = load("grafana/provisioning/dashboards/loadgen.yml")["providers"]
    assert mounted[provider["options"]["path"]] == "./grafana/dashboards"
    assert mounted["/etc/grafana/provisioning"] == "./grafana/provisioning"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "grafana/dashboards" / home.rpartition("/")[2]).is_file()

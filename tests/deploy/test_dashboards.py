"""Grafana shows what loadgen counts: each metric, label and outcome in a dashboard is one that the program has."""

import re
from typing import Any

import pytest

from grafana.__main__ import BOARDS
from grafana.board import N_COLUMNS, as_json, placed
from grafana.panels import SOURCE, row, stat
from loadgen.ledger import Outcome
from loadgen.metrics import CONSUME_METRICS, RUN_METRICS
from tests.deploy.files import DASHBOARDS, QUERIES, ROOT, SERVICES, load
from tests.deploy.files import mounts as mounts_of
from tests.deploy.promql import is_balanced, known_labels, labels_of, metrics_of, unknown

PROVISIONED = load("grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
UIDS = {f"{name}.json": f"loadgen-{name}" for name in ("throughput", "latency", "pipeline", "system")}
"""They are in people's bookmarks."""
UNITS = {"eps", "Bps", "bytes", "s", "short", "percentunit"}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
ANNOTATIONS = {
    f"{board['title']} / {annotation['name']}": annotation["expr"]
    for board in DASHBOARDS.values()
    for annotation in board["annotations"]["list"]
}
EXPRESSIONS = {**QUERIES, **ANNOTATIONS}


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables at the top of a dashboard, by name."""
    return {variable["name"]: variable for variable in board["templating"]["list"]}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_files_are_what_the_generator_writes(board: Any) -> None:
    text = (ROOT / f"grafana/dashboards/{board.name}.json").read_text()
    assert text == as_json(board), "run make dashboards"


def test_each_dashboard_has_the_address_that_it_always_had() -> None:
    assert {name: board["uid"] for name, board in DASHBOARDS.items()} == UIDS
    assert {board["title"] for board in DASHBOARDS.values()} == {
        "Throughput",
        "Latency & lag",
        "Pipeline",
        "System under test",
    }


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_every_metric_label_and_outcome_exists(where: str) -> None:
    expression = EXPRESSIONS[where]
    assert unknown(expression) == set()
    made = {"threshold"} if "label_replace" in expression else set()
    assert labels_of(expression) <= known_labels(expression) | made
    outcomes = [name for group in re.findall(r'outcome=~?"([^"]*)"', expression) for name in group.split("|")]
    assert set(outcomes) <= {outcome.name.lower() for outcome in Outcome}


def test_every_metric_is_shown() -> None:
    shown = set().union(*map(metrics_of, QUERIES.values()), *map(metrics_of, ANNOTATIONS.values()))
    shown |= {metric for board in DASHBOARDS.values() for name in variables(board) for metric in asked(board, name)}
    assert {*RUN_METRICS, *CONSUME_METRICS} - shown == set()


def asked(board: dict[str, Any], name: str) -> set[Any]:
    """The metrics that a variable's query asks for."""
    query = variables(board)[name]["query"]
    return set() if isinstance(query, str) else metrics_of(query["query"])


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_brackets_and_quotes_are_closed(where: str) -> None:
    assert is_balanced(EXPRESSIONS[where])


@pytest.mark.parametrize("where", QUERIES)
def test_every_query_is_of_the_chosen_instances_and_as_fine_as_the_panel(where: str) -> None:
    query = QUERIES[where]
    selectors = re.findall(r"\{[^}]*\}", query)
    chosen = {f'instance=~"${name}"' for name in ("instance", "consumer")}
    assert selectors
    assert all(any(choice in selector for choice in chosen) for selector in selectors)
    assert set(re.findall(r"\[([^]]*)\]", query)) <= {"$__rate_interval", "$__range"}


@pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS)
def test_every_variable_of_a_query_is_at_the_top(board: dict[str, Any]) -> None:
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    used = {name for query in queries for name in re.findall(r"\$([a-z]\w*)", query)}
    assert {"datasource", *used} == set(variables(board))


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    assert unit in UNITS
    assert panel["type"] != "heatmap" or panel["options"]["yAxis"]["unit"] == unit
    assert all(target["legendFormat"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    seconds = [target for target in panel["targets"] if re.search(r"quantile\(.*_seconds", target["expr"])]
    assert not seconds or unit == "s"
    dashed = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]
    assert set(dashed) <= {target["legendFormat"] for target in panel["targets"]}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_ids_of_their_own_and_do_not_overlap(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = [panel["title"] for panel in panels if panel["type"] not in ("row", "stat")]
    assert len(set(titles)) == len(titles)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert len(cells) == N_COLUMNS * (1 + max(y for _, y in cells)), "there is a gap"


def test_panels_that_do_not_fit_on_a_line_begin_the_next_one() -> None:
    wide = stat("a", "b.", "s", ("1", "c"), w=16)
    places = [panel["gridPos"] for panel in placed((wide, wide, row("r"), wide))]
    assert [(place["x"], place["y"]) for place in places] == [(0, 0), (0, 4), (0, 8), (0, 9)]


def test_the_data_come_from_the_prometheus_that_is_chosen_at_first_the_one_next_to_it() -> None:
    assert PROVISIONED["url"] == "http://prometheus:9090"
    assert "127.0.0.1:9090:9090" in SERVICES["prometheus"]["ports"]
    interval = load("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"]
    assert PROVISIONED["jsonData"]["timeInterval"] == interval
    for board in DASHBOARDS.values():
        assert variables(board)["datasource"]["query"] == PROVISIONED["type"] == SOURCE["type"]
        assert variables(board)["datasource"]["current"]["value"] == PROVISIONED["uid"]
        asking = [*board["annotations"]["list"], *(panel for panel in board["panels"] if panel["type"] != "row")]
        asking += [target for panel in board["panels"] for target in panel.get("targets", [])]
        asking += [variable for variable in variables(board).values() if variable["type"] == "query"]
        assert [item["datasource"] for item in asking] == [SOURCE] * len(asking)


@pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS)
def test_runs_and_alerts_are_shown_as_annotations(board: dict[str, Any]) -> None:
    shown = {annotation["name"]: annotation for annotation in board["annotations"]["list"]}
    assert set(shown) == {"Starts", "Runs", "Alerts"}
    assert [name for name, annotation in shown.items() if annotation["useValueForTime"]] == ["Starts"]
    assert all(annotation["target"]["expr"] == annotation["expr"] for annotation in shown.values())


@pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS)
def test_each_dashboard_leads_to_the_others_and_takes_its_choices_along(board: dict[str, Any]) -> None:
    (link,) = board["links"]
    assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
    assert all(set(link["tags"]) <= set(other["tags"]) for other in DASHBOARDS.values())


def test_grafana_finds_its_dashboards_where_they_are_mounted() -> None:
    mounted = mounts_of(SERVICES["grafana"])
    (provider,) = load("grafana/provisioning/dashboards/loadgen.yml")["providers"]
    assert mounted[provider["options"]["path"]] == "./grafana/dashboards"
    assert mounted["/etc/grafana/provisioning"] == "./grafana/provisioning"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "grafana/dashboards" / home.rpartition("/")[2]).is_file()

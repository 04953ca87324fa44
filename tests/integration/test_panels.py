"""Each panel shows something: its queries, asked as Grafana asks them, of a Prometheus that scrapes what runs.

Two runs produce to one topic, a consumer stores it, Prometheus scrapes all three and works out our rules. When there is
a minute's half of it, every query of every dashboard is asked over Prometheus's HTTP API, and its answer kept.
"""

import json
import math
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.deploy.files import ALERTS, DASHBOARDS, QUERIES, RECORDED
from tests.integration.local import Local
from tests.ports import free_port
from tests.runner.program import start, start_program, stop_all, wait_until

SCRAPE_S = 5
STEP_S = SCRAPE_S
SHOWN_S = 900
"""Of "the last 15 minutes", which the dashboards show at first."""
ENOUGH_S = 30
"""More than Grafana's $__rate_interval, and six scrapes."""
TOPIC, GROUP = "panels", "panels-store"
CROWDS = '[[run.crowd]]\nname = "commuters"\nshare = 0.75\n[[run.crowd]]\nname = "fans"\nshare = 0.25\n'
KEPT = "failed == 0"
MAY_BE_EMPTY: set[str] = set()
"""Queries that find nothing where all is well; they are written so that there is none."""


@dataclass
class Asked:
    """Prometheus, and what it has said.

    Attributes:
        port: of Prometheus.
        answers: query's place, recorded series, alert or annotation → all the numbers that came.
        choices: "board / variable" → values that it offers.
        rules: name → health and last error.
        firing: alerts that fire.
        thresholds: those that the runs were given.
    """

    port: int
    answers: dict[str, list[float]] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    rules: dict[str, tuple[str, str]] = field(default_factory=dict)
    firing: list[dict[str, Any]] = field(default_factory=list)
    thresholds: list[str] = field(default_factory=list)

    def get(self, path: str, **arguments: Any) -> Any:
        """The data of an answer of Prometheus's HTTP API."""
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(arguments)}", timeout=20) as page:
            return json.load(page)["data"]

    def count(self, query: str) -> int:
        """How many series a query finds now."""
        return len(self.get("query", query=query)["result"])

    def numbers(self, query: str, *, instant: bool = False) -> list[float]:
        """The numbers that a query finds in the time shown; nan is none."""
        now_s = time.time()
        times = {"time": now_s} if instant else {"start": now_s - SHOWN_S, "end": now_s, "step": STEP_S}
        found = self.get("query" if instant else "query_range", query=query, **times)["result"]
        pairs = [pair for series in found for pair in ([series["value"]] if instant else series["values"])]
        return [number for number in (float(value) for _, value in pairs) if not math.isnan(number)]


def offered(asked: Asked, board: dict[str, Any]) -> dict[str, list[str]]:
    """The values that the variables of a dashboard offer."""
    found = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            found[variable["name"]] = asked.get(f"label/{label}/values", **{"match[]": metric})
    return found


def as_grafana(query: str, choices: dict[str, list[str]]) -> str:
    """A query with its variables replaced as Grafana does it, where "All" is chosen everywhere."""
    intervals = {"__rate_interval": f"{max(STEP_S + SCRAPE_S, 4 * SCRAPE_S)}s", "__range": f"{SHOWN_S}s"}
    for name, text in intervals.items():
        query = query.replace(f"${name}", text)
    for name, values in choices.items():
        escaped = [re.escape(value).replace("\\", "\\\\") for value in values]
        query = query.replace(f"${name}", f"({'|'.join(escaped)})" if len(escaped) > 1 else escaped[0])
    assert "$" not in query
    return query


def ask_all(asked: Asked) -> None:
    """Ask everything that there is to ask."""
    for board in DASHBOARDS.values():
        choices = offered(asked, board)
        asked.choices |= {f"{board['title']} / {name}": values for name, values in choices.items()}
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                where = f"{board['title']} / {panel['title']} / {target['legendFormat']}"
                query = as_grafana(target["expr"], choices)
                asked.answers[where] = asked.numbers(query, instant=target.get("instant", False))
        for annotation in board["annotations"]["list"]:
            where = f"{board['title']} / {annotation['name']}"
            asked.answers[where] = asked.numbers(as_grafana(annotation["expr"], {"instance": [".+"], **choices}))
    asked.answers |= {name: asked.numbers(name) for name in RECORDED}
    asked.thresholds = asked.get("label/threshold/values")
    groups = asked.get("rules")["groups"]
    asked.rules = {
        rule["name"]: (rule["health"], rule.get("lastError", "")) for group in groups for rule in group["rules"]
    }
    asked.firing = [alert for alert in asked.get("alerts")["alerts"] if alert["state"] == "firing"]


@pytest.fixture(scope="module")
def asked(needs_prometheus: None, one_broker: Local, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """What Prometheus has said of two runs and a consumer that are under way."""
    one_broker.up()
    ports = [free_port() for _ in range(3)]
    folder = tmp_path_factory.mktemp("panels")
    flags = [word for port in ports for word in ("--scrape-port", str(port))]
    prometheus = Local(folder / "data", ["--only", "prometheus", *flags])
    prometheus.up()
    try:
        produce_and_consume(folder, one_broker, ports)
        asked = Asked(prometheus.prometheus_port)
        began = f"time() - min(loadgen_run_start_timestamp_seconds) > {ENOUGH_S}"
        stored = "count_over_time(instance:loadgen_published_bytes:rate5m[1m]) > 3"
        wait_until(lambda: asked.count(began) * asked.count(stored) > 0, 90.0)
        ask_all(asked)
    finally:
        stop_all()
        prometheus.down()
    return asked


def produce_and_consume(folder: Path, broker: Local, ports: list[int]) -> None:
    """Start two runs, each of half of the listeners, and a consumer, with these ports for their metrics."""
    (folder / "crowds.toml").write_text(CROWDS)
    where = ("--brokers", broker.brokers, "--topic", TOPIC)
    both = (
        *where,
        "--config",
        "crowds.toml",
        "--users",
        "1000",
        "--workers",
        "1",
        "--rate",
        "400/s",
        "--continuous",
        "--threshold",
        KEPT,
        "--watch-group",
        GROUP,
        "--watch-topic",
        TOPIC,
    )
    made = ("--create-topic", "--partitions", "4", "--replication-factor", "1")
    start(folder, *both, *made, "--shard", "0/2", "--metrics-port", str(ports[0]))
    wait_until(lambda: any(folder.glob("loadgen_runs/*.json")))  # so the topic is there
    start(folder, *both, "--shard", "1/2", "--metrics-port", str(ports[1]))
    often = (
        "--group",
        GROUP,
        "--rotate-interval",
        "3s",
        "--store",
        str(folder / "store"),
        "--metrics-port",
        str(ports[2]),
    )
    start_program(folder, "consume", *where, *often, text=True)


@pytest.mark.parametrize("where", QUERIES)
def test_every_query_of_a_panel_finds_numbers(asked: Asked, where: str) -> None:
    assert asked.answers[where] or where in MAY_BE_EMPTY


def test_panels_show_what_is_under_way(asked: Asked) -> None:
    latest = {where: numbers[-1] for where, numbers in asked.answers.items() if numbers}
    assert latest["Throughput / Offered load / offered"] == pytest.approx(400, rel=0.01)
    assert latest["Throughput / Target reached / reached"] == pytest.approx(1, abs=0.1)
    assert latest["Throughput / Workers running / workers"] == 2
    assert latest["Throughput / Failed or dropped / failed or dropped"] == 0
    assert latest["Pipeline / Stored / stored"] == pytest.approx(400, rel=0.25)
    assert latest["Pipeline / Dead letters / dead letters"] == 0
    assert latest["Throughput / Throughput by crowd / {{crowd}}"] in (
        pytest.approx(300, rel=0.3),
        pytest.approx(100, rel=0.3),
    )
    assert latest["Pipeline / Consumers / consumers"] == 1
    assert latest["System under test / Delivered and committed / delivered"] == pytest.approx(400, rel=0.25)
    assert 0 <= latest["System under test / Lag / {{group}}"] < 400 * 60
    assert latest["System under test / Delivered and come out / came out"] == pytest.approx(400, rel=0.25)
    assert 0 < latest["System under test / End to end / p99"] < 60
    assert 0 < latest["Latency & lag / Latency, p99 / {{sink}}"] < 60


def test_variables_offer_what_is_under_way(asked: Asked) -> None:
    n_values = {where: len(values) for where, values in asked.choices.items()}
    assert n_values == {
        "Throughput / instance": 2,
        "Latency & lag / instance": 2,
        "Pipeline / consumer": 1,
        "Pipeline / instance": 2,
        "System under test / instance": 2,
    }


@pytest.mark.parametrize("board", [board["title"] for board in DASHBOARDS.values()])
def test_runs_are_marked_where_they_are(asked: Asked, board: str) -> None:
    assert set(asked.answers[f"{board} / Runs"]) == {1.0}
    starts_s = {number / 1000 for number in asked.answers[f"{board} / Starts"]}
    assert len(starts_s) == 2
    assert all(0 < time.time() - start_s < SHOWN_S for start_s in starts_s)


def test_thresholds_are_shown_by_what_was_asked_for(asked: Asked) -> None:
    assert set(asked.answers["Latency & lag / Thresholds / {{threshold}}"]) == {0.0}
    assert asked.thresholds == [KEPT]


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_series_has_numbers(asked: Asked, name: str) -> None:
    assert asked.answers[name]


@pytest.mark.parametrize("name", [*RECORDED, *ALERTS])
def test_every_rule_is_evaluated(asked: Asked, name: str) -> None:
    assert asked.rules[name] == ("ok", "")


def test_no_critical_alert_fires_where_all_is_well(asked: Asked) -> None:
    assert [alert for alert in asked.firing if alert["labels"]["severity"] == "critical"] == []

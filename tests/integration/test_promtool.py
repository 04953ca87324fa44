"""promtool, which comes with Prometheus, has nothing against our files, and our rules do what their unit tests say."""

import json
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.registry import Collector

from loadgen.consume.totals import ConsumeCollector, ConsumeTotals
from loadgen.event import PAGES
from loadgen.runner.endpoint import RunCollector
from tests.deploy.files import DASHBOARDS, QUERIES, ROOT, RULE_FILES, RULE_TESTS
from tests.runner.test_endpoint import INFO, StandInTeam, some_totals
from tests.scrape import served

FOLDER = ROOT / "deploy/prometheus"


def told(*command: str, data: str | None = None) -> str:
    """What promtool says, where it is content."""
    done = subprocess.run(command, capture_output=True, text=True, input=data, cwd=FOLDER, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_configuration_and_the_rules_that_it_names_are_valid(promtool: str) -> None:
    said = told(promtool, "check", "config", "prometheus.yml")
    assert f"{len(RULE_FILES)} rule files found" in said


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.name)
def test_rules_fire_and_record_as_their_unit_tests_say(promtool: str, path: Path) -> None:
    assert "SUCCESS" in told(promtool, "test", "rules", str(path))


def test_every_query_of_the_dashboards_can_be_parsed(promtool: str, tmp_path: Path) -> None:
    annotations = [item["expr"] for board in DASHBOARDS.values() for item in board["annotations"]["list"]]
    plain = [query.replace("$__rate_interval", "1m").replace("$__range", "1h") for query in QUERIES.values()]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate([*plain, *annotations])]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(rules)} rules found" in told(promtool, "check", "rules", str(file))


def collectors() -> list[Collector]:
    """One of a run and one of a consumer, with figures."""
    run = RunCollector(StandInTeam([]), INFO, PAGES.names, lambda: {"failed == 0": False})  # type: ignore[arg-type]
    run.watch(some_totals(), 10.0)
    consumer = ConsumeCollector("songs", "keepers")
    consumer.watch(ConsumeTotals(n_events=5, lags={0: 1}, unstored={0: 2}), 10.0)
    return [run, consumer]


@pytest.mark.parametrize("collector", collectors(), ids=lambda collector: type(collector).__name__)
def test_what_is_exposed_follows_the_conventions(promtool: str, collector: Collector) -> None:
    with served(collector) as url, urlopen(url, timeout=10) as answer:
        assert told(promtool, "check", "metrics", data=answer.read().decode()) == ""

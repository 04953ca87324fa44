"""Prometheus asks where loadgen answers, and has rules that speak of what it counts."""

import re
from typing import Any

import pytest
import yaml

from loadgen.config import ConsumeSettings, RunSettings
from tests.deploy.files import ALERTS, RECORDED, ROOT, RULE_FILES, RULE_TESTS, RULES, SERVICES, load
from tests.deploy.promql import is_balanced, known_labels, labels_of, unknown

PATH = "deploy/prometheus/prometheus.yml"
CONFIG = load(PATH)
RUN_PORT, CONSUME_PORT = (command.model_fields["metrics_port"].default for command in (RunSettings, ConsumeSettings))


def targets(job: str) -> list[str]:
    """The targets of a job, host:port."""
    (found,) = (item for item in CONFIG["scrape_configs"] if item["job_name"] == job)
    return [target for group in found["static_configs"] for target in group["targets"]]


def port_of_health_check(service: dict[str, Any]) -> str:
    """The port that the health check of one of our containers asks."""
    return str(service["healthcheck"]["test"][-1]).partition("127.0.0.1:")[2].partition("/")[0]


def test_every_job_asks_somebody() -> None:
    assert set(CONFIG) == {"global", "rule_files", "scrape_configs"}
    assert [job for job in CONFIG["scrape_configs"] if not job["static_configs"]] == []


def test_loadgen_is_asked_in_its_container_and_on_the_host() -> None:
    assert targets("loadgen") == [f"loadgen:{RUN_PORT}", f"host.docker.internal:{RUN_PORT}"]
    assert targets("loadgen-consumer") == [f"consumer:{CONSUME_PORT}", f"host.docker.internal:{CONSUME_PORT}"]
    assert "host.docker.internal:host-gateway" in SERVICES["prometheus"]["extra_hosts"]


def test_every_container_that_is_asked_is_a_service_which_answers_there() -> None:
    for job, name in (("loadgen", "loadgen"), ("loadgen-consumer", "consumer")):
        assert targets(job)[0] == f"{name}:{port_of_health_check(SERVICES[name])}"
        assert SERVICES[name]["environment"]["LOADGEN_METRICS_HOST"] == "0.0.0.0"


def test_it_reads_this_file_and_keeps_what_it_finds_in_its_volume() -> None:
    service = SERVICES["prometheus"]
    flags = dict(flag.split("=") for flag in service["command"])
    assert f"./{PATH}:{flags['--config.file']}:ro" in service["volumes"]
    assert f"prometheus:{flags['--storage.tsdb.path']}" in service["volumes"]


def test_it_reads_the_rules_as_often_as_it_scrapes() -> None:
    (pattern,) = CONFIG["rule_files"]
    assert sorted((ROOT / PATH).parent.glob(pattern)) == RULE_FILES
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES["prometheus"]["volumes"]}
    assert mounted["/etc/prometheus/rules"] == "./deploy/prometheus/rules"
    assert CONFIG["global"]["evaluation_interval"] == CONFIG["global"]["scrape_interval"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_rule_speaks_of_what_there_is(rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"]) == set()
    assert labels_of(rule["expr"]) <= known_labels(rule["expr"])
    assert is_balanced(rule["expr"])


def test_recorded_series_say_of_what_they_are_and_how_they_are_made() -> None:
    assert [name for name in RECORDED if not re.fullmatch(r"[a-z_]+:loadgen_\w+:[a-z]+[0-9a-z]*", name)] == []
    levels = {name: set(name.partition(":")[0].split("_")) | {"job"} for name in RECORDED}
    grouped = {
        name: set(re.findall(r"\w+", expr.partition("by (")[2].partition(")")[0])) for name, expr in RECORDED.items()
    }
    assert {name: labels - {"le"} for name, labels in grouped.items()} == levels


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_it_means_and_what_to_do_next(name: str) -> None:
    alert = ALERTS[name]
    assert name.startswith("Loadgen")
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "description", "next_step"}
    assert all(alert["annotations"].values())
    spoken_of = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
    assert spoken_of <= known_labels(alert["expr"])


def of_unit_tests() -> list[list[str]]:
    """Of each unit test: the samples that it expects each time that it asks for alerts, as text."""
    tests = [test for path in RULE_TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    return [
        [str(asked["exp_samples"]) for asked in test["promql_expr_test"] if "ALERTS" in asked["expr"]] for test in tests
    ]


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_unit_test_in_which_it_fires_and_at_another_time_does_not(name: str) -> None:
    fires = [{f'"{name}"' in samples for samples in of_a_test} for of_a_test in of_unit_tests()]
    assert {True, False} in fires


def test_every_recorded_series_has_a_unit_test() -> None:
    text = "".join(path.read_text() for path in RULE_TESTS)
    assert [name for name in RECORDED if not re.search(rf"expr: .*{re.escape(name)}", text)] == []


def test_the_readme_has_a_line_for_each_alert_and_none_for_what_is_not_there() -> None:
    header = "| alert | severity | fires when |\n"
    text = (ROOT / "README.md").read_text()
    assert text.count(header) == 1
    lines = text.partition(header)[2].partition("\n\n")[0].splitlines()[1:]
    named = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", line)[0] for line in lines)
    assert named == {name: alert["labels"]["severity"] for name, alert in ALERTS.items()}

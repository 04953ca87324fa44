"""Prometheus asks where loadgen answers."""

import shutil
import subprocess
from typing import Any

from loadgen.config.settings import ConsumeSettings, RunSettings
from tests.deploy.files import ROOT, SERVICES, load

PATH = "deploy/prometheus/prometheus.yml"
CONFIG = load(PATH)
RUN_PORT, CONSUME_PORT = (verb.model_fields["metrics_port"].default for verb in (RunSettings, ConsumeSettings))


def targets(job: str) -> list[str]:
    """The targets of a job, host:port."""
    (found,) = (item for item in CONFIG["scrape_configs"] if item["job_name"] == job)
    return [target for group in found["static_configs"] for target in group["targets"]]


def port_of_health_check(service: dict[str, Any]) -> str:
    """The port that the health check of one of our containers asks."""
    return str(service["healthcheck"]["test"][-1]).partition("127.0.0.1:")[2].partition("/")[0]


def test_promtool_takes_the_file() -> None:
    assert set(CONFIG) == {"global", "scrape_configs"}
    assert [job for job in CONFIG["scrape_configs"] if not job["static_configs"]] == []
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "config", str(ROOT / PATH)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


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

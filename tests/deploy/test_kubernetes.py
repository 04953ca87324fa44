"""The manifests of deploy/k8s are what Kubernetes takes, hold together, and ask for no more rights than they need."""

import re
import tomllib
from typing import Any

import kubernetes_validate
import pytest

from loadgen.config import ConsumeSettings, RunSettings, VerifySettings
from loadgen.config.layers import resolve
from loadgen.runner.machine import needed_bytes
from tests.deploy.files import MIB
from tests.deploy.kubernetes import DOCUMENTS, FOLDER, KUSTOMIZATION, OWN, PODS, container, named, words

OLDEST = "1.33"
"""The first version in which backoffLimitPerIndex is final."""
WRITABLE = {"emptyDir", "persistentVolumeClaim"}
SCENARIO = FOLDER / "scenario.toml"
_UNITS = {"Mi": MIB, "Gi": 1024 * MIB}


def _names(documents: list[dict[str, Any]]) -> list[str]:
    return [f"{one['kind']} {one['metadata']['name']}" for one in documents]


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("document", OWN, ids=_names(OWN))
def test_kubernetes_own_schema_takes_each_manifest_and_knows_every_field(
    document: dict[str, Any], version: str
) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_every_file_belongs_to_a_kustomization() -> None:
    listed = {*KUSTOMIZATION["resources"], "kustomization.yaml", *KUSTOMIZATION["configMapGenerator"][0]["files"]}
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == listed


def test_parts_can_be_applied_one_by_one_by_their_label() -> None:
    text = (FOLDER / "kustomization.yaml").read_text()
    shown = set(re.findall(r"component=(\w+)", text)) | set(
        re.findall(r"'component in \(([^)]*)\)'", text)[0].split(", ")
    )
    assert {one["metadata"]["labels"]["component"] for one in OWN} == shown


def test_the_number_of_shards_is_the_same_wherever_it_stands() -> None:
    job = named("loadgen-run", "Job")["spec"]
    assert words("loadgen-run", JOB_COMPLETION_INDEX="3")[3] == f"--shard=3/{job['completions']}"
    assert (job["parallelism"], job["completionMode"]) == (job["completions"], "Indexed")
    master, workers = words("locust-master"), named("locust-worker", "Deployment")["spec"]["replicas"]
    assert {f"--shards={workers}", f"--expect-workers={workers}"} <= set(master)


def test_a_shard_that_failed_is_not_run_again_and_does_not_end_the_others() -> None:
    job = named("loadgen-run", "Job")["spec"]
    assert (job["backoffLimitPerIndex"], job["maxFailedIndexes"]) == (0, job["completions"])
    assert PODS["loadgen-run"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_rights_that_it_does_not_need(name: str) -> None:
    pod, one = PODS[name], container(name)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("name", PODS)
def test_a_pod_says_what_it_needs_and_can_write_where_loadgen_writes(name: str) -> None:
    one = container(name)
    assert {"cpu", "memory"} <= set(one["resources"]["requests"])
    assert "memory" in one["resources"]["limits"]
    volumes = {volume["name"]: (set(volume) - {"name"}).pop() for volume in PODS[name]["volumes"]}
    mounted = {mount["mountPath"]: mount for mount in one["volumeMounts"]}
    assert {volumes[mounted[path]["name"]] for path in ("/tmp", "/var/lib/loadgen")} <= WRITABLE
    assert mounted["/etc/loadgen"]["readOnly"]
    assert set(volumes) == {mount["name"] for mount in one["volumeMounts"]}


@pytest.mark.parametrize("name", ["loadgen-run", "loadgen-consumer", "locust-master"])
def test_a_probe_asks_a_port_that_the_container_names(name: str) -> None:
    one = container(name)
    ports = {port["name"] for port in one["ports"]}
    probes = [one[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in one]
    asked = {(probe.get("httpGet") or probe["tcpSocket"])["port"] for probe in probes}
    assert len(probes) >= 2
    assert asked <= ports


def test_the_scenario_is_one_that_loadgen_takes_and_ports_are_where_it_listens() -> None:
    run = resolve(RunSettings, {"config": str(SCENARIO), "shard": "0/4"}, {}).settings
    consume = resolve(ConsumeSettings, {"config": str(SCENARIO)}, {}).settings
    resolve(VerifySettings, {"config": str(SCENARIO), "manifests": ["shard-0.json"]}, {})
    for name, settings in (("loadgen-run", run), ("loadgen-consumer", consume)):
        assert container(name)["ports"] == [{"name": "metrics", "containerPort": settings.metrics_port}]
        assert settings.metrics_host == "0.0.0.0"


def test_a_shard_fits_into_the_memory_of_its_pod() -> None:
    run = resolve(RunSettings, {"config": str(SCENARIO), "shard": "0/4"}, {}).settings
    limit = container("loadgen-run")["resources"]["limits"]["memory"]
    assert needed_bytes(run.users // 4, run.workers) < int(limit[:-2]) * _UNITS[limit[-2:]]
    assert float(container("loadgen-run")["resources"]["requests"]["cpu"]) >= run.workers


def test_locust_is_told_of_the_same_broker_and_topic_as_the_others() -> None:
    scenario = tomllib.loads(SCENARIO.read_text())
    assert {f"--brokers={scenario['brokers']}", f"--topic={scenario['topic']}"} <= set(words("locust-master"))


def test_services_and_monitors_find_pods_that_have_their_ports() -> None:
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in OWN
        if "template" in one.get("spec", {})
    }
    for document in DOCUMENTS:
        selector = document.get("spec", {}).get("selector", {})
        wanted = selector if document["kind"] == "Service" else selector.get("matchLabels", {})
        if document["kind"] not in ("Service", "PodMonitor"):
            continue
        found = [name for name, given in labels.items() if wanted.items() <= given.items()]
        ports = {port["name"] for name in found for port in container(name)["ports"]}
        asked = document["spec"].get("ports") or document["spec"]["podMetricsEndpoints"]
        assert {port.get("name") or port["port"] for port in asked} <= ports, document["metadata"]["name"]

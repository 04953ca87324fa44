"""docker-compose.yml holds together: what one line says is what the others rely on."""

import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from loadgen.cli.commands import WITH_SETTINGS
from loadgen.runner.machine import needed_bytes
from tests.deploy.files import (
    COMPOSE,
    DOCKERFILES,
    KAFKA,
    MIB,
    ONE_SHOTS,
    ROOT,
    SERVICES,
    instructions,
    listeners,
    n_bytes,
)
from tests.deploy.files import mounts as mounts_of

PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z0-9.-]+|\.Final)?(@sha256:[0-9a-f]{64})?")
NOT_ROOT = ("apache/kafka",)  # images whose own user is not root; the others are given one here
MAX_MEMORY_BYTES = 6528 * MIB
HEAPS = ("KAFKA_HEAP_OPTS", "HADOOP_HEAPSIZE_MAX", "JAVA_OPTS_APPEND")
"""The variables that end with the size of a heap."""
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|_KEY$")
ASKED_FOR = re.compile(r"\$\{\w+:-\}")
"""A value that comes from the user's environment, without a default."""
OURS = {
    name: service
    for name, service in SERVICES.items()
    if service.get("build", {}).get("dockerfile") == ("deploy/docker/Dockerfile")
}
KEYS = {
    *("build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "extra_hosts", "healthcheck"),
    *("hostname", "image", "init", "logging", "mem_limit", "ports", "profiles", "read_only", "restart"),
    *("security_opt", "stop_grace_period", "tmpfs", "user", "volumes"),
}


def has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


def test_compose_takes_the_file() -> None:
    if has_compose():
        command = ["docker", "compose", "--profile", "*", "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    assert {key for service in SERVICES.values() for key in service} <= KEYS
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"name", "services", "volumes"}


def test_every_image_is_pinned_to_an_exact_version() -> None:
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    for dockerfile in DOCKERFILES:
        images += [rest.partition(" ")[0] for word, rest in instructions(dockerfile) if word == "FROM"]
    assert [image for image in images if not PINNED.fullmatch(image)] == []
    assert len(images) == 10


def test_kafka_hdfs_and_registry_are_the_versions_that_the_plain_processes_run() -> None:
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    properties = ElementTree.parse(ROOT / "deploy/local/pom.xml").find("m:properties", space)
    assert properties is not None
    names = ("kafka", "hadoop", "apicurio")
    kafka, hadoop, apicurio = (properties.findtext(f"m:{name}.version", namespaces=space) for name in names)
    assert {service["image"].partition("@")[0] for service in KAFKA.values()} == {f"apache/kafka:{kafka}"}
    assert SERVICES["topic"]["image"].startswith(f"apache/kafka:{kafka}@")
    assert SERVICES["registry"]["image"] == f"apicurio/apicurio-registry-mem:{apicurio}"
    assert ("FROM", f"apache/hadoop:{hadoop}") in instructions(ROOT / "deploy/docker/hdfs/Dockerfile")


def test_every_service_has_a_health_check_or_ends() -> None:
    checked = {name for name, service in SERVICES.items() if service.get("healthcheck", {}).get("test")}
    assert checked == set(SERVICES) - set(ONE_SHOTS)
    assert all(SERVICES[name]["restart"] == "no" for name in ONE_SHOTS)


def test_services_wait_for_what_they_need_and_only_for_what_can_come_true() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
            assert (name, other, how["condition"]) == (name, other, wanted)
            assert not SERVICES[other].get("profiles"), f"{name} needs {other}, which may not be started"


def test_up_wait_takes_the_end_of_a_one_shot_for_success() -> None:
    """Compose does so only where a service that is started too depends on its completion."""
    always = [service for service in SERVICES.values() if not service.get("profiles")]
    adopted = {other for service in always for other in service.get("depends_on", {})}
    assert set(ONE_SHOTS) <= adopted


def test_every_mounted_file_exists_and_is_mounted_read_only() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, _target, *mode = volume.split(":")
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                assert mode == ["ro"], volume


def test_every_mounted_script_that_is_called_exists() -> None:
    called = []
    for service in SERVICES.values():
        words = [*service.get("entrypoint", []), *service.get("healthcheck", {}).get("test", [])]
        for target, source in mounts_of(service).items():
            called += [ROOT / source / word[len(target) + 1 :] for word in words if word.startswith(f"{target}/")]
    assert len(called) == 5
    assert [path for path in called if not path.is_file()] == []


def test_every_volume_is_declared_and_used_once() -> None:
    used = [source for service in SERVICES.values() for source in mounts_of(service).values() if source[0] != "."]
    assert sorted(used) == sorted(COMPOSE["volumes"])


def test_published_ports_are_unique_and_on_loopback() -> None:
    ports = [port.split(":") for service in SERVICES.values() for port in service.get("ports", [])]
    assert {address for address, _, _ in ports} == {"127.0.0.1"}
    published = [int(port) for _, port, _ in ports]
    assert len(set(published)) == len(published)
    assert {9092, 9093, 9094, 8020, 9871, 9866, 9090, 3000, 8081} <= set(published)


def test_kafka_is_found_where_it_says_it_is() -> None:
    for name, service in KAFKA.items():
        environment, (port,) = service["environment"], service["ports"]
        listening, advertised = (listeners(environment[f"KAFKA_{key}LISTENERS"]) for key in ("", "ADVERTISED_"))
        assert set(listening) - set(advertised) == {environment["KAFKA_CONTROLLER_LISTENER_NAMES"]}
        assert advertised["INTERNAL"] == (name, listening["INTERNAL"][1])
        assert service["hostname"] == name
        assert f"{advertised['HOST'][0]}:{advertised['HOST'][1]}:{listening['HOST'][1]}" == port
        security = dict(pair.split(":") for pair in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
        assert set(security) == set(listening)


def test_every_broker_knows_the_same_voters_and_all_are_named() -> None:
    environments = [service["environment"] for service in KAFKA.values()]
    (voters,) = {environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] for environment in environments}
    named = [
        f"{service['environment']['KAFKA_NODE_ID']}@{name}:"
        f"{listeners(service['environment']['KAFKA_LISTENERS'])['CONTROLLER'][1]}"
        for name, service in KAFKA.items()
    ]
    assert voters.split(",") == named
    assert len({environment["CLUSTER_ID"] for environment in environments}) == 1


def test_containers_are_told_of_all_brokers() -> None:
    brokers = ",".join(f"{name}:19092" for name in KAFKA)
    assert SERVICES["topic"]["environment"]["BROKERS"] == brokers
    assert {OURS[name]["environment"]["LOADGEN_BROKERS"] for name in ("loadgen", "consumer", "locust")} == {brokers}


def test_memory_limits_fit_a_laptop_together() -> None:
    limits = {name: n_bytes(service["mem_limit"]) for name, service in SERVICES.items()}
    assert limits.pop("locust") <= limits["loadgen"]  # it runs in place of it
    assert sum(limits.values()) <= MAX_MEMORY_BYTES


def test_the_run_in_the_container_fits_its_own_limit() -> None:
    words = OURS["loadgen"]["command"]
    users, workers = (int(words[words.index(flag) + 1]) for flag in ("--users", "--workers"))
    assert needed_bytes(users, workers) <= n_bytes(OURS["loadgen"]["mem_limit"])


def test_heaps_leave_room_below_their_limits() -> None:
    for name, service in SERVICES.items():
        variables = service.get("environment", {})
        heaps = [text for name, text in variables.items() if name in HEAPS]
        heap = re.search(r"(\d+m)$", "".join(heaps))
        if heap:
            assert n_bytes(service["mem_limit"]) - n_bytes(heap[1]) >= 128 * MIB, name


def test_no_service_can_gain_rights_or_is_root() -> None:
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        user = service.get("user", "")
        assert "build" in service or user.split(":")[0].isdigit() or service["image"].startswith(NOT_ROOT), name
        assert user.split(":")[0] != "0", name


def test_root_file_systems_are_read_only_but_those_of_kafkas_image_which_writes_to_its_own() -> None:
    writable = {name for name, service in SERVICES.items() if not service.get("read_only")}
    assert writable == {*KAFKA, "topic"}


def test_no_secret_is_in_the_file() -> None:
    values = [pair for service in SERVICES.values() for pair in service.get("environment", {}).items()]
    secrets = {name: value for name, value in values if SECRET.search(name)}
    assert set(secrets) == {"GRAFANA_ADMIN_PASSWORD"}
    assert [name for name, value in secrets.items() if not ASKED_FOR.fullmatch(value)] == []


@pytest.mark.parametrize("name", [name for name, service in OURS.items() if "entrypoint" not in service])
def test_every_command_of_loadgen_is_one_that_it_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = OURS[name]["environment"]
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    word, *flags = OURS[name]["command"]
    (settings,) = [command.parse(flags).settings for command in WITH_SETTINGS if command.settings.command == word]
    taken = settings.public_dict()
    assert {variable: taken[variable.removeprefix("LOADGEN_").lower()] for variable in given} == given


def test_there_is_a_profile_for_each_part_of_loadgen_and_for_the_schema_registry() -> None:
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "loadgen": ["loadgen"],
        "consumer": ["consumer"],
        "dashboard": ["dashboard"],
        "locust": ["locust"],
        "registry": ["registry"],
    }

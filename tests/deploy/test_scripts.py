"""The scripts in the containers do what their comments say: run here with stand-ins for the programs they call."""

import itertools
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadgen.kafka.check import ANY_TIME
from tests.deploy.files import ROOT, SERVICES

DOCKER = ROOT / "deploy/docker"
SCRIPTS = sorted(DOCKER.rglob("*.sh"))
STATE = '{"FSState" : "%s", "NumLiveDataNodes" : %d, "CapacityRemaining" : %d}'


def stand_in(path: Path, text: str) -> None:
    """A program that does this instead."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(
    script: Path, *arguments: object, variables: dict[str, str] | None = None, programs: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{programs or '/nonexistent'}:{os.environ['PATH']}", **(variables or {})}
    command = ["bash", str(script), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)


@contextmanager
def broker(n_brokers: int) -> Iterator[tuple[int, list[bytes]]]:
    """Answers one Metadata request: its port, and what it was asked."""
    asked: list[bytes] = []

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            asked.append(connection.recv(4))
            asked.append(connection.recv(int.from_bytes(asked[0])))
            connection.sendall(struct.pack(">iiii", 100, 1, 0, n_brokers) + b"\0" * 88)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        yield server.getsockname()[1], asked
        thread.join(timeout=10)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_shell_and_shellcheck_take_every_script(script: Path) -> None:
    checks = [["bash", "-n"], *([["shellcheck"]] if shutil.which("shellcheck") else [])]
    said = [subprocess.run([*check, str(script)], capture_output=True, text=True) for check in checks]
    assert [done.stdout + done.stderr for done in said if done.returncode] == []


@pytest.mark.parametrize(("n_brokers", "healthy"), [(3, True), (2, True), (1, False)])
def test_a_broker_is_healthy_when_it_knows_enough_brokers_to_take_events(n_brokers: int, healthy: bool) -> None:
    with broker(n_brokers) as (port, asked):
        done = run(DOCKER / "kafka/healthy.sh", port)
    assert (done.returncode == 0, done.stdout) == (healthy, f"knows {n_brokers} brokers\n")
    body = struct.pack(">hhih", 3, 5, 1, -1) + struct.pack(">ib", 0, 0)
    assert asked == [struct.pack(">i", len(body)), body]


def test_a_broker_that_does_not_listen_is_not_healthy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so that nobody else takes it, but not listening
        assert run(DOCKER / "kafka/healthy.sh", taken.getsockname()[1]).returncode != 0


def topic_variables(home: Path) -> dict[str, str]:
    variables = {name: str(value) for name, value in SERVICES["topic"]["environment"].items()}
    return {"KAFKA_HOME": str(home), **variables}


def test_the_topic_is_made_as_loadgen_itself_would_make_it(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin/kafka-topics.sh", f'echo "$@" > {tmp_path}/said')
    assert run(DOCKER / "kafka/make-topic.sh", variables=topic_variables(tmp_path)).returncode == 0
    words = (tmp_path / "said").read_text().split()
    flags = dict(itertools.pairwise(words))
    assert flags["--bootstrap-server"] == SERVICES["topic"]["environment"]["BROKERS"]
    assert (flags["--topic"], flags["--partitions"], flags["--replication-factor"]) == (
        "music-streaming-events",
        "12",
        "3",
    )
    assert [f"{name}={value}" for name, value in ANY_TIME.items()] == [flags["--config"]]
    assert {"--create", "--if-not-exists"} <= set(words)


def test_making_the_topic_is_tried_again_and_given_up_in_the_end(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin/sleep", "true")
    stand_in(tmp_path / "bin/kafka-topics.sh", f'echo x >> {tmp_path}/tries; [ "$(wc -l < {tmp_path}/tries)" = 3 ]')
    script, variables = DOCKER / "kafka/make-topic.sh", topic_variables(tmp_path)
    assert run(script, variables=variables, programs=tmp_path / "bin").returncode == 0
    done = run(script, variables=variables, programs=tmp_path / "bin")
    assert done.returncode == 1
    assert "docker compose logs" in done.stderr
    assert len((tmp_path / "tries").read_text().splitlines()) == 13


@pytest.mark.parametrize(
    ("state", "takes_files"),
    [
        (("Operational", 1, 1000), True),
        (("safeMode", 1, 1000), False),
        (("Operational", 0, 0), False),
        (("Operational", 1, 0), False),
    ],
)
def test_hdfs_takes_files_when_it_is_out_of_safe_mode_and_has_room(
    state: tuple[str, int, int], takes_files: bool, tmp_path: Path
) -> None:
    stand_in(tmp_path / "curl", f"echo '{STATE % state}'")
    assert (run(DOCKER / "hdfs/takes-files.sh", programs=tmp_path).returncode == 0) is takes_files


def test_hdfs_that_does_not_answer_takes_no_files(tmp_path: Path) -> None:
    stand_in(tmp_path / "curl", "exit 7")
    assert run(DOCKER / "hdfs/takes-files.sh", programs=tmp_path).returncode != 0


def test_only_a_namenode_without_data_is_formatted(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin/hdfs", f'echo "$@" >> {tmp_path}/said')
    script = tmp_path / "start.sh"
    script.write_text((DOCKER / "hdfs/start.sh").read_text().replace("/hadoop/name", f"{tmp_path}/name"))
    variables = {"HADOOP_HOME": str(tmp_path)}
    assert run(script, "datanode", variables=variables).returncode == 0
    assert run(script, "namenode", variables=variables).returncode == 0
    (tmp_path / "name/current").mkdir(parents=True)
    (tmp_path / "name/current/VERSION").touch()
    assert run(script, "namenode", variables=variables).returncode == 0
    said = (tmp_path / "said").read_text().splitlines()
    assert said == ["datanode", "namenode -format -force -nonInteractive", "namenode", "namenode"]


def admin_password(tmp_path: Path, given: str) -> str:
    stand_in(tmp_path / "run.sh", 'echo "$GF_SECURITY_ADMIN_PASSWORD"')
    script = tmp_path / "start.sh"
    script.write_text((DOCKER / "grafana/start.sh").read_text().replace("/run.sh", f"{tmp_path}/run.sh"))
    return run(script, variables={"GRAFANA_ADMIN_PASSWORD": given}).stdout.strip()


def test_grafanas_password_is_the_users_or_one_that_nobody_knows(tmp_path: Path) -> None:
    assert admin_password(tmp_path, "chosen") == "chosen"
    unknown = [admin_password(tmp_path, "") for _ in range(2)]
    assert len(set(unknown)) == 2
    assert min(map(len, unknown)) >= 40

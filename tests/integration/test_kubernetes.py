"""What the pods of deploy/k8s run, as processes: shards of a run, their manifests, one verify; and Locust's list."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from loadgen.kafka.embedded import EmbeddedBroker
from tests.deploy.kubernetes import FOLDER, here, named, words
from tests.integration.locusts import ROOT, TOPIC, n_in_topic, wait_until

SMALL = {
    "LOADGEN_USERS": "2000",
    "LOADGEN_RATE": "1500/s",
    "LOADGEN_DURATION": "4s",
    "LOADGEN_WORKERS": "1",
    "LOADGEN_TRACKS": "10558",
    "LOADGEN_METRICS_PORT": "0",
    "LOADGEN_THRESHOLD": "failed == 0",
}
"""A variable goes before the scenario's file. How soon all pods on one machine are acknowledged is not asked here."""


def _environment(address: str, bin_folder: Path) -> dict[str, str]:
    """One in which `loadgen` is this checkout's."""
    program = bin_folder / "loadgen"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m loadgen "$@"\n')
    program.chmod(0o755)
    path = f"{bin_folder}:{os.environ['PATH']}"
    return {**os.environ, **SMALL, "LOADGEN_BROKERS": address, "PYTHONPATH": str(ROOT), "PATH": path}


def test_shards_by_index_make_manifests_that_one_verify_takes(tmp_path: Path) -> None:
    etc, lib, programs = (tmp_path / name for name in ("etc", "lib", "bin"))
    for folder in (etc, lib, programs):
        folder.mkdir()
    shutil.copy(FOLDER / "scenario.toml", etc)
    with EmbeddedBroker(TOPIC) as broker:
        environment = _environment(broker.address, programs)
        n_shards = named("loadgen-run", "Job")["spec"]["completions"]
        commands = [here(words("loadgen-run", JOB_COMPLETION_INDEX=str(i)), etc, lib) for i in range(n_shards)]
        pods = [subprocess.Popen(one, cwd=lib, env=environment, stderr=subprocess.PIPE) for one in commands]
        said = [pod.communicate(timeout=120)[1].decode()[-2000:] for pod in pods]
        assert [pod.returncode for pod in pods] == [0] * n_shards, said
        assert sorted(path.name for path in lib.glob("*.json")) == [f"shard-{i}.json" for i in range(n_shards)]
        command = here(words("loadgen-verify"), etc, lib)
        verify = subprocess.run(command, cwd=lib, env=environment, capture_output=True, text=True, check=False)
    assert verify.returncode == 0, verify.stdout + verify.stderr


def test_a_shard_that_is_evicted_fails_its_index(tmp_path: Path) -> None:
    etc, lib, programs = (tmp_path / name for name in ("etc", "lib", "bin"))
    for folder in (etc, lib, programs):
        folder.mkdir()
    shutil.copy(FOLDER / "scenario.toml", etc)
    with EmbeddedBroker(TOPIC) as broker:
        environment = _environment(broker.address, programs) | {"LOADGEN_DURATION": "60s"}
        command = here(words("loadgen-run", JOB_COMPLETION_INDEX="0"), etc, lib)
        pod = subprocess.Popen(command, cwd=lib, env=environment, stderr=subprocess.PIPE)
        wait_until(lambda: n_in_topic(broker.address) > 0, 60)
        pod.send_signal(signal.SIGTERM)
        said = pod.communicate(timeout=60)[1].decode()
    assert pod.returncode == 143, said
    summary = json.loads((lib / "shard-0.json").read_text())["summary"]
    assert (summary["exit_reason"], summary["delivered"]) == ("terminated early", summary["planned"])


def test_the_locust_pods_have_loadgens_crowds() -> None:
    command = [sys.executable, "-m", "locust", "-f", str(FOLDER / "locustfile.py"), "--list"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert set(said.split()[2:]) == {"MainstreamListener", "IndieListener", "MixedListener"}

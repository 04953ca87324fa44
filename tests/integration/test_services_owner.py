"""Services that tests start end with the tests, whichever process between the script and the service is killed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.integration.local import CI_PID, Local, processes_of
from tests.runner.program import wait_until

ROOT = Path(__file__).parents[2]
UP_S, GONE_S = 90.0, 5.0
AS_TESTS_DO = """
import sys, time
from pathlib import Path
from tests.integration.local import Local
Local(Path(sys.argv[1]), sys.argv[3:], int(sys.argv[2])).up()
time.sleep(600)
"""
A_SCRIPT = f'export {CI_PID}=$$; "$@"; true'
"""`true`, so that the shell stays the parent of what it runs."""


@contextmanager
def owner_of(local: Local) -> Iterator[psutil.Process]:
    """A script that runs a test program that starts the services; the script. Both are killed at the end."""
    words = [sys.executable, "-c", AS_TESTS_DO, str(local.data), str(local.kafka_port), *local.flags]
    with subprocess.Popen(["bash", "-c", A_SCRIPT, "ci", *words], cwd=ROOT, stderr=subprocess.DEVNULL) as script:
        wait_until(lambda: bool(psutil.Process(script.pid).children()))
        family = [*psutil.Process(script.pid).children(), psutil.Process(script.pid)]
        try:
            yield family[-1]
        finally:
            for process in family:
                if process.is_running():
                    process.kill()


def the_program(script: psutil.Process, _local: Local) -> psutil.Process:
    """What starts the services: pytest, where tests do."""
    return script.children()[0]


def the_script(script: psutil.Process, _local: Local) -> psutil.Process:
    """What `.ci/run` is to the tests."""
    return script


def the_guard(_script: psutil.Process, local: Local) -> psutil.Process:
    """The process between the program and java."""
    parent = processes_of(local)[0].parent()
    assert parent is not None
    return parent


@pytest.fixture
def local(needs_java: None, tmp_path: Path) -> Iterator[Local]:
    """A broker that is not up yet; down at the end."""
    local = Local(tmp_path / "data", ["--only", "kafka"])
    yield local
    local.down()


@pytest.mark.parametrize("victim", [the_program, the_script, the_guard])
def test_no_java_outlives_a_killed_owner_and_the_next_up_works(
    local: Local, victim: Callable[[psutil.Process, Local], psutil.Process]
) -> None:
    with owner_of(local) as script:
        wait_until(lambda: "runs" in local.call("status").stdout, UP_S)
        victim(script, local).kill()
        wait_until(lambda: not processes_of(local), GONE_S)
        local.up()
        assert [process.pid for process in processes_of(local)] == list(local.pids().values())


@pytest.mark.parametrize("after_s", [0.5, 2.0])  # while it formats, and while the broker starts
def test_no_java_outlives_an_owner_that_is_killed_before_the_services_are_ready(local: Local, after_s: float) -> None:
    with owner_of(local) as script:
        time.sleep(after_s)
        the_program(script, local).kill()
    time.sleep(0.5)
    wait_until(lambda: not processes_of(local), GONE_S)
    local.up()
    assert set(local.pids()) == {"kafka-1"}


def test_an_owner_that_has_ended_is_refused(local: Local) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    done = local.call("up", f"--owner={ended.pid}")
    assert done.returncode == 1
    assert f"no process has the pid {ended.pid} of --owner" in done.stderr
    assert processes_of(local) == []


@pytest.mark.parametrize(("required", "code", "said"), [("1", 1, "1 error"), ("", 0, "1 skipped")])
def test_without_java_tests_are_skipped_with_the_reason_unless_they_are_required(
    tmp_path: Path, required: str, code: int, said: str
) -> None:
    test = "tests/integration/test_services.py::test_a_second_up_changes_nothing_and_down_leaves_nothing"
    variables = {**os.environ, "PATH": str(tmp_path), "CI": "", "TEST_REQUIRE_SERVICES": required}
    command = [sys.executable, "-m", "pytest", "-m", "integration", "-rs", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stdout
    assert "needs java and mvn: apt install openjdk-17-jre-headless maven" in done.stdout

"""Processes that are tied to this one."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from loadgen.pipeline.child import Child, how_it_ended
from tests.pipeline.program import is_gone
from tests.runner.program import wait_until

PARENT = """
import subprocess, sys, time, os
child = subprocess.Popen([sys.executable, "-c", CHILD, str(os.getpid())])
print(child.pid, flush=True)
time.sleep(60)
"""
CHILD = """
import sys, time
from loadgen.pipeline.tied import tie_to
tie_to(int(sys.argv[1]))
print("tied", flush=True)
time.sleep(60)
"""


def test_a_tied_process_ends_with_its_parent_even_if_it_stands_still() -> None:
    program = f"CHILD = {CHILD!r}\n{PARENT}"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "tied\n"
        child.send_signal(signal.SIGSTOP)
        parent.kill()
    try:
        wait_until(lambda: is_gone(child))
    finally:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def test_one_whose_parent_ended_before_it_could_be_tied_ends_at_once() -> None:
    code = subprocess.run([sys.executable, "-c", CHILD, "1"], timeout=20, check=False).returncode
    assert code == 1


def test_what_it_says_goes_into_its_log_and_errors_are_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("error: of a life before\n")
    child = Child(["consume", "--until-idle", "never"], log, {"PYTHONPATH": ":".join(sys.path)})
    wait_until(lambda: child.code() is not None)
    words = child.last_words()
    assert (child.code(), len(words)) == (2, 2)
    assert words[1].startswith("error: consume needs a broker") or words[0].startswith("error: consume needs a broker")
    assert not child.has_descendants()
    child.kill()
    assert how_it_ended(2) == "exit code 2"
    assert how_it_ended(-9) == "killed by SIGKILL"


def test_killing_it_kills_what_it_has_started(tmp_path: Path) -> None:
    child = Child(
        ["dashboard", "--store", str(tmp_path), "--port", "0"], tmp_path / "log", {"PYTHONPATH": ":".join(sys.path)}
    )
    wait_until(lambda: len(psutil.Process(child.pid).children()) > 0)
    others = psutil.Process(child.pid).children()
    child.kill()
    wait_until(lambda: all(map(is_gone, others)))
    assert child.code() == -9

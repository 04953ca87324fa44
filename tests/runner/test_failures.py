"""Whatever is killed or stopped, the ledger adds up and equals what was written."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.runner.program import TRACKS, adds_up, lines_in, run_here, start, start_bare, wait_until

START = ("--start", "2026-01-05", "--seed", "5")
AS_LEADER = """
import os, sys
os.setsid()
os.close(os.open(os.ttyname(2), os.O_RDWR))  # it is the terminal of this session now
os.execv(sys.argv[1], sys.argv[1:])
"""


def undisturbed(folder: Path, *flags: str) -> set[bytes]:
    """What the same run writes when nothing happens to it."""
    code, _, shown = run_here(folder, "--folder", "calm", "--workers", "2", *START, *flags)
    assert code == 0, shown
    return set(lines_in(folder / "calm"))


def test_a_killed_workers_shard_goes_on_and_every_event_is_written_exactly_once(tmp_path: Path) -> None:
    flags = ("--users", "3000", "--events", "120000", "--rate", "40k/s")
    program = start(tmp_path, "--folder", "out", "--workers", "2", *START, *flags)
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 20_000)
    program.kill_a_worker()
    code, summary, shown = program.end()
    lines = lines_in(tmp_path / "out")
    assert summary["restarts"] == 1, shown
    assert summary["planned"] == summary["delivered"] == len(lines) == 120_000
    assert len(set(lines)) == 120_000
    assert set(lines) == undisturbed(tmp_path, "--users", "3000", "--events", "120000", "--rate", "max")
    is_in_time = summary["limited_by"] == "schedule"  # a busy machine takes more than a second to start a worker again
    assert code == (0 if is_in_time else 1), shown


@pytest.mark.slow
def test_lines_that_a_killed_worker_may_have_sent_twice_are_counted(tmp_path: Path) -> None:
    flags = ("--users", "3000", "--events", "120000", "--rate", "40k/s")
    program = start(tmp_path, "--output", "out.jsonl", "--workers", "2", *START, *flags)
    wait_until(lambda: (tmp_path / "out.jsonl").exists() and len(lines_in(tmp_path)) > 20_000)
    program.kill_a_worker()
    _, summary, shown = program.end()
    lines = lines_in(tmp_path)
    assert summary["restarts"] == 1, shown
    assert adds_up(summary)
    assert summary["delivered"] == len(set(lines)) == 120_000
    assert len(lines) - len(set(lines)) <= summary["repeated_possibly"]


def test_a_killed_worker_ends_the_run_where_that_is_asked_for(tmp_path: Path) -> None:
    flags = ("--users", "3000", "--duration", "60s", "--on-worker-death", "fail", "--rate", "5k/s")
    program = start(tmp_path, "--folder", "out", "--workers", "2", *START, *flags)
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 1000)
    program.kill_a_worker()
    code, summary, shown = program.end()
    assert code == 1
    assert "worker" in shown
    assert "died" in shown
    assert adds_up(summary)
    assert summary["delivered"] <= len(set(lines_in(tmp_path / "out")))


@pytest.mark.parametrize(
    ("ends", "number", "code", "reason", "cut_short"),
    [
        (["--continuous"], signal.SIGINT, 130, "interrupted", None),
        (["--continuous"], signal.SIGTERM, 0, "terminated", None),
        (
            ["--events", "10M"],
            signal.SIGTERM,
            143,
            "terminated early",
            r"stopped after .* of 10,000,000 events: .*",
        ),
        (["--duration", "60s"], signal.SIGHUP, 129, "hung up early", r"stopped after .* s of 60.0 s: SIGHUP.*"),
    ],
)
def test_a_signal_drains_the_run_and_loses_nothing(
    tmp_path: Path, ends: list[str], number: signal.Signals, code: int, reason: str, cut_short: str | None
) -> None:
    program = start(tmp_path, "--folder", "out", "--users", "2000", *ends, "--rate", "20k/s", *START)
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 5000)
    program.signal(number)
    found, summary, shown = program.end()
    assert (found, summary["exit_reason"]) == (code, reason), shown
    assert re.fullmatch(cut_short, summary["cut_short"]) if cut_short else summary["cut_short"] is None
    assert ("until then the schedule was kept" in shown) == bool(cut_short)
    assert ("every planned event was delivered" in shown) != bool(cut_short)
    assert adds_up(summary)
    assert summary["planned"] == summary["delivered"] == len(lines_in(tmp_path / "out"))
    manifest = json.loads((tmp_path / summary["manifest"]).read_text())
    assert sum(manifest["sinks"]["files"]["fingerprint"]["count"]) == summary["delivered"]


def test_a_second_signal_ends_the_run_at_once_and_still_says_what_was_left(tmp_path: Path) -> None:
    program = start(tmp_path, "--output", "out.jsonl", "--users", "2000", "--continuous", "--rate", "20k/s", *START)
    wait_until(lambda: len(lines_in(tmp_path)) > 20_000)
    for worker in program.workers():
        worker.suspend()  # it will not answer "drain"
    program.signal(signal.SIGINT)
    time.sleep(0.5)  # two signals at the same moment are one
    assert program.process.poll() is None
    program.signal(signal.SIGINT)
    code, summary, shown = program.end(15.0)
    assert (code, summary["exit_reason"]) == (1, "interrupted twice"), shown
    assert summary["limited_by"] == "unknown"
    assert "the schedule was kept" not in shown
    assert "Ctrl-C twice" in summary["cut_short"]
    assert "one Ctrl-C would have waited" in summary["error"]
    assert adds_up(summary)
    assert 0 < summary["delivered"] <= len(lines_in(tmp_path))


@pytest.mark.parametrize("delay_s", [0.1, 0.7])
def test_two_ctrl_c_during_the_start_are_no_traceback(tmp_path: Path, delay_s: float) -> None:
    program = start_bare(tmp_path, "--users", "200", "--folder", "out", start_new_session=True, text=True)
    wait_until(lambda: len(psutil.Process(program.pid).children()) > 0)
    time.sleep(delay_s)  # the fork server and the workers import what they need
    for _ in range(2):
        os.killpg(program.pid, signal.SIGINT)
        time.sleep(0.05)
        if program.poll() is not None:
            break
    _, said = program.communicate(timeout=90)
    assert program.returncode in (1, 130), said  # 1: both came when it had begun
    assert "Traceback" not in said


def test_a_terminal_that_is_closed_drains_the_run(tmp_path: Path) -> None:
    words = ["run", "--metrics-port", "0", "--tracks", TRACKS, "--users", "2000", "--duration", "60s", *START]
    command = [sys.executable, "-m", "loadgen", *words, "--rate", "20k/s", "--folder", "out", "--manifest", "m.json"]
    ours, theirs = pty.openpty()
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    leader = [sys.executable, "-c", AS_LEADER, *command]
    program = subprocess.Popen(leader, cwd=tmp_path, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    while len(lines_in(tmp_path / "out")) < 5000:
        os.read(ours, 1 << 16)
    os.close(ours)
    assert program.wait(timeout=90) == 129
    manifest = json.loads((tmp_path / "m.json").read_text())
    assert manifest["summary"]["exit_reason"] == "hung up early"
    assert manifest["summary"]["delivered"] == len(lines_in(tmp_path / "out"))


def test_workers_do_not_outlive_a_killed_coordinator(tmp_path: Path) -> None:
    program = start(tmp_path, "--folder", "out", "--users", "2000", "--continuous", "--rate", "5k/s", *START)
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 1000)
    workers = program.workers()
    program.signal(signal.SIGKILL)
    program.process.communicate(timeout=90)
    wait_until(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers))
    assert all(json.loads(line) for line in lines_in(tmp_path / "out"))


def test_a_folder_of_temporary_files_with_too_long_a_path_is_said(tmp_path: Path) -> None:
    (long := tmp_path / ("x" * 75)).mkdir()
    code, _, said = start(tmp_path, "--events", "1", env={"TMPDIR": str(long)}).end()
    assert (code, "at most 75 bytes, got" in said, "set TMPDIR to another folder" in said) == (1, True, True), said

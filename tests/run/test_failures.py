"""Whatever is killed or stopped, the ledger adds up and equals what was written."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.run.program import adds_up, lines_in, start, wait_until

START = ("--start", "2026-01-05", "--seed", "5")


def undisturbed(folder: Path, *flags: str) -> set[bytes]:
    """What the same run writes when nothing happens to it."""
    code, _, shown = start(folder, "--folder", "calm", "--workers", "2", *START, *flags).end()
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
    ("number", "code", "reason"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 0, "terminated")]
)
def test_a_signal_drains_the_run_and_loses_nothing(
    tmp_path: Path, number: signal.Signals, code: int, reason: str
) -> None:
    program = start(tmp_path, "--folder", "out", "--users", "2000", "--continuous", "--rate", "20k/s", *START)
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 5000)
    program.signal(number)
    found, summary, shown = program.end()
    assert (found, summary["exit_reason"]) == (code, reason), shown
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
    assert adds_up(summary)
    assert 0 < summary["delivered"] <= len(lines_in(tmp_path))


def test_workers_do_not_outlive_a_killed_coordinator(tmp_path: Path) -> None:
    program = start(tmp_path, "--folder", "out", "--users", "2000", "--continuous", "--rate", "5k/s", *START)
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 1000)
    workers = program.workers()
    program.signal(signal.SIGKILL)
    program.process.communicate(timeout=20)
    wait_until(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers))
    assert all(json.loads(line) for line in lines_in(tmp_path / "out"))

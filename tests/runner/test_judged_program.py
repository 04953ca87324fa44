"""The real program is judged: thresholds, warm-up, what limited it, windows; exit code, words and JSON say the same."""

import json
import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.mock_cluster import MockCluster
from tests.runner.program import Program, adds_up, lines_in, run_here, start, wait_until
from tests.runner.test_percentile_log import rows_of

pytestmark = pytest.mark.slow  # whole runs, by the clock

FLAGS = ("--start", "2026-01-05", "--seed", "5", "--users", "2000")
NOWHERE = (*FLAGS, "--discard", "--workers", "2")
WINDOW_SUMS = ("delivered", "failed", "dropped", "n_bytes")


def manifest_of(folder: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a run in this folder."""
    found: dict[str, Any] = json.loads((folder / summary["manifest"]).read_text())
    return found


def test_thresholds_that_are_kept_and_broken_are_all_shown_and_one_that_is_broken_fails_the_run(tmp_path: Path) -> None:
    good = (
        "failed == 0",
        "rate >= 0.95 * target",
        "p99(ack) < 10s over 1s",
        "in_flight < 1M",
        "max(latency) < 1min abort",
    )
    bad = ("delivered > 1M", "active > 1M over 1s")
    flags = (*NOWHERE, "--rate", "2k/s", "--duration", "2s")
    kept = start(tmp_path, *flags, *(word for expr in good for word in ("--threshold", expr)))
    broken = start(tmp_path, *flags, "--threshold", *good, *bad)
    code, summary, shown = kept.end()
    assert code == 0, shown
    assert [(one["expr"], one["passed"]) for one in summary["thresholds"]] == [(expr, True) for expr in good]
    code, summary, shown = broken.end()
    assert code == 1, shown
    assert [one["passed"] for one in summary["thresholds"]] == [True] * len(good) + [False] * len(bad)
    for one in summary["thresholds"]:
        mark = f"✓ {one['expr']}: " if one["passed"] else f"✗ {one['expr']} is broken: "
        assert sum(line.startswith(mark) for line in shown.splitlines()) == 1, shown
    assert "✗ delivered > 1M is broken: 4,000 at 2." in shown
    manifest = manifest_of(tmp_path, summary)
    assert manifest["summary"]["thresholds"] == summary["thresholds"]
    assert manifest["settings"]["threshold"] == [*good, *bad]


def test_a_threshold_with_abort_ends_the_run_in_order_as_soon_as_it_is_broken(tmp_path: Path) -> None:
    runs = [
        start(tmp_path, *FLAGS, "--folder", f"out{n}", "--rate", "2k/s", "--duration", "60s", "--threshold", expr)
        for n, expr in enumerate(("delivered < 3k abort", "max(latency) < 1us over 2s abort"))
    ]
    for n, program in enumerate(runs):
        code, summary, shown = program.end(30.0)
        assert code == 1, shown
        assert summary["exit_reason"] == "threshold"
        assert summary["elapsed_s"] < 15
        assert summary["limited_by"] == "schedule"
        assert summary["thresholds"][0]["at_s"] == pytest.approx(2.0, abs=1.3)
        assert adds_up(summary)
        assert summary["planned"] == summary["delivered"] == len(lines_in(tmp_path / f"out{n}"))


def test_a_generator_that_misses_its_own_target_says_so_and_why(tmp_path: Path) -> None:
    code, summary, shown = start(
        tmp_path, *FLAGS, "--discard", "--workers", "1", "--rate", "50M/s", "--duration", "2s"
    ).end()
    assert code == 1, shown
    assert summary["limited_by"] == "generator CPU"
    assert summary["target_per_s"] == pytest.approx(50e6, rel=1e-3)
    assert summary["achieved_per_s"] < 20e6
    share = summary["achieved_per_s"] / summary["target_per_s"]
    assert f"the generator MISSED its own target, {share:.1%} of it was achieved: limited by generator CPU" in shown
    assert "the schedule was kept" not in shown


def test_a_slow_disk_is_what_limits_a_run_that_waits_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "out.jsonl"
    os.mkfifo(pipe)
    program = start(tmp_path, *FLAGS, "--output", str(pipe), "--workers", "1", "--rate", "50k/s", "--duration", "3s")
    reader = threading.Thread(target=_read_slowly, args=(pipe, 1 << 20), daemon=True)
    reader.start()
    code, summary, shown = program.end()
    assert code == 1, shown
    assert summary["limited_by"] == "disk"
    assert "MISSED its own target" in shown


def _read_slowly(pipe: Path, bytes_per_s: int) -> None:
    with pipe.open("rb", buffering=0) as stream:
        began = time.monotonic()
        while stream.read(bytes_per_s // 20) and time.monotonic() - began < 5:
            time.sleep(0.05)
        while stream.read(1 << 20):
            pass


def test_a_broker_that_answers_late_fills_the_queue_and_is_named_where_that_is_why(tmp_path: Path) -> None:
    small = ("--kafka-option", "queue.buffering.max.messages=1000", "--kafka-option", "max.in.flight=1")
    flags = (*FLAGS, "--topic", "t", "--workers", "1", "--rate", "30k/s", "--duration", "4s", *small)
    with MockCluster(partitions=1) as soon, MockCluster(partitions=1) as late:
        delays_ms = {soon: 150, late: 800}
        for cluster, delay_ms in delays_ms.items():
            cluster.delay(400, delay_ms)
        programs = [start(tmp_path, "--brokers", cluster.address, *flags) for cluster in delays_ms]
        ends = [program.end() for program in programs]
    for (code, summary, shown), delay_ms in zip(ends, delays_ms.values(), strict=True):
        assert code == 1, shown
        assert summary["ack_ms"]["p50"] > 0.9 * delay_ms
        assert summary["intended_to_ack_ms"]["p99"] > summary["ack_ms"]["p99"] + 1000
        assert "from the send, which hides how long events waited before: " in shown
    assert [summary["limited_by"] for _, summary, _ in ends] == ["full queue", "broker round trip"]


def test_the_warm_up_is_in_the_ledger_and_in_no_figure(tmp_path: Path) -> None:
    flags = ("--rate", "2k/s", "--duration", "4s", "--warm-up", "1.9", "--percentile-log", "logs/new")
    code, summary, shown = run_here(tmp_path, *NOWHERE, *flags, "--threshold", "delivered <= 4500")
    assert code == 0, shown
    assert summary["planned"] == summary["delivered"] == 8000
    assert summary["scheduled"] == pytest.approx(8000, abs=1)
    assert summary["measured_from_s"] == pytest.approx(2.0, abs=0.3)
    left_s = summary["elapsed_s"] - summary["measured_from_s"]
    assert summary["target_per_s"] == pytest.approx(2000, rel=0.01)
    assert summary["achieved_per_s"] == pytest.approx(2000, rel=0.05)
    assert "s of warm-up; schedule lag" in shown
    manifest = manifest_of(tmp_path, summary)
    assert manifest["history"][0]["start_s"] == 0
    measured = manifest["measured"]
    assert measured["planned"] == measured["delivered"] == pytest.approx(2000 * left_s, rel=0.05)
    assert sorted(path.name for path in (tmp_path / "logs/new").iterdir()) == [
        "ack.hgrm",
        "intended_to_ack.hgrm",
        "schedule_lag.hgrm",
    ]
    for name in ("ack", "intended_to_ack", "schedule_lag"):
        rows = rows_of((tmp_path / f"logs/new/{name}.hgrm").read_text())
        assert rows[-1][2] == sum(measured[name]["counts"]) == pytest.approx(2000 * left_s, rel=0.05)
        assert rows[-1][0] == pytest.approx(summary[f"{name}_ms"]["max"], abs=2e-3)
        median = next(value_ms for value_ms, share, _ in rows if share == 0.5)
        assert median == pytest.approx(summary[f"{name}_ms"]["p50"], abs=2e-3)


def test_a_run_that_ends_in_its_warm_up_says_that_nothing_was_measured_and_fails(tmp_path: Path) -> None:
    flags = ("--rate", "5k/s", "--events", "4000", "--warm-up", "30", "--threshold", "failed == 0")
    code, summary, shown = run_here(tmp_path, *NOWHERE, *flags)
    assert code == 1, shown
    assert "the run ended in its warm-up: nothing was measured; lower --warm-up, or let it run longer" in shown
    assert "the schedule was kept" not in shown
    assert (summary["delivered"], summary["measured_from_s"], summary["limited_by"]) == (4000, None, "unknown")
    assert summary["ack_ms"]["max"] is None


def test_a_place_for_percentiles_that_cannot_be_written_is_found_before_the_first_event(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    flags = ("--folder", "out", "--events", "10", "--percentile-log", "file/logs")
    code, summary, shown = run_here(tmp_path, *FLAGS, *flags)
    assert code == 1
    assert "cannot write 'file/logs': " in shown
    assert summary == {}
    assert not (tmp_path / "out").exists() or lines_in(tmp_path / "out") == []


def whole_history(folder: Path, program: Program) -> dict[str, Any]:
    """The summary, once the windows have no gap and their sums are the run's."""
    code, summary, shown = program.end()
    assert code in (0, 1), shown
    windows = manifest_of(folder, summary)["history"]
    assert windows[0]["start_s"] == 0
    assert all(before["end_s"] == after["start_s"] for before, after in pairwise(windows))
    assert windows[-1]["end_s"] >= summary["elapsed_s"] - 0.01
    for name in WINDOW_SUMS:
        total = summary["bytes" if name == "n_bytes" else name]
        assert sum(window[name] for window in windows) == total, name
    assert sum(window["scheduled"] for window in windows) == pytest.approx(
        summary["scheduled"], abs=0.01 * len(windows)
    )
    return summary


def test_the_windows_of_a_run_have_no_gap_and_add_up_though_a_worker_dies(tmp_path: Path) -> None:
    program = start(tmp_path, *FLAGS, "--folder", "out", "--workers", "2", "--rate", "10k/s", "--duration", "4s")
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 8_000)
    program.kill_a_worker()
    summary = whole_history(tmp_path, program)
    assert summary["restarts"] == 1
    assert summary["planned"] == summary["delivered"] == 40_000

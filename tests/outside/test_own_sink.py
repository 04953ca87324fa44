"""A sink of somebody else, in a package that loadgen does not know, is as good as one of loadgen's own."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadgen.runner.messages import Checkpoint
from loadgen.verifier.manifest_spec import read_promises
from tests.runner.plans import plan_of
from tests.runner.program import start, start_program
from tests.runner.test_worker import run as run_worker

HERE = Path(__file__).parent
AT_ONCE = ("--rate", "max", "--users", "100", "--start", "2026-01-05", "--events", "3000", "--seed", "7")


def run(folder: Path, *flags: str) -> tuple[int, dict[str, Any], str]:
    path = f"{HERE}:{HERE.parents[1]}"
    return start(folder, *AT_ONCE, "--manifest", "m.json", *flags, env={"PYTHONPATH": path}).end()


def rows_of(folder: Path) -> list[bytes]:
    found: list[bytes] = []
    for path in sorted(folder.glob("events-*.db")):
        table = sqlite3.connect(path)
        found += [line for (line,) in table.execute("SELECT line FROM events")]
        table.close()
    return found


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_sink_of_somebody_else_gets_the_events_that_an_output_gets(tmp_path: Path, n_workers: int) -> None:
    flags = ("--workers", str(n_workers), "--output", "all.jsonl", "--sink", f"own_sink:TableSink?folder={tmp_path}")
    code, summary, shown = run(tmp_path, *flags)
    assert code == 0, shown
    assert len(list(tmp_path.glob("events-*.db"))) == n_workers
    assert sorted(rows_of(tmp_path)) == sorted((tmp_path / "all.jsonl").read_bytes().splitlines(keepends=True))
    counts = {"planned": 3000, "delivered": 3000, "failed": 0, "dropped": 0, "unfinished": 0}
    assert summary["sinks"]["own_sink:TableSink"] == counts
    ledgers = json.loads((tmp_path / "m.json").read_bytes())["sinks"]
    assert ledgers["own_sink:TableSink"]["fingerprint"] == ledgers["stream"]["fingerprint"]


def test_without_an_output_the_own_sink_is_the_ledger_that_verify_compares_files_with(tmp_path: Path) -> None:
    code, _, shown = run(tmp_path, "--workers", "1", "--sink", f"own_sink:TableSink?folder={tmp_path}")
    assert code == 0, shown
    assert "to sink" in shown
    assert "own_sink:TableSink" in shown
    (promise,) = read_promises([tmp_path / "m.json"], "file")
    assert (promise.sink, int(promise.delivered.count.sum())) == ("own_sink:TableSink", 3000)
    (tmp_path / "rows.jsonl").write_bytes(b"".join(rows_of(tmp_path)))
    verify = start_program(tmp_path, "verify", "m.json", "--files", "rows.jsonl", text=True)
    said = verify.communicate(timeout=50)
    assert verify.returncode == 0, said


def test_a_successor_gives_the_own_sink_what_its_predecessor_had_not_settled(tmp_path: Path) -> None:
    name = "tests.outside.own_sink:TableSink"
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    plans = [plan_of(sink=[f"{name}?folder={folder}"], events=500) for folder in (first, second)]
    run_worker(plans[0])
    rest = run_worker(plans[1], Checkpoint({name: np.array([200])})).last
    assert rows_of(second) == rows_of(first)[200:]
    assert rest.settled[name].tolist() == [500]


def test_a_sink_that_does_not_start_ends_the_run_before_its_first_event(tmp_path: Path) -> None:
    code, _, shown = run(tmp_path, "--workers", "1", "--output", "all.jsonl", "--sink", "own_sink:TableSink")
    assert code == 1
    assert "sink own_sink:TableSink must start in each worker, got KeyError" in shown
    assert (tmp_path / "all.jsonl").read_bytes() == b""

"""A sink of somebody else, in a package that loadgen does not know, is as good as one of loadgen's own."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import loadgen
from loadgen.runner.messages import Checkpoint
from loadgen.verifier.manifest_spec import read_promises
from tests.outside.my_package.sink import TableSink
from tests.runner.plans import plan_of
from tests.runner.program import TRACKS, start, start_program
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
    flags = (
        "--workers",
        str(n_workers),
        "--output",
        "all.jsonl",
        "--sink",
        f"my_package.sink:TableSink?folder={tmp_path}",
    )
    code, summary, shown = run(tmp_path, *flags)
    assert code == 0, shown
    assert len(list(tmp_path.glob("events-*.db"))) == n_workers
    assert sorted(rows_of(tmp_path)) == sorted((tmp_path / "all.jsonl").read_bytes().splitlines(keepends=True))
    counts = {"planned": 3000, "delivered": 3000, "failed": 0, "dropped": 0, "unfinished": 0, "aborted": 0}
    assert summary["sinks"]["my_package.sink:TableSink"] == counts
    ledgers = json.loads((tmp_path / "m.json").read_bytes())["sinks"]
    assert ledgers["my_package.sink:TableSink"]["fingerprint"] == ledgers["stream"]["fingerprint"]


def test_without_an_output_the_own_sink_is_the_ledger_that_verify_compares_files_with(tmp_path: Path) -> None:
    code, _, shown = run(tmp_path, "--workers", "1", "--sink", f"my_package.sink:TableSink?folder={tmp_path}")
    assert code == 0, shown
    assert "to sink" in shown
    assert "my_package.sink:TableSink" in shown
    (promise,) = read_promises([tmp_path / "m.json"], "file")
    assert (promise.sink, int(promise.delivered.count.sum())) == ("my_package.sink:TableSink", 3000)
    (tmp_path / "rows.jsonl").write_bytes(b"".join(rows_of(tmp_path)))
    verify = start_program(tmp_path, "verify", "m.json", "--files", "rows.jsonl", text=True)
    said = verify.communicate(timeout=50)
    assert verify.returncode == 0, said


def test_a_successor_gives_the_own_sink_what_its_predecessor_had_not_settled(tmp_path: Path) -> None:
    name = "tests.outside.my_package.sink:TableSink"
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    plans = [plan_of(sink=[f"{name}?folder={folder}"], events=500) for folder in (first, second)]
    run_worker(plans[0])
    rest = run_worker(plans[1], Checkpoint({name: np.array([200])})).last
    assert rows_of(second) == rows_of(first)[200:]
    assert rest.completed[name].tolist() == [500]


def test_a_sink_that_does_not_start_ends_the_run_before_its_first_event(tmp_path: Path) -> None:
    flags = ("--workers", "1", "--output", "all.jsonl", "--sink", "my_package.sink:TableSink?folder=missing")
    code, _, shown = run(tmp_path, *flags)
    assert code == 1
    assert "sink my_package.sink:TableSink must start in each worker, got OperationalError" in shown
    assert (tmp_path / "all.jsonl").read_bytes() == b""


def test_a_sink_whose_options_are_wrong_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    code, _, shown = run(tmp_path, "--workers", "1", "--output", "all.jsonl", "--sink", "my_package.sink:TableSink")
    assert code == 2
    assert "--sink my_package.sink:TableSink must be made from its options, got TypeError" in shown
    assert not (tmp_path / "all.jsonl").exists()


def test_the_library_takes_sinks_as_objects(tmp_path: Path) -> None:
    given: dict[str, Any] = {"users": 100, "events": 3000, "rate": "max", "workers": 2, "tracks": TRACKS}
    result = loadgen.run(**given, sinks=[TableSink(tmp_path)], manifest=tmp_path / "m.json")
    assert result.kept
    assert len(rows_of(tmp_path)) == 3000
    name = "tests.outside.my_package.sink:TableSink"
    assert [*result.summary["sinks"]] == json.loads((tmp_path / "m.json").read_bytes())["settings"]["sink"] == [name]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(rows_of(tmp_path)))
    assert loadgen.verify(tmp_path / "m.json", files=tmp_path / "rows.jsonl").proved


SCRIPT = """
import loadgen
class Kept(loadgen.SimpleSink):
    def __init__(self, path):
        self.path = path
    def write(self, batch):
        with open(f"{self.path}.{self.context.worker}", "ab") as file:
            file.write(batch.buffer())
if __name__ == "__main__":
    print(loadgen.run(users=100, events=500, rate="max", workers=1, tracks=10558, sinks=[Kept("out")]).kept)
"""


def in_python(folder: Path, *words: str) -> tuple[int, str, str]:
    env = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    ended = subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=50)
    return ended.returncode, ended.stdout, ended.stderr


def test_a_class_of_a_script_works_in_its_workers(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    assert in_python(tmp_path, "script.py") == (0, "True\n", "")
    assert (tmp_path / "out.0").read_bytes().count(b"\n") == 500


def test_a_class_of_a_shell_or_notebook_is_refused_in_words(tmp_path: Path) -> None:
    code, _, shown = in_python(tmp_path, "-c", SCRIPT)
    assert code == 1
    rule = "sink __main__:Kept must be in a module that workers can import, got a notebook or shell"
    assert shown.splitlines()[-1].endswith(
        f"{rule}; write its class into a file, such as my_sink.py, and import it from there"
    )

"""What `import loadgen` gives: streams of events for any consumer of Arrow, runs and proofs without a terminal."""

import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pytest

import loadgen
from tests.runner.program import TRACKS

README = Path(__file__).parents[1] / "README.md"
SMALL: dict[str, Any] = {"users": 300, "seed": 7, "start": "2026-01-05", "tracks": TRACKS}


def test_importing_the_package_imports_nothing_else() -> None:
    heavy = "('loadgen.', 'numpy', 'pyarrow', 'pydantic')"
    code = f"import sys, loadgen; print([name for name in sys.modules if name.startswith({heavy})])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_stream_is_a_table_a_reader_a_frame_and_batches_of_the_same_events_each_time() -> None:
    stream = loadgen.events(**SMALL, hours=2)
    table = stream.to_arrow()
    assert table.num_rows > 100
    assert table.schema.field("ts").type == pa.timestamp("ms", "UTC")
    assert pa.Table.from_batches(list(stream)) == table
    counts = duckdb.from_arrow(stream.to_reader()).aggregate("page, count(*)").fetchall()
    assert sum(n_events for _, n_events in counts) == table.num_rows
    assert stream.to_pandas().shape == (table.num_rows, table.num_columns)
    first, last = table["ts"][0].as_py(), table["ts"][-1].as_py()
    assert datetime(2026, 1, 5, tzinfo=UTC) <= first <= last < datetime(2026, 1, 5, 2, tzinfo=UTC)


def test_the_lines_of_python_in_the_readme_work_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(import .*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    known: dict[str, Any] = {}
    exec(block, known)
    assert known["table"].num_rows == len(known["frame"]) == known["plays"].height + known["others"]
    assert sum(n_events for _, n_events in known["pages"]) == known["table"].num_rows
    assert known["proof"].proved
    assert known["result"].kept


def test_lines_are_those_that_a_run_sends(tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    found = loadgen.run(**SMALL, end="2026-01-05T02:00", format="full", output=out, workers=2, manifest=tmp_path / "m")
    assert found.kept
    sent = out.read_bytes().splitlines(keepends=True)
    lines = [line for batch in loadgen.events(**SMALL, hours=2).lines() for line in batch.to_pylist()]
    assert sorted(lines) == sorted(sent)
    listened = [
        orjson.loads(line) for batch in loadgen.events(**SMALL, hours=1).lines("listen") for line in batch.to_pylist()
    ]
    assert {"user", "track", "duration"} <= listened[0].keys()


def test_a_run_and_its_proof_in_a_thread_say_what_the_command_line_says(tmp_path: Path) -> None:
    found: list[Any] = []

    def work() -> None:
        run = loadgen.run(
            **SMALL, events=500, rate="max", workers=1, output=tmp_path / "e.jsonl", manifest=tmp_path / "m.json"
        )
        found.append(run)
        found.append(loadgen.verify(run.manifest, files=[tmp_path / "e.jsonl"]))
        (tmp_path / "e.jsonl").write_bytes(b"".join((tmp_path / "e.jsonl").read_bytes().splitlines(True)[1:]))
        found.append(loadgen.verify(run.manifest, files=[tmp_path / "e.jsonl"]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    run, proof, broken = found
    assert (run.kept, run.problems, run.summary["delivered"], run.manifest) == (True, (), 500, tmp_path / "m.json")
    assert (proof.proved, proof.expected, proof.found) == (True, 500, 500)
    assert (broken.proved, broken.lost) == (False, 1)
    assert "lost" in broken.text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"users": 0}, r"users must be a whole number 1\.\.10,000,000, got 0 \(argument\)"),
        ({"usres": 5}, "got 'usres'"),
        ({"brokers": "a:1"}, "got 'brokers'"),
        ({"hours": -1}, "hours must be above 0"),
        ({"hours": 1, "end": "2026-01-06"}, "leave one out"),
        ({"format": "xml"}, "format must be"),
    ],
)
def test_a_wrong_argument_is_named_with_the_rule_and_the_value(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(loadgen.UsageError, match=message):
        loadgen.events(**SMALL | wrong)


def test_a_table_of_a_stream_without_end_is_refused_and_its_batches_are_there() -> None:
    stream = loadgen.events(**SMALL)
    with pytest.raises(loadgen.UsageError, match="needs an end"):
        stream.to_arrow()
    assert next(iter(stream)).num_rows > 1000
    with pytest.raises(loadgen.UsageError, match="format must be one of"):
        next(stream.lines("xml"))


def test_what_is_of_the_command_line_alone_is_refused() -> None:
    with pytest.raises(loadgen.UsageError, match="use the command line"):
        loadgen.run(users=10, discard=True, rate=100, preview=True)
    with pytest.raises(loadgen.UsageError, match=r"unknown argument 'file'; did you mean files\?"):
        loadgen.verify("m.json", file="x")

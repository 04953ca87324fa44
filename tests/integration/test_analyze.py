"""`loadgen analyze` of a store on a real HDFS."""

import json
from pathlib import Path

import pytest

from loadgen.cli import main
from loadgen.store import open_store
from tests.analyze.mixed_store import fill
from tests.analyze.recompute import figures_of_lines
from tests.integration.local import Local


def test_a_store_on_hdfs_has_the_figures_of_its_lines(
    hdfs: Local, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"hdfs://127.0.0.1:{hdfs.hdfs_port}/analyze/mixed"
    lines = fill(open_store(url))
    flags = ["--json", "--quiet", "--no-charts", "--out", str(tmp_path)]
    assert main(["analyze", url, *flags]) == 0
    expected = json.loads(json.dumps(figures_of_lines(lines)))
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in expected} == expected

    assert main(["analyze", f"{url}/year=2026/month=01/day=06", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 3000
    assert main(["analyze", f"{url}/year=2026/month=01/day=06/of others.jsonl", *flags, "--until", "2026-01-06"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 0
    assert main(["analyze", f"{url}/none", *flags]) == main(["analyze", f"{url}/none.jsonl", *flags]) == 1


def test_a_namenode_that_does_not_answer_is_said_with_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "hdfs://127.0.0.1:1/x", "--quiet", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cannot list")
    assert error.count("\n") == 1

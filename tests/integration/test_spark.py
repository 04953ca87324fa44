"""The Spark job gives the figures, tables and report that `loadgen analyze` gives, of the same data."""

import json
from pathlib import Path

import pytest

from loadgen.cli import main
from loadgen.store import open_store
from loadgen.store.local import LocalStore
from tests.analyze.mixed_store import fill
from tests.analyze.reading import LINES, wrote
from tests.integration.local import ROOT, Local
from tests.integration.spark import submit

JOB = ROOT / "deploy/spark/loadgen_stats.py"


def written(folder: Path) -> dict[str, str]:
    """What follows the stamp in a file's name → text."""
    return {path.name[27:]: path.read_text() for path in folder.iterdir() if path.suffix != ".png"}


@pytest.mark.usefixtures("needs_spark")
def test_spark_and_duckdb_give_the_same_figures_tables_and_report(hdfs: Local, tmp_path: Path) -> None:
    fill(LocalStore(tmp_path / "store"))
    url = f"hdfs://127.0.0.1:{hdfs.hdfs_port}/spark/mixed"
    fill(open_store(url))
    odd = wrote(
        tmp_path / "odd {x} [1].jsonl", [*LINES["full"], b"no event", b"", b'{"ts":1767571200000,"page":"Home"}']
    )
    words = [str(tmp_path / "store"), url, str(odd), "--since", "2026-01-05T00:02", "--until", "2026-01-07T00:01"]

    ended = submit(tmp_path, JOB, *words, "--out", "by_spark", "--top", "7")
    assert ended.returncode == 0, ended.stderr
    assert main(["analyze", *words, "--out", str(tmp_path / "by_duckdb"), "--top", "7", "--quiet"]) == 0

    ours, theirs = written(tmp_path / "by_duckdb"), written(tmp_path / "by_spark")
    figures = json.loads(theirs.pop(".json"))
    of_duckdb = json.loads(ours.pop(".json"))
    assert figures["events"] > 10_000
    assert figures == {name: of_duckdb[name] for name in figures}
    assert ours.pop(".txt").split("\n", 2)[2] == theirs[".txt"].split("\n", 2)[2] == ended.stdout.split("\n", 2)[2]
    theirs.pop(".txt")
    assert set(ours) == {"_genres.csv", "_platforms.csv", "_countries.csv", "_events.csv"}
    assert ours == theirs


@pytest.mark.usefixtures("needs_spark")
def test_a_store_that_is_not_there_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    ended = submit(tmp_path, JOB, "none")
    assert ended.returncode == 1
    assert ended.stdout.startswith("error: there is no store and no file 'none'")  # spark-submit turns stderr to stdout
    assert ended.stdout.count("\n") == 1

"""`loadgen run --report`: the page of a real run, and what is said when it cannot be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.cli import main
from loadgen.record import read
from loadgen.report.page import page_of
from tests.runner.program import run_here, start, wait_until


def test_a_run_writes_the_page_that_its_manifest_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("--discard", "--events", "3000", "--rate", "2000/s", "--users", "300", "--threshold", "failed == 0")
    code, summary, said = run_here(tmp_path, *flags, "--manifest", "m.json", "--report", "deep/run.html")
    assert code == 0
    assert "report: deep/run.html" in said
    page = (tmp_path / "deep" / "run.html").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    run = read(Path("m.json"))
    assert page == page_of([run])
    assert (run.summary.delivered, run.summary.achieved_per_s) == (3000, summary["achieved_per_s"])
    assert sum(window.planned for window in run.history) == 3000
    cores = run.machine["cores"]
    assert isinstance(cores, int)
    assert cores > 0
    assert os.listdir(tmp_path / "deep") == ["run.html"]


def test_a_page_that_cannot_be_written_is_found_out_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, summary, said = run_here(tmp_path, "--discard", "--events", "10", "--report", "file/run.html")
    assert (code, summary) == (1, {})
    assert "error: cannot write 'file'" in said
    assert not (tmp_path / "loadgen_runs").exists() or os.listdir(tmp_path / "loadgen_runs") == []


@pytest.mark.slow
def test_the_figures_are_shown_though_the_page_cannot_be_written_at_the_end(tmp_path: Path) -> None:
    program = start(tmp_path, "--discard", "--duration", "2s", "--rate", "500/s", "--report", "place/run.html")
    wait_until(lambda: any(tmp_path.glob("loadgen_runs/*.json")))
    shutil.rmtree(tmp_path / "place")  # with the lock in it
    (tmp_path / "place").write_text("in the way")
    code, summary, said = program.end()
    assert (code, summary["planned"] > 0) == (1, True)
    assert "error: cannot write 'place/run.html'" in said


@pytest.mark.parametrize("flags", [["--report", "m.html", "--manifest", "m.html"], ["--report", "x", "--output", "x"]])
def test_the_page_has_a_file_of_its_own(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *flags, "--dry-run"]) == 2
    assert "each file has its own content, got report" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["run"], ["compare", "a.json", "b.json"]])
def test_a_page_in_a_file_of_another_kind_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--report", "x.pdf", "--dry-run"]) == 2
    assert "must end in .html, got 'x.pdf'" in capsys.readouterr().err


def test_a_run_without_a_page_does_not_load_what_draws_it(tmp_path: Path) -> None:
    code = (
        "import sys, loadgen.cli as c;"
        "c.main(['run', '--discard', '--events', '50', '--rate', 'max', '--workers', '1', '--users', '20',"
        " '--tracks', '10558', '--metrics-port', '0', '--quiet']);"
        "print([name for name in ('plotly', 'loadgen.report.page', 'loadgen.report.html') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path, check=True
    )
    assert done.stdout == "[]\n"

"""`loadgen compare`: the table, the object, the page, and what it says of files that it cannot use."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from loadgen.cli import main
from loadgen.config.thresholds import regression
from loadgen.record import RunRecord
from loadgen.report.compare import as_json, as_text, failures, missing, notes
from tests.report.manifests import manifest, run_of, settings, summary


def run(path: str = "m.json", **changes: Any) -> RunRecord:
    """A run whose manifest is changed in these things."""
    return run_of(manifest(**changes), path)


def written(path: Path, content: Any) -> str:
    """A file with this content."""
    path.write_bytes(orjson.dumps(content))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two manifests: the second run was faster to ack, and failed."""
    faster = {"p50": 5.0, "p90": 10.0, "p99": 15.0, "p999": 20.0, "max": 25.0}
    other = summary(ack_ms=faster, achieved_per_s=899.55, limited_by="full queue")
    second = manifest(run_id="second", summary=other, settings=settings(users=10_000))
    return [written(tmp_path / "a.json", manifest()), written(tmp_path / "b.json", second)]


def test_the_table_says_what_is_better_and_what_is_worse(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files]) == 0
    out, err = capsys.readouterr()
    rows = {row[1]: row[2:] for line in out.splitlines() if len(row := [cell.strip() for cell in line.split("│")]) > 5}
    assert rows["Achieved rate"][:4] == ["999.5/s", "899.5/s", "-10.0 %", "▼ worse"]
    assert rows["Send to ack p99"][:4] == ["30.0 ms", "15.0 ms", "-50.0 %", "▼ better"]
    assert rows["Schedule lag p50"][:4] == ["1.00 ms", "1.00 ms", "0.0 %", "equal"]
    assert rows["verdict"][:2] == ["Passed: every promise was kept", "Failed: not every promise was kept"]
    assert rows["limited by"][:2] == ["schedule", "full queue"]
    assert "│ users │ 5,000 │ 10,000 │" in out
    assert err == "differences up to 5% count as noise: repeat both runs before you believe a small one\n"


def test_json_prints_one_object_with_the_exact_figures(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files, "--json"]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert found["figures"]["ack_ms.p99"] == {"a": 30.0, "b": 15.0, "change": -0.5, "judgement": "better"}
    assert (found["a"]["passed"], found["b"]["passed"], found["b"]["limited_by"]) == (True, False, "full queue")
    assert (found["a"]["file"], found["b"]["run_id"]) == (files[0], "second")
    assert found["settings"] == {"users": {"a": "5,000", "b": "10,000"}}
    assert found["a"]["missing"] == []


def test_the_page_of_both_runs_is_written(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "both.html"
    assert main(["compare", *files, "--report", str(report)]) == 0
    assert "Two load tests compared" in report.read_text(encoding="utf-8")
    assert capsys.readouterr().err.endswith(f"report: {report}\n")


def test_a_summary_says_what_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a.json", summary(manifest="loadgen_runs/r1.json"))
    b = written(tmp_path / "b.json", manifest())
    assert main(["compare", a, b]) == 0
    out, err = capsys.readouterr()
    step = "compare the manifest loadgen_runs/r1.json for its settings and how it went over time"
    assert err.splitlines()[0] == f"{a} is what run --json printed: {step}"
    assert "Settings that differ" not in out
    everything = ["settings", "history", "workers", "by_page", "histograms", "versions", "machine"]
    assert main(["compare", a, b, "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["a"]["missing"] == everything


def test_an_older_manifest_says_what_it_does_not_know() -> None:
    old = run(path="old.json", history=[], machine={})
    assert missing(old) == ["history", "machine"]
    assert next(notes(run(), old)) == "old.json does not say: history, machine"


def test_files_that_cannot_be_used_end_with_2_and_the_next_step(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", files[0], str(tmp_path / "no.json")]) == 2
    assert capsys.readouterr().err.endswith("no.json must be readable: No such file or directory; check the path\n")
    (tmp_path / "bad.json").write_text("{")
    assert main(["compare", str(tmp_path / "bad.json"), files[0]]) == 2
    assert "name the file that loadgen run wrote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "compare needs two runs, got none; name two files that loadgen run wrote: A.json B.json"),
        (["a"], "runs must name two files, got ['a'] (from the command line); name two files"),
        (["a", "b", "c"], "runs must name two files, got ['a', 'b', 'c'] (from the command line); name two files"),
        (["a", "b", "--report", "b"], "report must be another file than the runs, got report 'b' (from --report)"),
    ],
)
def test_other_words_than_two_files_are_a_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_page_that_cannot_be_written_ends_with_1(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *files, "--report", str(tmp_path)]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_texts_of_a_manifest_are_never_commands_of_the_terminal() -> None:
    evil = "\x1b[31m[red]\u202e"
    hostile = run(path=evil, run_id=evil, settings=settings(users=9) | {"topic": evil}, machine={})
    shown = as_text(run(), hostile, 120) + "".join(notes(run(), hostile))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[red]" in shown
    assert b"\x1b" not in orjson.dumps(as_json(hostile, run()))


@pytest.mark.parametrize(
    ("expr", "code", "said"),
    [
        ("rate < -5%", 1, "rate < -5%: 999.5/s became 899.5/s (-10.0 %)"),
        ("rate < -15%", 0, ""),
        ("p99(ack) <= -50%", 1, "p99(ack) <= -50%: 30.0 ms became 15.0 ms (-50.0 %)"),
        ("p99(latency) > +10%", 0, ""),
        ("failed > +0%", 0, ""),
    ],
)
def test_a_change_that_fails_the_comparison_is_named_and_ends_with_1(
    expr: str, code: int, said: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *files, "--fail-if", "dropped > +10%", "--fail-if", expr]) == code
    assert said in capsys.readouterr().err


def test_a_failure_where_there_was_none_fails_the_comparison_and_so_does_a_figure_that_is_unknown() -> None:
    exprs = [regression("failed > +10%"), regression("target > +10%")]
    found = list(failures(run(), run(summary=summary(failed=5, target_per_s=None)), exprs))
    assert found == ["failed > +10%: 0 became 5 (from 0)", "target > +10% cannot be judged: not both runs say it"]


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("p99(latency) > 50ms", "CHANGE a percentage"),
        ("p99(latncy) > +10%", "must name figures that there are"),
        ("p75(ack) > +10%", "must name a figure that is in the files of both runs"),
        ("in_flight > +10%", "must name a figure that is in the files of both runs"),
    ],
)
def test_a_change_that_cannot_be_compared_is_a_wrong_usage(
    expr: str, said: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *files, "--fail-if", expr]) == 2
    assert said in capsys.readouterr().err


def test_a_page_replaces_a_former_page_and_no_other_file(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    page.write_text("my thesis")
    assert main(["compare", *files, "--report", str(page)]) == 1
    assert "loadgen did not write it" in capsys.readouterr().err
    assert page.read_text() == "my thesis"
    page.unlink()
    for is_there in (False, True):
        assert main(["compare", *files, "--report", str(page)]) == 0
        assert ("replaces the file that was there" in capsys.readouterr().err) == is_there

"""`loadgen analyze` as a program: files, stdout, stderr, exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from loadgen.analyze import console
from loadgen.cli import main
from loadgen.terminal import Terminal
from tests.analyze.reading import FORMATS, LINES, MIXED, wrote
from tests.analyze.recompute import figures_of_lines

TABLES = ("genres", "platforms", "countries", "events")
CHARTS = ("genres", "platforms", "actions", "artists", "durations", "over_time")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a store of its default name."""
    monkeypatch.chdir(tmp_path)
    for name in FORMATS:
        wrote(tmp_path / f"music_events/year=2026/month=01/day=05/{name}.jsonl", LINES[name])
    return tmp_path


def written(folder: Path) -> dict[str, Path]:
    """What follows the stamp → the file; all have the same stamp."""
    found = {path.name: path for path in folder.iterdir()}
    matches = {name: re.fullmatch(r"music_stats_(\d{8}_\d{6})(.*)", name) for name in found}
    assert len({match[1] for match in matches.values() if match}) == 1
    return {match[2]: found[name] for name, match in matches.items() if match}


def test_without_any_flag_the_default_store_is_reported_and_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze"]) == 0
    said, files = capsys.readouterr(), written(here / "analysis")
    assert set(files) == {".txt", ".json", *(f"_{name}.csv" for name in TABLES), *(f"_{name}.png" for name in CHARTS)}
    assert files[".txt"].read_text() == said.out
    assert "written: analysis/music_stats_" in said.err
    assert files["_events.csv"].read_bytes().startswith(b"action,events,plays,share\r\nplay,")


def test_json_is_one_object_with_all_figures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "music_events", "--json", "--quiet", "--no-charts", "--out", "o"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    expected = json.loads(json.dumps(figures_of_lines(MIXED)))
    assert {name: found[name] for name in expected} == expected
    assert (found["files"], found["failed_files"], said.err) == (3, {}, "")
    assert found["elapsed_s"] >= found["reading_s"] > 0
    assert json.loads(written(here / "o")[".json"].read_text())["events"] == 3000
    assert not any(ending.endswith(".png") for ending in written(here / "o"))


@pytest.mark.parametrize("words", [["nothing"], ["empty"], ["music_events", "--until", "2025-01-01"]])
def test_where_there_is_no_file_the_next_step_is_said(
    words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    assert main(["analyze", *words]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(r"loadgen run --duration 1|give an earlier --since or a later --until", error)


def test_files_without_events_are_reported_as_such(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(wrote(here / "x.jsonl", [])), "--quiet"]) == 0
    assert "no event was found" in capsys.readouterr().err


def test_a_damaged_file_is_named_and_the_promise_is_not_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.jsonl.gz").write_bytes(b"no gzip")
    assert main(["analyze", "bad.jsonl.gz", "music_events", "--json", "--quiet"]) == 1
    said = capsys.readouterr()
    assert f"could not read {here}/bad.jsonl.gz" in said.err
    assert json.loads(said.out)["events"] == 3000


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrote(here / "file", [])
    assert main(["analyze", "nothing", "--out", "file"]) == 1
    assert capsys.readouterr().err.startswith("error: cannot write 'file'")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--until", "2026-01-01", "--since", "2026-01-02"], "until must be later than since"),
        (["s3://bucket/x"], "stores must be a folder, file:///PATH or hdfs://HOST:PORT/PATH"),
        (["--since", "yesterday"], "since must be a time between 1970 and 2200"),
        (["--top", "0"], "top must be a whole number 1..1,000"),
    ],
)
def test_wrong_usage_is_exit_code_2(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {line}")


def test_ctrl_c_ends_the_reading_at_once_and_leaves_nothing_behind(here: Path) -> None:
    wrote(here / "long.jsonl", LINES["full"] * 1000)
    command = [sys.executable, "-m", "loadgen", "analyze", "long.jsonl", "--out", "o", "--no-charts"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while not list(here.glob("o/.tmp_*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=90)
    assert (process.returncode, error, list(here.glob("o/.*"))) == (130, b"", [])


def test_progress_is_a_line_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "EVERY_S", 0.01)
    asked = threading.Event()

    def share() -> float:
        asked.set()
        return 0.25

    with console.progress(Terminal(), "reading", share):
        assert asked.wait(10)
    assert "00:00  reading: 25%" in capsys.readouterr().err
    with console.progress(Terminal(quiet=True), "reading", share):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["events.json", "."])
def test_a_json_array_is_told_from_lines_with_the_way_to_convert_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], indent: int | None, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.json").write_text(json.dumps([json.loads(line) for line in LINES["full"]], indent=indent))
    assert main(["analyze", name, "--no-charts"]) == 1
    said = capsys.readouterr().err
    assert "events.json is not JSON lines (one object a line): it is a JSON array; convert it with: jq -c" in said
    assert "is it the right place" not in said


@pytest.mark.parametrize("name", ["array.json", "music_events/year=2026/month=01/day=05/array.json"])
def test_other_files_count_beside_one_that_is_no_lines(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (here / name).write_text(json.dumps([json.loads(line) for line in LINES["full"]]))
    assert main(["analyze", "music_events", name, "--json", "--quiet", "--no-charts"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["events"], found["unreadable"], found["files"]) == (3000, 0, 3)
    (why,) = found["failed_files"].values()
    assert "it is a JSON array" in why


def test_documents_such_as_manifests_in_a_folder_of_events_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wrote(tmp_path / "events.jsonl", LINES["full"])
    (tmp_path / "run.json").write_text(json.dumps({"manifest_version": 2, "settings": {"users": 5}}, indent=2))
    assert main(["analyze", ".", "--json", "--no-charts"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["events"], found["unreadable"], found["failed_files"]) == (1000, 0, {})
    assert main(["analyze", "run.json", "--no-charts"]) == 1
    assert "printed over several lines" in capsys.readouterr().err


def test_lines_of_which_none_is_an_event_end_with_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "plays.csv").write_text("ts,userId\n1,2\n3,4\n")
    assert main(["analyze", "plays.csv", "--no-charts"]) == 1
    assert "none of 3 lines is an event: events are JSON objects with ts or timestamp" in capsys.readouterr().err


def test_events_outside_the_time_asked_for_are_events_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"ts":1767571200865,"userId":1,"page":"Home"}\nno event\n')
    flags = ["--no-charts", "--out", str(tmp_path / "out"), "--since", "2027-01-01"]
    assert main(["analyze", str(file), *flags]) == 0
    assert "no event was found: is it the right place, and the right --since" in capsys.readouterr().err

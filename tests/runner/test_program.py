"""The real program from its flags to its files: how many events, which ones, where, when, and what it says."""

import gzip
import json
import resource
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from loadgen.encode.tracks import open_track_parts
from loadgen.formats import FORMATS, format_of
from loadgen.simulate.catalog import CatalogSettings, cache_folder, open_catalog
from tests.ports import free_port
from tests.runner.program import TRACKS, adds_up, lines_in, run_here, start, start_bare
from tests.runner.test_verdict import MORE_KEYS, SPEC_KEYS

FLAGS = ("--start", "2026-01-05", "--seed", "5")
AT_ONCE = (*FLAGS, "--rate", "max")
IMPAIR = "duplicate=0.01,drop=0.01,late=0.02,reorder=0.02,malform=0.01"


def run_all(folder: Path, *runs: str) -> list[list[bytes]]:
    """Make several runs; the sorted lines of each."""
    folder.mkdir(exist_ok=True)
    for number, flags in enumerate(runs):
        code, summary, shown = run_here(folder, *AT_ONCE, "--folder", f"out{number}", *flags.split())
        assert code == 0, shown
        assert adds_up(summary)
    return [sorted(lines_in(folder / f"out{number}")) for number in range(len(runs))]


def broken(line: bytes) -> bool:
    """Whether a line is no record."""
    try:
        return not isinstance(orjson.loads(line)["ts"], int)
    except orjson.JSONDecodeError:
        return True


def test_pandas_is_left_alone_though_it_is_installed(tmp_path: Path) -> None:
    assert find_spec("pandas")
    small = ("--users", "10", "--events", "100", "--workers", "2", "--output", "e.jsonl")
    code, _, imports = start(tmp_path, *AT_ONCE, *small, env={"PYTHONPROFILEIMPORTTIME": "1"}).end()
    assert code == 0
    assert "pyarrow.lib" in imports
    assert "pandas.core" not in imports


def test_any_number_of_workers_and_machines_makes_the_same_events(tmp_path: Path) -> None:
    size = "--users 300 --events 4001 --format full"
    one, three, first, second = run_all(
        tmp_path,
        f"{size} --workers 1",
        f"{size} --workers 3",
        f"{size} --workers 2 --shard 0/2",
        f"{size} --workers 1 --shard 1/2",
    )
    assert len(one) == len(set(one)) == 4001
    assert three == one
    assert sorted(first + second) == one


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("wire_format", FORMATS)
def test_each_format_has_the_same_lines_for_any_split(tmp_path: Path, wire_format: str) -> None:
    size = f"--users 700 --events 30000 --format {wire_format}"
    one, two, three, eight = run_all(tmp_path, *(f"{size} --workers {workers}" for workers in (1, 2, 3, 8)))
    halves = run_all(tmp_path / "halves", *(f"{size} --workers {1 + i} --shard {i}/2" for i in range(2)))
    thirds = run_all(tmp_path / "thirds", *(f"{size} --workers {3 - i} --shard {i}/3" for i in range(3)))
    assert len(one) == 30_000
    assert two == three == eight == one
    assert sorted(chain(*halves)) == sorted(chain(*thirds)) == one


@pytest.mark.slow
def test_exactly_the_events_that_are_asked_for_are_made_by_few_listeners_too(tmp_path: Path) -> None:
    one_of_two, two_of_two, five = run_all(
        tmp_path,
        "--users 5 --events 1001 --workers 2 --shard 0/2",
        "--users 5 --events 1001 --workers 1 --shard 1/2",
        "--users 5 --events 1001 --workers 3",
    )
    assert len(five) == 1001
    assert sorted(one_of_two + two_of_two) == five


def test_spoilt_events_are_counted_as_the_files_show_them_and_are_the_same_for_any_split(tmp_path: Path) -> None:
    flags = (*AT_ONCE, "--users", "200", "--events", "20000", "--impair", IMPAIR)
    code, summary, shown = run_here(tmp_path, *flags, "--workers", "1", "--output", "one.jsonl")
    _, of_three, _ = run_here(tmp_path, *flags, "--workers", "3", "--folder", "three")
    lines, impaired = (tmp_path / "one.jsonl").read_bytes().splitlines(), summary["impaired"]
    assert code == 0, shown
    assert sorted(lines) == sorted(lines_in(tmp_path / "three"))
    assert impaired == of_three["impaired"]
    assert json.loads((tmp_path / summary["manifest"]).read_text())["summary"]["impaired"] == impaired
    assert impaired["malform"] == sum(map(broken, lines))
    assert impaired["duplicate"] == len(lines) - len(set(lines))
    assert impaired["drop"] == 20_000 - len(set(lines))
    for kind, prob in (("drop", 0.01), ("duplicate", 0.01), ("late", 0.02), ("reorder", 0.02), ("malform", 0.01)):
        assert abs(impaired[kind] - 20_000 * prob) <= 4 * np.sqrt(20_000 * prob), kind
    n_overtaken = count_overtaken([orjson.loads(line) for line in lines if not broken(line)])
    n_seen = 0.95 * impaired["reorder"]  # of some, the line or that of the one in front cannot be read
    assert n_seen <= n_overtaken <= impaired["reorder"] + impaired["late"]


def count_overtaken(records: list[dict[str, Any]]) -> int:
    """Events that come after a later one of their listener."""
    furthest: defaultdict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    n_overtaken = 0
    for record in records:
        place = (record["sessionId"], record["itemInSession"])
        n_overtaken += place < furthest[record["userId"]]
        furthest[record["userId"]] = max(place, furthest[record["userId"]])
    return n_overtaken


def test_events_go_to_stdout_alone_and_all_else_to_stderr(tmp_path: Path) -> None:
    out, shown = start_bare(tmp_path, *AT_ONCE, "--events", "1500", "--workers", "2", "--output", "-").communicate(
        timeout=90
    )
    lines = out.splitlines(keepends=True)
    assert len(lines) == 1500
    assert all(line.endswith(b"\n") and not broken(line) for line in lines)
    assert b"the first 3 events" in shown
    assert b"every planned event was delivered" in shown
    assert not (tmp_path / "-").exists()


def test_a_reader_that_has_seen_enough_ends_the_run_quietly(tmp_path: Path) -> None:
    program = start_bare(tmp_path, *FLAGS, "--continuous", "--rate", "20k/s", "--output", "-")
    assert program.stdout
    assert program.stderr
    assert [broken(program.stdout.readline()) for _ in range(3)] == [False] * 3
    program.stdout.close()
    shown = program.stderr.read()
    assert program.wait(15) in (0, 1)
    program.stderr.close()
    assert b"Traceback" not in shown
    assert b"error" not in shown
    assert b"has closed it" in shown


@pytest.mark.parametrize(
    ("name", "users", "read"),
    [
        ("a.jsonl.gz", "1", gzip.open),
        ("a.jsonl.zst", "500", lambda path: pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")),
    ],
)
def test_a_compressed_output_is_read_by_others_and_stdout_holds_one_object(
    tmp_path: Path, name: str, users: str, read: Callable[[Path], Any]
) -> None:
    flags = ("--users", users, "--events", "4321", "--output", name, "--quiet")
    program = start(tmp_path, *AT_ONCE, *flags)
    out, shown = program.process.communicate(timeout=90)
    assert program.process.returncode == 0
    with read(tmp_path / name) as file:
        lines = file.read().splitlines()
    assert len(set(lines)) == len(lines) == 4321
    assert not any(map(broken, lines))
    summary = json.loads(out)
    assert out.count("\n") == 1
    assert list(summary) == [*SPEC_KEYS, *MORE_KEYS, "error"]
    assert summary["bytes"] == sum(len(line) + 1 for line in lines)
    assert (summary["seed"], summary["exit_reason"], summary["target_per_s"]) == (5, "events", None)
    assert "first 3 events" not in shown
    assert "active users" not in shown
    assert "every planned event was delivered" in shown


def test_a_full_disk_ends_the_run_with_the_reason_and_an_honest_ledger(tmp_path: Path) -> None:
    code, summary, shown = run_here(tmp_path, *AT_ONCE, "--events", "50000", "--output", "/dev/full")
    assert code == 1
    assert "error: cannot write '/dev/full': No space left on device; the disk is full" in shown
    assert "Traceback" not in shown
    assert (summary["delivered"], summary["exit_reason"]) == (0, "error")
    assert adds_up(summary)


def test_a_file_that_may_not_grow_further_holds_exactly_what_counts_as_delivered(tmp_path: Path) -> None:
    catalog = open_catalog(CatalogSettings(n_tracks=int(TRACKS)), cache_folder(), lambda *_: None)
    open_track_parts(catalog, format_of("activity"))  # made before the limit holds
    limit = 1_000_000
    flags = (*AT_ONCE, "--events", "50000", "--workers", "2", "--folder", "out", "--manifest", "m.json")
    program = start_bare(tmp_path, *flags, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, shown = program.communicate(timeout=90)
    assert program.returncode == 1
    assert b"File too large; the file would be larger than allowed" in shown
    assert b"Traceback" not in shown
    lines = lines_in(tmp_path / "out")
    manifest = json.loads((tmp_path / "m.json").read_text())
    assert adds_up(manifest["summary"])
    assert manifest["summary"]["delivered"] == len(lines) > 1000
    assert not any(map(broken, lines))
    assert "File too large" in manifest["error"]


def test_a_place_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = {
        "--folder file/out": "error: cannot write 'file/out': Not a directory",
        "--output nowhere/x.jsonl": "error: cannot write 'nowhere/x.jsonl': No such file or directory",
        "--folder out --manifest file/m.json": "error: cannot write 'file': ",
    }
    for flags, reason in refused.items():
        code, summary, shown = run_here(tmp_path, *AT_ONCE, "--events", "5", *flags.split())
        assert (code, summary) == (1, {})
        assert reason in shown
        assert "Traceback" not in shown


@pytest.mark.slow
def test_the_figures_of_a_run_are_shown_even_if_its_manifest_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    code, summary, shown = run_here(tmp_path, *AT_ONCE, "--events", "5", "--discard", "--manifest", "folder")
    assert code == 1
    assert summary["delivered"] == 5
    assert "manifest folder cannot be written (Is a directory)" in shown


def test_a_backfill_fills_the_folder_of_each_day_and_nothing_outside_its_window(tmp_path: Path) -> None:
    window = ("--start", "2026-01-05T20:00", "--end", "2026-01-07T04:00")
    code, summary, shown = run_here(tmp_path, *window, "--users", "300", "--folder", "out")
    assert code == 0, shown
    assert summary["exit_reason"] == "end"
    days = {str(day.relative_to(tmp_path / "out")): lines_in(day) for day in (tmp_path / "out").glob("*/*/*")}
    assert days.keys() == {f"year=2026/month=01/day={day:02}" for day in (5, 6, 7)}
    assert summary["delivered"] == sum(map(len, days.values())) > 3000
    for folder, lines in days.items():
        times = [datetime.fromtimestamp(orjson.loads(line)["ts"] / 1000, UTC) for line in lines]
        assert {f"{time:year=%Y/month=%m/day=%d}" for time in times} == {folder}
        assert datetime(2026, 1, 5, 20, tzinfo=UTC) <= min(times)
        assert max(times) < datetime(2026, 1, 7, 4, tzinfo=UTC)


def test_a_rate_is_held_with_wall_clock_times_and_can_be_watched(tmp_path: Path) -> None:
    port = free_port()
    began_ms = time.time() * 1000
    pace = ("--rate", "5k/s", "--duration", "5s", "--timestamps", "wall", "--metrics-port", str(port))
    program = start(tmp_path, "--start", "2020-01-01", "--users", "2000", "--workers", "2", "--folder", "out", *pace)
    scraped = [scrape(port), scrape(port)]
    code, summary, shown = program.end()
    lines = lines_in(tmp_path / "out")
    assert code == 0, shown
    assert summary["limited_by"] == "schedule"
    assert summary["target_per_s"] == pytest.approx(5000, rel=0.01)
    assert summary["achieved_per_s"] == pytest.approx(5000, rel=0.03)  # until the last report
    assert summary["schedule_lag_ms"]["p99"] < 1000  # other tests run beside this one
    assert summary["delivered"] == len(lines) == pytest.approx(5000 * summary["elapsed_s"], rel=0.03)
    assert summary["elapsed_s"] == pytest.approx(5.0, abs=0.3)
    ts_ms = [orjson.loads(line)["ts"] for line in lines]
    assert began_ms < min(ts_ms) < max(ts_ms) <= time.time() * 1000
    assert max(ts_ms) - min(ts_ms) == pytest.approx(1000 * summary["elapsed_s"], rel=0.02)
    assert all(0 < before <= after <= len(lines) for before, after in pairwise(scraped))


def scrape(port: int) -> float:
    """The number of events delivered so far, once there are some."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                samples = [line for line in answer.read().decode().splitlines() if 'outcome="delivered"' in line]
        except OSError:
            samples = []
        if n_delivered := sum(float(sample.rpartition(" ")[2]) for sample in samples):
            return n_delivered
        time.sleep(0.1)
    raise AssertionError("the endpoint showed no delivered event")

"""Runs of every kind are proved by what they left behind: spoilt on purpose, split, killed, stopped, by the clock."""

import base64
import signal
from pathlib import Path

import numpy as np
import orjson
import pytest
from _pytest.mark.structures import ParameterSet

from loadgen.store.table import table_of
from tests.rows import ROWS, as_file
from tests.runner.program import TRACKS, lines_in, start, wait_until
from tests.verifier.runs import START, counts_of, is_broken, one_file, ran, verified, verified_lines

SMALL = ("--users", "300", "--events", "3000", "--rate", "max")
IMPAIR = "duplicate=0.05,drop=0.05,late=0.05,reorder=0.05,malform=0.05"


def slow(value: str) -> "ParameterSet":
    """A case that adds little to the others: left to the slow tests."""
    return pytest.param(value, marks=pytest.mark.slow)


def write_day(folder: Path, name: str, data: bytes) -> None:
    path = folder / "year=2026/month=01/day=05" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize("compress", [*map(slow, ["none", "gz"]), "zst"])
def test_a_folder_of_several_workers_is_proved(tmp_path: Path, compress: str) -> None:
    manifest = ran(tmp_path, "--folder", "out", "--compress", compress, "--workers", "3", *SMALL)
    out = str(tmp_path / "out")
    for report in (verified(manifest, files=[out]), verified(manifest, store=out)):
        assert report.findings.is_proved
        assert report.findings.n_found == 3000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["events.jsonl.gz", "events.jsonl.zst"])
def test_a_compressed_file_is_proved(tmp_path: Path, name: str) -> None:
    manifest = ran(tmp_path, "--output", name, "--workers", "2", *SMALL)
    assert verified(manifest, files=[str(tmp_path / name)]).findings.is_proved


@pytest.mark.parametrize("suffix", ROWS)
@pytest.mark.parametrize("wire_format", ["listen", slow("activity"), slow("full")])
def test_a_store_of_rows_and_dead_letters_is_proved(tmp_path: Path, wire_format: str, suffix: str) -> None:
    run = one_file(tmp_path, "--format", wire_format, "--impair", "malform=0.05", events=2000)
    dead = [line for line in run.lines if is_broken(line)]
    alive = [line for line in run.lines if line not in dead]
    assert len(dead) > 50
    store = tmp_path / "store"
    name = "batch_20260105_000000_p000_{:020}_{:020}_0123abcd." + suffix
    for first, last in ((0, 899), (900, 1999)):
        write_day(store, name.format(first, last), as_file(table_of(alive[first : last + 1]), suffix))
    write_day(store, name.format(900, 1000), b"covered by another file: not read")
    letters = [
        {"topic": "t", "partition": 0, "offset": at, "key": None, "value": base64.b64encode(line).decode()}
        for at, line in enumerate(dead)
    ]
    (store / "_dead_letters").mkdir()
    (store / "_dead_letters/x.jsonl").write_bytes(b"".join(orjson.dumps(letter) + b"\n" for letter in letters))
    report = verified(run.manifest, files=[str(store)])
    assert report.findings.is_proved
    assert report.findings.n_found == 2000
    write_day(store, name.format(0, 899), as_file(table_of(alive[1:900]), suffix))
    report = verified(run.manifest, files=[str(store)])
    assert counts_of(report) == {"lost": 1}
    assert report.shown[0].expected == alive[0]


@pytest.mark.parametrize("wire_format", [slow("activity"), "listen", slow("full")])
def test_what_was_spoilt_on_purpose_is_no_fault_and_what_happened_to_it_afterwards_is(
    tmp_path: Path, wire_format: str
) -> None:
    run = one_file(tmp_path, "--format", wire_format, "--impair", IMPAIR)
    report = verified_lines(run, run.lines, tmp_path)
    assert report.findings.is_proved
    assert report.findings.n_found == len(run.lines)
    (spoilt,) = np.nonzero([is_broken(line) for line in run.lines])
    (twice,) = np.nonzero([run.lines.count(line) == 2 for line in run.lines])
    changed, lost, repeated = int(spoilt[40]), int(twice[20]), int(twice[60])
    lines = list(run.lines)
    lines[changed] = lines[changed][:-2] + b"~" + lines[changed][-1:]
    lines.append(lines[repeated])
    del lines[lost]
    report = verified_lines(run, lines, tmp_path)
    assert counts_of(report) == {"altered": 1, "lost": 1, "repeated": 1}
    assert {one.expected for one in report.shown if one.kind != "repeated"} == {run.lines[changed], run.lines[lost]}


def test_events_that_left_in_another_order_than_they_happened_must_arrive_in_that_order(tmp_path: Path) -> None:
    run = one_file(tmp_path, "--impair", "late=0.05,reorder=0.05", users=40)
    assert verified_lines(run, run.lines, tmp_path).findings.is_proved
    in_time = sorted(run.lines, key=lambda line: orjson.loads(line)["ts"])
    report = verified_lines(run, [*in_time[:2000], *reversed(in_time[2000:])], tmp_path)
    assert set(counts_of(report)) == {"out_of_order"}
    assert counts_of(report)["out_of_order"] > 1500


def test_shards_of_one_run_are_proved_together_and_one_alone_is_not(tmp_path: Path) -> None:
    manifests = [
        ran(tmp_path, "--folder", "out", "--shard", f"{index}/2", "--workers", str(index + 1), *SMALL)
        for index in (0, 1)
    ]
    assert verified(*manifests, store=str(tmp_path / "out")).findings.is_proved
    report = verified(manifests[0], store=str(tmp_path / "out"))
    assert set(counts_of(report)) == {"foreign"}
    assert report.findings.n_found == report.findings.n_expected + counts_of(report)["foreign"] == 3000


@pytest.mark.parametrize("wire_format", ["listen", slow("activity")])
def test_different_runs_in_one_store_are_told_apart(tmp_path: Path, wire_format: str) -> None:
    flags = ("--folder", "out", "--format", wire_format, *SMALL)
    one, other = ran(tmp_path, *flags, "--seed", "6"), ran(tmp_path, *flags, "--seed", "7")
    assert verified(one, other, store=str(tmp_path / "out")).findings.is_proved
    path = sorted((tmp_path / "out").rglob("*.jsonl"))[0]
    lines = path.read_bytes().splitlines(keepends=True)
    event = orjson.loads(lines[50])
    event["level" if wire_format == "activity" else "device"] = "Abacus"
    path.write_bytes(b"".join([*lines[:50], lines[51], orjson.dumps(event) + b"\n", *lines[52:], lines[9]]))
    counts = counts_of(verified(one, other, store=str(tmp_path / "out")))
    assert counts["repeated"] == 1
    assert counts.get("altered", 0) + counts.get("lost", 0) == 1


@pytest.mark.slow
def test_the_same_run_twice_in_one_file_is_expected_twice(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    one, two = one_file(tmp_path), one_file(tmp_path / "again")
    assert verified_lines(one, one.lines + two.lines, tmp_path, two.manifest).findings.is_proved
    report = verified_lines(one, one.lines + two.lines, tmp_path)
    assert counts_of(report) == {"repeated": 4000}


def test_a_killed_workers_run_is_proved(tmp_path: Path) -> None:
    program = start(
        tmp_path, "--folder", "out", "--workers", "2", *START, "--users", "3000", "--events", "60000", "--rate", "30k/s"
    )
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 10_000)
    program.kill_a_worker()
    _, summary, shown = program.end()
    assert summary["restarts"] == 1, shown
    report = verified(tmp_path / summary["manifest"], store=str(tmp_path / "out"))
    assert report.findings.is_proved
    assert report.findings.n_found == 60_000


@pytest.mark.slow
def test_what_a_worker_that_died_sent_and_did_not_report_is_no_foreign_event(tmp_path: Path) -> None:
    flags = (
        "--users",
        "3000",
        "--duration",
        "60s",
        "--on-worker-death",
        "fail",
        "--rate",
        "20k/s",
        "--timestamps",
        "wall",
    )
    program = start(tmp_path, "--folder", "out", "--workers", "2", *START, *flags)
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 10_000)
    program.kill_a_worker()
    _, summary, _ = program.end()
    report = verified(tmp_path / summary["manifest"], store=str(tmp_path / "out"))
    assert report.findings.n_found == len(lines_in(tmp_path / "out")) >= summary["delivered"]
    assert counts_of(report) == {}


@pytest.mark.slow
def test_repeats_of_a_run_itself_are_found_and_explained(tmp_path: Path) -> None:
    flags = ("--users", "3000", "--events", "60000", "--rate", "30k/s", "--workers", "2")
    program = start(tmp_path, "--output", "out.jsonl", *START, *flags)
    wait_until(lambda: (tmp_path / "out.jsonl").exists() and len(lines_in(tmp_path)) > 10_000)
    program.kill_a_worker()
    _, summary, shown = program.end()
    lines = lines_in(tmp_path)
    report = verified(tmp_path / summary["manifest"], files=[str(tmp_path / "out.jsonl")])
    assert summary["restarts"] == 1, shown
    assert counts_of(report).keys() <= {"repeated"}
    assert counts_of(report).get("repeated", 0) == len(lines) - len(set(lines)) <= summary["repeated_possibly"]


@pytest.mark.parametrize("timestamps", ["wall", slow("simulated")])
def test_a_run_that_was_stopped_is_proved(tmp_path: Path, timestamps: str) -> None:
    flags = (
        "--users",
        "2000",
        "--continuous",
        "--rate",
        "10k/s",
        "--timestamps",
        timestamps,
        "--impair",
        "late=0.02,malform=0.01",
    )
    program = start(tmp_path, "--folder", "out", *START, *flags)
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 5000)
    program.signal(signal.SIGINT)
    code, summary, shown = program.end()
    assert code == 130, shown
    manifest = tmp_path / summary["manifest"]
    assert verified(manifest, store=str(tmp_path / "out")).findings.is_proved
    path = sorted((tmp_path / "out").rglob("*.jsonl"))[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:100], *lines[101:]]))
    report = verified(manifest, store=str(tmp_path / "out"))
    assert counts_of(report) == {"lost": 1}
    assert report.shown[0].expected == lines[100][:-1]


@pytest.mark.slow
def test_natural_wall_clock_times_are_made_again(tmp_path: Path) -> None:
    flags = ("--users", "3000", "--duration", "2s", "--speed", "30", "--timestamps", "wall", "--start", "2020-01-01")
    manifest = ran(tmp_path, "--output", "out.jsonl", "--workers", "2", *flags)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    assert verified(manifest, files=[str(tmp_path / "out.jsonl")]).findings.is_proved
    later = lines[500].replace(b'{"ts":1', b'{"ts":2')
    (tmp_path / "out.jsonl").write_bytes(b"".join([*lines[:500], later, *lines[501:]]))
    report = verified(manifest, files=[str(tmp_path / "out.jsonl")])
    assert counts_of(report) == {"altered": 1}
    assert (report.shown[0].found, report.shown[0].expected) == (later[:-1], lines[500][:-1])


@pytest.mark.parametrize("wire_format", ["listen", slow("activity"), slow("full")])
def test_times_without_a_schedule_are_compared_by_the_fingerprint_and_all_else_by_events(
    tmp_path: Path, wire_format: str
) -> None:
    run = one_file(tmp_path, "--timestamps", "wall", "--format", wire_format, "--impair", "malform=0.02")
    assert verified_lines(run, run.lines, tmp_path).findings.is_proved
    at = next(at for at in range(500, 4000) if not is_broken(run.lines[at]))
    before, after = run.lines[:at], run.lines[at + 1 :]
    assert counts_of(verified_lines(run, before + after, tmp_path)) == {"lost": 1}
    other = run.lines[at].replace(b'"level":"', b'"level":"x').replace(b'"country":"', b'"country":"x')
    assert counts_of(verified_lines(run, [*before, other, *after], tmp_path)) == {"altered": 1}
    later = run.lines[at].replace(b'{"ts":1', b'{"ts":2').replace(b'"timestamp":"20', b'"timestamp":"21')
    report = verified_lines(run, [*before, later, *after], tmp_path)
    assert counts_of(report) == {"altered": 1}
    assert "cannot be named" in " ".join(report.notes())


@pytest.mark.slow
def test_each_place_is_compared_with_its_own_ledger(tmp_path: Path) -> None:
    manifest = ran(tmp_path, "--folder", "out", "--output", "one.jsonl", *SMALL, "--workers", "2")
    content = orjson.loads(manifest.read_bytes())
    assert content["sinks"].keys() == {"stream", "files"}
    for sink, place in (
        ("stream", "one.jsonl"),
        ("files", "out"),
    ):
        report = verified(manifest, files=[str(tmp_path / place)])
        assert report.promises[0].sink == sink
        assert report.findings.is_proved


@pytest.mark.slow
def test_the_planned_events_of_each_slice_add_up_to_those_of_the_run(tmp_path: Path) -> None:
    manifest = ran(tmp_path, "--discard", "--workers", "3", *SMALL)
    content = orjson.loads(manifest.read_bytes())
    assert sum(content["planned"]["count"]) == content["summary"]["planned"] == 3000
    assert content["planned"]["count"] == content["sinks"]["null"]["fingerprint"]["count"]
    assert content["settings"]["tracks"] == int(TRACKS)


def in_store(folder: Path, lines_of: dict[tuple[str, int], list[bytes]]) -> Path:
    """A store with one file for each topic (its tag) and partition."""
    for (topic, partition), lines in lines_of.items():
        name = f"batch_20260105_000000_p{partition:03}_{0:020}_{len(lines) - 1:020}_{topic}.jsonl"
        write_day(folder, name, b"".join(line + b"\n" for line in lines))
    return folder


def test_listeners_in_several_partitions_of_a_topic_have_an_order_that_cannot_be_told(tmp_path: Path) -> None:
    run = one_file(tmp_path, events=500)
    two = {("0123abcd", number): run.lines[number::2] for number in range(2)}
    report = verified(run.manifest, files=[str(in_store(tmp_path / "store", two))])
    assert (counts_of(report), report.findings.is_proved) == ({}, False)
    assert report.findings.n_split > 50
    assert "NOT proved: the order of" in list(report.as_text())[-1]
    report = verified(run.manifest, files=[str(tmp_path / "store")], repartitioned=True)
    assert report.findings.is_proved


def test_the_same_listeners_in_partitions_of_different_topics_are_no_such_case(tmp_path: Path) -> None:
    run = one_file(tmp_path, events=500)
    two = {("0123abcd", 0): run.lines[:250], ("4567cdef", 1): run.lines[250:]}
    assert verified(run.manifest, files=[str(in_store(tmp_path / "store", two))]).findings.is_proved

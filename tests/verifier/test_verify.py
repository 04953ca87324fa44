"""Lost, repeated, altered, foreign and displaced events are each found, counted and named; nothing else is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from loadgen.errors import StoreError
from loadgen.formats import FORMATS
from tests.verifier.runs import Run, counts_of, one_file, verified, verified_lines

AT = 2345
"""Of the event that is spoilt."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A run of each format, made once."""
    made: dict[str, Run] = {}

    def of(wire_format: str) -> Run:
        if wire_format not in made:
            folder = tmp_path_factory.mktemp(wire_format)
            made[wire_format] = one_file(folder, "--format", wire_format)
        return made[wire_format]

    return of


def listener(line: bytes) -> object:
    record = orjson.loads(line)
    return record.get("userId", record.get("user"))


def next_of(lines: list[bytes], at: int) -> int:
    """The position of the same listener's next event."""
    return next(other for other in range(at + 1, len(lines)) if listener(lines[other]) == listener(lines[at]))


@pytest.mark.parametrize("wire_format", FORMATS)
def test_what_a_run_wrote_is_proved(runs: Callable[[str], Run], tmp_path: Path, wire_format: str) -> None:
    run = runs(wire_format)
    report = verified_lines(run, run.lines, tmp_path)
    assert report.findings.is_proved
    assert (report.findings.n_expected, report.findings.n_found) == (4000, 4000)
    assert counts_of(report) == {}
    assert list(report.as_text())[-1].startswith("proved")


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_lost_event_is_named(runs: Callable[[str], Run], tmp_path: Path, wire_format: str) -> None:
    run = runs(wire_format)
    report = verified_lines(run, run.lines[:AT] + run.lines[AT + 1 :], tmp_path)
    assert counts_of(report) == {"lost": 1}
    assert [one.expected for one in report.shown] == [run.lines[AT]]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_repeated_event_is_named_with_its_place(runs: Callable[[str], Run], tmp_path: Path, wire_format: str) -> None:
    run = runs(wire_format)
    report = verified_lines(run, [*run.lines, run.lines[AT]], tmp_path)
    assert counts_of(report) == {"repeated": 1}
    assert [(one.found, one.where) for one in report.shown] == [(run.lines[AT], f"{tmp_path}/spoilt.jsonl:4001")]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_two_events_of_a_listener_that_changed_places_are_out_of_order(
    runs: Callable[[str], Run], tmp_path: Path, wire_format: str
) -> None:
    run, lines = runs(wire_format), list(runs(wire_format).lines)
    other = next_of(lines, AT)
    lines[AT], lines[other] = lines[other], lines[AT]
    report = verified_lines(run, lines, tmp_path)
    assert counts_of(report) == {"out_of_order": 1}
    assert report.shown[0].found in (lines[AT], lines[other])
    assert report.shown[0].where in (f"{tmp_path}/spoilt.jsonl:{AT + 1}", f"{tmp_path}/spoilt.jsonl:{other + 1}")


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_line_that_nobody_planned_is_foreign(runs: Callable[[str], Run], tmp_path: Path, wire_format: str) -> None:
    run = runs(wire_format)
    alike = (
        run.lines[AT]
        .replace(b"2026", b"2019")
        .replace(b'"ts":17', b'"ts":16')
        .replace(b'"itemInSession":', b'"itemInSession":9')
    )
    lines = [*run.lines[:AT], b"not one of ours", b"", *run.lines[AT:], alike]
    report = verified_lines(run, lines, tmp_path)
    assert counts_of(report) == {"foreign": 3}
    assert {one.found for one in report.shown} == {b"not one of ours", b"", alike}


def one_byte_changed(line: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """The line with one byte changed: in each of its fields, and in its punctuation."""
    for at in range(len(line)):
        yield line[:at] + bytes([(line[at] + int(rng.integers(1, 256))) % 256]) + line[at + 1 :]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_whichever_byte_of_an_event_is_changed_it_is_one_altered_event(
    runs: Callable[[str], Run], tmp_path: Path, wire_format: str
) -> None:
    change_bytes(runs(wire_format), tmp_path, n_changes=5)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire_format", FORMATS)
def test_bytes_all_over_an_event_matter(runs: Callable[[str], Run], tmp_path: Path, wire_format: str) -> None:
    change_bytes(runs(wire_format), tmp_path, n_changes=80)


def change_bytes(run: Run, folder: Path, n_changes: int) -> None:
    rng = np.random.default_rng(7)
    at = next(at for at in range(AT, 4000) if b"artist" in run.lines[at] and b'"artist":null' not in run.lines[at])
    changed = [line for line in one_byte_changed(run.lines[at], rng) if b"\n" not in line]
    for line in changed[:: 1 + len(changed) // n_changes]:
        report = verified_lines(run, [*run.lines[:at], line, *run.lines[at + 1 :]], folder)
        assert counts_of(report) == {"altered": 1}, line
        assert [(one.found, one.expected) for one in report.shown] == [(line, run.lines[at])]


def test_everything_at_once_is_told_apart(runs: Callable[[str], Run], tmp_path: Path) -> None:
    run, lines = runs("full"), list(runs("full").lines)
    other = next_of(lines, 1000)
    lines[1000], lines[other] = lines[other], lines[1000]
    lines[2000] = lines[2000].replace(b'"level":"', b'"level":"x')
    lines[2100] = lines[2100].replace(b'"userId":', b'"userId":1')
    del lines[3000:3004]
    lines += [lines[100], lines[100], b"{}"]
    report = verified_lines(run, lines, tmp_path)
    assert counts_of(report) == {"lost": 4, "repeated": 2, "altered": 2, "foreign": 1, "out_of_order": 1}
    found = report.as_json()
    assert (found["verdict"], found["expected"], found["found"]) == ("not proved", 4000, 3999)
    assert [len(found["named"][kind]) for kind in ("lost", "repeated", "altered", "foreign", "out_of_order")] == [
        *(4, 2, 2, 1, 1)
    ]
    assert "NOT proved: 4 lost, 2 repeated, 2 altered, 1 foreign, 1 out of order" in list(report.as_text())


def test_as_many_are_named_as_are_asked_for(runs: Callable[[str], Run], tmp_path: Path) -> None:
    run = runs("activity")
    report = verified_lines(run, run.lines[100:], tmp_path, show=3)
    assert counts_of(report) == {"lost": 100}
    assert len(report.shown) == 3
    assert {one.expected for one in report.shown} <= set(run.lines[:100])
    assert any("and 97 more" in line for line in report.as_text())
    assert verified_lines(run, run.lines[100:], tmp_path, show=0).shown == []


def test_an_empty_place_has_lost_everything(runs: Callable[[str], Run], tmp_path: Path) -> None:
    report = verified_lines(runs("listen"), [], tmp_path)
    assert counts_of(report) == {"lost": 4000}


def test_what_another_program_wrote_anew_is_the_same_event(runs: Callable[[str], Run], tmp_path: Path) -> None:
    run = runs("full")
    indented = [orjson.dumps(dict(reversed(orjson.loads(line).items()))).replace(b":", b": ", 1) for line in run.lines]
    assert verified_lines(run, indented, tmp_path).findings.is_proved


def test_formats_may_be_mixed(runs: Callable[[str], Run], tmp_path: Path) -> None:
    three = [runs(wire_format) for wire_format in FORMATS]
    lines = [line for lines in zip(*(run.lines for run in three), strict=True) for line in lines]
    others = [run.manifest for run in three[1:]]
    assert verified_lines(three[0], lines, tmp_path, *others).findings.is_proved
    lost = lines.pop(3 * AT + 1)
    report = verified_lines(three[0], lines, tmp_path, *others)
    assert counts_of(report) == {"lost": 1}
    assert report.shown[0].expected == lost


@pytest.mark.parametrize("is_named", [True, False])
def test_a_json_array_is_refused_with_the_way_to_convert_it_and_documents_are_passed_over(
    runs: Callable[[str], Run], tmp_path: Path, is_named: bool
) -> None:
    run = runs("activity")
    (tmp_path / "run.json").write_bytes(orjson.dumps({"manifest_version": 2}, option=orjson.OPT_INDENT_2))
    (tmp_path / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in run.lines))
    assert verified(run.manifest, files=[str(tmp_path)]).findings.is_proved
    (tmp_path / "array.json").write_bytes(b"[" + b",".join(run.lines) + b"]")
    with pytest.raises(StoreError, match=r"array\.json is not JSON lines .*: it is a JSON array; convert it with: jq"):
        verified(run.manifest, files=[str(tmp_path / "array.json" if is_named else tmp_path)])

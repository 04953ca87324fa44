"""Runs with further fields are proved, field by field, and refused where the fields are defined in another way."""

from pathlib import Path
from typing import Any

import orjson
import pytest

import loadgen
from loadgen.errors import ManifestError
from loadgen.formats import known_formats
from loadgen.store.table import lines_of, table_of
from tests.own_fields import ALL, NAMES
from tests.rows import ROWS, as_file
from tests.runner.program import TRACKS

EVENTS: dict[str, Any] = {"users": 60, "seed": 7, "start": "2026-01-05", "events": 500, "tracks": TRACKS}
ALTERED = [
    (b'"plan":"trial"', '"plan":"학생"'.encode()),
    (b'"app_version":"8.9.1"', b'"app_version":"9.0.0"'),
    (b'"balance":-', b'"balance":'),
    (b'"drift":-', b'"drift":'),
    (b'"buffering_s":0.', b'"buffering_s":1.'),
    (b',"app_version":"8.9.1"', b""),
    (b',"plan":"trial"', b',"plan":null'),
    (b'"drift":', b'"more":1,"drift":'),
]


@pytest.fixture(scope="module", params=["activity", "listen", "tests.outside.my_package.format:VISITS"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with all further fields."""
    folder = tmp_path_factory.mktemp("run")
    kept = {"format": request.param, "field": NAMES, "output": folder / "e.jsonl", "manifest": folder / "m.json"}
    assert loadgen.run(**EVENTS, **kept, rate="max", workers=2).kept
    return folder


def verified(run: Path, content: bytes, folder: Path) -> loadgen.VerifyResult:
    (folder / "e.jsonl").write_bytes(content)
    return loadgen.verify(run / "m.json", files=[folder / "e.jsonl"])


def test_all_fields_of_a_run_are_proved_in_lines_and_in_columns(run: Path, tmp_path: Path) -> None:
    lines = (run / "e.jsonl").read_bytes().splitlines()
    assert loadgen.verify(run / "m.json", files=[run / "e.jsonl"]).proved
    known = known_formats([orjson.loads((run / "m.json").read_bytes())["format"]], NAMES)
    table = table_of(lines, known)
    assert table["raw"].null_count == len(lines) == 500
    assert lines_of(table, known) == lines
    for rows in (table, table_of(lines)):
        for suffix in ROWS:
            (tmp_path / f"e.{suffix}").write_bytes(as_file(rows, suffix))
            assert loadgen.verify(run / "m.json", files=[tmp_path / f"e.{suffix}"]).proved


@pytest.mark.parametrize(("old", "new"), ALTERED)
def test_a_further_field_that_was_altered_or_is_absent_is_found(
    run: Path, tmp_path: Path, old: bytes, new: bytes
) -> None:
    content = (run / "e.jsonl").read_bytes()
    assert old in content
    found = verified(run, content.replace(old, new, 1), tmp_path)
    assert (found.proved, found.altered + found.lost) == (False, 1)


@pytest.mark.parametrize("suffix", ROWS)
def test_a_column_that_no_run_has_is_found(run: Path, tmp_path: Path, suffix: str) -> None:
    known = known_formats([orjson.loads((run / "m.json").read_bytes())["format"]], NAMES)
    table = table_of((run / "e.jsonl").read_bytes().splitlines(), known)
    table = table.append_column("more", [[1, *[None] * (len(table) - 1)]])
    (tmp_path / f"e.{suffix}").write_bytes(as_file(table, suffix))
    found = loadgen.verify(run / "m.json", files=[tmp_path / f"e.{suffix}"])
    assert (found.proved, found.found) == (False, 500)


def manifest_with(run: Path, folder: Path, change: Any) -> Path:
    content = orjson.loads((run / "m.json").read_bytes())
    change(content)
    (folder / "m.json").write_bytes(orjson.dumps(content))
    return folder / "m.json"


def redefined(content: Any) -> None:
    next(field for field in content["fields"] if field["name"] == "plan")["weights"][0] = 9.0


def other_values(content: Any) -> None:
    next(field for field in content["fields"] if field["name"] == "plan")["digest"] = "0" * 16


def not_there(content: Any) -> None:
    content["settings"]["field"][0] = "tests.nowhere:PLAN"


def reordered(content: Any) -> None:
    content["fields"][-2:] = content["fields"][:-3:-1]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (redefined, "got another definition of field 'plan'; install the version of its package"),
        (other_values, "field 'plan' of run .* must draw the run's values, got others; use the versions .* faker=="),
        (not_there, "the format of run .* is needed to verify it: --field tests.nowhere:PLAN must be in a module"),
        (reordered, "got another definition of the order of its fields"),
    ],
)
def test_a_run_with_another_definition_of_its_fields_is_refused(
    run: Path, tmp_path: Path, change: Any, rule: str
) -> None:
    with pytest.raises(ManifestError, match=rule):
        loadgen.verify(manifest_with(run, tmp_path, change), files=[run / "e.jsonl"])


def test_fields_that_are_defined_in_the_settings_need_no_module(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"output": tmp_path / "e.jsonl", "manifest": tmp_path / "m.json"}
    assert loadgen.run(**EVENTS, **kept, rate="max", field=list(ALL)).kept
    assert orjson.loads((tmp_path / "m.json").read_bytes())["settings"]["field"] == [field.definition for field in ALL]
    assert loadgen.verify(tmp_path / "m.json", files=[tmp_path / "e.jsonl"]).proved
    stream = loadgen.events(**EVENTS, format="activity", field=[field.definition for field in ALL])
    lines = [line for lines in stream.lines() for line in lines.to_pylist()]
    assert sorted(lines) == sorted((tmp_path / "e.jsonl").read_bytes().splitlines(keepends=True))

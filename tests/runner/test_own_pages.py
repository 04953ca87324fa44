"""Pages of one's own go the whole way: run, Parquet as consume writes it, verify, analyze, the manifest."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

import loadgen
from loadgen.analyze.events import rows_of_lines
from loadgen.store.table import lines_of, table_of
from tests.runner.program import TRACKS
from tests.simulate.test_pages import TWO_PAGES

KEPT: dict[str, Any] = {"users": 300, "seed": 7, "start": "2026-01-05", "tracks": TRACKS, "presence": "online"}


def _run(folder: Path, behaviour: str | Path, format: str = "full") -> list[dict[str, Any]]:
    out = folder / "events.jsonl"
    flags = {**KEPT, "end": "2026-01-05T01:00", "format": format, "behaviour": behaviour}
    assert loadgen.run(**flags, output=out, manifest=folder / "m").kept
    return [orjson.loads(line) for line in out.read_bytes().splitlines()]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(TWO_PAGES)
    return path


@pytest.mark.parametrize("format", ["activity", "listen", "full"])
def test_their_events_are_written_stored_verified_and_read(tmp_path: Path, own: Path, format: str) -> None:
    records = _run(tmp_path, own, format)
    own.unlink()  # the manifest says it all
    out = tmp_path / "events.jsonl"
    lines = out.read_bytes().splitlines()
    assert lines_of(table_of(lines)) == lines
    assert loadgen.verify(tmp_path / "m", files=[out]).proved
    actions = Counter(rows_of_lines(duckdb.connect(), b"\n".join(lines))["action"].to_pylist())
    delivered = orjson.loads((tmp_path / "m").read_bytes())["sinks"]["stream"]["by_page"]["delivered"]
    assert (actions["lyrics"], sum(actions.values())) == (delivered["Lyrics"], len(records))
    assert actions["share_track" if format == "activity" else "share"] == delivered["Share Track"] > 0
    where = b'"action":"lyrics"' if format == "listen" else b'"page":"Lyrics"'
    out.write_bytes(out.read_bytes().replace(where, where.lower().replace(b"lyrics", b"browse"), 1))
    assert not loadgen.verify(tmp_path / "m", files=[out]).proved


def test_their_records_have_the_fields_of_the_page_that_they_are_like(tmp_path: Path, own: Path) -> None:
    records = _run(tmp_path, own)
    keys = {record["page"]: tuple(record) for record in records}
    assert keys["Lyrics"] == keys["Browse"]
    assert keys["Share Track"] == keys["Add to Playlist"] != keys["Browse"]
    assert {tuple(record) for record in records} == set(keys.values())
    shared = [record for record in records if record["page"] == "Share Track"]
    assert {(record["method"], record["action"]) for record in shared} == {("POST", "share")}
    assert all(record["song"] for record in shared)


def test_a_table_has_them_as_lines_do(own: Path) -> None:
    stream = loadgen.events(**KEPT, hours=2, behaviour=own)
    table = stream.to_arrow().select(["page", "method", "action", "song"]).to_pylist()
    lines = [orjson.loads(line) for lines in stream.lines() for line in lines.to_pylist()]
    assert table == [{name: line.get(name) for name in ("page", "method", "action", "song")} for line in lines]
    assert {"Lyrics", "Share Track"} <= {row["page"] for row in table}


OWN_MODULE = """
import tomllib
from pathlib import Path

PATH = Path(__file__).with_name("own.toml")
CONTENT = tomllib.loads(PATH.read_text())
BROKEN = CONTENT | {"colour": "red"}
NONSENSE = 3
"""


@pytest.fixture
def module(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.with_name("own_behaviour.py").write_text(OWN_MODULE)
    package = own.with_name("own_behaviour-1.0.dist-info")
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: own-behaviour\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[loadgen.behaviours]\nlyrical = own_behaviour:CONTENT\n")
    monkeypatch.syspath_prepend(own.parent)
    monkeypatch.delitem(sys.modules, "own_behaviour", raising=False)


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("name", ["lyrical", "own_behaviour:CONTENT", "own_behaviour:PATH"])
def test_a_behaviour_of_another_package_is_found_by_its_name(own: Path, name: str) -> None:
    some = {**KEPT, "events": 2000}
    assert loadgen.events(**some, behaviour=name).to_arrow() == loadgen.events(**some, behaviour=own).to_arrow()


@pytest.mark.usefixtures("module")
def test_a_file_goes_before_a_package_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lyrical").write_text("colour = 'red'")
    with pytest.raises(loadgen.UsageError, match="behaviour file lyrical: colour"):
        loadgen.events(**KEPT, events=10, behaviour="lyrical").to_arrow()


@pytest.mark.usefixtures("module")
def test_verify_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(tmp_path, "lyrical")
    monkeypatch.undo()
    (tmp_path / "own_behaviour.py").unlink()
    assert loadgen.verify(tmp_path / "m", files=[tmp_path / "events.jsonl"]).proved


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("own_behaviour:BROKEN", "behaviour own_behaviour:BROKEN: colour"),
        ("own_behaviour:NONSENSE", "must be a dict as tomllib gives it, or the path of a TOML file, got int"),
        ("own_behaviour:MISSING", "must name an object of its module"),
        ("nowhere:CONTENT", "No module named"),
        ("nowhere", "behaviour file nowhere must be readable"),
    ],
)
def test_a_behaviour_that_cannot_be_used_is_said(name: str, rule: str) -> None:
    with pytest.raises(loadgen.UsageError, match=rule):
        loadgen.events(**KEPT, events=10, behaviour=name).to_arrow()

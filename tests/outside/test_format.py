"""A format of another package goes the whole way: run, Parquet as consume writes it, verify, analyze, the library."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
import pytest

import loadgen
from loadgen.analyze.events import rows_of_lines
from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import make_track_parts
from loadgen.errors import UsageError
from loadgen.event import Page
from loadgen.formats import Field, Format, Source, format_of
from loadgen.store.table import lines_of, table_of
from tests.encode.world import LABELS, TITLES, TinyCatalog, full_record, some_events, some_listeners, user_names
from tests.outside.my_package.format import VISITS
from tests.runner.program import TRACKS

NAME = "tests.outside.my_package.format:VISITS"
IDS = (Field("u", Source.USER_ID), Field("s", Source.SESSION_ID), Field("i", Source.ITEM))


def test_its_events_are_written_stored_verified_and_read(tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    kept: dict[str, Any] = {"users": 300, "seed": 7, "start": "2026-01-05", "tracks": TRACKS, "format": NAME}
    result = loadgen.run(**kept, end="2026-01-05T02:00", output=out, manifest=tmp_path / "m")
    assert result.kept
    lines = out.read_bytes().splitlines()
    assert lines_of(table_of(lines)) == lines
    assert loadgen.verify(tmp_path / "m", files=[out]).proved
    out.write_bytes(out.read_bytes().replace(b'"what":"play"', b'"what":"skip"', 1))
    assert not loadgen.verify(tmp_path / "m", files=[out]).proved
    assert len(rows_of_lines(duckdb.connect(), b"\n".join(lines))) == len(lines)


def test_its_lines_are_what_orjson_gives_for_its_record() -> None:
    rng = np.random.default_rng(1)
    listeners = some_listeners(20, rng)
    batch = some_events(300, listeners, rng)
    parts = make_track_parts(TinyCatalog(), VISITS)
    encoder = Encoder(VISITS, parts, LABELS, listeners, user_names)
    lines = encoder.encode(batch)[0].to_pylist()
    for i, line in enumerate(lines):
        full, page = full_record(batch, listeners, i), batch.page[i]
        record = {
            "ts": full["ts"],
            "visitor": full["userId"],
            "visit": full["sessionId"],
            "step": full["itemInSession"],
        }
        record |= {"what": full["action"], "where": full["country"]}
        if "song" in full:
            assert full["song"] in TITLES
            record |= {"tune": full["song"], "popularity": full["song_popularity"]}
        if page == Page.HOME:
            record["nick"] = full["user"]
        record["style"] = full["genre"]
        if page in (Page.SEARCH, Page.HOME):
            record["years"] = full["age"]
        if page == Page.LOGOUT:
            record["visits_left"] = full["itemInSession"]
        record["seconds"] = full.get("length")
        assert line == orjson.dumps(record) + b"\n"


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ((Field("ts", Source.TIME_MS), *IDS, Field("u", Source.AGE)), "unique"),
        ((Field("when", Source.TIME_MS), *IDS), "must have the time once"),
        ((Field("ts", Source.TIME_MS), Field("page", Source.PAGE)), "must tell events apart"),
        ((Field("song", Source.TITLE, (Page.NEXT_SONG,)), Field("ts", Source.TIME_MS), *IDS), "first field"),
    ],
)
def test_a_format_that_could_not_be_read_back_is_refused(fields: tuple[Field, ...], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Format("bad", fields)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nowhere", "must be one of"),
        ("nowhere:X", "No module named"),
        ("loadgen.formats:TIMES", "must be a loadgen.Format"),
    ],
)
def test_a_name_without_a_format_is_said(name: str, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        format_of(name)

"""The three wire formats as rows of one table."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from loadgen import formats
from loadgen.analyze.events import ROW, connect, from_json, from_table, parquet, rows_of_lines, select
from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import make_track_parts
from loadgen.formats import OWN, Format, KnownFormats
from loadgen.store.table import record_schema, table_of
from tests.encode.world import LABELS, TinyCatalog, some_events, some_listeners, user_names
from tests.outside.my_package.format import VISITS
from tests.own_fields import PLAN

FULL: dict[str, Any] = {
    "ts": 1_767_571_200_008,
    "userId": 32460,
    "sessionId": 32460000001,
    "page": "NextSong",
    "level": "paid",
    "itemInSession": 26,
    "location": "Tokyo, JP",
    "artist": "IU 아이유",
    "song": "Callum's Warehouse",
    "length": 315.309,
    "artist_tier": "mega",
    "user": "eloah.gade2",
    "genre": "Electronic",
    "platform": "Spotify",
    "device": "Mobile",
    "action": "skip",
    "country": "JP",
}
ROW_OF_FULL = {
    "ts_ms": 1_767_571_200_008,
    "listener": 32460,
    "session": 32460000001,
    "item": 26,
    "action": "skip",
    "artist": "IU 아이유",
    "title": "Callum's Warehouse",
    "tier": "mega",
    "genre": "Electronic",
    "platform": "Spotify",
    "device": "Mobile",
    "country": "JP",
    "level": "paid",
    "duration_s": 315.309,
}
ONLY_FULL = ("user", "genre", "platform", "device", "action", "country")
LISTEN: dict[str, Any] = {
    "user": "ana",
    "artist": "IU 아이유",
    "track": "Palette",
    "timestamp": "2026-01-05T09:00:00.123456+09:00",
    "genre": "K-Pop",
    "duration": 217.5,
    "platform": "Spotify",
    "device": "Mobile",
    "action": "like",
    "country": "KR",
}


def rows(*records: Any) -> list[dict[str, Any]]:
    """The rows of these records, each given as an object or as a line."""
    lines = [record if isinstance(record, bytes) else orjson.dumps(record) for record in records]
    found = rows_of_lines(connect(), b"\n".join(lines))
    assert tuple(found.column_names) == tuple(ROW)
    as_rows: list[dict[str, Any]] = found.to_pylist()
    return as_rows


def test_a_record_of_full_is_a_row_with_all_columns() -> None:
    assert rows(FULL) == [ROW_OF_FULL]


def test_a_record_of_activity_tells_action_and_country_by_its_page_and_location() -> None:
    activity = {name: value for name, value in FULL.items() if name not in ONLY_FULL}
    unknown = {"genre": None, "platform": None, "device": None, "action": "play"}
    assert rows(activity) == [ROW_OF_FULL | unknown]
    assert rows({"ts": 0, "page": "Thumbs Up", "location": "nowhere"})[0]["action"] == "like"
    assert rows({"ts": 0, "page": "Thumbs Up", "location": "nowhere"})[0]["country"] is None


def test_a_record_of_listen_has_a_time_with_its_offset_and_a_duration_only_where_a_track_began() -> None:
    found = rows(LISTEN, LISTEN | {"action": "play", "user": "bo", "timestamp": "2026-01-05T00:00:00"})
    assert [row["ts_ms"] for row in found] == [1_767_571_200_123, 1_767_571_200_000]
    assert [row["duration_s"] for row in found] == [None, 217.5]
    assert [(row["title"], row["session"], row["country"]) for row in found] == [("Palette", None, "KR")] * 2


def test_the_same_user_name_is_the_same_listener_and_no_name_is_none() -> None:
    found = rows(LISTEN, LISTEN, LISTEN | {"user": "bo"}, LISTEN | {"user": None})
    first, again, other, nobody = (row["listener"] for row in found)
    assert first == again != other
    assert nobody is None


def test_rows_are_in_the_order_of_their_lines() -> None:
    times = [number * 7919 % 100_003 for number in range(100_000)]
    assert [row["ts_ms"] for row in rows(*({"ts": time} for time in times))] == times


def test_what_has_no_time_is_no_event_and_what_has_another_type_is_null() -> None:
    junk = [
        b"not json",
        b"",
        b"[1]",
        b'"x"',
        b"\xff\xfe",
        b'{"ts":5',
        b'{"page":"Home"}',
        b'{"ts":null}',
        b"\0",
        b'{"ts":-1}',
    ]
    record = b'{"ts":5,"userId":[1],"itemInSession":99999999999999999999,"length":"long","page":"NextSong"}'
    (row,) = rows(*junk, record)
    assert {name: value for name, value in row.items() if value is not None} == {"ts_ms": 5, "action": "play"}
    assert rows(*junk) == []


@pytest.mark.parametrize("length", [b"1e999", b"-1.0", b'"NaN"', b"1e7", b"null", b"[]"])
def test_a_duration_that_is_no_length_of_time_is_none(length: bytes) -> None:
    (row,) = rows(b'{"ts":1,"page":"NextSong","length":' + length + b"}")
    assert (row["action"], row["duration_s"]) == ("play", None)


KNOWN = KnownFormats((*OWN.formats, VISITS), (PLAN,))
SAME = ("ts_ms", "listener", "session", "item", "action", "title", "genre", "country", "duration_s")
"""What records of VISITS say as those of `full` do."""


def lines_in(wire_format: Format) -> list[bytes]:
    """The lines of some events, always the same ones."""
    rng = np.random.default_rng(4)
    listeners = some_listeners(30, rng)
    parts = make_track_parts(TinyCatalog(), wire_format)
    encoder = Encoder(wire_format, parts, LABELS, listeners, user_names)
    return [line[:-1] for line in encoder.encode(some_events(400, listeners, rng))[0].to_pylist()]


def test_a_format_of_others_is_read_by_the_sources_of_its_fields(tmp_path: Path) -> None:
    connection, lines = connect(), lines_in(Format("visits", (*VISITS.fields, PLAN)))
    expected = [tuple(row[name] for name in SAME) for row in rows(*lines_in(formats.FULL))]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(lines))
    of_lines = connection.sql(select(from_json([str(tmp_path / "e.jsonl")], known=KNOWN), SAME)).fetchall()
    assert of_lines == expected
    as_text = [line.replace(b'":', b'": ') for line in lines[:10]]
    pq.write_table(table_of([*as_text, *lines[10:]], KNOWN), tmp_path / "e.parquet")
    source, present = parquet([str(tmp_path / "e.parquet")]), record_schema(KNOWN).names
    of_rows = from_table(source, present, known=KNOWN, beside_texts=True)
    assert connection.sql(select(of_rows, SAME)).fetchall() == expected[10:]

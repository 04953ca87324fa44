"""JSON lines to the rows of a table and back: nothing is lost."""

import io
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import make_track_parts
from loadgen.formats import FORMATS, OWN, KnownFormats, format_of
from loadgen.store.table import RAW, lines_of, record_schema, table_of
from tests.encode.world import (
    ACTIVITY_FIELDS,
    FULL_FIELDS,
    LABELS,
    LISTEN_FIELDS,
    SONG_FIELDS,
    TinyCatalog,
    some_events,
    some_listeners,
    user_names,
)
from tests.outside.my_package.format import VISITS
from tests.own_fields import ALL

GOLDEN = Path(__file__).parents[1] / "golden"


SCHEMA = record_schema()


def golden(form: str) -> list[bytes]:
    return (GOLDEN / f"{form}.jsonl").read_bytes().splitlines()


def through_parquet(table: pa.Table) -> pa.Table:
    file = io.BytesIO()
    pq.write_table(table, file)
    return pq.read_table(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("form", FORMATS)
def test_events_of_every_format_fill_their_columns_and_come_back_byte_for_byte(form: str) -> None:
    lines = golden(form)
    table = through_parquet(table_of(lines))
    assert table[RAW].null_count == len(lines)
    assert lines_of(table) == lines
    for name in orjson.loads(lines[0]):
        assert table[name].to_pylist() == [orjson.loads(line).get(name) for line in lines]


def test_formats_may_be_mixed_and_keep_their_order() -> None:
    mixed = [line for lines in zip(*(golden(form) for form in FORMATS), strict=True) for line in lines]
    table = through_parquet(table_of(mixed))
    assert table[RAW].null_count == len(mixed)
    assert lines_of(table) == mixed


def test_the_columns_are_the_fields_of_all_formats_and_raw() -> None:
    assert set(SCHEMA.names) == {*ACTIVITY_FIELDS, *SONG_FIELDS, *FULL_FIELDS, *LISTEN_FIELDS, RAW}
    assert len(SCHEMA.names) == len(set(SCHEMA.names))
    assert SCHEMA.field("ts").type == pa.int64()
    assert SCHEMA.field("length").type == pa.float64()
    assert SCHEMA.field("userId").type == pa.int64()
    assert SCHEMA.field("timestamp").type == pa.string()


EVENT = (
    '{"ts":1767571200267,"userId":213,"sessionId":213000001,"page":"NextSong","method":"PUT","status":200,'
    '"level":"free","itemInSession":18,"location":"Manchester, GB","age":41,'
    '"artist":"Artist 91","song":"夜の電車 3385","length":185.205,"artist_tier":"indie","song_popularity":86}'
).encode()
CHANGED = [
    EVENT.replace(b'"ts":', b'"ts": '),
    EVENT.replace(b'"userId":213', b'"userId":"213"'),
    EVENT.replace(b'"userId":213', b'"userId":213.0'),
    EVENT.replace(b'"userId":213', b'"userId":true'),
    EVENT.replace(b'"userId":213', b'"userId":null'),
    EVENT.replace(b'"userId":213', b'"userId":18446744073709551615'),
    EVENT.replace(b'"length":185.205', b'"length":185'),
    EVENT.replace(b'"length":185.205', b'"length":185.2050'),
    EVENT.replace(b'"length":185.205', b'"length":{"s":185}'),
    EVENT.replace(b'"artist":"Artist 91",', b""),
    EVENT.replace(b'"Artist 91"', b'"Artist\\u002091"'),
    EVENT.replace(b'"page":"NextSong","method":"PUT"', b'"method":"PUT","page":"NextSong"'),
    EVENT.replace(b'"page":"NextSong"', b'"page":"Home","page":"NextSong"'),
    EVENT[:-1] + b',"raw":"x"}',
    EVENT[:-1] + b',"ts":1}',
    b'{"ts":1767571200267}',
    b'{"ts":1767571200267,"timestamp":"2025-01-01T00:00:00Z","raw":null}',
]


def test_what_is_not_exactly_an_event_is_kept_as_text_with_its_time() -> None:
    assert len({EVENT, *CHANGED}) == len(CHANGED) + 1
    table = through_parquet(table_of(CHANGED))
    assert table[RAW].to_pylist() == [line.decode() for line in CHANGED]
    assert table["ts"].to_pylist() == [orjson.loads(line)["ts"] for line in CHANGED]
    others = set(SCHEMA.names) - {RAW, "ts"}
    assert all(table[name].null_count == len(CHANGED) for name in others)
    assert lines_of(table) == CHANGED


@pytest.mark.parametrize(
    ("line", "ts", "timestamp"),
    [
        (b'{"timestamp":"2025-01-01T00:00:00Z"}', None, "2025-01-01T00:00:00Z"),
        (b'{"ts":18446744073709551615,"timestamp":"x"}', None, "x"),
        (b'{"ts":1.5,"timestamp":7}', None, None),
        (b'{"ts":true}', None, None),
        (b"{}", None, None),
    ],
)
def test_a_record_kept_as_text_has_the_time_that_it_states(line: bytes, ts: int | None, timestamp: str | None) -> None:
    table = through_parquet(table_of([line]))
    assert (table["ts"].to_pylist(), table["timestamp"].to_pylist()) == ([ts], [timestamp])
    assert lines_of(table) == [line]


def test_no_lines_are_an_empty_table() -> None:
    assert table_of([]).schema == SCHEMA
    assert lines_of(table_of([])) == []


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(SCHEMA.names), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """An event in which some fields are something else, or missing, or more."""
    record = orjson.loads(draw(st.sampled_from([line for form in FORMATS for line in golden(form)[:20]])))
    record |= draw(st.dictionaries(st.sampled_from(SCHEMA.names), VALUES, max_size=2))
    for name in draw(st.lists(st.sampled_from(sorted(record)), max_size=2)):
        record.pop(name, None)
    return orjson.dumps(record)


@given(st.lists(records(), max_size=8))
def test_whatever_the_records_are_they_come_back_byte_for_byte(lines: list[bytes]) -> None:
    assert lines_of(through_parquet(table_of(lines))) == lines


def test_further_fields_and_formats_of_others_have_columns_with_their_types() -> None:
    known = KnownFormats((*OWN.formats, VISITS), ALL)
    rng = np.random.default_rng(1)
    listeners = some_listeners(20, rng)
    batch, lines = some_events(300, listeners, rng), []
    some = [format_of("activity", ALL[:2]), format_of("activity", ALL), format_of("full", ALL[3:]), VISITS]
    for wire_format in (*some, *OWN.formats):
        encoder = Encoder(wire_format, make_track_parts(TinyCatalog(), wire_format), LABELS, listeners, user_names)
        lines += [line[:-1] for line in encoder.encode(batch)[0].to_pylist()]
    table = through_parquet(table_of(lines, known))
    assert table[RAW].null_count == len(lines)
    assert lines_of(table, known) == lines
    assert [table.schema.field(name).type for name in ("plan", "drift", "balance")] == [
        pa.string(),
        pa.float64(),
        pa.int64(),
    ]
    assert table_of(lines)[RAW].null_count == len(lines) - 4 * len(batch)


@pytest.mark.parametrize("more", [b'"plan":"a","drift":1.5', b'"drift":1', b'"drift":null', b'"drift":1.5,"nothing":1'])
def test_further_fields_in_another_order_or_of_another_type_are_kept_as_text(more: bytes) -> None:
    known = KnownFormats(OWN.formats, ALL)
    line = EVENT[:-1] + b"," + more + b"}"
    table = table_of([line], known)
    assert table[RAW].to_pylist() == [line.decode()]
    assert lines_of(table, known) == [line]

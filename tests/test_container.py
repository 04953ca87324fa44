"""Avro container files: fastavro reads what is written, and what it writes is read."""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import container
from loadgen.container import BLOCK_RECORDS, Container, container_tables, nameable
from loadgen.errors import StoreError
from loadgen.formats import OWN, Field, Format, KnownFormats, Source
from loadgen.store.local import LocalStore
from loadgen.store.table import lines_of, record_schema, table_of
from tests.analyze.reading import LINES, MIXED
from tests.rows import as_file

INTEGERS = st.none() | st.integers(-(1 << 63), (1 << 63) - 1)
ROWS = st.lists(st.tuples(INTEGERS, st.none() | st.floats(allow_nan=False), st.none() | st.text()), min_size=1)
SCHEMA = pa.schema([("number", pa.int64()), ("decimal", pa.float64()), ("text", pa.string())])
CODECS: list[Any] = [None, "gz", "zst"]
OTHERS = (b'{"ts":1767600000000,"a":1}', b'{ "timestamp" : "2026-01-05T00:00:00", "b":null}')


def rows_by_fastavro(data: bytes) -> list[dict[str, Any]]:
    """The records, with `ts` in milliseconds since 1970."""
    rows: list[Any] = list(fastavro.reader(io.BytesIO(data)))
    for row in rows:
        if row.get("ts") is not None:
            row["ts"] = round(row["ts"].timestamp() * 1000)
    return rows


def read(data: bytes, position: int = 0) -> list[tuple[pa.Table, int]]:
    opened = io.BytesIO(data)
    return list(Container.of(opened).tables(opened, position))


def table_in(data: bytes) -> pa.Table:
    return pa.concat_tables([table for table, _ in read(data)])


def written(schema: list[dict[str, Any]], rows: list[dict[str, Any]], **options: Any) -> bytes:
    """A file by fastavro."""
    buffer = io.BytesIO()
    fastavro.writer(buffer, {"type": "record", "name": "R", "fields": schema}, rows, **options)
    return buffer.getvalue()


@given(rows=ROWS)
def test_fastavro_reads_all_values_and_so_do_we(rows: list[tuple[Any, ...]]) -> None:
    columns = [pa.array(values, column.type) for values, column in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    table = pa.table(columns, SCHEMA)
    data = as_file(table, "avro")
    assert rows_by_fastavro(data) == table.to_pylist()
    assert table_in(data).equals(table)


@pytest.mark.parametrize("codec", CODECS)
def test_records_of_all_formats_and_others_come_back_byte_for_byte(codec: Any) -> None:
    lines = [*MIXED, *OTHERS]
    data = as_file(table_of(lines), "avro", codec)
    assert lines_of(table_in(data)) == lines
    assert table_in(data).schema == record_schema()
    if codec != "zst":  # for which fastavro needs another package
        assert rows_by_fastavro(data) == table_of(lines).to_pylist()
        blocks = fastavro.block_reader(io.BytesIO(data))
        assert {block.num_records for block in blocks} == {BLOCK_RECORDS, len(lines) % BLOCK_RECORDS}


def test_a_file_is_read_some_blocks_at_a_time_and_on_from_any_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data = as_file(table_of(MIXED), "avro")
    monkeypatch.setattr(container, "WINDOW_BYTES", 100_000)
    pieces = read(data)
    assert len(pieces) > 3
    assert pieces[-1][1] == len(data)
    assert lines_of(pa.concat_tables([table for table, _ in pieces])) == MIXED
    rest = [table for table, _ in read(data, pieces[1][1])]
    assert pa.concat_tables(rest).equals(pa.concat_tables([table for table, _ in pieces[2:]]))
    assert read(data, len(data)) == []


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_files_of_others_are_read(codec: str) -> None:
    schema: list[dict[str, Any]] = [
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "level", "type": {"type": "enum", "name": "L", "symbols": ["free", "paid"]}},
        {"name": "length", "type": ["float", "null"]},
        {"name": "is_new", "type": "boolean"},
        {"name": "nothing", "type": "null"},
        {"name": "id", "type": {"type": "fixed", "name": "F", "size": 3}},
        {"name": "age", "type": ["null", "int"]},
    ]
    rows: list[dict[str, Any]] = [
        {
            "ts": 1_767_600_000_000_000 + number * 1000,
            "timestamp": 1_767_600_000_000 + number,
            "level": ("free", "paid")[number % 2],
            "length": None if number % 3 else number / 4,
            "is_new": number % 5 == 0,
            "nothing": None,
            "id": b"%03d" % number,
            "age": number * 1000 if number % 7 else None,
        }
        for number in range(300)
    ]
    found = table_in(written(schema, rows, codec=codec, sync_interval=1000)).to_pylist()
    for row in rows:
        ms = row["timestamp"] % 1000
        row["ts"], row["timestamp"] = row["timestamp"], f"2026-01-05T08:00:00.{ms:03}000+00:00"
    assert found == rows


def test_blocks_of_snappy_are_read() -> None:
    plain = as_file(table_of(LINES["full"][:100]), "avro")
    opened = io.BytesIO(plain)
    at = Container.of(opened)
    ((count, data, _),) = at.blocks(opened, at.begin)
    packed = pa.Codec("snappy").compress(data, asbytes=True) + b"CRC!"
    block = container._long(count) + container._bytes(packed) + at.sync
    head = plain[: at.begin].replace(b"\x08null", b"\x0csnappy")
    assert lines_of(table_in(head + block)) == LINES["full"][:100]


def test_a_file_without_records_has_columns() -> None:
    data = as_file(record_schema().empty_table(), "avro")
    assert read(data) == []
    assert Container.of(io.BytesIO(data)).schema == record_schema()


FULL = as_file(table_of(LINES["full"]), "avro")
N_SHORT = 30
SHORT = as_file(table_of(LINES["full"][:N_SHORT]), "avro")
BEGIN = Container.of(io.BytesIO(FULL)).begin


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no Avro container file"),
        (FULL[:50], "it ends within a block"),
        (FULL[:-1], "it ends within a block"),
        (FULL[:-1] + b"?", "sync marker"),
        (FULL[: BEGIN + 5] + b"\x09" + FULL[BEGIN + 6 :], "a record has a branch that its schema lacks in ts"),
        (FULL[:BEGIN] + b"\x80\x80\x80\x80\x01" + FULL[BEGIN + 2 :], "records"),
        (FULL[: BEGIN + 1] + b"\xff" * 10 + FULL[BEGIN + 11 :], "more than 64 bits|ends within a block"),
        (FULL.replace(b"\x08null", b"\x08lz99", 1), "codec must be one of null, deflate, .*, got 'lz99'"),
        (written([{"name": "a", "type": {"type": "array", "items": "int"}}], [{"a": [1]}]), "must have a single value"),
        (FULL.replace(b"\x08null", b"\x0edeflate", 1), "invalid|incorrect|Error"),
    ],
)
def test_what_is_no_file_of_events_or_damaged_is_said(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "a.avro").write_bytes(data)
    with pytest.raises(StoreError, match=rf"cannot read 'a\.avro' in .*({why}).*is it damaged, or not whole"):
        list(container_tables(LocalStore(tmp_path), "a.avro"))


@given(at=st.integers(4, len(SHORT) - 1), byte=st.integers(0, 255))
def test_no_byte_that_is_changed_ends_in_another_error(at: int, byte: int) -> None:
    data = SHORT[:at] + bytes([byte]) + SHORT[at + 1 :]
    with suppress(*container.DAMAGE):
        assert len(table_in(data)) <= N_SHORT


def test_names_that_avro_lacks_are_kept_as_text() -> None:
    said: list[str] = []
    bad = Format(
        "bad",
        (
            Field("ts", Source.TIME_MS),
            *(Field(f"a.{one}", one) for one in (Source.USER_ID, Source.SESSION_ID, Source.ITEM)),
        ),
    )
    found = nameable(
        KnownFormats((*OWN.formats, bad), (Field("b-c", Source.AGE), Field("fine", Source.AGE))), said.append
    )
    assert (found.formats, [one.name for one in found.fields]) == (OWN.formats, ["fine"])
    assert [text.partition(":")[0] for text in said] == ["b-c", "bad"]

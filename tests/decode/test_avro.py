"""Avro records are read as fastavro reads them, and a broken one harms no other."""

import json
from datetime import UTC, datetime
from decimal import Context, Decimal
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.decode import avro
from loadgen.decode.columns import Decoded
from loadgen.encode.avro import Avro
from loadgen.encode.schemas import avro_schema
from loadgen.event import EventBatch, Listeners
from loadgen.formats import Format
from tests.encode.records import FORMATS, INT64, batches, encoded, records_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    ("int", st.integers(-(1 << 31), (1 << 31) - 1)),
    ("long", INT64),
    ("double", st.floats(allow_nan=False)),
    ("float", st.floats(allow_nan=False, width=32)),
    ("boolean", st.booleans()),
    ("string", st.text()),
    ("bytes", st.binary()),
    ("null", st.none()),
    ({"type": "enum", "name": "Level", "symbols": ["free", "paid"]}, st.sampled_from(["free", "paid"])),
    ({"type": "fixed", "name": "Digest", "size": 3}, st.binary(min_size=3, max_size=3)),
    ({"type": "long", "logicalType": "timestamp-millis"}, MOMENTS.map(lambda at: at.replace(microsecond=0))),
    ({"type": "long", "logicalType": "timestamp-micros"}, MOMENTS),
]
ROOM = [b"", b"\x80" * 12, b"\xff" * 9 + b"\x01", b"\x00\x00\x02", b"\xfe\xff\xff\xff\x0f"]


@st.composite
def schemas(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """A schema of a few fields, and records of it."""
    fields, values, named = [], {}, set()
    for at in range(draw(st.integers(1, 6))):
        kind, found = draw(st.sampled_from(TYPES))
        if isinstance(kind, dict) and "name" in kind:
            kind, name = (kind["name"], kind["name"]) if kind["name"] in named else (kind, kind["name"])
            named.add(name)
        order = draw(st.sampled_from(["plain", "null first", "null last"])) if kind != "null" else "plain"
        union = {"plain": kind, "null first": ["null", kind], "null last": [kind, "null"]}[order]
        fields.append({"name": f"f{at}", "type": union})
        values[f"f{at}"] = found if order == "plain" else st.none() | found
    schema = {"type": "record", "name": "Any", "fields": fields}
    return json.dumps(schema), draw(st.lists(st.fixed_dictionaries(values), max_size=20))


def written(schema: str, records: list[dict[str, Any]]) -> list[bytes]:
    """The records as fastavro writes them."""
    parsed, found = fastavro.parse_schema(json.loads(schema)), []
    for record in records:
        file = BytesIO()
        fastavro.schemaless_writer(file, parsed, record)
        found.append(file.getvalue())
    return found


def decoded(schema: str, values: list[bytes], skip: int = 0) -> Decoded:
    found = avro.decode(pa.array(values, pa.binary()), avro.columns_of(schema), skip)
    found.table.validate(full=True)
    assert sorted([*found.rows.tolist(), *found.faults]) == list(range(len(values)))
    return found


@pytest.mark.parametrize("wire_format", FORMATS, ids=lambda one: one.name)
@settings(max_examples=25, deadline=None)
@given(events=batches())
def test_what_was_encoded_is_decoded(wire_format: Format, events: tuple[EventBatch, Listeners]) -> None:
    records, _ = encoded(wire_format, Avro(b"\0\0\0\0\7"), *events)
    found = decoded(avro_schema(wire_format), records, 5)
    assert found.faults == {}
    for values, expected in zip(found.table.to_pylist(), records_of(wire_format, *events), strict=True):
        if "ts" in expected:
            assert values.pop("ts") == EPOCH + np.timedelta64(expected.pop("ts"), "ms").item()
        assert values == {name: expected.get(name) for name in values}


@settings(deadline=None)
@given(st.integers(1, 38), st.data())
def test_decimals_are_numbers_while_these_keep_their_digits_and_texts_otherwise(
    precision: int, data: st.DataObject
) -> None:
    scale, most = data.draw(st.integers(0, precision)), 10**precision - 1
    unscaled = data.draw(st.lists(st.none() | st.integers(-most, most), min_size=1))
    of = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    schema = json.dumps({"type": "record", "name": "R", "fields": [{"name": "d", "type": ["null", of]}]})
    values = [None if one is None else Decimal(one).scaleb(-scale, Context(prec=40)) for one in unscaled]
    found = decoded(schema, written(schema, [{"d": value} for value in values])).table["d"]
    is_number = precision <= (15 if scale else 18)
    kind = (pa.float64() if scale else pa.int64()) if is_number else pa.string()
    assert found.type == kind
    number = Decimal if kind == pa.string() else float if scale else int
    assert [None if one is None else number(one) for one in found.to_pylist()] == [
        None if value is None else number(value) for value in values
    ]


def test_a_decimal_with_more_digits_than_its_schema_allows_is_a_fault() -> None:
    of = {"type": "bytes", "logicalType": "decimal", "precision": 18}
    schema = json.dumps({"type": "record", "name": "R", "fields": [{"name": "d", "type": of}]})
    found = decoded(schema, [b"\x12\x01" + bytes(8), b"\x22" + bytes(17), b"\x12\xff" + b"\xff" * 8, b"\x00"])
    said = "has more digits than its schema allows in d"
    assert found.faults == {0: said, 1: said}
    assert found.table["d"].to_pylist() == [-1, 0]


@settings(deadline=None)
@given(written_by=schemas())
def test_records_of_any_flat_schema_are_read_as_they_were_written(
    written_by: tuple[str, list[dict[str, Any]]],
) -> None:
    schema, records = written_by
    found = decoded(schema, written(schema, records))
    assert found.faults == {}
    assert found.table.to_pylist() == records


@settings(deadline=None)
@given(written_by=schemas(), data=st.data())
def test_a_broken_record_has_a_fault_and_the_others_are_read(
    written_by: tuple[str, list[dict[str, Any]]], data: st.DataObject
) -> None:
    schema, records = written_by
    values, parsed = written(schema, records), fastavro.parse_schema(json.loads(schema))
    for row, value in enumerate(values):
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(value)))
            end = data.draw(st.integers(at, len(value)))
            values[row] = value[:at] + data.draw(st.sampled_from(ROOM) | st.binary(max_size=4)) + value[end:]
    found = decoded(schema, values)
    for row, record in zip(found.rows.tolist(), found.table.to_pylist(), strict=True):
        file = BytesIO(values[row])
        assert record == fastavro.schemaless_reader(file, parsed, None)
        assert file.read() == b""
    intact = [row for row, value in enumerate(written(schema, records)) if value == values[row]]
    assert not set(intact) & found.faults.keys()


def test_a_signalling_nan_is_a_nan() -> None:
    values = decoded(TWO % '"float"', [b"\x02\x01\x00\x80\x7f"]).table["b"].to_pylist()
    assert len(values) == 1
    assert np.isnan(values[0])


TWO = '{"type": "record", "name": "Two", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": %s}]}'


@pytest.mark.parametrize(
    ("of_type", "value", "reason"),
    [
        ('"string"', b"\x02\x06ab", "ends within b"),
        ('"string"', b"\x02", "ends within b"),
        ('"string"', b"", "ends within a"),
        ('"string"', b"\x02\x01ab", "ends within b"),
        ('"string"', b"\x02\x02ab", "goes on behind its last field"),
        ('"string"', b"\x02\x02\xff", "has bytes that are not UTF-8 in b"),
        ('"string"', b"\xff" * 10 + b"\0", "has a number of more than 64 bits as a"),
        ('["null", "string"]', b"\x02\x04", "has a branch that its schema lacks in b"),
        ('["null", "string"]', b"\x02\x01", "has a branch that its schema lacks in b"),
        ('{"type": "enum", "name": "E", "symbols": ["x"]}', b"\x02\x02", "has a symbol that its schema lacks as b"),
        ('"boolean"', b"\x02\x02", "has a boolean that is neither true nor false as b"),
        ('"double"', b"\x02\0\0\0\0\0\0\0", "ends within b"),
    ],
)
def test_a_fault_says_what_is_wrong(of_type: str, value: bytes, reason: str) -> None:
    assert decoded(TWO % of_type, [value]).faults == {0: reason}


@pytest.mark.parametrize(
    "of_type", ['{"type": "array", "items": "long"}', '["null", "long", "string"]', '"Unknown"', '{"type": "map"}']
)
def test_a_schema_with_several_values_in_a_field_is_refused(of_type: str) -> None:
    with pytest.raises(ValueError, match="field b must have"):
        avro.columns_of(TWO % of_type)

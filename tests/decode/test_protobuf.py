"""Protobuf messages are read as protobuf's own library reads them, and a broken one harms no other."""

from typing import Any

import pyarrow as pa
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.decode import protobuf
from loadgen.decode.columns import Decoded
from loadgen.encode.protobuf import Protobuf
from loadgen.encode.schemas import protobuf_schema
from loadgen.event import EventBatch, Listeners
from loadgen.formats import Format
from tests.encode.proto import message_class
from tests.encode.records import FORMATS, INT64, batches, encoded, records_of
from tests.encode.test_protobuf import fields_of

SMALL = st.integers(-(1 << 31), (1 << 31) - 1)
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "int32": SMALL,
    "int64": INT64,
    "uint32": st.integers(0, (1 << 32) - 1),
    "uint64": st.integers(0, (1 << 63) - 1),
    "sint32": SMALL,
    "sint64": INT64,
    "bool": st.booleans(),
    "double": st.floats(allow_nan=False),
    "float": st.floats(allow_nan=False, width=32),
    "fixed64": st.integers(0, (1 << 63) - 1),
    "sfixed64": INT64,
    "fixed32": st.integers(0, (1 << 32) - 1),
    "sfixed32": SMALL,
    "string": st.text(),
    "bytes": st.binary(),
}
ANY = "".join(
    f"  {optional}{kind} {optional.strip()}_{kind} = {number}; // one\n"
    for number, (optional, kind) in enumerate(((o, k) for o in ("", "optional ") for k in TYPES), 3)
)
SCHEMA = f'/* all\n types */ syntax = "proto3"; package any;\nmessage Any {{\n  reserved 1, 2;\n{ANY}}}\n'
VALUES = {f"{optional}_{kind}": found for optional in ("", "optional") for kind, found in TYPES.items()}
UNKNOWN = [b"\x0a\x02hi", b"\x08\x05", b"\xfa\xff\xff\xff\x0f\0", b"\x11" + b"\1" * 8, b"\x15" + b"\1" * 4]
"""Fields of numbers that the schema lacks, one of each wire type."""
ROOM = [b"", b"\x80" * 12, b"\x08\x01", b"\x0b", b"\x98\x80\x00\x01", b"\xff" * 9 + b"\x01"]


def decoded(schema: str, values: list[bytes], skip: int = 0) -> Decoded:
    found = protobuf.decode(pa.array(values, pa.binary()), protobuf.columns_of(schema), skip)
    found.table.validate(full=True)
    assert sorted([*found.rows.tolist(), *found.faults]) == list(range(len(values)))
    return found


def read(value: bytes) -> dict[str, Any]:
    """What protobuf's library reads: null for an optional field that is not there."""
    message = message_class(SCHEMA).FromString(value)
    absent = {one.name for one in message.DESCRIPTOR.fields if one.has_presence and not message.HasField(one.name)}
    return {name: None if name in absent else getattr(message, name) for name in VALUES}


@pytest.mark.parametrize("wire_format", FORMATS, ids=lambda one: one.name)
@settings(max_examples=25, deadline=None)
@given(events=batches())
def test_what_was_encoded_is_decoded(wire_format: Format, events: tuple[EventBatch, Listeners]) -> None:
    messages, _ = encoded(wire_format, Protobuf(b"\0\0\0\0\7\0"), *events)
    found = decoded(protobuf_schema(wire_format), messages, 6)
    assert found.faults == {}
    for values, record in zip(found.table.to_pylist(), records_of(wire_format, *events), strict=True):
        expected = fields_of(record)
        assert values == {name: expected.get(name) for name in values}


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({}, optional=VALUES), max_size=10), st.randoms())
def test_fields_of_any_type_and_in_any_order_are_read_as_protobuf_reads_them(
    records: list[dict[str, Any]], random: Any
) -> None:
    values = []
    for record in records:
        parts = [message_class(SCHEMA)(**{name: value}).SerializeToString() for name, value in record.items()]
        parts += UNKNOWN * random.randint(0, 1)
        parts += random.choices(parts, k=3) if parts else []
        random.shuffle(parts)
        values.append(b"".join(parts))
    found = decoded(SCHEMA, values)
    assert found.faults == {}
    assert found.table.to_pylist() == list(map(read, values))


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({}, optional=VALUES), max_size=10), st.data())
def test_a_broken_message_has_a_fault_and_the_others_are_read(
    records: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = [message_class(SCHEMA)(**record).SerializeToString() for record in records]
    values = list(whole)
    for row, value in enumerate(values):
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(value)))
            end = data.draw(st.integers(at, len(value)))
            values[row] = value[:at] + data.draw(st.sampled_from(ROOM) | st.binary(max_size=4)) + value[end:]
    found = decoded(SCHEMA, values)
    for row, record in zip(found.rows.tolist(), found.table.to_pylist(), strict=True):
        assert record == pytest.approx(read(values[row]), nan_ok=True)
    assert not {row for row, value in enumerate(whole) if value == values[row]} & found.faults.keys()


TWO = "message Two { optional int64 a = 1; string b = 2; }"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x08", "ends within a"),
        (b"\x08\x80", "ends within a"),
        (b"\x12\x03ab", "ends within b"),
        (b"\x12\x02\xff\xfe", "has bytes that are not UTF-8 in b"),
        (b"\x12\x01a\x1a\x05", "ends within a field that its schema lacks"),
        (b"\x0b", "has a tag that Protobuf lacks"),
        (b"\x00\x01", "has a tag that Protobuf lacks"),
        (b"\x88\x00\x01", "has a tag in too many bytes"),
        (b"\x88", "ends within a tag"),
        (b"\x88\x80", "ends within a tag"),
        (b"\x08" + b"\xff" * 10, "has a number of more than 64 bits as a"),
    ],
)
def test_a_fault_says_what_is_wrong(value: bytes, reason: str) -> None:
    found = decoded(TWO, [value, b"\x08\x01"])
    assert found.faults == {0: reason}
    assert found.table.to_pylist() == [{"a": 1, "b": ""}]


def test_a_message_is_read_as_protobuf_reads_it_where_a_field_has_another_wire_type() -> None:
    value = message_class(SCHEMA)(_string="x").SerializeToString() + b"\x1a\x01a"  # int32 is field 3
    assert decoded(SCHEMA, [value]).table.to_pylist() == [read(value)]


@pytest.mark.parametrize("kind", ["int32", "uint32", "sint32"])
def test_of_a_number_that_is_too_large_for_its_type_the_low_bits_are_read(kind: str) -> None:
    tag = bytes([8 * (3 + list(TYPES).index(kind))])
    values = [tag + varint for varint in (b"\xff\xff\xff\xff\x7f", b"\x81\x80\x80\x80\x80\x01", b"\xff" * 9 + b"\x01")]
    assert decoded(SCHEMA, values).table.to_pylist() == list(map(read, values))


@pytest.mark.parametrize(
    "schema",
    ["", "enum E { A = 0; }", "message M { repeated int64 a = 1; }", "message M { map<string, int64> a = 1; }"],
)
def test_a_schema_with_several_values_in_a_field_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="of events must have a"):
        protobuf.columns_of(schema)


def test_messages_that_protobuf_refuses_are_refused() -> None:
    for value in (b"\x00\x01", b"\x1b"):
        with pytest.raises(DecodeError):
            message_class(SCHEMA).FromString(value)
        assert decoded(SCHEMA, [value]).faults

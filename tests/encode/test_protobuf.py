"""Protobuf messages are what protobuf's own library writes for the same record with the format's schema."""

from typing import Any

import pytest
from hypothesis import given, settings

from loadgen.encode.encodings import encoding_named
from loadgen.encode.protobuf import Protobuf
from loadgen.encode.schemas import protobuf_schema
from loadgen.encode.text import JSON_LINES
from loadgen.event import EventBatch, Listeners
from loadgen.formats import Format
from tests.encode.proto import message_class
from tests.encode.records import FORMATS, batches, encoded, records_of


def fields_of(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message: none is null, times are ISO text."""
    found = {name: value for name, value in record.items() if value is not None}
    if "timestamp" in found:
        found["timestamp"] = found["timestamp"].isoformat(timespec="microseconds")
    return found


@pytest.mark.parametrize("wire_format", FORMATS, ids=lambda one: one.name)
@settings(max_examples=40, deadline=None)
@given(events=batches())
def test_every_message_is_what_protobuf_writes(wire_format: Format, events: tuple[EventBatch, Listeners]) -> None:
    message = message_class(protobuf_schema(wire_format))
    records, hashes = encoded(wire_format, Protobuf(), *events)
    expected = [fields_of(record) for record in records_of(wire_format, *events)]
    assert records == [message(**fields).SerializeToString(deterministic=True) for fields in expected]
    assert hashes.tolist() == encoded(wire_format, JSON_LINES, *events)[1].tolist()


@settings(max_examples=10, deadline=None)
@given(events=batches())
def test_a_schema_id_and_the_index_of_the_first_message_stand_in_front(events: tuple[EventBatch, Listeners]) -> None:
    framed, _ = encoded(FORMATS[0], encoding_named("protobuf", 0x01020304), *events)
    bare, _ = encoded(FORMATS[0], encoding_named("protobuf"), *events)
    assert framed == [b"\0\1\2\3\4\0" + record for record in bare]

"""Avro records are what fastavro writes for the same record with the format's schema."""

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings

from loadgen.encode.avro import Avro
from loadgen.encode.encodings import encoding_named
from loadgen.encode.schemas import avro_schema
from loadgen.encode.text import JSON_LINES
from loadgen.event import EventBatch, Listeners
from loadgen.formats import Format
from tests.encode.records import FORMATS, batches, encoded, records_of


def written(schema: Any, record: dict[str, Any]) -> bytes:
    """What fastavro writes."""
    file = BytesIO()
    fastavro.schemaless_writer(file, schema, record, strict_allow_default=True)
    return file.getvalue()


@pytest.mark.parametrize("wire_format", FORMATS, ids=lambda one: one.name)
@settings(max_examples=40, deadline=None)
@given(events=batches())
def test_every_record_is_what_fastavro_writes(wire_format: Format, events: tuple[EventBatch, Listeners]) -> None:
    schema = fastavro.parse_schema(json.loads(avro_schema(wire_format)))
    records, hashes = encoded(wire_format, Avro(), *events)
    assert records == [written(schema, record) for record in records_of(wire_format, *events)]
    assert hashes.tolist() == encoded(wire_format, JSON_LINES, *events)[1].tolist()


@settings(max_examples=10, deadline=None)
@given(events=batches())
def test_a_schema_id_stands_in_front_of_every_record(events: tuple[EventBatch, Listeners]) -> None:
    framed, _ = encoded(FORMATS[0], encoding_named("avro", 0x01020304), *events)
    bare, _ = encoded(FORMATS[0], encoding_named("avro"), *events)
    assert framed == [b"\0\1\2\3\4" + record for record in bare]

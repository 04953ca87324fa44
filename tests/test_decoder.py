"""Values of a topic become the lines that loadgen writes; what cannot be decoded has a fault and harms no other."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import fastavro
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.config.names import EncodingName
from loadgen.decoder import DecodedValues, Decoder, Schemas, SchemasNeeded
from loadgen.encode.encodings import encoding_named, schema_text
from loadgen.encode.text import JSON_LINES
from loadgen.event import EventBatch, Listeners
from loadgen.formats import OWN, Format, KnownFormats
from tests.encode.records import FORMATS, ODD, batches, encoded
from tests.kafka.http_server import Server
from tests.schema_registry import registry_of

ENCODINGS: dict[EncodingName, str] = {"avro": "AVRO", "protobuf": "PROTOBUF", "jsonschema": "JSON"}
KNOWN = KnownFormats((*OWN.formats, ODD))
SCHEMAS = {
    1000 * at + row: (kind, schema_text(name, wire_format) or "")
    for at, wire_format in enumerate(FORMATS)
    for row, (name, kind) in enumerate(ENCODINGS.items())
}
PLAIN = json.dumps({"type": "record", "name": "E", "fields": [{"name": "ts", "type": "long"}]})
HEADER = b"\0\0\0\0\7"


@contextmanager
def decoder(schemas: dict[int, tuple[str, str]]) -> Iterator[tuple[Decoder, Schemas, Server]]:
    with registry_of(schemas) as (registry, server):
        found = Schemas(registry)
        yield Decoder(found, KNOWN), found, server


def decoded(values: Sequence[bytes | None], **schemas: tuple[str, str]) -> DecodedValues:
    """Values of these schemas, whose names are _ID."""
    with decoder({int(name[1:]): schema for name, schema in schemas.items()}) as (found, known, _):
        try:
            return found.lines(values)
        except SchemasNeeded as needed:
            for schema_id in needed.ids:
                known.fetch(schema_id)
        return found.lines(values)


@pytest.fixture(scope="module")
def own() -> Iterator[Decoder]:
    """A decoder of the schemas of loadgen's formats and of ODD."""
    with decoder(SCHEMAS) as (found, schemas, _):
        for schema_id in SCHEMAS:
            schemas.fetch(schema_id)
        yield found


@pytest.mark.parametrize("row", range(len(ENCODINGS)), ids=list(ENCODINGS))
@pytest.mark.parametrize("at", range(len(FORMATS)), ids=[one.name for one in FORMATS])
@settings(max_examples=15)
@given(made=batches())
def test_decoded_lines_are_those_that_loadgen_writes(
    own: Decoder, at: int, row: int, made: tuple[EventBatch, Listeners]
) -> None:
    name, schema_id = list(ENCODINGS)[row], 1000 * at + row
    values, _ = encoded(FORMATS[at], encoding_named(name, schema_id), *made)
    lines, _ = encoded(FORMATS[at], JSON_LINES, *made)
    assert own.lines(values) == ([line[:-1] for line in lines], {})


@settings(max_examples=10)
@given(
    parts=st.lists(
        st.tuples(batches(), st.integers(0, len(FORMATS) - 1), st.sampled_from([*ENCODINGS, "json"])), max_size=3
    ),
    order=st.randoms(use_true_random=False),
)
def test_a_topic_of_many_schemas_and_of_json_is_decoded_in_order(
    own: Decoder, parts: list[tuple[Any, int, EncodingName]], order: Any
) -> None:
    pairs = []
    for made, at, name in parts:
        wire_format: Format = FORMATS[at]
        schema_id = None if name == "json" else 1000 * at + list(ENCODINGS).index(name)
        values, _ = encoded(wire_format, encoding_named(name, schema_id), *made)
        lines, _ = encoded(wire_format, JSON_LINES, *made)
        pairs += [
            (value.rstrip(b"\n") if name == "json" else value, line[:-1])
            for value, line in zip(values, lines, strict=True)
        ]
    order.shuffle(pairs)
    assert own.lines([value for value, _ in pairs]) == ([line for _, line in pairs], {})


def test_what_cannot_be_decoded_says_why_and_harms_no_other() -> None:
    odd = json.dumps({"type": "record", "name": "E", "fields": [{"name": "tags", "type": {"type": "array"}}]})
    message = 'syntax = "proto3"; message E { int64 ts = 1; }'
    values = [
        HEADER + b"\2",
        HEADER,
        HEADER + b"\2\2",
        b"\0\0",
        None,
        b"",
        b"\0\0\0\0\1x",
        b"\0\0\0\0\2x",
        b"\0\0\0\0\3\0\10\5",
        b"\0\0\0\0\3\2\2\10\5",
        b"\0\0\0\0\3\0\10",
        b"\0\0\0\0\4{}",
        HEADER + b"\4",
        b'{"ts":3}',
    ]
    found = decoded(values, _7=("AVRO", PLAIN), _2=("AVRO", odd), _3=("PROTOBUF", message), _4=("THRIFT", ""))
    lines: list[bytes | None] = [b'{"ts":1}', *[None] * 4, b"", *[None] * 2, b'{"ts":5}', *[None] * 3]
    assert found.values == [*lines, b'{"ts":2}', b'{"ts":3}']
    assert found.faults == {
        1: "the value, Avro of schema 7, ends within ts",
        2: "the value, Avro of schema 7, goes on behind its last field",
        3: "the value ends within its schema's id",
        6: "the schema registry has no schema 1",
        7: "schema 2 cannot be used: field tags must have a single value, got the type array",
        9: "the value, Protobuf of schema 3, is not the first message of its schema",
        10: "the value, Protobuf of schema 3, ends within ts",
        11: "schema 4 cannot be used: loadgen reads no schemas of the type THRIFT",
    }


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("AVRO", "no JSON"),
        ("AVRO", "[]"),
        ("AVRO", '{"type": "record", "fields": [{}]}'),
        ("AVRO", '{"type": "record", "name": "E", "fields": []}'),
        ("PROTOBUF", "message {"),
    ],
)
def test_a_schema_that_cannot_be_used_is_a_fault_of_its_values(kind: str, text: str) -> None:
    assert decoded([HEADER + b"\2"], _7=(kind, text)).faults[0].startswith("schema 7 cannot be used: ")


def test_a_schema_is_asked_for_once_and_one_that_is_missing_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served: dict[int, tuple[str, str]] = {7: ("AVRO", PLAIN)}
    with decoder(served) as (found, schemas, server):
        values = [HEADER + b"\2", b"\0\0\0\0\1\2"] * 50
        with pytest.raises(SchemasNeeded) as caught:
            found.lines([b'{"ts":1}', *values])
        assert (caught.value.ids, caught.value.first) == ([1, 7], 1)
        for schema_id in caught.value.ids:
            schemas.fetch(schema_id)
        for _ in range(3):
            assert len(found.lines(values).faults) == 50
        assert len(server.requests) == 2
        served[1] = ("AVRO", PLAIN)
        monkeypatch.setattr("loadgen.decoder.time.monotonic", lambda: 1e12)
        assert schemas.unknown([1, 7]) == [1]
        schemas.fetch(1)
        assert found.lines(values).faults == {}


def test_fields_of_any_type_become_json_as_orjson_writes_it() -> None:
    fields = {
        "ts": ({"type": "long", "logicalType": "timestamp-micros"}, 1_751_553_015_123_456),
        "at": ({"type": "long", "logicalType": "timestamp-micros"}, 1_751_553_015_123_456),
        "text": ("string", 'a "b"\n\u2028é'),
        "number": ("double", 1e-7),
        "none": ("double", float("nan")),
        "flag": ("boolean", True),
        "bytes": ("bytes", b"\xff\0"),
        "level": ({"type": "enum", "name": "L", "symbols": ["free", "paid"]}, "paid"),
        "absent": (["null", "string"], None),
    }
    schema = {"type": "record", "name": "E", "fields": [{"name": n, "type": kind} for n, (kind, _) in fields.items()]}
    file = BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(schema), {n: value for n, (_, value) in fields.items()})
    found = decoded([HEADER + file.getvalue()], _7=("AVRO", json.dumps(schema)))
    record = {n: value for n, (_, value) in fields.items()} | {"ts": 1_751_553_015_123, "bytes": "/wA="}
    del record["absent"]
    assert found.values == [orjson.dumps(record | {"at": "2025-07-03T14:30:15.123456+00:00"})]

"""A random evolved schema is sent as others read it, or refused with the fields that cannot be filled."""

import json
import os
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.config.names import EncodingName
from loadgen.decode import avro, protobuf
from loadgen.decode.columns import Decoded, as_stored
from loadgen.encode.encodings import encoding_named
from loadgen.encode.own import OwnSchema
from loadgen.encode.tracks import domains_of
from loadgen.errors import UsageError
from loadgen.event import UInt64s
from loadgen.evolve.match import own_schema
from loadgen.formats import Format, KnownFormats
from loadgen.store.table import schema_of
from loadgen.verifier.columns import hash_columns
from loadgen.verifier.names import HashedNames
from loadgen.verifier.observed import Reader
from tests.encode.proto import message_class
from tests.encode.records import WORDS, encoded, records_of
from tests.encode.world import TinyCatalog, some_events, some_listeners
from tests.evolve.cases import FORMATS, Part, parts
from tests.evolve.other_cases import json_parts, protobuf_parts

N_CASES = int(os.environ.get("TEST_SCHEMA_CASES", "200"))
"""Of the test that is marked slow."""
Case = tuple[Format, list[Part]]
RNG = np.random.default_rng(4)
LISTENERS = some_listeners(20, RNG)
BATCH = some_events(60, LISTENERS, RNG)
DOMAINS = domains_of(TinyCatalog(), WORDS)
RECORDS = {one.name: records_of(one, BATCH, LISTENERS) for one in FORMATS}


def matched(name: EncodingName, text: str, case: Case) -> OwnSchema | None:
    """The schema; None where it is refused, as it must be."""
    wire_format, declared = case
    impossible = [part.avro["name"] for part in declared if part.is_impossible]
    if not impossible:
        return own_schema(name, text, wire_format, DOMAINS)
    with pytest.raises(UsageError) as caught:
        own_schema(name, text, wire_format, DOMAINS)
    said = str(caught.value)
    assert [part.avro["name"] for part in declared if f"field {part.avro['name']!r} (" in said] == impossible, said
    return None


def look_at_avro(case: Case) -> None:
    """Send events by a schema, and read them by fastavro."""
    wire_format, declared = case
    text = json.dumps({"type": "record", "name": "Own", "namespace": "a.b", "fields": [part.avro for part in declared]})
    own = matched("avro", text, case)
    if own is None:
        return
    schema = fastavro.parse_schema(json.loads(text))
    records, hashes = encoded(own.format, encoding_named("avro", own=own), BATCH, LISTENERS)
    for data, record in zip(records, RECORDS[wire_format.name], strict=True):
        file = BytesIO(data)
        found: Any = fastavro.schemaless_reader(file, schema, None)
        assert found == {part.avro["name"]: part.find(record) for part in declared}
        assert file.read() == b""
    decoded = avro.decode(pa.array(records), avro.columns_of(text))
    assert read_hashes(decoded, own).tolist() == hashes.tolist()


def look_at_protobuf(case: Case) -> None:
    """Send events by a .proto text, and read them by Google's library."""
    wire_format, declared = case
    fields = "\n".join(part.avro["text"] for part in declared)
    text = f'syntax = "proto3";\npackage a.b;\nmessage Own {{\n{fields}\n}}\n'
    own = matched("protobuf", text, case)
    if own is None:
        return
    message = message_class.__wrapped__(text)
    records, hashes = encoded(own.format, encoding_named("protobuf", own=own), BATCH, LISTENERS)
    for data, record in zip(records, RECORDS[wire_format.name], strict=True):
        found = message.FromString(data)
        for part in declared:
            name, expected = part.avro["name"], part.find(record)
            if part.avro["text"].startswith("optional "):
                assert found.HasField(name) == (expected is not None)
            assert expected is None or getattr(found, name) == expected
    decoded = protobuf.decode(pa.array(records), protobuf.columns_of(text))
    assert read_hashes(decoded, own).tolist() == hashes.tolist()


def look_at_json(case: Case) -> None:
    """Send events by a JSON Schema, read them as JSON, and validate them."""
    wire_format, declared = case
    schema = {
        "type": "object",
        "title": "Own",
        "properties": {part.avro["name"]: part.avro["of"] for part in declared},
        "required": [part.avro["name"] for part in declared if part.avro["required"]],
        "additionalProperties": False,
    }
    own = matched("jsonschema", json.dumps(schema), case)
    if own is None:
        return
    validator = jsonschema.Draft7Validator(schema)
    records, hashes = encoded(own.format, encoding_named("jsonschema", own=own), BATCH, LISTENERS)
    for data, record in zip(records, RECORDS[wire_format.name], strict=True):
        found = json.loads(data)
        assert validator.is_valid(found)
        expected = {part.avro["name"]: part.find(record) for part in declared}
        assert {name: found.get(name) for name in expected} == expected
        assert found.keys() <= expected.keys()
    known = KnownFormats(()).with_format(own.reading, "")
    lines = [
        json.dumps({name: value for name, value in json.loads(data).items() if name in own.reading.names}).encode()
        for data in records
    ]
    assert Reader(HashedNames(), known=known).of_values(lines).hash.tolist() == hashes.tolist()


def read_hashes(decoded: Decoded, own: OwnSchema) -> UInt64s:
    """What `verify` makes of records that it reads."""
    assert decoded.faults == {}
    known = KnownFormats(()).with_format(own.reading, "")
    table = as_stored(decoded.table)
    wanted = schema_of(known.by_name.values())
    for name in wanted.names:
        assert table[name].type in (wanted.field(name).type, pa.null()), name
    found = hash_columns(table.select(wanted.names).cast(wanted), known=known)
    assert found is not None
    return found.hash()


LOOKS: dict[str, tuple[Callable[[Case], None], st.SearchStrategy[Case]]] = {
    name: (look, st.sampled_from(FORMATS).flatmap(lambda one, of=of: st.tuples(st.just(one), of(one))))  # type: ignore[misc]
    for name, look, of in (
        ("avro", look_at_avro, parts),
        ("protobuf", look_at_protobuf, protobuf_parts),
        ("jsonschema", look_at_json, json_parts),
    )
}


def look_at_many(name: str, n_cases: int) -> None:
    look, cases = LOOKS[name]
    settings(max_examples=n_cases, deadline=None, suppress_health_check=list(HealthCheck))(given(cases)(look))()


@pytest.mark.parametrize(("name", "n_cases"), [("avro", 60), ("protobuf", 20), ("jsonschema", 40)])
def test_an_evolved_schema_is_filled_or_refused_field_by_field(name: str, n_cases: int) -> None:
    look_at_many(name, n_cases)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", LOOKS)
def test_many_evolved_schemas_are_filled_or_refused_field_by_field(name: str) -> None:
    look_at_many(name, N_CASES)

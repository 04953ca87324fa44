"""A random evolved Avro schema is sent as fastavro writes it, or refused with the fields that cannot be filled."""

import json
import os
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.decode import avro
from loadgen.decode.columns import as_stored
from loadgen.encode.encodings import encoding_named
from loadgen.encode.own import OwnSchema
from loadgen.encode.tracks import domains_of
from loadgen.errors import UsageError
from loadgen.event import UInt64s
from loadgen.evolve.match import own_schema
from loadgen.formats import Format, KnownFormats
from loadgen.store.table import schema_of
from loadgen.verifier.columns import hash_columns
from tests.encode.records import WORDS, encoded, records_of
from tests.encode.world import TinyCatalog, some_events, some_listeners
from tests.evolve.cases import FORMATS, Part, parts

N_CASES = int(os.environ.get("TEST_SCHEMA_CASES", "400"))
"""Of the test that is marked slow."""
N_QUICK = 60
RNG = np.random.default_rng(4)
LISTENERS = some_listeners(20, RNG)
BATCH = some_events(60, LISTENERS, RNG)
DOMAINS = domains_of(TinyCatalog(), WORDS)
RECORDS = {one.name: records_of(one, BATCH, LISTENERS) for one in FORMATS}
SCHEMAS = st.sampled_from(FORMATS).flatmap(lambda one: st.tuples(st.just(one), parts(one)))


def matched(text: str, wire_format: Format) -> OwnSchema:
    return own_schema("avro", text, wire_format, DOMAINS)


def look(case: tuple[Format, list[Part]]) -> None:
    """Send events by one schema, and read them."""
    wire_format, declared = case
    text = json.dumps({"type": "record", "name": "Own", "namespace": "a.b", "fields": [part.avro for part in declared]})
    impossible = [part.avro["name"] for part in declared if part.is_impossible]
    if impossible:
        with pytest.raises(UsageError) as caught:
            matched(text, wire_format)
        said = str(caught.value)
        assert [part.avro["name"] for part in declared if f"field {part.avro['name']!r} (" in said] == impossible, said
        return
    own = matched(text, wire_format)
    schema = fastavro.parse_schema(json.loads(text))
    records, hashes = encoded(own.format, encoding_named("avro", own=own), BATCH, LISTENERS)
    for data, record in zip(records, RECORDS[wire_format.name], strict=True):
        file = BytesIO(data)
        found: Any = fastavro.schemaless_reader(file, schema, None)
        assert found == {part.avro["name"]: part.find(record) for part in declared}
        assert file.read() == b""
    assert read_hashes(text, records, own).tolist() == hashes.tolist()


def read_hashes(text: str, records: list[bytes], own: OwnSchema) -> UInt64s:
    """What `verify` makes of records that it reads."""
    decoded = avro.decode(pa.array(records), avro.columns_of(text))
    assert decoded.faults == {}
    known = KnownFormats(()).with_format(own.reading, "")
    table = as_stored(decoded.table)
    wanted = schema_of(known.by_name.values())
    for name in wanted.names:
        column = table[name]
        assert column.type in (wanted.field(name).type, pa.null()), name
    found = hash_columns(table.select(wanted.names).cast(wanted), known=known)
    assert found is not None
    return found.hash()


SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=N_QUICK, **SETTINGS)  # type: ignore[arg-type]
@given(case=SCHEMAS)
def test_an_evolved_schema_is_filled_or_refused_field_by_field(case: tuple[Format, list[Part]]) -> None:
    look(case)


@pytest.mark.slow
@pytest.mark.timeout(0)
@settings(max_examples=N_CASES, **SETTINGS)  # type: ignore[arg-type]
@given(case=SCHEMAS)
def test_many_evolved_schemas_are_filled_or_refused_field_by_field(case: tuple[Format, list[Part]]) -> None:
    look(case)

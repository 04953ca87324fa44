"""The header of a registry's wire format: the id, and where the record begins."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.config.names import EncodingName
from loadgen.kafka.framing import CUT_OFF, NO_SCHEMA, header, header_lengths, schema_ids

IDS = st.integers(0, 2**31 - 1)


@pytest.mark.parametrize("name", ["avro", "protobuf", "jsonschema"])
@given(messages=st.lists(st.tuples(IDS, st.binary())))
def test_the_id_of_a_header_is_read(name: EncodingName, messages: list[tuple[int, bytes]]) -> None:
    found = pa.array([header(name, schema_id) + record for schema_id, record in messages], pa.binary())
    assert schema_ids(found).tolist() == [schema_id for schema_id, _ in messages]
    if name == "protobuf":
        assert header_lengths(found).tolist() == [6] * len(messages)


def test_a_message_without_a_whole_header_has_no_schema() -> None:
    values = [b'{"ts":1}', b"", b"\0", b"\0\0\0\1", b"\1\0\0\0\1a", b"\0\0\0\1\2"]
    assert schema_ids(pa.array(values, pa.binary())).tolist() == [
        NO_SCHEMA,
        NO_SCHEMA,
        CUT_OFF,
        CUT_OFF,
        NO_SCHEMA,
        258,
    ]


def test_only_the_first_message_of_a_protobuf_schema_is_read() -> None:
    indexes = [b"\0rest", b"\2\0rest", b"\2\2rest", b"\4\0\0rest", b""]
    messages = pa.array([b"\0\0\0\0\1" + one for one in indexes], pa.binary())
    assert header_lengths(messages).tolist() == [6, 7, NO_SCHEMA, NO_SCHEMA, NO_SCHEMA]

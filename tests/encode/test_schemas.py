"""The schemas of a format: types, what can be missing, names."""

import json

import pytest
from jsonschema import Draft7Validator

from loadgen.encode.schemas import avro_schema, json_schema, protobuf_schema, record_name
from loadgen.errors import UsageError
from loadgen.formats import ACTIVITY, BUILT_IN, LISTEN, Field, Format, Source
from tests.encode.proto import message_class
from tests.encode.records import ODD

PROTO = """\
syntax = "proto3";

package loadgen;

message Listen {
  string user = 1;
  optional string artist = 2;
  optional string track = 3;
  string timestamp = 4;
  optional string genre = 5;
  optional double duration = 6;
  string platform = 7;
  string device = 8;
  string action = 9;
  string country = 10;
}
"""


def test_a_protobuf_schema_numbers_the_fields_in_their_order() -> None:
    assert protobuf_schema(LISTEN) == PROTO


def test_protobuf_knows_whether_an_optional_field_is_there() -> None:
    message = message_class(protobuf_schema(ODD))
    names = {field.name for field in ODD.fields if field.is_optional}
    assert {field.name for field in message.DESCRIPTOR.fields if field.has_presence} == names


def test_an_avro_schema_has_a_union_with_null_for_what_can_be_missing() -> None:
    schema = json.loads(avro_schema(ACTIVITY))
    assert (schema["type"], schema["name"], schema["namespace"]) == ("record", "Activity", "loadgen")
    types = {field["name"]: field["type"] for field in schema["fields"]}
    assert list(types) == [field.name for field in ACTIVITY.fields]
    assert types["ts"] == {"type": "long", "logicalType": "timestamp-millis"}
    assert (types["userId"], types["itemInSession"], types["page"]) == ("long", "int", "string")
    assert (types["song"], types["length"]) == (["null", "string"], ["null", "double"])
    assert {field["name"] for field in schema["fields"] if field.get("default", 0) is None} == {
        field.name for field in ACTIVITY.fields if field.is_optional
    }


@pytest.mark.parametrize("wire_format", [*BUILT_IN.values(), ODD], ids=lambda one: one.name)
def test_a_json_schema_requires_what_every_record_has(wire_format: Format) -> None:
    schema = json.loads(json_schema(wire_format))
    Draft7Validator.check_schema(schema)
    assert schema["required"] == [field.name for field in wire_format.fields if field.pages is None]
    nullable = {name for name, one in schema["properties"].items() if "null" in one["type"]}
    assert nullable == {field.name for field in wire_format.fields if field.is_nullable}


@pytest.mark.parametrize(
    ("name", "expected"), [("activity", "Activity"), ("odd-shapes_2", "OddShapes2"), ("2nd", "Format2nd")]
)
def test_a_record_is_named_after_its_format(name: str, expected: str) -> None:
    assert record_name(Format(name, ACTIVITY.fields)) == expected


def test_a_name_that_only_json_allows_is_an_error_of_the_others() -> None:
    wire_format = Format("visits", (*ACTIVITY.fields, Field("plat-form", Source.PLATFORM)))
    for schema in (avro_schema, protobuf_schema):
        with pytest.raises(UsageError, match="got 'plat-form' in format visits"):
            schema(wire_format)
    assert "plat-form" in json_schema(wire_format)

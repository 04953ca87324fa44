"""Messages with a schema id are what confluent-kafka's own serializers write, and its deserializers read."""

from typing import Any

import numpy as np
import orjson
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.json_format import MessageToDict

from loadgen.config.names import EncodingName
from loadgen.encode.encodings import encoding_named, schema_text
from loadgen.formats import BUILT_IN, Format
from tests.encode.proto import message_class
from tests.encode.records import FORMATS, encoded, records_of
from tests.encode.test_protobuf import fields_of
from tests.encode.world import some_events, some_listeners

CONTEXT = SerializationContext("events", MessageField.VALUE)
RNG = np.random.default_rng(7)
LISTENERS = some_listeners(20, RNG)
BATCH = some_events(200, LISTENERS, RNG)
OURS = pytest.mark.parametrize("wire_format", BUILT_IN.values(), ids=BUILT_IN)


def registered(name: EncodingName, wire_format: Format, kind: str) -> tuple[SchemaRegistryClient, int]:
    """A registry in memory with the schema of the format, and its id."""
    registry = SchemaRegistryClient.new_client({"url": "mock://"})
    schema_id = registry.register_schema("events-value", Schema(schema_text(name, wire_format), kind))
    return registry, schema_id


def messages(name: EncodingName, wire_format: Format, schema_id: int) -> list[bytes]:
    return encoded(wire_format, encoding_named(name, schema_id), BATCH, LISTENERS)[0]


def records(wire_format: Format) -> list[dict[str, Any]]:
    return records_of(wire_format, BATCH, LISTENERS)


@OURS
def test_avro_messages_are_those_of_confluents_serializer(wire_format: Format) -> None:
    registry, schema_id = registered("avro", wire_format, "AVRO")
    write = AvroSerializer(registry, schema_text("avro", wire_format))
    found = messages("avro", wire_format, schema_id)
    assert found == [write(record, CONTEXT) for record in records(wire_format)]
    read = AvroDeserializer(registry)
    for message, record in zip(found, records(wire_format), strict=True):
        values = read(message, CONTEXT)
        if "ts" in values:
            values["ts"] = round(values["ts"].timestamp() * 1000)
        assert values == {field.name: record.get(field.name) for field in wire_format.fields}


@OURS
def test_protobuf_messages_are_those_of_confluents_serializer(wire_format: Format) -> None:
    message_type = message_class(schema_text("protobuf", wire_format) or "")
    registry = SchemaRegistryClient.new_client({"url": "mock://"})
    write = ProtobufSerializer(message_type, registry, {"use.deprecated.format": False})
    expected = [write(message_type(**fields_of(record)), CONTEXT) for record in records(wire_format)]
    schema_id = registry.get_latest_version("events-value").schema_id or 0
    found = messages("protobuf", wire_format, schema_id)
    assert found == expected
    read = ProtobufDeserializer(message_type, {"use.deprecated.format": False}, registry)
    for message, record in zip(found, records(wire_format), strict=True):
        values = MessageToDict(read(message, CONTEXT), preserving_proto_field_name=True)
        assert values.keys() <= {field.name for field in wire_format.fields}
        assert {name: values[name] for name in ("song", "track") if name in values} == {
            name: record[name] for name in ("song", "track") if record.get(name) is not None
        }


@OURS
def test_confluents_deserializer_reads_json_messages_that_fit_their_schema(wire_format: Format) -> None:
    registry, schema_id = registered("jsonschema", wire_format, "JSON")
    read = JSONDeserializer(schema_text("jsonschema", wire_format), schema_registry_client=registry)
    found = messages("jsonschema", wire_format, schema_id)
    lines, _ = encoded(wire_format, encoding_named("json"), BATCH, LISTENERS)
    assert [read(message, CONTEXT) for message in found] == [orjson.loads(line) for line in lines]
    assert [message[5:] + b"\n" for message in found] == lines


@pytest.mark.parametrize("wire_format", FORMATS, ids=lambda one: one.name)
def test_a_schema_is_the_same_text_each_time(wire_format: Format) -> None:
    for name in ("avro", "protobuf", "jsonschema"):
        assert schema_text(name, wire_format) == schema_text(name, Format(wire_format.name, wire_format.fields))
    assert schema_text("json", wire_format) is None

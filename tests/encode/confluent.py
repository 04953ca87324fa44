"""Messages read by confluent-kafka's own deserializers, as the records of JSON lines."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from loadgen.config.names import EncodingName
from tests.encode.proto import message_class

Record = dict[str, Any]


@contextmanager
def reader_of(name: EncodingName, url: str, schema: str, topic: str) -> Iterator[Callable[[bytes], Record]]:
    """Gives the record of a message; it lacks what is null.

    Args:
        name: of the encoding.
        url: of the registry.
        schema: of the messages.
        topic: that they are in.
    """
    context = SerializationContext(topic, MessageField.VALUE)
    with closing(SchemaRegistryClient({"url": url})) as registry:
        if name == "avro":
            read: Any = AvroDeserializer(registry)
        elif name == "jsonschema":
            read = JSONDeserializer(schema, schema_registry_client=registry)
        else:
            read = ProtobufDeserializer(message_class(schema), {"use.deprecated.format": False})
        yield lambda message: _record(read(message, context))


def _record(found: Any) -> Record:
    if not isinstance(found, dict):
        fields = found.DESCRIPTOR.fields
        found = {
            one.name: getattr(found, one.name) for one in fields if not one.has_presence or found.HasField(one.name)
        }
    return {name: _plain(name, value) for name, value in found.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    return round(value.timestamp() * 1000) if name == "ts" else value.isoformat(timespec="microseconds")

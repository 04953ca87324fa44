"""The encodings by name, each with its schema and with the header of a schema registry's wire format."""

from collections.abc import Callable
from dataclasses import dataclass

from loadgen.config.names import EncodingName
from loadgen.encode.avro import Avro
from loadgen.encode.encoding import Encoding
from loadgen.encode.own import OwnSchema
from loadgen.encode.protobuf import Protobuf
from loadgen.encode.schemas import NAMESPACE, avro_schema, json_schema, protobuf_schema, record_name
from loadgen.encode.text import JSON_LINES, Json
from loadgen.formats import Format
from loadgen.kafka.framing import header

_SCHEMAS: dict[EncodingName, Callable[[Format], str]] = {
    "jsonschema": json_schema,
    "avro": avro_schema,
    "protobuf": protobuf_schema,
}


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """The schema of a run's messages.

    Attributes:
        name: of the encoding; not "json".
        id, subject: as the registry has them.
        text: the schema itself.
        own: what it says of the run's events, where it is a user's own.
    """

    name: EncodingName
    id: int
    subject: str
    text: str
    own: OwnSchema | None = None

    @property
    def encoding(self) -> Encoding:
        """Of messages in the registry's wire format, each with a newline behind it, as lines have."""
        return encoding_named(self.name, self.id, b"\n", self.own)


def encoding_named(
    name: EncodingName, schema_id: int | None = None, end: bytes = b"", own: OwnSchema | None = None
) -> Encoding:
    """The encoding of this name.

    Args:
        name: "json" is lines without a schema.
        schema_id: as the registry gave it, for its wire format; None for the bare records.
        end: stands behind each record.
        own: a user's own schema.
    """
    opening = b"" if schema_id is None else header(name, schema_id)
    end = (own.end if own else b"") + (b"}" if name == "jsonschema" else b"") + end
    if name == "json":
        return JSON_LINES
    kinds: dict[EncodingName, type[Avro | Protobuf | Json]] = {"avro": Avro, "protobuf": Protobuf, "jsonschema": Json}
    return kinds[name](opening, end, own)


def schema_text(name: EncodingName, wire_format: Format) -> str | None:
    """What to register for this format; None where the encoding has no schema.

    Raises:
        UsageError: a field's name is not possible in it.
    """
    return _SCHEMAS[name](wire_format) if name in _SCHEMAS else None


def full_name(name: EncodingName, wire_format: Format) -> str:
    """The name of the record in the schema, as Confluent's serializers take it for a subject."""
    bare = record_name(wire_format)
    return bare if name == "jsonschema" else f"{NAMESPACE}.{bare}"

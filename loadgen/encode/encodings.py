"""The encodings by name, each with its schema and with the header of a schema registry's wire format."""

from collections.abc import Callable
from dataclasses import dataclass

from loadgen.config.names import EncodingName
from loadgen.encode.avro import Avro
from loadgen.encode.encoding import Encoding
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
    """

    name: EncodingName
    id: int
    subject: str
    text: str

    @property
    def encoding(self) -> Encoding:
        """Of messages in the registry's wire format, each with a newline behind it, as lines have."""
        return encoding_named(self.name, self.id, b"\n")


def encoding_named(name: EncodingName, schema_id: int | None = None, end: bytes = b"") -> Encoding:
    """The encoding of this name.

    Args:
        name: "json" is lines without a schema.
        schema_id: as the registry gave it, for its wire format; None for the bare records.
        end: stands behind each record.
    """
    opening = b"" if schema_id is None else header(name, schema_id)
    if name == "json":
        return JSON_LINES
    if name == "jsonschema":
        return Json(opening, b"}" + end)
    return Avro(opening, end) if name == "avro" else Protobuf(opening, end)


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

"""The encodings by name, each with its schema and with the header of a schema registry's wire format.

A message that a registry's serializer wrote begins with a zero byte and the id of its schema in four bytes, big-endian;
in Protobuf a list of indexes follows that picks the message of the schema, a single zero for the first.
"""

import struct
from collections.abc import Callable
from typing import Literal

from loadgen.encode.avro import Avro
from loadgen.encode.encoding import Encoding
from loadgen.encode.protobuf import Protobuf
from loadgen.encode.schemas import avro_schema, json_schema, protobuf_schema
from loadgen.encode.text import JSON_LINES, Json
from loadgen.formats import Format

EncodingName = Literal["json", "jsonschema", "avro", "protobuf"]
_FIRST_MESSAGE = b"\0"
_SCHEMAS: dict[EncodingName, Callable[[Format], str]] = {
    "jsonschema": json_schema,
    "avro": avro_schema,
    "protobuf": protobuf_schema,
}


def encoding_named(name: EncodingName, schema_id: int | None = None) -> Encoding:
    """The encoding of this name.

    Args:
        name: "json" is lines without a schema.
        schema_id: as the registry gave it, for its wire format; None for the bare records.
    """
    opening = b"" if schema_id is None else header(name, schema_id)
    if name == "json":
        return JSON_LINES
    if name == "jsonschema":
        return Json(opening, b"}")
    return Avro(opening) if name == "avro" else Protobuf(opening)


def schema_text(name: EncodingName, wire_format: Format) -> str | None:
    """What to register for this format; None where the encoding has no schema.

    Raises:
        UsageError: a field's name is not possible in it.
    """
    return _SCHEMAS[name](wire_format) if name in _SCHEMAS else None


def header(name: EncodingName, schema_id: int) -> bytes:
    """What stands before a record in the registry's wire format."""
    return struct.pack(">bI", 0, schema_id) + (_FIRST_MESSAGE if name == "protobuf" else b"")

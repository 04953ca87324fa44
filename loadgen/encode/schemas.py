"""The schemas of a format for a schema registry: Avro, Protobuf and JSON Schema, as text.

In: a `Format`. Out: what describes its records in this encoding; the same text for the same format. A field that can be
null or absent is a union with null whose default is null in Avro, `optional` in Protobuf, not required in JSON Schema.
Protobuf's field numbers are the positions in the format, from 1: append fields, never insert them.

Times: `ts` is a long of the logical type timestamp-millis in Avro, and so is `timestamp`, as events have no finer time;
in Protobuf and JSON Schema, which lack such a type, they are milliseconds and ISO 8601 text, as in JSON lines.
"""

import json
import re
from typing import Any

from loadgen.drawn import FieldType
from loadgen.errors import UsageError
from loadgen.formats import TIMES, Field, Format, Source

NAMESPACE = "loadgen"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SMALL = {Source.STATUS, Source.AGE, Source.ITEM, Source.POPULARITY}
"""Integers that fit into 32 bits."""
_AVRO: dict[FieldType, str] = {"integer": "long", "float": "double", "text": "string"}
_PROTOBUF: dict[FieldType, str] = {"integer": "int64", "float": "double", "text": "string"}
_JSON: dict[FieldType, str] = {"integer": "integer", "float": "number", "text": "string"}


def record_name(wire_format: Format) -> str:
    """The name of the format's records in a schema: that of the format in camel case."""
    words = [word[0].upper() + word[1:] for word in re.split("[^A-Za-z0-9]+", wire_format.name) if word]
    name = "".join(words)
    return name if _NAME.fullmatch(name) else f"Format{name}"


def avro_schema(wire_format: Format) -> str:
    """The Avro schema; raises UsageError where Avro does not allow the name of a field."""
    return _dumped(
        {
            "type": "record",
            "name": record_name(wire_format),
            "namespace": NAMESPACE,
            "fields": [_avro_field(field) for field in _named(wire_format)],
        }
    )


def _avro_field(field: Field) -> dict[str, Any]:
    name: Any = "int" if field.source in _SMALL else _AVRO[field.type]
    if field.source in TIMES:
        name = {"type": "long", "logicalType": "timestamp-millis"}
    return (
        {"name": field.name, "type": ["null", name], "default": None}
        if field.is_optional
        else {
            "name": field.name,
            "type": name,
        }
    )


def protobuf_schema(wire_format: Format) -> str:
    """The .proto file; raises UsageError where Protobuf does not allow the name of a field."""
    lines = [
        f"  {'optional ' * field.is_optional}{_protobuf_type(field)} {field.name} = {number};"
        for number, field in enumerate(_named(wire_format), 1)
    ]
    message = "\n".join([f"message {record_name(wire_format)} {{", *lines, "}"])
    return f'syntax = "proto3";\n\npackage {NAMESPACE};\n\n{message}\n'


def _protobuf_type(field: Field) -> str:
    return "int32" if field.source in _SMALL else _PROTOBUF[field.type]


def json_schema(wire_format: Format) -> str:
    """The JSON Schema, of draft 7, which Confluent's serializers take for one without `$schema`, too."""
    return _dumped(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": record_name(wire_format),
            "type": "object",
            "properties": {field.name: _json_property(field) for field in wire_format.fields},
            "required": [field.name for field in wire_format.fields if field.pages is None],
            "additionalProperties": False,
        }
    )


def _json_property(field: Field) -> dict[str, Any]:
    name = _JSON[field.type]
    found: dict[str, Any] = {"type": [name, "null"] if field.is_nullable else name}
    return {**found, "format": "date-time"} if field.source is Source.TIME_ISO else found


def _named(wire_format: Format) -> tuple[Field, ...]:
    """The fields, all of whose names Avro and Protobuf allow."""
    for field in wire_format.fields:
        if not _NAME.fullmatch(field.name):
            raise UsageError(
                f"the name of a field must match {_NAME.pattern} in Avro and Protobuf, got {field.name!r} in format "
                f"{wire_format.name}; give it another name, or send JSON"
            )
    return wire_format.fields


def _dumped(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2)

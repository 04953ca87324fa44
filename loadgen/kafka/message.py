"""What a Kafka message has besides its value: the key and the headers, made of the fields of its event.

Settings and the columns of some events go in, an array of keys and one of headers come out. A producer makes them of
the events, `verify` of the values that it reads: both by the functions here.
"""

import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.binary import avro_texts, doubles, integers_of, join, literal, packed, varints, zigzag
from loadgen.config import RunSettings
from loadgen.config.names import KeyType
from loadgen.drawn import FieldType
from loadgen.errors import UsageError
from loadgen.event import Int64s
from loadgen.formats import Field, Format, Source
from loadgen.kafka.cloudevents import DATA, SOURCE
from loadgen.kafka.framing import header

Columns = Callable[[Field], pa.Array]
"""Gives the values of a field, null where a record has none."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of an event as RFC 3339 has it, by the field that tells it."""

    field: Field


Template: TypeAlias = tuple[str | Field | Moment, ...]
"""Literal texts, and fields in whose place their values stand."""
_AVRO: dict[FieldType, str] = {"integer": "long", "float": "double", "text": "string"}
_KEY_SOURCES = {"session": Source.SESSION_ID, "artist": Source.ARTIST, "track": Source.TITLE}


@dataclass(frozen=True)
class MessageSpec:
    """The keys and headers of a run's messages.

    Attributes:
        key: the field whose values are the keys, or the listener's id; None: messages have no keys.
        key_type: "text"; "int64": 8 bytes, the highest first, as Kafka's LongSerializer writes them; "avro": a long,
            double or string behind the header of a schema registry's wire format.
        key_schema_id: of "avro", as the registry gave it; None before it is asked, and for other keys.
        headers: name and value of each header.
        attributes: of the CloudEvents in which the events are wrapped, by name; None: the values are the events.
        has_ids: whether a worker adds the header of event_ids.py behind these.
    """

    key: Field | Literal["user"] | None = "user"
    key_type: KeyType = "text"
    key_schema_id: int | None = None
    headers: tuple[tuple[str, Template], ...] = ()
    attributes: tuple[tuple[str, Template], ...] | None = None
    has_ids: bool = False

    @classmethod
    def of(cls, settings: RunSettings, key_schema_id: int | None = None) -> "MessageSpec":
        """What the settings ask for; raises UsageError where the format lacks it."""
        wire_format = settings.wire_format
        key = _key(settings.key, wire_format)
        if settings.key_type == "int64" and isinstance(key, Field) and key.type != "integer":
            step = "leave --key-type out, or choose another key"
            raise UsageError(f"an int64 key must be an integer, got {key.type} field {key.name!r}; {step}")
        keys = (key, settings.key_type, key_schema_id)
        asked = tuple(_header(text, wire_format) for text in settings.header)
        has_ids = settings.watch_topic is not None
        if settings.cloudevents is None:
            return cls(*keys, asked, has_ids=has_ids)
        attributes = _attributes(wire_format)
        if settings.cloudevents == "structured":
            return cls(*keys, (("content-type", ("application/cloudevents+json",)), *asked), attributes, has_ids)
        kind = "json" if settings.encoding == "jsonschema" else settings.encoding
        of_event = [(f"ce_{name}", template) for name, template in attributes]
        return cls(*keys, (*of_event, ("content-type", (f"application/{kind}",)), *asked), has_ids=has_ids)

    @property
    def has_plain_key(self) -> bool:
        """Whether the keys are the listeners' ids in decimal digits."""
        return self.key == "user" and self.key_type == "text"

    @property
    def key_schema(self) -> str | None:
        """The schema of keys in Avro; None where there are none."""
        return json.dumps(_AVRO[self._kind_of_key]) if self.key and self.key_type == "avro" else None

    @property
    def _kind_of_key(self) -> FieldType:
        return self.key.type if isinstance(self.key, Field) else "integer"

    @property
    def by_listener(self) -> bool:
        """Whether all events of a listener are in one partition."""
        return self.key == "user" or self.key is None

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that keys and headers are made of."""
        templates = (*self.headers, *(self.attributes or ()))
        parts = [self.key, *(part for _, template in templates for part in template)]
        fields = (part.field if isinstance(part, Moment) else part for part in parts)
        return tuple(dict.fromkeys(field for field in fields if isinstance(field, Field)))

    def keys_of(self, columns: Columns, user_id: Int64s) -> pa.BinaryArray:
        """The keys of events, null where they have none.

        Args:
            columns: of these events.
            user_id: int64, of each.
        """
        if self.key is None:
            return pa.nulls(len(user_id), pa.binary())
        column = columns(self.key) if isinstance(self.key, Field) else pa.array(user_id)
        if self.key_type == "int64":
            return _int64(column.cast(pa.int64()))
        if self.key_type == "text" or self._kind_of_key == "text":
            column = _texts(self.key, column) if isinstance(self.key, Field) else column.cast(pa.string())
        if self.key_type == "text":
            return column.cast(pa.binary())
        return _avro(self.key_schema_id or 0, self._kind_of_key, column)

    def headers_of(self, columns: Columns, n_events: int) -> pa.StructArray | None:
        """The headers of n_events events, a binary field for each; None where there are none."""
        if not self.headers:
            return None
        values = [_filled(template, columns, n_events) for _, template in self.headers]
        return pa.StructArray.from_arrays(values, [name for name, _ in self.headers])

    def wrapped(self, columns: Columns, lines: pa.BinaryArray) -> pa.BinaryArray | None:
        """Lines with an envelope around each event; None: the events themselves are sent."""
        if self.attributes is None:
            return None
        parts: list[pa.BinaryArray | pa.BinaryScalar] = []
        for at, (name, template) in enumerate(self.attributes):
            parts.append(pa.scalar(f'{"," if at else "{"}"{name}":'.encode(), pa.binary()))
            parts.append(_quoted(_filled(template, columns, len(lines))))
        before, after, nothing = (pa.scalar(text.encode(), pa.binary()) for text in (DATA, "}\n", ""))
        return pc.binary_join_element_wise(*parts, before, pc.binary_slice(lines, 0, -1), after, nothing)


def with_header(headers: pa.StructArray | None, name: str, values: pa.Array) -> pa.StructArray:
    """Headers, of which there may be none, and another one behind them."""
    if headers is None:
        return pa.StructArray.from_arrays([values], [name])
    names = [field.name for field in headers.type]
    return pa.StructArray.from_arrays([*headers.flatten(), values], [*names, name])


def _key(name: str, wire_format: Format) -> Field | Literal["user"] | None:
    if name == "none":
        return None
    if name == "user":
        return "user"
    source = _KEY_SOURCES.get(name)
    found = [
        field for field in wire_format.fields if (field.name == name if source is None else field.source is source)
    ]
    if not found or (source is None and found[0].pages is not None):
        known = ", ".join(field.name for field in wire_format.fields if field.pages is None)
        rule = "must be user, session, artist, track, none or a field that all events of the format have"
        raise UsageError(f"--key {rule}, got {name!r} with --format {wire_format.name}; choose one of {known}")
    return found[0]


def _header(text: str, wire_format: Format) -> tuple[str, Template]:
    name, _, value = text.partition("=")
    fields = {field.name: field for field in wire_format.fields}
    template: list[str | Field] = []
    for words, field, _, _ in string.Formatter().parse(value):
        if words:
            template.append(words)
        if field is not None and field not in fields:
            step = f"choose of {', '.join(fields)}"
            raise UsageError(f"--header {name} must name fields of format {wire_format.name}, got {field!r}; {step}")
        if field is not None:
            template.append(fields[field])
    return name, tuple(template)


def _attributes(wire_format: Format) -> tuple[tuple[str, Template], ...]:
    """Those of the CloudEvents 1.0 that events are: the same event has the same id in each run."""
    by_source = {field.source: field for field in wire_format.fields if field.pages is None}
    if wire_format.has_ids:
        id_of: Template = (by_source[Source.SESSION_ID], "-", by_source[Source.ITEM])
    else:
        id_of = (by_source[Source.USER_NAME], "-", by_source[Source.TIME_ISO])
    kind = by_source.get(Source.PAGE) or by_source.get(Source.ACTION)
    return (
        ("specversion", ("1.0",)),
        ("id", id_of),
        ("source", (SOURCE,)),
        ("type", ("loadgen.", "event" if kind is None else kind)),
        ("time", (Moment(wire_format.time),)),
    )


def _quoted(texts: pa.BinaryArray) -> pa.BinaryArray:
    """Texts as strings of JSON."""
    coded = texts.dictionary_encode()
    strings = [orjson.dumps(text.decode()) for text in coded.dictionary.to_pylist()]
    return pa.array(strings, pa.binary()).take(coded.indices)


def _filled(template: Template, columns: Columns, n_events: int) -> pa.BinaryArray:
    """The text of a header for each event; a field without a value is an empty text."""
    if all(isinstance(part, str) for part in template):
        return pa.repeat(pa.scalar("".join(map(str, template)).encode(), pa.binary()), n_events)
    parts = [_part(part, columns) for part in template]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))


def _part(part: str | Field | Moment, columns: Columns) -> pa.BinaryScalar | pa.BinaryArray:
    if isinstance(part, str):
        return pa.scalar(part.encode(), pa.binary())
    if isinstance(part, Field):
        return _texts(part, columns(part)).fill_null(b"")
    column = columns(part.field)
    column = column.cast(pa.timestamp("ms", "UTC")) if pa.types.is_integer(column.type) else column
    texts = _iso(column) if pa.types.is_timestamp(column.type) else column
    return texts.cast(pa.binary()).fill_null(b"")


def _texts(field: Field, column: pa.Array) -> pa.BinaryArray:
    """The values of a field as texts: numbers as JSON has them, texts without quotes."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64()) if field.source is Source.TIME_MS else _iso(column)
    return column.cast(pa.string()).cast(pa.binary())


def _iso(column: pa.TimestampArray) -> pa.StringArray:
    """As `timestamp` stands in a record: with microseconds and offset."""
    texts = pc.strftime(column.cast(pa.timestamp("ms")), "%Y-%m-%dT%H:%M:%S")
    return pc.binary_join_element_wise(texts, "000+00:00", "")


def _int64(column: pa.Int64Array) -> pa.BinaryArray:
    """Each number as 8 bytes, the highest first."""
    numbers = column.fill_null(0).to_numpy(zero_copy_only=False).astype(">i8")
    keys = pa.Array.from_buffers(pa.binary(8), len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))])
    return pc.if_else(column.is_valid(), keys.cast(pa.binary()), pa.scalar(None, pa.binary()))


def _avro(schema_id: int, kind: FieldType, column: pa.Array) -> pa.BinaryArray:
    """Each value as Avro, behind the header."""
    values = column.drop_null()
    if kind == "text":
        pieces = avro_texts(values)
    elif kind == "float":
        pieces = [packed([doubles(values.to_numpy())])]
    else:
        pieces = [packed(varints(zigzag(integers_of(values.cast(pa.int64())))))]
    keys = join(literal(header("avro", schema_id)), *pieces)
    if not column.null_count:
        return keys
    is_there = column.is_valid().to_numpy(zero_copy_only=False)
    rows = pa.array(np.cumsum(is_there) - 1, mask=~is_there)
    return keys.take(rows)

"""Records as Protobuf messages, as protobuf's own library writes them with the schema of encode/schemas.py.

A tag stands in front of every value. A field that every record has is left out where it is zero or empty, as proto3
says; one that can be null or absent is there with any value, and left out otherwise.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loadgen.binary import (
    Run,
    doubles,
    fixed,
    lengths_of,
    packed,
    packed_varint,
    singles,
    tagged,
    varints,
    zigzag,
)
from loadgen.drawn import FieldType
from loadgen.encode.own import ISO, OwnField, OwnSchema, form_of
from loadgen.encode.text import ISO_BYTES, iso_times
from loadgen.event import UInt64s
from loadgen.formats import Field

_VARINT, _FIXED_64, _LENGTH = 0, 1, 2
_WIRE_TYPES: dict[FieldType, int] = {"integer": _VARINT, "float": _FIXED_64, "text": _LENGTH}


@dataclass(frozen=True)
class Protobuf:
    """Records as the bytes of a message whose fields are numbered in the order of the format, from 1.

    Attributes:
        opening: before each record.
    """

    opening: bytes = b""
    closing: bytes = b""
    own: OwnSchema | None = None

    def before(self, at: int) -> bytes:
        """Nothing: the order of fields does not matter."""
        return b""

    def packs(self, field: Field) -> bool:
        """Integers."""
        return form_of(field, ISO).is_integer

    def runs(self, key: bytes, field: Field, values: pa.Array) -> list[Run]:
        """Tag and integer."""
        form = form_of(field, ISO)
        found = form.integers(values)
        unsigned = found.view(np.uint64)
        if form.wire == "fixed":
            return _shown(field, unsigned, tagged(key, [fixed(found, form.bits // 8)]))
        return _shown(field, unsigned, tagged(key, varints(zigzag(found) if form.wire else unsigned)))

    def key(self, at: int, field: Field) -> bytes:
        """The tag."""
        if isinstance(field, OwnField):
            return field.before
        return packed_varint((at + 1) << 3 | _WIRE_TYPES[field.type])

    def around(self, key: bytes, field: Field) -> tuple[bytes, bytes]:
        """Nothing: the tag is part of the value, as both may be left out."""
        return b"", b""

    def pieces(self, key: bytes, field: Field, values: pa.Array) -> list[pa.BinaryArray]:
        """Tag and value, of texts with the length in between."""
        form = form_of(field, ISO)
        if form.is_integer:
            return [packed(self.runs(key, field, values))]
        if form.kind == "iso":
            return [iso_times().texts(form.integers(values), key + bytes([ISO_BYTES]))]
        if form.kind == "text":
            lengths = lengths_of(values)
            return [packed(_shown(field, lengths, tagged(key, varints(lengths)))), values.cast(pa.binary())]
        run = doubles(values.to_numpy()) if form.kind == "double" else singles(values.to_numpy())
        return [packed(_shown(field, run[0], tagged(key, [run])))]

    def null(self, key: bytes, field: Field) -> bytes:
        """Nothing."""
        return b""

    def absent(self, field: Field) -> bytes:
        """Nothing."""
        return b""


def _shown(field: Field, values: UInt64s, runs: list[Run]) -> list[Run]:
    """These runs, without those of zeros where the field has no presence of its own."""
    has_presence = field.is_there if isinstance(field, OwnField) else field.is_optional
    if has_presence or values.all():
        return runs
    return [(words, np.where(values == 0, np.uint8(0), lengths)) for words, lengths in runs]

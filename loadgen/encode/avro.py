"""Records as Avro, as fastavro's schemaless writer writes them with the schema of encode/schemas.py, or a user's own.

A value has no key; where a field can be null or absent, the branch of its union stands in front of it.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loadgen.binary import (
    Run,
    avro_texts,
    decimals,
    doubles,
    fixed_decimals,
    packed,
    singles,
    tagged,
    varints,
    zigzag,
)
from loadgen.encode.own import INTEGER, OwnField, OwnSchema, form_of
from loadgen.encode.text import ISO_BYTES, iso_times
from loadgen.formats import Field

_NULL, _VALUE = b"\x00", b"\x02"
"""The branches of a union of null and something else."""


@dataclass(frozen=True)
class Avro:
    """Records as the bytes of an Avro record, without a schema.

    Attributes:
        opening, closing: before and after each record.
        own: a user's own schema.
    """

    opening: bytes = b""
    closing: bytes = b""
    own: OwnSchema | None = None

    def before(self, at: int) -> bytes:
        """Fields that are the same in every record."""
        return self.own.before(at) if self.own else b""

    def packs(self, field: Field) -> bool:
        """Integers, and times in milliseconds."""
        return form_of(field, INTEGER).is_integer

    def runs(self, key: bytes, field: Field, values: pa.Array) -> list[Run]:
        """Integers, and times in milliseconds."""
        return tagged(key, varints(zigzag(form_of(field, INTEGER).integers(values))))

    def key(self, at: int, field: Field) -> bytes:
        """The branch of the union, where the field has one."""
        if isinstance(field, OwnField):
            return field.before
        return _VALUE if field.is_optional else b""

    def around(self, key: bytes, field: Field) -> tuple[bytes, bytes]:
        """The key, where it is not in the run."""
        return (b"" if form_of(field, INTEGER).is_integer else key), b""

    def pieces(self, key: bytes, field: Field, values: pa.Array) -> list[pa.BinaryArray]:
        """The values; those of texts behind their lengths."""
        form = form_of(field, INTEGER)
        if form.is_integer:
            return [packed(self.runs(key, field, values))]
        if form.kind == "double":
            return [packed([doubles(values.to_numpy())])]
        if form.kind == "single":
            return [packed([singles(values.to_numpy())])]
        if form.kind == "iso":
            return [iso_times().texts(form.integers(values), bytes([2 * ISO_BYTES]))]
        if form.kind == "decimal" and form.size is None:
            run = decimals(form.integers(values))
            return [packed([(run[1] << np.uint64(1), np.ones_like(run[1])), run])]
        if form.kind == "decimal" and form.size:
            return [packed(fixed_decimals(form.integers(values), form.size))]
        return avro_texts(values)

    def null(self, key: bytes, field: Field) -> bytes:
        """The union's branch of null."""
        return field.null if isinstance(field, OwnField) else _NULL

    def absent(self, field: Field) -> bytes:
        """Null: Avro has no other way to leave a field out; in a user's own schema it may be the default."""
        if isinstance(field, OwnField):
            return field.absent
        return _NULL if field.is_optional else b""

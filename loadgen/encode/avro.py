"""Records as Avro, as fastavro's schemaless writer writes them with the schema of encode/schemas.py.

A value has no key; where a field can be null or absent, the branch of its union stands in front of it.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loadgen.binary import Run, doubles, integers_of, lengths_of, packed, tagged, varints, zigzag
from loadgen.formats import INTEGERS, TIMES, Field, Source

_NULL, _VALUE = b"\x00", b"\x02"
"""The branches of a union of null and something else."""


@dataclass(frozen=True)
class Avro:
    """Records as the bytes of an Avro record, without a schema.

    Attributes:
        opening: before each record.
    """

    opening: bytes = b""
    closing: bytes = b""
    numbers = frozenset(INTEGERS | {Source.TIME_ISO})

    def runs(self, key: bytes, field: Field, values: pa.Array) -> list[Run]:
        """Integers, and times in milliseconds."""
        return tagged(key, varints(zigzag(integers_of(values))))

    def key(self, at: int, field: Field) -> bytes:
        """The branch of the union, where the field has one."""
        return _VALUE if field.is_optional else b""

    def around(self, key: bytes, field: Field) -> tuple[bytes, bytes]:
        """The key, where it is not in the run."""
        return (b"" if _is_number(field) else key), b""

    def pieces(self, key: bytes, field: Field, values: pa.Array) -> list[pa.BinaryArray]:
        """The values; those of texts behind their lengths."""
        if _is_number(field):
            return [packed(self.runs(key, field, values))]
        if field.type == "float":
            return [packed([doubles(values.to_numpy())])]
        return [packed(varints(lengths_of(values) << np.uint64(1))), values.cast(pa.binary())]

    def null(self, key: bytes, field: Field) -> bytes:
        """The union's branch of null."""
        return _NULL

    def absent(self, field: Field) -> bytes:
        """Null: Avro has no other way to leave a field out."""
        return _NULL if field.is_optional else b""


def _is_number(field: Field) -> bool:
    return field.type == "integer" or field.source in TIMES

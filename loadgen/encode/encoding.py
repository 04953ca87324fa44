"""An encoding: how the values of a record become bytes, and what stands around them.

`Encoder` and `TrackParts` put records together from columns of values that an encoding has made; it sees no event.
"""

from typing import Protocol

import pyarrow as pa

from loadgen.binary import Run, join, literal
from loadgen.encode.own import OwnSchema
from loadgen.formats import Field, Format


class Encoding(Protocol):
    """JSON, Avro or Protobuf."""

    @property
    def opening(self) -> bytes:
        """What each record begins with: the header of a schema registry's wire format, where there is one."""

    @property
    def closing(self) -> bytes:
        """What each record ends with."""

    @property
    def own(self) -> OwnSchema | None:
        """The user's own schema, whose format it writes in place of the run's."""

    def before(self, at: int) -> bytes:
        """Constant bytes in front of the record's at-th field, from 0: fields of a user's own schema."""

    def packs(self, field: Field) -> bool:
        """Whether it makes such numbers as runs; neighbours of them are packed together."""

    def runs(self, key: bytes, field: Field, values: pa.Array) -> list[Run]:
        """The whole bytes of each value of a field with such a source; none is null."""

    def key(self, at: int, field: Field) -> bytes:
        """The constant bytes that introduce a value of this field, the record's at-th, from 0."""

    def around(self, key: bytes, field: Field) -> tuple[bytes, bytes]:
        """What stands before and after each value of this field, as far as it is the same for all values."""

    def pieces(self, key: bytes, field: Field, values: pa.Array) -> list[pa.BinaryArray]:
        """The rest of the bytes of each value, to be joined between `around`; no value is null."""

    def null(self, key: bytes, field: Field) -> bytes:
        """The field where it is null."""

    def absent(self, field: Field) -> bytes:
        """The field where the record lacks it."""


def format_in(encoding: Encoding, wire_format: Format) -> Format:
    """The format of a run's records in this encoding."""
    return encoding.own.format if encoding.own else wire_format


def encoded(encoding: Encoding, key: bytes, field: Field, values: pa.Array) -> pa.BinaryArray:
    """The field with each of these values, none of them null."""
    before, after = encoding.around(key, field)
    return join(literal(before), *encoding.pieces(key, field, values), literal(after))

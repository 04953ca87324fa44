"""The fields of a user's own schema: fields of the run's format under other names, in other forms, with defaults.

A `Form` says how values of a field are written: as integers of so many bits, as an enum, as a decimal … What is the
same in every encoding is here; the bytes are those of the encoding.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.binary import integers_of
from loadgen.drawn import Drawn, FieldType
from loadgen.event import SESSIONS_PER_LISTENER, Int64s
from loadgen.formats import OF_TRACK, TIMES, Field, Format, Source
from loadgen.json_text import MOST_DIGITS, MOST_EXACT, decimal_texts, decimal_type

Kind = Literal["integer", "double", "single", "text", "iso", "enum", "decimal"]
_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_MOST_USERS = 10**9
_RANGES: dict[Source | Drawn, tuple[int, int]] = {
    Source.TIME_MS: (0, 253_402_300_799_999),
    Source.TIME_ISO: (0, 253_402_300_799_999),
    Source.USER_ID: (0, _MOST_USERS - 1),
    Source.SESSION_ID: (0, _MOST_USERS * SESSIONS_PER_LISTENER - 1),
    Source.ITEM: (0, 2**31 - 1),
}
"""The least and the greatest value; the latter is odd, so that a float that keeps it keeps all below it, too."""
Wire = Literal["", "zigzag", "fixed"]
Domains = dict[Source | Drawn, pa.Array]
"""By source: the values that a run can have. User names, ids and times have no such list."""


@dataclass(frozen=True, slots=True)
class Form:
    """How values are written.

    Attributes:
        kind: "single" is a float of 32 bits, "iso" a time as text.
        bits: of integers, with their sign.
        factor: by which integers are multiplied: 1000 for times in microseconds.
        symbols: of an enum, its values in the order of their numbers.
        precision, scale: of a decimal: its digits, and how many of them are behind the point.
        size: of a decimal in so many bytes; None: in as few as it needs.
        is_uuid: texts must be UUIDs.
        is_time: integers are read as times.
        is_signed: whether integers may be below 0.
        wire: how Protobuf writes integers: "zigzag", "fixed", or as plain varints.
        least, most: limits of numbers; None is none.
    """

    kind: Kind
    bits: int = 64
    factor: int = 1
    symbols: tuple[str, ...] = ()
    precision: int = 0
    scale: int = 0
    size: int | None = None
    is_uuid: bool = False
    is_time: bool = False
    is_signed: bool = True
    wire: Wire = ""
    least: float | None = None
    most: float | None = None

    @property
    def is_integer(self) -> bool:
        """Whether values are written as a varint in Avro and Protobuf."""
        return self.kind in ("integer", "enum")

    @property
    def type(self) -> FieldType:
        """What a reader takes values for."""
        if self.kind == "decimal":
            return decimal_type(self.precision, self.scale)
        kinds: dict[Kind, FieldType] = {"integer": "integer", "double": "float", "single": "float"}
        return kinds.get(self.kind, "text")

    def integers(self, values: pa.Array) -> Int64s:
        """The integers that stand for these values, of which none is null: numbers of symbols, unscaled decimals."""
        if self.kind == "enum":
            return integers_of(pc.index_in(values, pa.array(self.symbols, pa.string())))
        if pa.types.is_floating(values.type):
            unscaled: Int64s = np.rint(values.to_numpy() * 10.0**self.scale).astype(np.int64)
            return unscaled
        found, times = integers_of(values), 10**self.scale * self.factor
        return found if times == 1 else found * times

    def texts(self, values: pa.Array) -> pa.Array:
        """The values as texts, as a reader finds those of a decimal that a float cannot keep."""
        if self.kind != "decimal":
            return values
        unscaled = self.integers(values)
        return decimal_texts(unscaled, unscaled >> 63, self.scale)

    def problem(self, field: Field, domains: Domains) -> str:
        """Why values of this field cannot be written so; empty where they can."""
        values, kind = domain_of(field, domains), self.kind
        is_time = field.source in TIMES
        if kind in ("text", "iso", "enum") and field.type != "text" and not is_time:
            return f"its values are {field.type}s, and not texts"
        if kind in ("integer", "double", "single", "decimal") and field.type == "text" and not is_time:
            return "its values are texts"
        if kind == "integer" and field.type == "float":
            return "its values are floats, and not integers"
        if is_time and self.type == "float":
            return "its values are times"
        if self.is_time and not is_time:
            return "its values are no times"
        if kind == "iso":
            return "" if is_time else "its values are no times"
        if kind in ("text", "enum") or values is None:
            return self._problem_of_texts(field, values)
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is another value
            return self._problem_of_numbers(values)

    def _problem_of_texts(self, field: Field, values: pa.Array | None) -> str:
        if field.source in _RANGES:
            return "its values are times"
        if self.is_uuid and (values is None or not pc.all(pc.match_substring_regex(values, _UUID)).as_py()):
            return "its values are no UUIDs"
        if not self.symbols:
            return ""
        if values is None:
            return "its values are too many for an enum"
        others = pc.unique(values.filter(pc.invert(pc.is_in(values, pa.array(self.symbols, pa.string()))))).to_pylist()
        shown = ", ".join(map(repr, others[:3])) + (", …" if len(others) > 3 else "")
        return f"its symbols lack {shown}" if others else ""

    def _problem_of_numbers(self, values: pa.Array) -> str:
        found = np.asarray(values.to_numpy())
        if (self.least is not None and found.min() < self.least) or (self.most is not None and found.max() > self.most):
            return "some of its values are beyond the limits"
        if self.kind in ("double", "single"):
            same = found.astype(np.float64 if self.kind == "double" else np.float32)
            kept = same.astype(found.dtype) == found if found.dtype.kind != "i" else same.astype(object) == found
            return "" if kept.all() else f"a {'double' if self.kind == 'double' else 'float'} cannot keep its values"
        if self.kind == "integer":
            if not self.is_signed and found.min() < 0:
                return "some of its values are below 0"
            limit = 2 ** (self.bits - self.is_signed)
            is_good = (found >= -limit) & (found <= limit - 1)
            return "" if is_good.all() else f"its values need more than {self.bits} bits"
        if self.scale > MOST_DIGITS:
            return f"its decimals must have {MOST_DIGITS} digits behind the point at most"
        if found.dtype.kind == "i":
            unscaled = found.astype(object) * 10**self.scale
        else:
            unscaled = np.rint(found * 10.0**self.scale)
            if (unscaled / 10.0**self.scale != found).any():
                return f"its values have more than {self.scale} digits behind the point"
        digits = min(self.precision, MOST_DIGITS if found.dtype.kind == "i" else MOST_EXACT)
        return "" if (abs(unscaled) < 10**digits).all() else f"its values have more than {digits} digits"


INTEGER, DOUBLE, TEXT, ISO = Form("integer"), Form("double"), Form("text"), Form("iso")


def domain_of(field: Field, domains: Domains) -> pa.Array | None:
    """The values that a field can have, or the least and the greatest of integers; None: any text."""
    if isinstance(field.source, Drawn):
        return pa.array(field.source.table(field.name).values)
    if field.source in _RANGES:
        return pa.array(_RANGES[field.source], pa.int64())
    return domains.get(field.source)


@dataclass(frozen=True, slots=True)
class OwnField(Field):
    """A field of a user's own schema.

    Attributes:
        form: how its values are written.
        original: the name of the field in the run's format, on which drawn values depend.
        before: what stands in front of a value: the branch of Avro's union, Protobuf's tag.
        null, absent: what stands in place of null, and of the field where an event lacks it.
        fill: what a reader finds where there is no value; None: that there is none.
        is_there: whether Protobuf writes zeros and empty texts, too.
        is_constant: whether it is the same in every record, and no field of the format.
    """

    form: Form = TEXT
    original: str = ""
    before: bytes = b""
    null: bytes = b""
    absent: bytes = b""
    fill: Any = None
    is_there: bool = False
    is_constant: bool = False

    @property
    def type(self) -> FieldType:
        """What a reader takes its values for."""
        if self.source in TIMES:
            return "text" if self.source is Source.TIME_ISO else "integer"
        return self.form.type

    @property
    def is_nullable(self) -> bool:
        """Whether null is a value of it: not where some records lack it, as readers cannot tell these apart."""
        return self.pages is None and self.source in OF_TRACK

    @property
    def drawn_as(self) -> str:
        """The name on which drawn values depend."""
        return self.original


def form_of(field: Field, of_iso: Form) -> Form:
    """How the values of a field are written; of_iso: those of times that JSON has as ISO 8601, in the run's formats."""
    if isinstance(field, OwnField):
        return field.form
    if field.source is Source.TIME_ISO:
        return of_iso
    return INTEGER if field.type == "integer" else DOUBLE if field.type == "float" else TEXT


class OwnFormat(Format):
    """The fields of a user's own schema; unlike those of a run they may lack what tells events apart."""

    def __post_init__(self) -> None:
        """Nothing is asked of them."""


@dataclass(frozen=True, slots=True)
class OwnSchema:
    """A user's own schema, matched with the format of a run.

    Attributes:
        name: the full name of its record.
        format: the fields that are written, in order.
        reading: the same, as a reader finds them.
        literals: the bytes of further fields, by the position of the field that they stand in front of; those at the
            end have the position len(format.fields).
        unproved: the names of those of them that a reader finds with a value.
    """

    name: str
    format: OwnFormat
    reading: OwnFormat
    literals: tuple[tuple[int, bytes], ...] = ()
    unproved: tuple[str, ...] = ()

    def before(self, at: int) -> bytes:
        """The literals in front of a field."""
        return b"".join(data for place, data in self.literals if place == at)

    @property
    def end(self) -> bytes:
        """The literals behind the last field."""
        return self.before(len(self.format.fields))

    @property
    def is_provable(self) -> bool:
        """Whether its fields tell events and their times apart."""
        fields = self.reading.fields
        plain = {field.source for field in fields if field.pages is None and field.type == "integer"}
        ids = {Source.USER_ID, Source.SESSION_ID, Source.ITEM} <= plain
        times = [field for field in fields if field.source in TIMES]
        names = any(field.source is Source.USER_NAME for field in fields)
        return len(times) == 1 and (ids or (names and times[0].source is Source.TIME_ISO))

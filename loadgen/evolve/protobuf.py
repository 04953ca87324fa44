"""The fields that a .proto text declares: those of its first message, each with one value.

Protobuf has no aliases: a field under another name is the format's field of its number. Its only defaults are zero and
the empty text, and nothing where it is `optional`.
"""

import re
from typing import Any

from loadgen.binary import packed_varint
from loadgen.decode.protobuf import COMMENT, MESSAGE, ProtobufColumn, columns_of
from loadgen.encode.own import DOUBLE, TEXT, Form, Wire
from loadgen.evolve.declared import Declaration, Declared, check_names
from loadgen.formats import Format

_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)
_FIRST = re.compile(r"\bmessage\s+\w+")
_INTEGERS: dict[str, tuple[Wire, bool]] = {
    "int": ("", True),
    "sint": ("zigzag", True),
    "sfixed": ("fixed", True),
    "uint": ("", False),
    "fixed": ("fixed", False),
}
_FORMS: dict[str, tuple[Form, Any]] = {
    "double": (DOUBLE, 0.0),
    "float": (Form("single"), 0.0),
    "string": (TEXT, ""),
    **{
        f"{name}{bits}": (Form("integer", bits, wire=wire, is_signed=is_signed), 0)
        for name, (wire, is_signed) in _INTEGERS.items()
        for bits in (32, 64)
    },
}
_MOST_NUMBER, _RESERVED = (1 << 29) - 1, range(19_000, 20_000)


def read(text: str, wire_format: Format) -> Declaration:
    """Read a .proto text; raises ValueError where it is none of a flat message."""
    plain = COMMENT.sub("", text)
    first = _FIRST.search(plain)
    found = MESSAGE.match(plain, first.start()) if first else None
    if found is None:
        raise ValueError("its first message must be one without others inside")
    package = _PACKAGE.search(plain)
    columns = columns_of(text)
    names = {column.name for column in columns}
    numbers = [column.number for column in columns]
    for number in numbers:
        if numbers.count(number) > 1 or not 1 <= number <= _MOST_NUMBER or number in _RESERVED:
            raise ValueError(f"its fields must have numbers of their own, got {number}")
    fields = tuple(_declared(column, wire_format, names) for column in columns)
    check_names(fields)
    return Declaration(f"{package[1]}.{found[1]}" if package else found[1], fields, is_ordered=False)


def _declared(column: ProtobufColumn, wire_format: Format, names: set[str]) -> Declared:
    form, zero = _FORMS.get(column.type, (None, None))
    at = column.number - 1
    alias = wire_format.names[at] if at < len(wire_format.names) else column.name
    nothing = b"" if column.is_optional else None
    return Declared(
        (column.name,) if alias in names else (column.name, alias),
        form,
        f"no format has values of the type {column.type}",
        before=packed_varint(column.tag),
        null=nothing,
        absent=nothing,
        default=b"",
        value=None if column.is_optional else zero,
        is_shown=not column.is_optional,
        is_there=column.is_optional,
    )

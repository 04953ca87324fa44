"""The fields that an Avro schema declares: a record, in JSON, of fields with one value each, or null."""

import json
import re
import struct
from typing import Any

from loadgen.decode.avro import columns_of
from loadgen.encode.own import Form
from loadgen.evolve.declared import Declaration, Declared, check_names, names_in
from loadgen.json_text import MOST_DECIMAL, MOST_DIGITS, MOST_EXACT

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BITS = {"int": 32, "long": 64}
_TIMES = {"timestamp-millis": 1, "timestamp-micros": 1000}
_OTHER_LOGICAL = {
    "date",
    "time-millis",
    "time-micros",
    "timestamp-nanos",
    "local-timestamp-millis",
    "local-timestamp-micros",
    "local-timestamp-nanos",
    "duration",
    "big-decimal",
}
_PRIMITIVE = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
_NOTHING = object()


def read(text: str) -> Declaration:
    """Read a schema; raises ValueError, KeyError or TypeError where it is none."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not isinstance(found, dict) or found.get("type") != "record":
        raise ValueError("an Avro schema of events must be a record")
    name = _full_name(found, "")
    if not isinstance(found.get("fields"), list) or not found["fields"]:
        raise ValueError("it has no fields")
    named: dict[str, dict[str, Any]] = {}
    fields = tuple(_declared(field, name.rpartition(".")[0], named) for field in found["fields"])
    check_names(fields)
    if all(field.is_single for field in fields):
        columns_of(text)  # what no reader of loadgen's takes is not sent
    return Declaration(name, fields)


def _full_name(of: dict[str, Any], namespace: str) -> str:
    name = of["name"] if "." in of["name"] else ".".join(filter(None, (of.get("namespace", namespace), of["name"])))
    if not all(map(_NAME.fullmatch, name.split("."))):
        raise ValueError(f"{name!r} is no name of Avro")
    return str(name)


def _declared(field: dict[str, Any], namespace: str, named: dict[str, dict[str, Any]]) -> Declared:
    names = (field["name"], *names_in(field, "aliases"))
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of Avro")
    union, default = field["type"], field.get("default", _NOTHING)
    branches = union if isinstance(union, list) else [union]
    resolved = [_resolved(one, namespace, named) for one in branches]
    values = [(at, one) for at, one in enumerate(resolved) if one["type"] != "null"]
    nulls = [_branch(union, at) for at, one in enumerate(resolved) if one["type"] == "null"]
    written = _default(resolved, union, default, names[0])
    if not branches or len(values) > 1 or len(nulls) > 1:
        return Declared(names, None, "it must have values of one type, and null at most", is_single=False)
    null = nulls[0] if nulls else None
    if not values:
        return Declared(
            names, None, "its values can be null alone", null=null, absent=null, default=written, is_shown=False
        )
    at, of = values[0]
    form, problem = _form(of)
    return Declared(
        names,
        form,
        problem,
        before=_branch(union, at),
        null=null,
        absent=null,
        default=written,
        value=_value(of, form, default),
        is_single=of["type"] in _PRIMITIVE | {"enum", "fixed"},
        is_shown=default is not None,
    )


def _branch(union: Any, at: int) -> bytes:
    return bytes([2 * at]) if isinstance(union, list) else b""


def _resolved(of: Any, namespace: str, named: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A type as an object; named ones are kept."""
    if isinstance(of, str):
        if of in _PRIMITIVE:
            return {"type": of}
        for name in (of, f"{namespace}.{of}"):
            if name in named:
                return named[name]
        raise ValueError(f"there is no type {of!r}")
    if not isinstance(of, dict):
        raise ValueError(f"{str(of)[:80]} is no type")
    kind = of["type"]
    if not isinstance(kind, str):
        return _resolved(kind, namespace, named) if isinstance(kind, dict) else _refused(of)
    if kind in ("enum", "fixed", "record"):
        named[_full_name(of, namespace)] = of
    elif kind not in _PRIMITIVE | {"array", "map"}:
        return _resolved(kind, namespace, named)
    if kind == "enum" and not _is_enum(of.get("symbols")):
        raise ValueError(f"the enum {of['name']} must have symbols that are names, each once")
    if kind == "fixed" and not (type(of.get("size")) is int and 0 < of["size"] <= 1 << 16):
        raise ValueError(f"the fixed {of['name']} must have a size")
    return of


def _refused(of: Any) -> dict[str, Any]:
    raise ValueError(f"{str(of)[:80]} is no type")


def _is_enum(symbols: Any) -> bool:
    if not isinstance(symbols, list) or not symbols or not all(isinstance(one, str) for one in symbols):
        return False
    return len(set(symbols)) == len(symbols) and all(map(_NAME.fullmatch, symbols))


def _form(of: dict[str, Any]) -> tuple[Form | None, str]:
    """How values of this type are written; None and why where no field of a format can be."""
    kind, logical = of["type"], of.get("logicalType")
    if logical in _OTHER_LOGICAL:
        return None, f"loadgen writes no {logical}"
    if logical == "decimal" and kind in ("bytes", "fixed"):
        return _decimal(of)
    if kind in _BITS:
        time = kind == "long" and logical in _TIMES
        return Form("integer", _BITS[kind], _TIMES[str(logical)] if time else 1, is_time=time), ""
    if kind in ("double", "float"):
        return Form("double" if kind == "double" else "single"), ""
    if kind == "string":
        return Form("text", is_uuid=logical == "uuid"), ""
    if kind == "enum":
        return Form("enum", symbols=tuple(of["symbols"])), ""
    return None, f"no format has values of the type {kind}"


def _decimal(of: dict[str, Any]) -> tuple[Form | None, str]:
    precision, scale, size = of.get("precision"), of.get("scale", 0), of["size"] if of["type"] == "fixed" else None
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision or precision < 1:
        return None, "a decimal must have a precision, and a scale that is not larger"
    if precision > MOST_DECIMAL or scale > MOST_DIGITS:
        return None, f"loadgen writes decimals of {MOST_DECIMAL} digits at most, {MOST_DIGITS} of them behind the point"
    if size is not None and 10**precision > 1 << (8 * size - 1):
        return None, f"a decimal of {precision} digits does not fit into {size} bytes"
    return Form("decimal", precision=precision, scale=scale, size=size), ""


def _default(branches: list[dict[str, Any]], union: Any, default: Any, name: str) -> bytes | None:
    """The default as it is written; raises ValueError where it fits to no branch."""
    if default is _NOTHING:
        return None
    for at, of in enumerate(branches):
        written = _written(of, default)
        if written is not None:
            return _branch(union, at) + written
    raise ValueError(f"the default of field {name!r} must be of its type, got {str(default)[:80]!r}")


def _written(of: dict[str, Any], value: Any) -> bytes | None:
    """The bytes of a value of this type; None where it is of another."""
    kind, is_number = of["type"], type(value) in (int, float)
    if kind == "null":
        return b"" if value is None else None
    if kind == "boolean":
        return bytes([value]) if isinstance(value, bool) else None
    if kind in _BITS:
        limit = 1 << (_BITS[kind] - 1)
        return _varint(value) if type(value) is int and -limit <= value < limit else None
    if kind in ("float", "double"):
        return _packed("<f" if kind == "float" else "<d", value) if is_number else None
    if kind == "enum":
        return _varint(of["symbols"].index(value)) if value in of["symbols"] else None
    if kind == "string" and isinstance(value, str):
        data = _utf8(value)
        return None if data is None else _varint(len(data)) + data
    if kind in ("bytes", "fixed") and isinstance(value, str) and max(map(ord, value), default=0) < 256:
        data = value.encode("latin-1")
        if kind == "bytes":
            return _varint(len(data)) + data
        return data if len(data) == of["size"] else None
    return b"" if kind in ("array", "map", "record") else None  # refused later: they have no form


def _packed(code: str, value: float) -> bytes | None:
    try:
        return struct.pack(code, value)
    except OverflowError:
        return None


def _utf8(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def _varint(value: int) -> bytes:
    rest, found = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(found) + bytes([rest])


def _value(of: dict[str, Any], form: Form | None, default: Any) -> Any:
    """The default, where a reader finds it again as it is."""
    if form is None or form.is_time or default is None or default is _NOTHING:
        return None
    if form.kind == "decimal":
        unscaled = int.from_bytes(default.encode("latin-1"), signed=True)
        number = unscaled / 10**form.scale if form.scale else unscaled
        return number if abs(unscaled) < 10**MOST_EXACT else None
    if form.kind == "single":
        return struct.unpack("<f", struct.pack("<f", default))[0]
    value: Any = float(default) if form.kind == "double" else default
    return None if isinstance(value, str) and len(value) > 1000 else value

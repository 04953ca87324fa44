"""Random evolved .proto texts and JSON Schemas, with what their readers must find by hand."""

from typing import Any

from hypothesis import strategies as st

from loadgen.drawn import Drawn
from loadgen.formats import OF_TRACK, TIMES, Field, Format, Source
from tests.evolve.cases import Part, iso, ms

SIGNED_32, SIGNED_64 = ["int32", "sint32", "sfixed32"], ["int64", "sint64", "sfixed64"]
UNSIGNED_32, UNSIGNED_64 = ["uint32", "fixed32"], ["uint64", "fixed64"]
ALL_INTEGERS = [*SIGNED_32, *SIGNED_64, *UNSIGNED_32, *UNSIGNED_64]
ZEROS: dict[str, Any] = {"string": "", "double": 0.0, "float": 0.0, "bool": False, "bytes": b""}


def range_of(field: Field) -> tuple[int, int]:
    """The least and the greatest value of an integer."""
    if isinstance(field.source, Drawn):
        values = dict(field.source.arguments)["values"]
        return min(values), max(values)
    small = {Source.STATUS: 200, Source.AGE: 127, Source.POPULARITY: 100, Source.ITEM: 2**31 - 1}
    return 0, small.get(field.source, {Source.USER_ID: 10**9, Source.SESSION_ID: 10**15}.get(field.source, 0))


def protobuf_types(field: Field) -> tuple[list[str], list[str]]:
    """The types that a field can have, and some that it cannot."""
    if field.source in TIMES:
        return [*SIGNED_64, *UNSIGNED_64, "string"], ["int32", "double", "bool", "bytes"]
    if field.type == "text":
        return ["string"], ["int64", "double", "bool", "bytes"]
    if field.type == "float":
        values = dict(field.source.arguments)["values"] if isinstance(field.source, Drawn) else (215.3,)
        is_single = all(value in (0.0, 0.25, -2.5, 1.25) for value in values)
        return ["double", *(["float"] if is_single else [])], ["int64", "string", *([] if is_single else ["float"])]
    low, high = range_of(field)
    found = [*SIGNED_64] + ([*UNSIGNED_64] if low >= 0 else [])
    found += ([*SIGNED_32] if high < 1 << 31 and low >= -(1 << 31) else []) + (
        [*UNSIGNED_32] if high < 1 << 32 and low >= 0 else []
    )
    is_exact = abs(low) in (0, 1, 1 << 62) or high <= 1 << 53
    found += ["double"] if is_exact and high <= 1 << 53 else []
    found += ["float"] if high <= 1 << 24 or (low == -(1 << 62) and high == 1 << 40) else []
    return found, ["string", "bool", "bytes", *(one for one in ALL_INTEGERS if one not in found)]


@st.composite
def protobuf_parts(draw: st.DrawFn, wire_format: Format) -> list[Part]:
    """The fields of a .proto text; `avro` of a part is its name, declaration and number."""
    may_fail = draw(st.integers(0, 5)) == 0
    found: list[Part] = []
    for at, field in enumerate(wire_format.fields):
        if draw(st.integers(0, 3)):
            is_renamed = draw(st.booleans())
            number = at + 1 if is_renamed or draw(st.booleans()) else 100 + at
            found.append(draw(_protobuf_kept(field, f"own_{at}" if is_renamed else field.name, number, may_fail)))
    for at in range(draw(st.integers(0, 3))):
        kind, label = draw(st.sampled_from([*ALL_INTEGERS, *ZEROS])), draw(st.sampled_from(["", "optional "]))
        zero = None if label else ZEROS.get(kind, 0)
        declared = {"name": f"added_{at}", "text": f"{label}{kind} added_{at} = {200 + at};"}
        found.append(Part(declared, lambda record, zero=zero: zero))  # type: ignore[misc]
    if not any(part.avro["name"][:5] != "added" for part in found):
        found.append(draw(_protobuf_kept(wire_format.fields[0], "own_0", 1, False)))
    return draw(st.permutations(found))


@st.composite
def _protobuf_kept(draw: st.DrawFn, field: Field, name: str, number: int, may_fail: bool) -> Part:
    possible, wrong = protobuf_types(field)
    is_impossible = may_fail and draw(st.integers(0, 4)) == 0
    kind, label = draw(st.sampled_from(wrong if is_impossible else possible)), draw(st.sampled_from(["", "optional "]))

    def kept(record: dict[str, Any]) -> Any:
        value = record.get(field.name)
        if value is None:
            return None if label else ZEROS.get(kind, 0)
        if field.source in TIMES:
            return iso(value) if kind == "string" else ms(value)
        return float(value) if kind in ("double", "float") else value

    return Part({"name": name, "text": f"{label}{kind} {name} = {number};"}, kept, is_impossible)


JSON_DEFAULTS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "boolean", "default": True}, True),
    ({"type": "integer", "default": -7}, -7),
    ({"type": "number", "default": 0.25}, 0.25),
    ({"type": "number", "default": 3}, 3),
    ({"type": "string", "default": 'a "quoted" 무료'}, 'a "quoted" 무료'),
    ({"type": ["string", "null"], "default": None}, None),
    ({"type": ["null", "boolean"], "default": False}, False),
    ({"type": "string", "format": "date-time", "default": "2026-01-01T00:00:00Z"}, "2026-01-01T00:00:00Z"),
]


Properties = list[dict[str, Any]]


def json_types(field: Field) -> tuple[Properties, Properties]:
    """The types that a field can have, and some that it cannot."""
    wrong: Properties = [
        {"type": "boolean"},
        {"type": "array"},
        {"type": ["integer", "string"]},
        {"type": "string", "pattern": "^x"},
    ]
    if field.source in TIMES:
        return [{"type": "integer"}, {"type": "string"}, {"type": "string", "format": "date-time"}], [
            *wrong,
            {"type": "string", "format": "uuid"},
        ]
    if field.type == "text":
        found: Properties = [{"type": "string"}]
        found += [{"type": "string", "enum": ["paid", "free", "x"]}] if field.source is Source.LEVEL else []
        found += [{"type": "string", "format": "uuid"}] if field.name == "visit" else []
        return found, [*wrong, {"type": "integer"}, {"type": "string", "enum": ["nobody"]}]
    if field.type == "float":
        return [{"type": "number"}], [
            *wrong,
            {"type": "integer"},
            {"type": "string"},
            {"type": "number", "maximum": -3},
        ]
    found = [{"type": "integer"}, {"type": "number"}, {"type": "integer", "minimum": -(1 << 63)}]
    return found, [*wrong, {"type": "string"}, {"type": "integer", "maximum": -(1 << 63)}]


@st.composite
def json_parts(draw: st.DrawFn, wire_format: Format) -> list[Part]:
    """The properties of a JSON Schema; `avro` of a part is its name, its keywords, and whether it is required."""
    may_fail = draw(st.integers(0, 5)) == 0
    found = [draw(_json_kept(wire_format.fields[0], 0, False, True))]
    for at, field in enumerate(wire_format.fields[1:], 1):
        if draw(st.integers(0, 3)):
            found.append(draw(_json_kept(field, at, may_fail, False)))
    for at in range(draw(st.integers(0, 3))):
        of, value = draw(st.sampled_from(JSON_DEFAULTS))
        declared = {"name": f"added_{at}", "of": of, "required": draw(st.booleans())}
        found.append(Part(declared, lambda record, value=value: value))  # type: ignore[misc]
    if may_fail and draw(st.booleans()):
        found.append(Part({"name": "more", "of": {"type": "string"}, "required": True}, lambda record: None, True))
    return draw(st.permutations(found))


@st.composite
def _json_kept(draw: st.DrawFn, field: Field, at: int, may_fail: bool, is_first: bool) -> Part:
    possible, wrong = json_types(field)
    is_impossible = may_fail and draw(st.integers(0, 4)) == 0
    of = dict(draw(st.sampled_from(wrong if is_impossible else possible)))
    declared: dict[str, Any] = {"name": field.name, "of": of, "required": is_first or draw(st.booleans())}
    if draw(st.booleans()):
        declared["name"] = f"own_{at}"
        of["aliases"] = [field.name]
    default = None
    is_optional = field.pages is not None or (field.source in OF_TRACK and field.is_nullable)
    if not is_impossible and is_optional and declared["required"]:
        if of["type"] in ("string", "number") and "enum" not in of and "format" not in of and draw(st.booleans()):
            default = {"string": "none", "number": -1.5}[of["type"]] if field.type != "integer" else None
        if default is not None:
            of["default"] = default
        elif may_fail and draw(st.integers(0, 3)) == 0:
            is_impossible = True
        else:
            of["type"] = [of["type"], "null"]
    elif draw(st.booleans()) and isinstance(of["type"], str):
        of["type"] = ["null", of["type"]]
    is_text = "string" in of["type"]

    def kept(record: dict[str, Any]) -> Any:
        value = record.get(field.name)
        if value is None:
            return default
        return (iso(value) if is_text else ms(value)) if field.source in TIMES else value

    return Part(declared, kept, is_impossible)

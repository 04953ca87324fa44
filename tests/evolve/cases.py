"""Random evolved schemas, and by hand what a reader must find: a record's own values in the schema's types.

A `Part` is a field of a schema, in Avro's terms, and what its value is for a record of the format. One that cannot be
filled has a value of IMPOSSIBLE.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from loadgen.drawn import Drawn
from loadgen.formats import ACTIVITY, FULL, LISTEN, TIMES, Field, Format, Source
from tests.encode.records import ODD

UUIDS = ["6f1c1a3e-3f0b-4c39-9c3a-0d5d8c5a1b2f", "00000000-0000-0000-0000-000000000001"]
DRAWN = Format(
    "drawn",
    (
        *FULL.fields,
        Field("visit", Drawn.choice(UUIDS)),
        Field("price", Drawn.choice([0.0, -2.5, 1.25, 99.99]), LISTEN.fields[0].pages),
        Field("delta", Drawn.choice([0, -1, 40_000])),
        Field("level_2", Drawn.choice(["low", "high"])),
    ),
)
FORMATS = (ACTIVITY, LISTEN, FULL, ODD, DRAWN)
IMPOSSIBLE = object()
Find = Callable[[Any], Any]


@dataclass
class Part:
    """A field: its Avro declaration, the value of a reader, whether it cannot be filled."""

    avro: dict[str, Any]
    find: Callable[[dict[str, Any]], Any]
    is_impossible: bool = False


def moment(ms: Any) -> datetime:
    return (
        ms
        if isinstance(ms, datetime)
        else datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    )


def ms(value: Any) -> int:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


def iso(value: Any) -> str:
    return moment(value).isoformat(timespec="microseconds")


def decimal(precision: int, scale: int, size: int | None = None) -> dict[str, Any]:
    """A decimal, of bytes or fixed."""
    kind = (
        {"type": "bytes"} if size is None else {"type": "fixed", "name": f"D{precision}_{scale}_{size}", "size": size}
    )
    return {**kind, "logicalType": "decimal", "precision": precision, "scale": scale}


def _as_decimal(scale: int) -> Find:
    return lambda value: Decimal(str(value)).quantize(Decimal(1).scaleb(-scale))


def _same(value: Any) -> Any:
    return value


STRING, UUID_TYPE = "string", {"type": "string", "logicalType": "uuid"}
MILLIS, MICROS = ({"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("millis", "micros"))
Choice = tuple[Any, Find]
SMALL: list[Choice] = [
    ("int", _same),
    ("long", _same),
    ("double", float),
    ("float", float),
    (decimal(9, 0), _as_decimal(0)),
    (decimal(15, 4), _as_decimal(4)),
    (decimal(20, 2, 9), _as_decimal(2)),
]
LONG: list[Choice] = [
    ("long", _same),
    ("double", float),
    (decimal(18, 0), _as_decimal(0)),
    (decimal(25, 1, 12), _as_decimal(1)),
]
TIME: list[Choice] = [
    (MILLIS, moment),
    (MICROS, moment),
    ("long", ms),
    (STRING, iso),
    (decimal(16, 0), lambda value: Decimal(ms(value))),
]
LENGTH: list[Choice] = [
    ("double", _same),
    (decimal(9, 3), _as_decimal(3)),
    (decimal(18, 5), _as_decimal(5)),
    (decimal(12, 4, 6), _as_decimal(4)),
]
NOT_NUMBERS: list[Any] = ["boolean", "bytes", "string", MILLIS, {"type": "enum", "name": "E", "symbols": ["a"]}]
NOT_TEXTS: list[Any] = ["boolean", "int", "long", "double", "bytes", MICROS, decimal(9, 0), UUID_TYPE]
ALWAYS_WRONG: list[Any] = [
    {"type": "int", "logicalType": "date"},
    {"type": "array", "items": "string"},
    {"type": "map", "values": "long"},
    ["null", "int", "string"],
]


def enum(name: str, *symbols: str) -> dict[str, Any]:
    """An enum."""
    return {"type": "enum", "name": f"Enum_{name}", "symbols": list(symbols)}


def choices(field: Field) -> tuple[list[Choice], list[Any]]:
    """What a field can be, and what it cannot."""
    source, name = field.source, field.name
    if source in TIMES:
        return TIME, ["boolean", "int", "double", "bytes", UUID_TYPE, decimal(9, 0)]
    if source in (Source.STATUS, Source.AGE, Source.POPULARITY):
        return SMALL, [*NOT_NUMBERS, decimal(2, 1)]
    if source is Source.ITEM:
        return [one for one in SMALL if one[0] not in ("float", decimal(9, 0))], [*NOT_NUMBERS, "float", decimal(9, 0)]
    if source in (Source.USER_ID, Source.SESSION_ID):
        return LONG, [*NOT_NUMBERS, "float", decimal(8, 0)] + (["int"] if source is Source.SESSION_ID else [])
    if source is Source.LENGTH:
        return LENGTH, [*NOT_NUMBERS, "long", "int", "float", decimal(9, 1), decimal(3, 3)]
    if isinstance(source, Drawn):
        return _choices_of_drawn(source, name)
    texts = {Source.LEVEL: ("paid", "extra", "free"), Source.METHOD: ("PUT", "GET"), Source.DEVICE: ("Car", "Mobile")}
    found: list[Choice] = [(STRING, _same)]
    if source in (Source.LEVEL, Source.METHOD):
        found.append((enum(name, *texts[source]), _same))
    return found, [*NOT_TEXTS, enum(name, "nobody")]


def _choices_of_drawn(source: Drawn, name: str) -> tuple[list[Choice], list[Any]]:
    values = dict(source.arguments)["values"]
    if values == tuple(UUIDS):
        return [(STRING, _same), (UUID_TYPE, UUID)], ["long", enum(name, "a")]
    if source.type == "text":
        found: list[Choice] = [(STRING, _same)]
        if name == "level_2":
            found.append((enum(name, "high", "low", "other"), _same))
        return found, [*NOT_TEXTS, enum(name, "nobody")]
    if source.type == "integer":
        if max(map(abs, values)) < 1 << 16:
            return [*SMALL], NOT_NUMBERS
        return [("long", _same), ("double", float), ("float", float)], [*NOT_NUMBERS, "int", decimal(18, 0)]
    if max(map(abs, values)) < 100:
        exact: list[Choice] = [("double", _same), (decimal(8, 2), _as_decimal(2)), (decimal(17, 9, 8), _as_decimal(9))]
        return exact, [*NOT_NUMBERS, "long", decimal(9, 1) if 99.99 in values else "int"]
    return [("double", _same)], [*NOT_NUMBERS, "float", "int", decimal(18, 5)]


DEFAULTS: list[tuple[Any, Any, Any]] = [
    ("boolean", False, False),
    ("boolean", True, True),
    ("int", -7, -7),
    ("long", 1 << 40, 1 << 40),
    ("double", 1, 1.0),
    ("double", -0.1, -0.1),
    ("float", 0.5, 0.5),
    ("string", "", ""),
    ("string", 'a "quoted" 무료\n', 'a "quoted" 무료\n'),
    ("string", "long " * 300, "long " * 300),
    ("bytes", "\u00ff\u0000", b"\xff\0"),
    ({"type": "fixed", "name": "Four", "size": 4}, "abc\u00e9", b"abc\xe9"),
    ({"type": "enum", "name": "Added", "symbols": ["one", "two"]}, "two", "two"),
    (MILLIS, 1_700_000_000_123, datetime.fromtimestamp(1_700_000_000, UTC).replace(microsecond=123_000)),
    ({"type": "int", "logicalType": "date"}, 0, datetime(1970, 1, 1).date()),
    (decimal(9, 2), "\u00ff\u0038", Decimal("-2.00")),
    (UUID_TYPE, UUIDS[0], UUID(UUIDS[0])),
    ("null", None, None),
    (["null", "string"], None, None),
    (["string", "null"], "plan", "plan"),
    (["null", "boolean"], None, None),
]
WRONG_DEFAULTS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": ["null", "string"]},
    {"type": {"type": "array", "items": "string"}, "default": []},
    {"type": {"type": "map", "values": "int"}, "default": {}},
    {"type": ["null", "int", "string"], "default": None},
]


@st.composite
def parts(draw: st.DrawFn, wire_format: Format) -> list[Part]:
    """The fields of a schema evolved from this format; one in six schemas has some that cannot be filled."""
    may_fail = draw(st.integers(0, 5)) == 0
    found = [draw(_kept(field, at, may_fail)) for at, field in enumerate(wire_format.fields) if draw(st.integers(0, 3))]
    for at in range(draw(st.integers(0, 3))):
        found.append(draw(_added(at, may_fail)))
    found = draw(st.permutations(found))
    if all(part.is_impossible is False and part.find.__name__ == "added" for part in found):
        found = [draw(_kept(wire_format.time, 0, False)), *found]
    return found


@st.composite
def _kept(draw: st.DrawFn, field: Field, at: int, may_fail: bool) -> Part:
    possible, wrong = choices(field)
    (kind, convert), is_impossible = draw(st.sampled_from(possible)), False
    if may_fail and draw(st.integers(0, 5)) == 0:
        kind, is_impossible = draw(st.sampled_from([*wrong, *ALWAYS_WRONG])), True
    kind = {**kind, "name": f"{kind['name']}_{at}"} if isinstance(kind, dict) and "name" in kind else kind
    declared: dict[str, Any] = {"name": field.name, "type": kind}
    if draw(st.booleans()):
        declared |= {"name": f"own_{at}", "aliases": draw(st.permutations(["nobody", field.name]))}
    default = None
    if not isinstance(kind, list):
        shapes = ["null first", "null last", "default", *([] if field.is_optional else ["plain", "alone"])]
        shape = draw(st.sampled_from(shapes))
        if shape == "default" and kind in ("string", "double", "long", "int") and not is_impossible:
            default = {"string": "none", "double": -1.5, "long": -3, "int": 0}[kind]
            declared["default"] = default
            if draw(st.booleans()):
                declared["type"] = [kind]
        elif shape in ("plain", "alone"):
            declared["type"] = kind if shape == "plain" else [kind]
        else:
            declared["type"] = [kind, "null"] if shape == "null last" else ["null", kind]
            declared |= {"default": None} if shape == "null first" else {}
        if may_fail and field.is_optional and not is_impossible and draw(st.integers(0, 5)) == 0:
            declared.pop("default", None)
            declared["type"], is_impossible = kind, True

    def kept(record: dict[str, Any]) -> Any:
        value = record.get(field.name)
        return default if value is None else convert(value)

    return Part(declared, kept, is_impossible)


@st.composite
def _added(draw: st.DrawFn, at: int, may_fail: bool) -> Part:
    name = f"added_{at}"
    if may_fail and draw(st.integers(0, 2)) == 0:
        return Part({"name": name, **draw(st.sampled_from(WRONG_DEFAULTS))}, lambda record: None, is_impossible=True)
    kind, default, value = draw(st.sampled_from(DEFAULTS))
    kind = {**kind, "name": f"{kind['name']}_{at}_added"} if isinstance(kind, dict) and "name" in kind else kind

    def added(record: dict[str, Any]) -> Any:
        return value

    return Part({"name": name, "type": kind, "default": default}, added)

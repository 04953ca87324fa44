"""The properties that a JSON Schema declares: those of one object, each with one value, or null.

JSON Schema has no aliases; `"aliases": ["userId"]` in a property is one here, which validators pass over.
"""

import json
from dataclasses import replace
from typing import Any

from loadgen.encode.own import DOUBLE, INTEGER, ISO, TEXT, Form
from loadgen.evolve.declared import Declaration, Declared, names_in
from loadgen.json_text import quoted

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_KNOWN = {"type", "title", "description", "default", "examples", "format", "enum", "aliases", "minimum", "maximum"}
_KNOWN |= {"$comment", "readOnly", "writeOnly", "connect.index", "connect.type"}
"""Keywords of a property that say nothing of its values, or what is checked of them."""
_FORMATS = {"date-time", "uuid", None}


def read(text: str) -> Declaration:
    """Read a schema; raises ValueError, KeyError or TypeError where it is none."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not isinstance(found, dict) or not isinstance(found.get("properties"), dict) or not found["properties"]:
        raise ValueError("a JSON Schema of events must be an object with properties")
    if found.get("type", "object") != "object":
        raise ValueError("a JSON Schema of events must be of the type object")
    required = names_in(found, "required")
    missing = [name for name in required if name not in found["properties"]]
    if missing:
        raise ValueError(f"it requires {missing[0]!r}, which is no property")
    fields = tuple(_declared(name, of, name in required) for name, of in found["properties"].items())
    return Declaration(str(found.get("title", "Event")), fields, is_ordered=False, needs_first=True)


def _declared(name: str, of: dict[str, Any], is_required: bool) -> Declared:
    kinds, of = _kinds(of)
    key = b"," + quoted(name) + b":"
    values = [kind for kind in kinds if kind != "null"]
    if len(values) > 1 or not set(kinds) <= set(_TYPES) or not kinds:
        return Declared((name,), None, "it must have values of one type, and null at most", is_single=False)
    form, problem = _form(values[0] if values else "null", of)
    null = key + b"null" if "null" in kinds else None if is_required else b""
    default = None
    if "default" in of:
        value = of["default"]
        if not any(isinstance(value, _TYPES[kind]) and (type(value) is bool) == (kind == "boolean") for kind in kinds):
            raise ValueError(f"the default of property {name!r} must be of its type, got {str(value)[:80]!r}")
        default = key + json.dumps(value, ensure_ascii=False).encode()
    elif not is_required:
        default = b""
    value = of.get("default")
    return Declared(
        (name, *names_in(of, "aliases")),
        form,
        problem,
        null=null,
        absent=null if is_required else b"",
        default=default,
        value=value if form is not None and type(value) in (str, int, float) else None,
        is_shown=value is not None,
        is_any_number=values == ["number"],
    )


def _kinds(of: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The types of a property, and its keywords; those of a choice between null and another are that one's."""
    for choice in ("oneOf", "anyOf"):
        if choice in of:
            others = [one for one in of[choice] if one.get("type") != "null"]
            rest = {name: value for name, value in of.items() if name != choice}
            kinds, found = _kinds({**others[0], **rest}) if len(others) == 1 else ([], {})
            return [*kinds, *(["null"] if len(of[choice]) > len(others) else [])], found
    kinds = of.get("type", [])
    return (kinds if isinstance(kinds, list) else [kinds]), of


def _form(kind: str, of: dict[str, Any]) -> tuple[Form | None, str]:
    unknown = sorted(set(of) - _KNOWN)
    if unknown:
        return None, f"loadgen does not know {unknown[0]!r}"
    if of.get("format") not in _FORMATS:
        return None, f"loadgen writes no {of['format']}"
    if kind in ("integer", "number"):
        if "enum" in of:
            return None, "loadgen writes no numbers of an enum"
        for limit in (of.get("minimum", 0), of.get("maximum", 0)):
            if type(limit) not in (int, float):
                raise ValueError(f"limits must be numbers, got {str(limit)[:80]}")
        form = INTEGER if kind == "integer" else DOUBLE
        return replace(form, least=of.get("minimum"), most=of.get("maximum")), ""
    if kind == "string":
        values = of.get("enum", [])
        symbols = tuple(names_in({"enum": [one for one in values if one is not None]}, "enum"))
        form = ISO if of.get("format") == "date-time" else TEXT
        return replace(form, symbols=symbols, is_uuid=of.get("format") == "uuid"), ""
    return None, f"no format has values of the type {kind}"

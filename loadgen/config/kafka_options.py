"""Kafka options, checked against librdkafka's own table.

In: an option. Out: its problem on one line with the next step, because librdkafka silently reads `linger.ms=2s` as 2.

Source: `librdkafka.csv` is the table of CONFIGURATION.md of librdkafka, release VERSION, without the descriptions, plus
the few properties that the library accepts and the table lacks. `java_options.toml` names its own source.
"""

import csv
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from loadgen.config.masks import hidden
from loadgen.config.options import Options
from loadgen.config.values import duration_s, nearest, read_number, size_bytes

VERSION = "2.16.0"
"""The release of librdkafka that the table was compared with last."""
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,9})?")
_BOOLEANS = ("true", "t", "1", "false", "f", "0")
_YES_NO = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}
_ACKS = ("acks", "request.required.acks")
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Property:
    """A property of librdkafka.

    Attributes:
        name: "linger.ms".
        use: "P" for producers, "C" for consumers, "*" for all clients.
        type: integer, float, boolean, enum, flags (names separated by commas), string, or callback.
        low, high: the range of a number.
        names: the values of an enum or a flag.
        default: as text; empty if there is none.
    """

    name: str
    use: str
    type: str
    low: int
    high: int
    names: tuple[str, ...]
    default: str


@cache
def properties() -> dict[str, Property]:
    """Every property by its name."""
    with (_HERE / "librdkafka.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: _property(**row) for row in csv.DictReader(file)}


def _property(name: str, use: str, type: str, range: str, default: str) -> Property:
    low, _, high = range.partition("..") if ".." in range else ("0", "", "0")
    names = tuple(range.split("|")) if range and ".." not in range else ()
    return Property(name, use, type, int(low), int(high), names, default)


@cache
def java_options() -> dict[str, str]:
    """Option of the Java client only → what to do instead."""
    table = tomllib.loads((_HERE / "java_options.toml").read_text(encoding="utf-8"))
    left_out = dict.fromkeys(table["leave_out"]["names"], "leave it out: only Java clients have a use for it")
    return {**left_out, **table["write"]}


def problem(name: str, value: str, origin: str = "") -> str | None:
    """What is wrong with an option, on one line, or None. The value of a secret is never shown.

    Args:
        value: as librdkafka would get it.
        origin: "from --kafka-option" …
    """
    where = f" ({origin})" if origin else ""
    found = properties().get(name)
    if found is None:
        return f"Kafka has no option {name!r}{where}; {_instead_of(name)}"
    if found.type == "callback":
        return f"Kafka option {name} cannot be set as text{where}; leave it out"
    check = _CHECKS.get(found.type)
    rule, step = check(found, value) if check else ("", "")
    return f"Kafka option {name} must be {rule}, got {hidden(repr(value[:80]))}{where}; {step}" if rule else None


def _instead_of(name: str) -> str:
    java = java_options()
    if name.lower() in java:
        return f"that is the Java client's: {java[name.lower()]}"
    bare = name.lower().replace("_", ".").replace("-", ".")
    near = nearest(bare, [*properties(), *java])
    if near in java:
        return f"did you mean the Java client's {near}? Then {java[str(near)]}"
    return f"did you mean {near}?" if near else f"see CONFIGURATION.md of librdkafka {VERSION}"


def _check_number(found: Property, value: str) -> tuple[str, str]:
    if found.name in _ACKS and value.lower() == "all":
        return "", ""
    pattern = _WHOLE if found.type == "integer" else _FLOAT
    if pattern.fullmatch(value) and found.low <= Decimal(value) <= found.high:
        return "", ""
    meant = _meant(found, value)
    kind = "a whole number" if found.type == "integer" else "a number"
    unit = next((f" of {unit}" for end, unit in _UNITS.items() if found.name.endswith(end)), "")
    step = f"write {found.name}={meant}" if meant is not None else f"the default is {found.default}"
    return f"{kind}{unit} {found.low}..{found.high}", step


_UNITS = {".ms": "milliseconds", ".kbytes": "KiB", ".bytes": "bytes", ".seconds": "seconds", "batch.size": "bytes"}


def _meant(found: Property, value: str) -> str | None:
    """The number that a wrong text most likely means; None if that is unclear."""
    text = re.split(r"\s+[#!/]", value.strip(), maxsplit=1)[0].strip()
    text = re.sub(r"(?<=[0-9])[,_' ](?=[0-9]{3}\b)", "", text).lstrip("+")
    number = _number_meant(found.name, text)
    if number is None or not found.low <= number <= found.high:
        return None
    return str(int(number)) if number == int(number) else None if found.type == "integer" else f"{number:f}"


def _number_meant(name: str, text: str) -> Decimal | None:
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,15}", text):
        return Decimal(int(text, 16))
    number = read_number(text)
    has_unit = bool(re.search("[A-Za-z]$", text))
    if name.endswith((".ms", ".seconds")) and has_unit:
        length_s = duration_s(text, 1.0)
        unit = 1000 if name.endswith(".ms") else 1
        return None if length_s is None else round(Decimal(length_s) * unit, 6)
    if name.endswith((".bytes", ".kbytes", "batch.size")) and has_unit:
        size = size_bytes(text)
        return size / 1024 if size is not None and name.endswith(".kbytes") else size
    return number


def _check_boolean(found: Property, value: str) -> tuple[str, str]:
    if value.lower() in _BOOLEANS:
        return "", ""
    return "true or false", f"write {found.name}={_YES_NO.get(value.strip().lower(), found.default)}"


def _check_names(found: Property, value: str) -> tuple[str, str]:
    given = [part.strip().lstrip("+-") for part in value.split(",")] if found.type == "flags" else [value]
    known = {name.lower(): name for name in found.names}
    wrong = [part for part in given if part.lower() not in known]
    if not found.names or not wrong:
        return "", ""
    near = nearest(wrong[0].strip().lower(), known)
    step = f"did you mean {known[near]}?" if near else f"write for example {found.name}={found.names[0]}"
    return ("one of " if found.type == "enum" else "some of ") + ", ".join(found.names), step


_CHECKS = {
    "integer": _check_number,
    "float": _check_number,
    "boolean": _check_boolean,
    "enum": _check_names,
    "flags": _check_names,
}


class KafkaOptions(Options):
    """Options of librdkafka."""

    flag = "kafka-config"
    prefix = "LOADGEN_KAFKA_OPTION_"
    example = "linger.ms=5"

    @classmethod
    def known(cls) -> Collection[str]:
        """The names of librdkafka's properties."""
        return properties()

    @classmethod
    def problem(cls, name: str, value: str, origin: str = "") -> str | None:
        """See Options."""
        return problem(name, value, origin)

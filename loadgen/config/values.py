"""Parsers of values as users write them: numbers, sizes, times, rates, choices.

In: a text from a flag or a variable, or a value from TOML (int, float, bool, str, date, list, table). Out: the value of
the setting. A bad value raises BadValue with the rule and what to write instead; no other exception leaves this module.
"""

import difflib
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

Parser = Callable[[Any], Any]

_NUMBER = re.compile(r"([+-]?[0-9](?:[0-9_]{0,30}[0-9])?(?:\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,2})?) ?([kKmMgG]?)")
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_DURATION = re.compile(r"(?:[0-9][0-9.]{0,19} ?(?:ms|sec|s|min|m|h|d|w) ?){1,6}")
_DURATION_PART = re.compile(r"([0-9.]+) ?([a-z]+)")
_DURATION_UNITS_S = {
    "ms": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
_SIZE = re.compile(r"([0-9][0-9_]{0,20}(?:\.[0-9]{1,6})?) ?(?:([kKmMgGtT])(?:i?[bB])?|[bB])?")
_RATE = re.compile(r"(.{1,40}?)(?: ?/ ?(s|sec|m|min|h))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY = datetime(2200, 1, 1, tzinfo=UTC)
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


class BadValue(ValueError):
    """A value that breaks its rule.

    Attributes:
        rule: reads on from the setting's name: "must be 1..256".
        secret: the value must not be shown.
    """

    def __init__(self, rule: str, next_step: str, secret: bool = False) -> None:
        super().__init__(f"{rule}; {next_step}")
        self.rule = rule
        self.next_step = next_step
        self.secret = secret

    def __reduce__(self) -> tuple[type["BadValue"], tuple[str, str, bool]]:
        return type(self), (self.rule, self.next_step, self.secret)


@dataclass(frozen=True, slots=True)
class ShardOf:
    """One machine's share of the listeners: number `index` (from 0) of `count`."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str | None:
    """The known word that the user most likely meant; None when none is near. A common prefix does not make it near."""
    bare = {other.removeprefix(prefix): other for other in known}
    found = difflib.get_close_matches(word.removeprefix(prefix)[:100], list(bare), n=1, cutoff=0.6)
    return bare[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str, prefix: str = "") -> str:
    """The next step for an unknown word: the nearest known one, or something else."""
    near = nearest(word, known, prefix)
    return f"did you mean {near}?" if near else otherwise


def read_number(value: Any) -> Decimal | None:
    """A number from 50000, 50_000, 0.5, 50k, 1.5M, 2e6 or a Python number; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Decimal(value) if abs(value) < 1e40 else None  # also False for nan
    match = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    return Decimal(match[1].replace("_", "")) * _FACTORS[match[2].lower()] if match else None


def _number(
    read: Callable[[Any], Decimal | None], low: float, high: float, rule: str, example: str, kind: type
) -> Parser:
    """A parser of numbers low..high, which are whole if `kind` is int."""

    def parse(value: Any) -> Any:
        number = read(value)
        if number is None or not low <= number <= high or (kind is int and number != int(number)):
            raise BadValue(rule, f"write for example {example}")
        return kind(number)

    return parse


def count(low: int, high: int, example: str) -> Parser:
    """A parser of whole numbers low..high: 50000, 50_000, 50k, 1.5M."""
    return _number(read_number, low, high, f"must be a whole number {low:,}..{high:,}", example, int)


def positive(high: float, example: str) -> Parser:
    """A parser of numbers above 0, up to high."""
    rule = f"must be a number above 0, at most {high:,.0f}"
    return _number(read_number, math.ulp(0.0), high, rule, example, float)


def size(low_bytes: int, high_bytes: int, example: str) -> Parser:
    """A parser of sizes in bytes: 131072, 64k, 128M, 1.5GiB; k, M, G and T are powers of 1024."""
    rule = f"must be a size of {_say_size(low_bytes)} to {_say_size(high_bytes)}"
    return _number(size_bytes, low_bytes, high_bytes, rule, example, int)


def size_bytes(value: Any) -> Decimal | None:
    """Bytes from 131072, 64k, 128M or 1.5GiB, in powers of 1024; None if it is not a size."""
    if not isinstance(value, str):
        return read_number(value)
    match = _SIZE.fullmatch(value.strip())
    factor = 1024 ** " kmgt".index((match[2] or " ").lower()) if match else 1
    return Decimal(match[1].replace("_", "")) * factor if match else None


def _say_size(size_bytes: int) -> str:
    power = min((size_bytes.bit_length() - 1) // 10, 4)
    return f"{size_bytes >> 10 * power}{' kMGT'[power]}".rstrip()


def duration(unit_s: float, low_s: float, high_s: float, example: str) -> Parser:
    """A parser of durations in units of unit_s; a bare number is in that unit; 90s, 1m30s, 0.5h say their own."""

    def parse(value: Any) -> float:
        length_s = duration_s(value, unit_s)
        if length_s is None or not low_s <= length_s <= high_s:
            rule = f"must be a duration of {_say_s(low_s)} to {_say_s(high_s)}"
            raise BadValue(rule, f"write for example {example}")
        return length_s / unit_s

    return parse


def duration_s(value: Any, unit_s: float) -> float | None:
    """Seconds from 1m30s, 90s, 0.5h or 2 h, or from a number of units; None if it is not a duration."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value.strip()):
        number = bare_number(value)
        return None if number is None else float(number) * unit_s
    parts = [(read_number(number), unit) for number, unit in _DURATION_PART.findall(value)]
    if any(number is None for number, _ in parts):
        return None
    return float(sum(number * Decimal(str(_DURATION_UNITS_S[unit])) for number, unit in parts if number is not None))


def bare_number(value: Any) -> Decimal | None:
    """A number without unit; None otherwise, also for 5k, because k, M and G are no factors of times."""
    return None if isinstance(value, str) and value.strip()[-1:].isalpha() else read_number(value)


def say_duration(length_s: float) -> str:
    """A duration as text: 20s, 1m30s, 30m, 2h; the inverse of `duration_s`."""
    left, said = Decimal(str(round(length_s, 9))), ""
    for unit, unit_s in (("d", 86400), ("h", 3600), ("m", 60)):
        n_units, left = divmod(left, unit_s)
        said += f"{n_units:f}{unit}" if n_units else ""
    return f"{said}{left.normalize():f}s" if left or not said else said


def say_moment(time_ms: int) -> str:
    """A time in milliseconds since 1970 as a date; the inverse of `moment_ms`."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(
        timespec="milliseconds" if time_ms % 1000 else "seconds"
    )


def _say_s(length_s: float) -> str:
    if length_s < 86400:
        return f"{length_s:g} s"
    return f"{length_s / 86400:,.0f} days"


def rate(value: Any) -> str | float:
    """`natural`, `max`, or events per second from 100k/s, 5/s, 1.5M, 300/min, 10/h."""
    if value in ("natural", "max"):
        return str(value)
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    number = read_number(match[1] if match else value)
    per_s = float(number) / _DURATION_UNITS_S[(match[2] if match else None) or "s"] if number is not None else 0.0
    if not 1e-6 <= per_s <= 1e9:
        raise BadValue("must be natural, max or a number of events per second", "write for example 100k/s or 300/min")
    return per_s


def moment_ms(value: Any, now_ms: int | None = None) -> int:
    """Milliseconds since 1970 (UTC) from ISO 8601 (UTC without zone), a date, `now`, or -1d, +1h30m."""
    if isinstance(value, int) and not isinstance(value, bool):
        found_ms: int | None = value
    else:
        now_ms = int(time.time() * 1000) if now_ms is None else now_ms
        found_ms = _text_moment_ms(value.strip(), now_ms) if isinstance(value, str) else _date_ms(value)
    if found_ms is None or not 0 <= found_ms <= _since_1970_ms(_LAST_DAY):
        example = "write for example 2026-03-01, 2026-03-01T18:00:00+09:00, now or -1d"
        raise BadValue("must be a time between 1970 and 2200", example)
    return found_ms


def _text_moment_ms(text: str, now_ms: int) -> int | None:
    if text[:1] in ("+", "-") and _DURATION.fullmatch(text[1:]):
        shift_s = duration_s(text[1:], 1.0)
        return None if shift_s is None else now_ms + round(shift_s * 1000) * (1 if text[0] == "+" else -1)
    if text == "now":
        return now_ms
    try:
        return _date_ms(datetime.fromisoformat(text))
    except ValueError:
        return None


def _date_ms(value: Any) -> int | None:
    if not isinstance(value, date):
        return None
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    try:
        return _since_1970_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError:  # a zone that leads outside of the years 1..9999
        return None


def _since_1970_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def day(value: Any, now_ms: int | None = None) -> int:
    """Days since 1970 (UTC) from what `moment_ms` reads; an int is already such a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        found: int | None = value if 0 <= value <= (_LAST_DAY - _EPOCH).days else None
    else:
        try:
            found = moment_ms(value, now_ms) // int(1000 * _DURATION_UNITS_S["d"])
        except BadValue:
            found = None
    if found is None:
        raise BadValue("must be a day between 1970 and 2200", "write for example 2026-03-01, now or -1d")
    return found


def choice(*names: str) -> Parser:
    """A parser of one of these names."""

    def parse(value: Any) -> str:
        if isinstance(value, str) and value in names:
            return value
        word = value if isinstance(value, str) else ""
        step = did_you_mean(word, names, f"write for example {names[0]}")
        raise BadValue(f"must be one of {', '.join(names)}", step)

    return parse


FORMATS = ("activity", "listen", "full")
OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def wire_format(value: Any) -> str:
    """The name of a wire format: one of loadgen's, one of an installed package, or MODULE:OBJECT."""
    if isinstance(value, str) and value not in FORMATS:
        from loadgen.extensions import names  # costs time that other values need not spend

        if OBJECT.fullmatch(value) or value in names("format"):
            return value
    return str(choice(*FORMATS)(value))


def boolean(value: Any) -> bool:
    """True or false: also yes/no, on/off, 1/0 as text."""
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise BadValue("must be true or false", "write true, yes, on, 1, or false, no, off, 0")


def shard(value: Any) -> ShardOf:
    """I/N: machine I (from 0) of N."""
    if isinstance(value, ShardOf):
        value = str(value)
    match = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", value.strip()) if isinstance(value, str) else None
    if match and int(match[1]) < int(match[2]) <= 256:
        return ShardOf(int(match[1]), int(match[2]))
    raise BadValue("must be I/N with I from 0 to N-1 and N at most 256", "write for example 0/4, then 1/4, 2/4, 3/4")


def pairs(value: Any) -> dict[str, str]:
    """K=V,K=V… as text, or a table, as a dict of texts; names in lower case."""
    if isinstance(value, Mapping):
        return {str(key): str(item) for key, item in value.items()}
    found = {}
    for part in str(value).split(","):
        key, equals, item = part.partition("=")
        if not equals or not key.strip():
            raise BadValue("must be NAME=NUMBER,…", "write for example late=0.01,duplicate=0.001")
        found[key.strip().lower()] = item.strip()
    return found

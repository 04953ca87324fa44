"""Load shapes by name, from files, and from tables.

In: the value of --shape, or of `shape` in a file. Out: a `ShapeSpec`, or BadValue, whatever the file holds. A file is
read only here, once.
"""

import csv
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadgen.config import names
from loadgen.config.masks import hidden
from loadgen.config.shapes import MAX_POINTS, Points, ShapeSpec, checked_points, spec_of, within
from loadgen.config.values import BadValue, did_you_mean

NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "constant": ("R throughout", {"phase": [{"kind": "hold", "at": 1, "for": "100%"}]}),
    "ramp": ("from 0 to R in a straight line", {"phase": [{"kind": "ramp", "from": 0, "to": 1, "for": "100%"}]}),
    "step": (
        "five equal steps up: 20 % of R, 40 % … R",
        {"repeat": True, "phase": [{"kind": "steps", "from": 0.2, "to": 1, "steps": 5, "for": "100%"}]},
    ),
    "spike": (
        "10 % of R; in the middle up to R, for a fifth of the time",
        {
            "repeat": True,
            "phase": [
                {"kind": "hold", "at": 0.1, "for": "38%"},
                {"kind": "ramp", "to": 1, "for": "2%"},
                {"kind": "hold", "at": 1, "for": "20%"},
                {"kind": "ramp", "to": 0.1, "for": "2%"},
                {"kind": "hold", "at": 0.1, "for": "38%"},
            ],
        },
    ),
    "soak": (
        "up to R in the first twentieth of the time, then R",
        {"phase": [{"kind": "ramp", "from": 0, "to": 1, "for": "5%"}, {"kind": "hold", "at": 1, "for": "95%"}]},
    ),
    "sine": (
        "three waves between 10 % of R and R",
        {"repeat": True, "phase": [{"kind": "sine", "from": 0.1, "to": 1, "every": f"{100 / 3!r}%", "for": "100%"}]},
    ),
}
"""Name → description, in which R is --rate, and phases."""
MAX_FILE_BYTES = 8 << 20
_CSV_STEP = "write seconds, a comma and events per second on each line, such as 30,12000"
_STEP = "write for example spike, phases.toml or day.csv"


def shape_spec(value: Any) -> ShapeSpec:
    """The shape of a name, a file's path, a list of phases, or a table with phases."""
    if isinstance(value, ShapeSpec):
        return value
    if isinstance(value, Mapping):
        return spec_of(value, "phases", lambda file: _read_csv(names.path(file)))
    if isinstance(value, list | tuple):
        return shape_spec({"phase": value})
    if isinstance(value, str) and value in NAMED:
        return shape_spec({"name": value, **NAMED[value][1]})
    if isinstance(value, str) and value.lower().endswith((".toml", ".csv")):
        return _of_file(names.path(value))
    step = did_you_mean(value, NAMED, _STEP) if isinstance(value, str) else _STEP
    raise BadValue(f"must be {', '.join(NAMED)} or a .toml or .csv file", step)


def in_short(public: dict[str, Any]) -> str | dict[str, Any]:
    """A result of `ShapeSpec.public`, shortened to the name of a named shape."""
    name = public["name"]
    return name if name in NAMED and shape_spec(name).public() == public else public


def _of_file(file: Path) -> ShapeSpec:
    def read() -> ShapeSpec:
        if file.suffix.lower() == ".toml":
            return spec_of(_read_toml(file), file.name, lambda other: _read_csv(file.parent / names.path(other)))
        points, per_s = _read_csv(file)
        series = {"kind": "series", "points": points, "levels": "per_s" if per_s else "factor"}
        return spec_of({"phase": [series]}, file.name, _read_csv_never)

    spec: ShapeSpec = within(f"in {_shown(file.name)}:", read)
    return spec


def _read_csv_never(_file: str) -> tuple[Points, bool]:
    raise BadValue("must say points", "leave out file")


def _text(file: Path) -> str:
    """The text of a file that is not too large."""
    try:
        if not file.is_file():  # a pipe may never end
            raise BadValue("must be a file that is there", _STEP)
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise BadValue("must be at most 8 MiB", f"give fewer points: at most {MAX_POINTS:,}")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise BadValue(f"must be readable: {error.strerror}", "look at its permissions") from None
    except UnicodeDecodeError:
        raise BadValue("must be UTF-8 text", "save it as UTF-8") from None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except BadValue:
        raise
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadValue(f"must be TOML: {reason}", 'write [[phase]], below it kind = "ramp", to = 1, for = 30') from None


def _read_csv(file: Path) -> tuple[Points, bool]:
    """The points of a file, and whether they are events per second: not if the second column is `factor`."""
    lines = _text(file).splitlines()
    reader = csv.reader(lines)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise BadValue(f"must be comma-separated: {error}", _CSV_STEP) from None
    header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    if header and not _is_number(re.split("[;\t|]", header[0])[0]):
        del rows[0]
    for number, row in rows:
        if len(row) != 2 or not all(map(_is_number, row)):
            raise BadValue(f"line {number} must be two numbers, here {hidden(repr(lines[number - 1][:60]))}", _CSV_STEP)
    if len(rows) < 2:
        raise BadValue(f"must have at least two points, has {len(rows)}", _CSV_STEP)
    points = checked_points([[cell.strip() for cell in row] for _, row in rows])
    return points, header[1:2] != ["factor"]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(name: str) -> str:
    return name if name.isprintable() and len(name) <= 60 else repr(name)[:60]

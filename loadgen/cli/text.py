"""What verbs print: examples at the end of --help, and settings as a configuration file.

In: settings and their origins. Out: text.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from loadgen.config import Resolved, Settings
from loadgen.config.masks import is_secret
from loadgen.config.shape_files import in_short
from loadgen.config.values import say_duration

S = TypeVar("S", bound=Settings)


def examples(*lines: str) -> str:
    """The end of a verb's --help."""
    return "\n\n".join(["Examples:", *lines])


def as_json(resolved: Resolved[S], expected: Mapping[str, Any]) -> str:
    """The settings as one JSON object, secrets as ***; what is expected under a key of its own."""
    shown = resolved.settings.public_dict() | ({"expected": expected} if expected else {})
    return json.dumps(shown, indent=2, ensure_ascii=False)


def as_toml(resolved: Resolved[S], expected: Mapping[str, Any]) -> str:
    """The settings as a file that --config accepts, each with where it came from; secrets are left out.

    What is expected stands above them, as comments."""
    lines = [f"# expected: {name} = {_quoted(value)}" for name, value in expected.items()]
    public = resolved.settings.public_dict()
    for name, key in resolved.settings.keys().items():
        value = _toml_value(name, public[key])
        if value is not None and name not in ("config", "dry_run") and not (name == "tracks" and public.get("catalog")):
            lines.append(f"{key} = {value}".ljust(50) + f"  # {_one_line(resolved.origins[name])}")
    return "\n".join(lines)


def _toml_value(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name in ("start_ms", "end_ms", "since_ms", "until_ms"):
        return json.dumps(datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds"))
    if name == "duration_min":
        return json.dumps(say_duration(value * 60))
    if name == "shape":
        return _quoted(in_short(value))
    if isinstance(value, dict):
        return _quoted({key: item for key, item in value.items() if item != 0 and not is_secret(key)})
    return _quoted(value)


def _quoted(value: Any) -> str:
    """A TOML text, number, switch, list or table: JSON's forms are TOML's too, but for tables and the DEL character."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_quoted(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)

"""Kafka options, which may hold passwords: they are handed on, and never shown.

In: K=V texts, or tables from TOML (nested ones too, since TOML reads linger.ms = 5 as a table in a table).
Out: KafkaOptions, a dict whose printed form masks every secret.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from loadgen.config.kafka_properties import properties
from loadgen.config.masks import MASK, is_secret, without_login
from loadgen.config.names import is_utf8
from loadgen.config.values import BadValue

_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_EXAMPLE = "write for example linger.ms=5"


class KafkaOptions(dict[str, str]):
    """librdkafka options by name; printing it shows *** for each secret."""

    def public(self) -> dict[str, str]:
        """The options with each secret as ***; also what is no option of Kafka's, which may be a password misspelt."""
        known = properties()
        return {name: without_login(v) if name in known and not is_secret(name) else MASK for name, v in self.items()}

    def __repr__(self) -> str:
        return repr(self.public())

    __str__ = __repr__


def is_option_name(text: str) -> bool:
    """Whether it may be the name of an option; what else stands in front of a = may be a part of a secret."""
    return _OPTION.fullmatch(text) is not None


def kafka_options(value: Any) -> KafkaOptions:
    """Options from one K=V text or one a line, a list of them, or a table; raises BadValue, which hides the value."""
    options = KafkaOptions()
    for name, text in _named(value):
        if not is_option_name(name):
            raise BadValue("must name an option of letters, digits, dots, - and _", _EXAMPLE, secret=True)
        if "\0" in text or not is_utf8(text):
            raise BadValue(f"must give {name} a UTF-8 text without NUL", _EXAMPLE, secret=True)
        options[name] = text
    return options


def _named(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from _flattened(value, "")
        return
    for text in value if isinstance(value, list | tuple) else str(value).splitlines():
        name, equals, option = str(text).partition("=")
        if not equals:
            raise BadValue("must be NAME=VALUE", _EXAMPLE, secret=True)
        yield name.strip(), option.strip()


def _flattened(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float):
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)
        else:
            raise BadValue(f"must give {prefix}{name} a text, a number, true or false", _EXAMPLE, secret=True)

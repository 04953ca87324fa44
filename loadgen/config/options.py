"""Options of a library by name: parsed, and printed without secrets.

In: K=V texts or tables from TOML, where linger.ms = 5 is a table in a table. Out: `Options`, a dict whose printed form
masks every secret; a kind of options also says which ones there are, and what is wrong with a value.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Self

from loadgen.config.masks import MASK, is_secret, without_login
from loadgen.config.names import is_utf8
from loadgen.config.values import BadValue

_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Options(dict[str, str]):
    """Options by name; printing it shows *** for each secret.

    Attributes:
        flag: of the file that they may stand in: "kafka-config".
        prefix: of the variables that set one each: "LOADGEN_KAFKA_OPTION_".
        example: a valid one.
    """

    flag: ClassVar[str]
    prefix: ClassVar[str]
    example: ClassVar[str]

    @classmethod
    def known(cls) -> Collection[str]:
        """The names of all options."""
        raise NotImplementedError

    @classmethod
    def problem(cls, name: str, value: str, origin: str = "") -> str | None:
        """What is wrong with an option, on one line, or None. The value of a secret is never shown.

        Args:
            name: the option.
            value: as the library would get it.
            origin: "from --kafka-option" …
        """
        raise NotImplementedError

    @classmethod
    def parsed(cls, value: Any) -> Self:
        """Options from K=V texts, in a list or one per line, or from a table. Raises BadValue without the value."""
        step, options = f"write for example {cls.example}", cls()
        for name, text in _named(value, step):
            if not is_option_name(name):
                raise BadValue("must name an option of letters, digits, dots, - and _", step, secret=True)
            if "\0" in text or not is_utf8(text):
                raise BadValue(f"must give {name} a UTF-8 text without NUL", step, secret=True)
            options[name] = text
        return options

    def public(self) -> dict[str, str]:
        """The options with *** for each secret, and for each unknown option, which may be a misspelt secret."""
        known = self.known()
        return {name: without_login(v) if name in known and not is_secret(name) else MASK for name, v in self.items()}

    def __repr__(self) -> str:
        return repr(self.public())

    __str__ = __repr__


def is_option_name(text: str) -> bool:
    """Whether a text may name an option; other texts before a = may be part of a secret."""
    return _OPTION.fullmatch(text) is not None


def _named(value: Any, step: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from _flattened(value, "", step)
        return
    for text in value if isinstance(value, list | tuple) else str(value).splitlines():
        name, equals, option = str(text).partition("=")
        if not equals:
            raise BadValue("must be NAME=VALUE", step, secret=True)
        yield name.strip(), option.strip()


def _flattened(table: Mapping[str, Any], prefix: str, step: str) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.", step)
        elif isinstance(value, str | int | float):
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)
        else:
            raise BadValue(f"must give {prefix}{name} a text, a number, true or false", step, secret=True)

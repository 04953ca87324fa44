"""What the settings of every command have in common: frozen, complete, free of contradictions, each with a flag.

In: values as a user writes them, or as Python has them. Out: one frozen object (every default filled in), or a
ValidationError that lists each bad setting. A setting is declared once, as a field whose annotation holds its parser
and its Flag: the flag, its help, the LOADGEN_* variable and the key of a configuration file all follow from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from loadgen.config.rules import Contradiction, Problem
from loadgen.config.values import Parser

WHERE_FROM = "Where the events come from"
WHERE = "Where the events go"
HOW_MUCH = "How many, how long, how fast"
WORLD = "What is simulated"
AROUND = "Around the run"


@dataclass(frozen=True)
class RequiredMessage:
    """What is said of a setting that has no default and was not given.

    Attributes:
        rule: "consume needs a broker".
        next_step: what to do about it.
        example: a value that is right.
    """

    rule: str
    next_step: str
    example: str


@dataclass(frozen=True)
class Flag:
    """How a setting is spelt and explained.

    Attributes:
        key: its name in files; --key and LOADGEN_KEY follow from it.
        metavar: stands for the value in the help; empty where the flag is a switch.
        help: one sentence or two; the default is appended where it is a number or a text.
        panel: the part of the help that it stands in.
        short: another spelling of the flag: "-b".
        is_word: it is no flag but the words that belong to none: FILE….
        needed: for a setting without a default.
        bare: the unit of a number without one, as "m"; said to the user where it is not the seconds of all other flags.
    """

    key: str
    metavar: str
    help: str
    panel: str = WORLD
    short: str = ""
    is_word: bool = False
    needed: RequiredMessage | None = None
    bare: str = ""


@dataclass(frozen=True)
class Here:
    """What one command says in another way about a flag that it shares with others; None is as the others say it."""

    help: str | None = None
    panel: str | None = None
    needed: RequiredMessage | None = None


def flag_of(field: FieldInfo) -> Flag:
    """The Flag that a field was declared with, as its command explains it."""
    flag = next(item for item in field.metadata if isinstance(item, Flag))
    for here in (item for item in field.metadata if isinstance(item, Here)):
        flag = replace(flag, **{name: value for name, value in vars(here).items() if value is not None})
    return flag


def or_none(parse: Parser) -> BeforeValidator:
    """A validator that lets None through."""
    return BeforeValidator(lambda value: None if value is None else parse(value))


class Settings(BaseModel):
    """The settings of a command, complete and free of contradictions; immutable.

    Attributes:
        command: the command's name, also of its table in a configuration file.
        one_of: groups of fields, of which one group is for use. A higher layer that names the first of a group takes
            the other groups away from the layers below it: --store on the command line goes before LOADGEN_BROKERS.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        defer_build=True,  # only the command that is called pays for its validator
    )

    command: ClassVar[str]
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @property
    def goes_on(self) -> bool:
        """Whether it has no end of its own: then it is done when it is stopped in good order."""
        return False

    def broken_rules(self) -> Iterator[Problem]:
        """Every broken rule between settings that are each valid alone."""
        yield from ()

    @model_validator(mode="after")
    def _free_of_contradictions(self) -> Self:
        found = list(self.broken_rules())
        if found:
            raise Contradiction(found)
        return self

    @classmethod
    def flags(cls) -> dict[str, Flag]:
        """Field name → Flag, in the order of declaration."""
        return _flags(cls)

    @classmethod
    def keys(cls) -> dict[str, str]:
        """Field name → key in a configuration file (`duration_min` → `duration`), in the order of declaration."""
        return {name: flag.key.replace("-", "_") for name, flag in cls.flags().items()}

    @classmethod
    def switches(cls) -> list[str]:
        """The names of the fields that are true or false."""
        return [name for name, field in cls.model_fields.items() if field.annotation is bool]

    def public_dict(self) -> dict[str, Any]:
        """The settings as JSON types by their keys (`duration`, `start` …), each secret as ***.

        `from_public` reads it back; only secrets are lost."""
        dumped = self.model_dump(mode="json")
        return {key: dumped[name] for name, key in self.keys().items()}

    @classmethod
    def from_public(cls, public: dict[str, Any]) -> Self:
        """The settings that public_dict() wrote (of a manifest); raises ValidationError."""
        field_of_key = {key: name for name, key in cls.keys().items()}
        return cls.model_validate({field_of_key[key]: value for key, value in public.items()})


@cache
def _flags(settings: type[Settings]) -> dict[str, Flag]:
    return {name: flag_of(field) for name, field in settings.model_fields.items()}

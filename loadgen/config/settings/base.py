"""The base of every command's settings: frozen, complete, free of contradictions, each with a flag.

In: values as a user writes them, or as Python has them. Out: one frozen object with every default filled in, or a
ValidationError that lists each bad setting. A setting is declared once, as a field whose annotation holds its parser
and its `Flag`, from which the flag, its help, the LOADGEN_* variable and the key of a configuration file follow.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from loadgen.config import names, values
from loadgen.config.rules import Contradiction, Problem
from loadgen.config.values import Parser

WHERE_FROM = "Where the events come from"
WHERE = "Where the events go"
HOW_MUCH = "How many, how long, how fast"
WORLD = "What is simulated"
AROUND = "Around the run"


@dataclass(frozen=True)
class RequiredMessage:
    """The message for a missing setting that has no default; `rule`: "consume needs a broker"."""

    rule: str
    next_step: str
    example: str


@dataclass(frozen=True)
class Flag:
    """The spelling and the help of a setting.

    Attributes:
        usage: "output PATH": its key in files, from which --key and LOADGEN_KEY follow, and the placeholder of its
            value in the help, which a boolean flag does not have.
        help: one or two sentences; a default that is a number or a text is appended.
        short: another spelling of the flag: "-b".
        is_positional: whether it is given by position, as FILE…, not by a flag.
        needed: the message if it is missing; for a setting without a default.
        bare: the unit of a number without one, such as "m", if it is not the seconds of the other flags.
    """

    usage: str
    help: str
    panel: str = WORLD
    _: KW_ONLY
    short: str = ""
    is_positional: bool = False
    needed: RequiredMessage | None = None
    bare: str = ""

    @property
    def key(self) -> str:
        """The name in files."""
        return self.usage.partition(" ")[0]

    @property
    def metavar(self) -> str:
        """The placeholder in the help; empty for a boolean flag."""
        return self.usage.partition(" ")[2]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Have a boolean, a path or a choice parsed as users write it; other types name a parser beside the flag."""
        kinds = set(get_args(source)) - {type(None)} if type(None) in get_args(source) else {source}
        kind = kinds.pop() if len(kinds) == 1 else None
        if get_origin(kind) is Literal:
            parse: Parser = values.choice(*get_args(kind))
        elif kind in (bool, Path):
            parse = values.boolean if kind is bool else names.path
        else:
            return handler(source)
        validator = or_none(parse) if kind is not source else BeforeValidator(parse)
        return validator.__get_pydantic_core_schema__(source, handler)


@dataclass(frozen=True)
class FlagOverride:
    """What one command changes in the `Flag` of a shared setting; None keeps it."""

    help: str | None = None
    panel: str | None = None
    needed: RequiredMessage | None = None


def flag_of(field: FieldInfo) -> Flag:
    """The `Flag` of a field, with the changes of its command."""
    flag = next(item for item in field.metadata if isinstance(item, Flag))
    for override in (item for item in field.metadata if isinstance(item, FlagOverride)):
        flag = replace(flag, **{name: value for name, value in vars(override).items() if value is not None})
    return flag


def or_none(parse: Parser) -> BeforeValidator:
    """A validator that lets None through."""
    return BeforeValidator(lambda value: None if value is None else parse(value))


class Settings(BaseModel):
    """The settings of a command, complete and free of contradictions; immutable.

    Attributes:
        command: the command's name, also of its table in a configuration file.
        one_of: groups of fields that exclude each other. A layer that sets the first field of a group discards the
            other groups of lower layers: --store on the command line overrides LOADGEN_BROKERS.
        inherited: of a command that is another one's special case, the fields of that one that are its settings too;
            the others have no flag and keep their defaults. None: all.
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
    inherited: ClassVar[frozenset[str] | None] = None

    @property
    def goes_on(self) -> bool:
        """Whether it has no end of its own, so that a signal is its normal end."""
        return False

    def broken_rules(self) -> Iterator[Problem]:
        """Every broken rule between settings that are each valid alone."""
        yield from ()

    def problem(self, rule: str, names: str, next_step: str) -> Problem:
        """A broken rule between these fields, whose names are separated by spaces."""
        return Problem(rule, {name: getattr(self, name) for name in names.split()}, next_step)

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
    def has_flag(cls, name: str) -> bool:
        """Whether a field can be set: a command that is another one's special case may fix some."""
        return cls.inherited is None or any(isinstance(item, Flag) for item in cls.model_fields[name].metadata)

    @classmethod
    def keys(cls) -> dict[str, str]:
        """Field name → key in a configuration file (`duration_min` → `duration`), in the order of declaration."""
        return {name: flag.key.replace("-", "_") for name, flag in cls.flags().items()}

    @classmethod
    def field_of_key(cls) -> dict[str, str]:
        """Key in a configuration file → field name."""
        return {key: name for name, key in cls.keys().items()}

    @classmethod
    def boolean_flags(cls) -> list[str]:
        """The names of the boolean fields."""
        return [name for name in cls.flags() if cls.model_fields[name].annotation is bool]

    def public_dict(self) -> dict[str, Any]:
        """The settings as JSON types by their keys (`duration`, `start` …), each secret as ***.

        `from_public` is the inverse, except for secrets."""
        dumped = self.model_dump(mode="json")
        return {key: dumped[name] for name, key in self.keys().items()}

    @classmethod
    def from_public(cls, public: dict[str, Any]) -> Self:
        """The settings that public_dict() wrote (of a manifest); raises ValidationError."""
        fields = cls.field_of_key()
        return cls.model_validate({fields[key]: value for key, value in public.items()})


@cache
def _flags(settings: type[Settings]) -> dict[str, Flag]:
    own = settings.__annotations__ if settings.inherited is not None else settings.model_fields
    names = [name for name in settings.model_fields if name in own or name in (settings.inherited or ())]
    return {name: flag_of(settings.model_fields[name]) for name in names if settings.has_flag(name)}

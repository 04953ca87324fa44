"""Where a setting comes from: flag > LOADGEN_* variable > TOML file > default.

In: a verb's class of settings, the flags given, the environment, the file named by --config. Out: the settings, and
each one's origin; or one UsageError with a line for every problem. Variables and files serve all verbs: what only
another verb knows is passed over, what none knows is a problem. Written by hand rather than with pydantic-settings:
that takes 0.3 s longer to import, and does not say where a bad value came from.
"""

import re
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from loadgen.config.given import Given, Layer
from loadgen.config.kafka_properties import properties
from loadgen.config.names import path
from loadgen.config.report import shown, unknown, validated
from loadgen.config.settings import ALL, Settings
from loadgen.config.values import BadValue, bare_number
from loadgen.errors import UsageError

S = TypeVar("S", bound=Settings)

PREFIX = "LOADGEN_"
OPTION_PREFIX = "LOADGEN_KAFKA_OPTION_"
OTHER_VARIABLES = ("LOADGEN_CACHE", "LOADGEN_DEBUG")
"""Variables that are no setting of a verb: the cache folder, tracebacks for developers."""
_FROM_KUBERNETES = re.compile(r"LOADGEN_(.*_)?(SERVICE_(HOST|PORT)|PORT_[0-9]+_(TCP|UDP|SCTP))(_.*)?")
_ADDRESS_FROM_KUBERNETES = ("tcp://", "udp://", "sctp://")
"""Kubernetes gives each container such variables for a service named loadgen or loadgen-something: not meant for us."""
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Resolved(Generic[S]):
    """Settings, and how they came about.

    Attributes:
        settings: complete and valid.
        origins: field name → where its value comes from ("default", "from --users" …).
        notes: lines for the user about values that may mean something else than was thought.
    """

    settings: S
    origins: dict[str, str]
    notes: tuple[str, ...] = ()


def resolve(
    kind: type[S],
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    problems: Iterable[str] = (),
    now_ms: int | None = None,
) -> Resolved[S]:
    """The settings of a verb.

    Args:
        kind: the verb's class of settings.
        flags: field name → text (or switch, or list of texts), of the flags that were given.
        environment: variables; those that do not begin with LOADGEN_ are ignored.
        problems: those found by the reader of the command line; they are reported with the others.
        now_ms: what `now` means, milliseconds since 1970; None is the clock.

    Raises:
        UsageError: with a line for every problem of the flags, the variables, the file and their combination.
    """
    given = Given(kind, problems=list(problems))
    given.take([(name, value, _origin(kind, name)) for name, value in flags.items()])
    given.take(_variables(given, environment))
    for layer in _file_layers(given):
        given.take(layer)
    settings = validated(kind, given, int(time.time() * 1000) if now_ms is None else now_ms)
    if settings is None or given.problems:
        raise UsageError("\n".join(given.problems))
    origins = {name: given.origins.get(name, "default") for name in kind.model_fields}
    return Resolved(settings, origins, tuple(_notes(given)))


def _notes(given: Given) -> Iterator[str]:
    """A line for each number without a unit, where that is another one than seconds."""
    for name, flag in given.kind.flags().items():
        number = bare_number(given.values.get(name)) if flag.bare else None
        if number is not None:
            meant = f"{number.normalize():f}"
            yield (
                f"{flag.key} {meant} ({given.origins[name]}) is in minutes; "
                f"write {meant}{flag.bare}, or {meant}s for seconds"
            )


def _origin(kind: type[Settings], name: str) -> str:
    flag = kind.flags()[name]
    return "from the command line" if flag.is_word else f"from --{flag.key}"


def _field_of_key(kind: type[Settings]) -> dict[str, str]:
    return {key: name for name, key in kind.keys().items()}


def _known_keys(kind: type[Settings], others: Iterable[type[Settings]]) -> list[str]:
    """The keys of this verb, then those that only others know: the order in which the nearest one is looked for."""
    return list(dict.fromkeys(key for settings in (kind, *others) for key in settings.keys().values()))


def _variables(given: Given, environment: Mapping[str, str]) -> Layer:
    known = {PREFIX + key.upper(): key for key in _known_keys(given.kind, ALL)}
    fields = _field_of_key(given.kind)
    layer: Layer = []
    for variable in sorted(environment):
        value, origin = environment[variable], f"from {variable}"
        if not variable.startswith(PREFIX) or _is_other(variable, value):
            continue
        if variable.startswith(OPTION_PREFIX):
            layer.append(("kafka_option", {_option_of(variable): value}, origin))
        elif variable not in known:
            given.problems.append(_unknown_variable(variable, known))
        elif known[variable] in fields:
            layer.append((fields[known[variable]], value, origin))
    return [item for item in layer if item[0] in given.kind.model_fields]


def _option_of(variable: str) -> str:
    """The option that a variable means: a _ stands for a dot, and for itself where an option has one (log_level)."""
    word = variable.removeprefix(OPTION_PREFIX).lower()
    return word if word in properties() else word.replace("_", ".")


def _unknown_variable(variable: str, known: Iterable[str]) -> str:
    option = variable.removeprefix(PREFIX)
    if option.lower().replace("_", ".") in properties():
        return f"unknown variable {variable!r}; did you mean {OPTION_PREFIX}{option}?"
    return unknown("variable", variable, known, "unset it", prefix=PREFIX)


def _is_other(variable: str, value: str) -> bool:
    from_kubernetes = _FROM_KUBERNETES.fullmatch(variable) or value.startswith(_ADDRESS_FROM_KUBERNETES)
    return variable in OTHER_VARIABLES or bool(from_kubernetes)


def _file_layers(given: Given) -> list[Layer]:
    """What --config or LOADGEN_CONFIG names: the verb's own table, then what stands above all tables."""
    file, table = _content(given)
    layers = []
    for kind in ALL:
        part = table.pop(kind.verb, {})
        if not isinstance(part, dict):
            step = f"write [{kind.verb}] on its own line"
            given.problems.append(f"{kind.verb} must be a table in {file}, got {shown(part)}; {step}")
            continue
        layer = _table_layer(given, part, _known_keys(kind, ()), f"{file} [{kind.verb}]")
        if kind is given.kind:
            layers.append(layer)
    layers.append(_table_layer(given, table, _known_keys(given.kind, ALL), str(file)))
    return layers


def _content(given: Given) -> tuple[Path | None, dict[str, Any]]:
    """The file and what is in it; nothing where there is none, or none that can be read."""
    if given.values.get("config") is None:
        return None, {}
    try:
        file = path(given.values["config"])
        return file, read_toml(file)
    except BadValue:
        pass  # validation reports the path
    except UsageError as error:
        given.problems.append(f"{error} ({given.origins['config']})")
    return None, {}


def _table_layer(given: Given, table: dict[str, Any], known: list[str], where: str) -> Layer:
    """What this table says to the verb; each key that is not known is a problem."""
    fields = _field_of_key(given.kind)
    layer: Layer = []
    for word, value in table.items():
        key = word.replace("-", "_")
        if key == "config":
            given.problems.append(f"config must not stand in a file, got it in {where}; name it by --config")
        elif key not in known:
            given.problems.append(unknown("key", word, known, "take it out", f" in {where}"))
        elif key in fields:
            layer.append((fields[key], value, f"from {word} in {where}"))
    return layer


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file's content; raises UsageError where it cannot be read or is no TOML."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise UsageError(f"a configuration file must be at most 1 MiB, got more in {file}; name the right file")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}; name a TOML file that can be read") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{file} is not TOML: {reason}; write lines such as users = 50000") from None

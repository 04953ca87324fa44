"""Resolves the settings of a command: flag > LOADGEN_* variable > TOML file > default.

In: a command's class of settings, the flags given, the environment, the file named by --config. Out: the settings and
the origin of each; or one UsageError with a line for every problem: the setting, its rule, the value, its origin and
the next step. Variables and files serve all commands: a key that only other commands know is ignored, an unknown one is
a problem. `environment` is the reverse: the environment of a child process.

Written by hand because pydantic-settings takes 0.3 s longer to import and does not report where a bad value came from.
"""

import re
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from loadgen.config import values
from loadgen.config.kafka_options import KafkaOptions, properties
from loadgen.config.masks import hidden, without_login
from loadgen.config.names import path
from loadgen.config.options import Options
from loadgen.config.registry_options import RegistryOptions
from loadgen.config.rules import Contradiction, Problem
from loadgen.config.settings import ALL
from loadgen.config.settings.base import Settings
from loadgen.config.values import BadValue, bare_number, did_you_mean
from loadgen.errors import UsageError

Layer = list[tuple[str, Any, str]]
"""Field name, value as given, origin of each setting."""
OPTIONS: dict[str, type[Options]] = {"kafka_option": KafkaOptions, "registry_option": RegistryOptions}
"""The fields whose values are merged option by option, each with its kind."""


@dataclass
class GivenValues:
    """The values of all layers so far, each setting from its highest layer.

    Attributes:
        values: field name → the value as given.
        origins: field name → "from --users", "from LOADGEN_USERS" …
    """

    kind: type[Settings]
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, layer: Layer) -> None:
        """Add a layer below the earlier ones."""
        named = [group for group in self.kind.one_of if group[0] in self.values]
        ruled_out = {name for group in self.kind.one_of if named and group not in named for name in group}
        for name, value, origin in layer:
            if name in OPTIONS:
                self._take_options(name, OPTIONS[name], value, origin)
            elif name not in self.values and name not in ruled_out:
                self.values[name] = value
                self.origins[name] = origin

    def _take_options(self, name: str, kind: type[Options], value: Any, origin: str) -> None:
        try:
            options = kind.parsed(value)
        except BadValue as bad:
            self.problems.append(f"{name} {bad.rule} ({origin}); {bad.next_step}")
            return
        wrong = [kind.problem(option, text, origin) for option, text in options.items()]
        self.problems += [line for line in wrong if line]
        higher = self.values.get(name, {})
        self.values[name] = kind({**options, **higher})
        self.origins[name] = f"{self.origins[name]}, {origin}" if higher else origin


S = TypeVar("S", bound=Settings)


def _validated(kind: type[S], given: GivenValues, now_ms: int | None) -> S:
    """The settings; raises UsageError with a line for every problem."""
    context = {"now_ms": int(time.time() * 1000) if now_ms is None else now_ms}
    settings: S | None = None
    bad: set[str] = set()
    try:
        settings = kind.model_validate(given.values, context=context)
    except ValidationError as error:
        bad = _collect(error, given, bad)
    if bad:  # look for contradictions among the others
        good = {name: value for name, value in given.values.items() if name not in bad}
        stand_ins = {name: flag.needed.example for name, flag in kind.flags().items() if flag.needed}
        try:
            kind.model_validate(stand_ins | good, context=context)
        except ValidationError as error:
            _collect(error, given, bad)
    if settings is None or given.problems:
        raise UsageError("\n".join(given.problems))
    return settings


def _collect(error: ValidationError, given: GivenValues, bad: set[str]) -> set[str]:
    """Append a line for each problem that does not follow from the settings known as bad; return the bad fields."""
    found = set()
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, Contradiction):
            fresh = [problem for problem in cause.problems if bad.isdisjoint(problem.values)]
            given.problems += [_contradiction_line(problem, given) for problem in fresh]
        elif item["type"] != "default_factory_not_called":  # follows from another problem
            found.add(str(item["loc"][0]))
            given.problems.append(_value_line(item, cause, given))
    return found


def _value_line(item: Any, cause: Any, given: GivenValues) -> str:
    name = str(item["loc"][0])
    flag, key = given.kind.flags()[name], given.kind.keys()[name]
    origin = given.origins.get(name, "default")
    got = shown(given.values.get(name))
    if item["type"] == "missing" and flag.needed:
        return f"{flag.needed.rule}, got none; {flag.needed.next_step}"
    if isinstance(cause, BadValue):
        subject = f"{key} {item['loc'][1]}" if isinstance(item["loc"][-1], str) and len(item["loc"]) > 1 else key
        got = shown(item["input"]) if isinstance(item["loc"][-1], int) else got  # one of several
        return f"{subject} {cause.rule}, got {got} ({origin}); {cause.next_step}"
    if item["type"] == "extra_forbidden":
        known = list(getattr(given.kind.model_fields[name].annotation, "model_fields", ()))
        return unknown(f"name in {key}:", str(item["loc"][1]), known, "take it out") + f" ({origin})"
    return f"{key}: {item['msg']}, got {got} ({origin}); see loadgen {given.kind.command} --help"


def _contradiction_line(problem: Problem, given: GivenValues) -> str:
    got = []
    for name, value in problem.values.items():
        origin = given.origins.get(name, "default")
        said = given.values.get(name, value)
        if name.endswith("_ms") and isinstance(said, int):
            said = values.say_moment(said)
        got.append(f"{given.kind.keys()[name]} {shown(said)} ({origin})")
    return f"{problem.rule}, got {' and '.join(got)}; {problem.next_step}"


def unknown(kind: str, word: str, known: Iterable[str], else_step: str, where: str = "", prefix: str = "") -> str:
    """The line for an unknown word, with the nearest known one."""
    return f"unknown {kind} {without_login(repr(word[:80]))}{where}; {did_you_mean(word, known, else_step, prefix)}"


def shown(value: Any) -> str:
    """A value for a message: one line, cut, without what looks like a password."""
    if value is None or value == ():
        return "none"
    text = repr(value) if isinstance(value, str) else str(value)
    text = text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
    text = hidden(text)
    return text if len(text) <= 80 else text[:77] + "..."


PREFIX = "LOADGEN_"
OTHER_VARIABLES = ("LOADGEN_CACHE", "LOADGEN_DEBUG")
"""Variables that are not settings: the cache folder, tracebacks for developers."""
_FROM_KUBERNETES = re.compile(r"LOADGEN_(.*_)?(SERVICE_(HOST|PORT)|PORT_[0-9]+_(TCP|UDP|SCTP))(_.*)?")
_ADDRESS_FROM_KUBERNETES = ("tcp://", "udp://", "sctp://")
"""Variables that Kubernetes sets in each container for a service named loadgen or loadgen-…; they are ignored."""
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Resolved(Generic[S]):
    """Settings and their origins.

    Attributes:
        origins: field name → "default", "from --users" …
        notes: lines for the user about values that may be misunderstood.
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
    """The settings of a command.

    Args:
        flags: field name → text, list of texts or boolean, of the flags that were given.
        environment: variables; only those that begin with LOADGEN_ count.
        now_ms: the meaning of `now`, milliseconds since 1970; None is the clock.

    Raises:
        UsageError: with a line for every problem of the flags, the variables, the file and their combination.
    """
    given = GivenValues(kind, problems=list(problems))
    origins = {
        name: "from the command line" if flag.is_positional else f"from --{flag.key}"
        for name, flag in kind.flags().items()
    }
    given.take([(name, value, origins[name]) for name, value in flags.items()])
    given.take(_variables(given, environment))
    for layer in _file_layers(given):
        given.take(layer)
    settings = _validated(kind, given, now_ms)
    origins = {name: given.origins.get(name, "default") for name in kind.model_fields}
    return Resolved(settings, origins, tuple(_notes(given)))


def of_arguments(kind: type[S], arguments: Mapping[str, Any]) -> S:
    """The settings that a caller of the library means: keys as in a configuration file, values too.

    Raises:
        UsageError: with a line for every problem.
    """
    fields, given = kind.field_of_key(), GivenValues(kind)
    for word in arguments.keys() - fields.keys():
        given.problems.append(unknown("argument", word, fields, f"see loadgen {kind.command} --help"))
    given.take([(fields[key], value, "argument") for key, value in arguments.items() if key in fields])
    return _validated(kind, given, None)


def _notes(given: GivenValues) -> Iterator[str]:
    """A line for each number without a unit that is not in seconds."""
    for name, flag in given.kind.flags().items():
        number = bare_number(given.values.get(name)) if flag.bare else None
        if number is not None:
            meant = f"{number.normalize():f}"
            yield (
                f"{flag.key} {meant} ({given.origins[name]}) is in minutes; "
                f"write {meant}{flag.bare}, or {meant}s for seconds"
            )


def _known_keys(kind: type[Settings], others: Iterable[type[Settings]]) -> list[str]:
    """The keys of this command, then those of others: the order in which the nearest one is searched."""
    return list(dict.fromkeys(key for settings in (kind, *others) for key in settings.keys().values()))


def _variables(given: GivenValues, environment: Mapping[str, str]) -> Layer:
    known = {PREFIX + key.upper(): key for key in _known_keys(given.kind, ALL)}
    fields = given.kind.field_of_key()
    layer: Layer = []
    for variable in sorted(environment):
        value, origin = environment[variable], f"from {variable}"
        if not variable.startswith(PREFIX) or _is_other(variable, value):
            continue
        field_of_options = next((name for name, kind in OPTIONS.items() if variable.startswith(kind.prefix)), None)
        if field_of_options:
            layer.append((field_of_options, {_option_of(variable, OPTIONS[field_of_options]): value}, origin))
        elif variable not in known:
            given.problems.append(_unknown_variable(variable, known))
        elif known[variable] in fields:
            layer.append((fields[known[variable]], value, origin))
    return [item for item in layer if item[0] in given.kind.flags()]


def _option_of(variable: str, kind: type[Options]) -> str:
    """The option of a variable: a _ stands for a dot, or for itself in an option that has one (log_level)."""
    word = variable.removeprefix(kind.prefix).lower()
    return word if word in kind.known() else word.replace("_", ".")


def _unknown_variable(variable: str, known: Iterable[str]) -> str:
    option = variable.removeprefix(PREFIX)
    if option.lower().replace("_", ".") in properties():
        return f"unknown variable {variable!r}; did you mean {KafkaOptions.prefix}{option}?"
    return unknown("variable", variable, known, "unset it", prefix=PREFIX)


def _is_other(variable: str, value: str) -> bool:
    from_kubernetes = _FROM_KUBERNETES.fullmatch(variable) or value.startswith(_ADDRESS_FROM_KUBERNETES)
    return variable in OTHER_VARIABLES or bool(from_kubernetes)


def _file_layers(given: GivenValues) -> list[Layer]:
    """The file of --config or LOADGEN_CONFIG: the command's own table, then the keys above all tables."""
    file, table = _content(given)
    layers = []
    for kind in ALL:
        part = table.pop(kind.command, {})
        if not isinstance(part, dict):
            step = f"write [{kind.command}] on its own line"
            given.problems.append(f"{kind.command} must be a table in {file}, got {shown(part)}; {step}")
            continue
        layer = _table_layer(given, part, _known_keys(kind, ()), f"{file} [{kind.command}]")
        if kind is given.kind:
            layers.append(layer)
    layers.append(_table_layer(given, table, _known_keys(given.kind, ALL), str(file)))
    return layers


def _content(given: GivenValues) -> tuple[Path | None, dict[str, Any]]:
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


def _table_layer(given: GivenValues, table: dict[str, Any], known: list[str], where: str) -> Layer:
    """What this table says to the command; each key that is not known is a problem."""
    fields = given.kind.field_of_key()
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
    """The content of a TOML file. Raises UsageError if it cannot be read or parsed."""
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


def problem_lines(what: str, error: ValidationError) -> Iterator[str]:
    """A line for each problem of a file's content, or for each line of a rule for all of it: place, rule, value."""
    problems = error.errors(include_url=False, include_context=False)
    for problem in problems:
        place, rule = problem["loc"], problem["msg"].removeprefix("Value error, ")
        if not place:
            yield from (f"{what}: {line}" for line in rule.splitlines())
        elif not any(len(one["loc"]) > len(place) and one["loc"][: len(place)] == place for one in problems):
            # a list counts as empty if all its items are wrong
            yield f"{what}: {'.'.join(map(str, place))}: {rule}, got {_short(problem['input'])}; mend this value"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4,300 digits has no text
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def environment(given: Mapping[str, str], *of_child: Options) -> dict[str, str]:
    """The environment of a child: this process's without settings, which are passed by flags, but with its options.

    Args:
        of_child: may hold passwords, and so never stand on a command line.
    """
    kept = {name: value for name, value in given.items() if not name.startswith(PREFIX) or name in OTHER_VARIABLES}
    for options in of_child:
        lines = [f"{name}={value}" for name, value in options.items() if "\n" not in value]
        if lines:
            kept[options.prefix.rstrip("_")] = "\n".join(lines)
        for name, value in options.items():
            if "\n" in value:  # a key in PEM
                kept[options.prefix + name.upper().replace(".", "_")] = value
    return kept

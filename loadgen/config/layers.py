"""Where a setting comes from: flag > LOADGEN_* variable > TOML file > default.

In: the flags given, the environment, the file named by --config. Out: RunSettings, and each setting's origin; or one
UsageError with a line for every problem. Written by hand rather than with pydantic-settings: that takes 0.3 s longer to
import, and does not say where a bad value came from.
"""

import re
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loadgen.config.rules import Contradiction, Problem
from loadgen.config.secrets import MASK, KafkaOptions, is_secret, kafka_options
from loadgen.config.settings import FIELD_OF_KEY, FLAGS, KEY_OF_FIELD, RunSettings
from loadgen.config.values import BadValue, nearest, path
from loadgen.errors import UsageError

PREFIX = "LOADGEN_"
OPTION_PREFIX = "LOADGEN_KAFKA_OPTION_"
OTHER_VARIABLES = ("LOADGEN_CACHE", "LOADGEN_DEBUG", "LOADGEN_FUZZ")
"""Variables that are no setting of a run: the cache folder, tracebacks for developers, the length of the fuzz test."""
_FROM_KUBERNETES = re.compile(r"LOADGEN_(.*_)?(SERVICE_(HOST|PORT)|PORT_[0-9]+_(TCP|UDP|SCTP))(_.*)?")
_ADDRESS_FROM_KUBERNETES = ("tcp://", "udp://", "sctp://")
"""Kubernetes gives each container such variables for a service named loadgen or loadgen-something: not meant for us."""
MAX_FILE_BYTES = 1 << 20


@dataclass
class Layers:
    """What was given, each setting from its highest layer.

    Attributes:
        values: field name → the value as it was given.
        origins: field name → "from --users", "from LOADGEN_USERS" …
        problems: one line each.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def give(self, name: str, value: Any, origin: str) -> None:
        """Take a value in, unless a higher layer gave one; Kafka options are merged name by name."""
        if name == "kafka_option":
            self._give_options(value, origin)
        elif name not in self.values:
            self.values[name] = value
            self.origins[name] = origin

    def _give_options(self, value: Any, origin: str) -> None:
        try:
            options = kafka_options(value)
        except BadValue as bad:
            self.problems.append(f"kafka_option {bad.rule} ({origin}); {bad.next_step}")
            return
        higher = self.values.get("kafka_option", KafkaOptions())
        self.values["kafka_option"] = KafkaOptions({**options, **higher})
        self.origins["kafka_option"] = f"{self.origins['kafka_option']}, {origin}" if higher else origin


@dataclass(frozen=True)
class Resolved:
    """Settings with, for each field, where its value comes from ("default", "from --users" …)."""

    settings: RunSettings
    origins: dict[str, str]


def resolve(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    problems: Iterable[str] = (),
    now_ms: int | None = None,
) -> Resolved:
    """The settings of a run.

    Args:
        flags: field name → text (or switch, or list of texts), of the flags that were given.
        environment: variables; those that do not begin with LOADGEN_ are ignored.
        problems: those found by the reader of the command line; they are reported with the others.
        now_ms: what `now` means, milliseconds since 1970; None is the clock.

    Raises:
        UsageError: with a line for every problem of the flags, the variables, the file and their combination.
    """
    layers = Layers(problems=list(problems))
    for name, value in flags.items():
        layers.give(name, value, f"from --{FLAGS[name].key}")
    _take_variables(layers, environment)
    _take_file(layers)
    settings = _validated(layers, int(time.time() * 1000) if now_ms is None else now_ms)
    if settings is None or layers.problems:
        raise UsageError("\n".join(layers.problems))
    return Resolved(settings, {name: layers.origins.get(name, "default") for name in FLAGS})


def _take_variables(layers: Layers, environment: Mapping[str, str]) -> None:
    known = {PREFIX + key.upper(): name for key, name in FIELD_OF_KEY.items()}
    for variable in sorted(environment):
        value, origin = environment[variable], f"from {variable}"
        if not variable.startswith(PREFIX) or _is_other(variable, value):
            continue
        if variable.startswith(OPTION_PREFIX):
            option = variable.removeprefix(OPTION_PREFIX).lower().replace("_", ".")
            layers.give("kafka_option", {option: value}, origin)
        elif variable in known:
            layers.give(known[variable], value, origin)
        else:
            layers.problems.append(_unknown("variable", variable, known, "unset it", prefix=PREFIX))


def _is_other(variable: str, value: str) -> bool:
    from_kubernetes = _FROM_KUBERNETES.fullmatch(variable) or value.startswith(_ADDRESS_FROM_KUBERNETES)
    return variable in OTHER_VARIABLES or bool(from_kubernetes)


def _take_file(layers: Layers) -> None:
    """Take in the file that --config or LOADGEN_CONFIG names; a table [run] goes before what stands above it."""
    if layers.values.get("config") is None:
        return
    try:
        file = path(layers.values["config"])
        table = read_toml(file)
    except BadValue:
        return  # validation reports the path
    except UsageError as error:
        layers.problems.append(f"{error} ({layers.origins['config']})")
        return
    run = table.pop("run", {})
    for part, title in ((run, " [run]"), (table, "")):
        if isinstance(part, dict):
            _take_table(layers, part, f"{file}{title}")
        else:
            layers.problems.append(f"run must be a table in {file}, got {shown(part)}; write [run] on its own line")


def _take_table(layers: Layers, table: dict[str, Any], where: str) -> None:
    for key, value in table.items():
        name = FIELD_OF_KEY.get(key.replace("-", "_"))
        if name == "config":
            layers.problems.append(f"config must not stand in a file, got it in {where}; name it by --config")
        elif name is None:
            layers.problems.append(_unknown("key", key, FIELD_OF_KEY, "take it out", f" in {where}"))
        else:
            layers.give(name, value, f"from {key} in {where}")


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file's content; raises UsageError where it cannot be read or is no TOML."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise UsageError(f"a configuration file must be at most 1 MiB, got more in {file}; name the right file")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}; name a TOML file that can be read") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{file} is not TOML: {reason}; write lines such as users = 50000") from None


def _unknown(kind: str, word: str, known: Iterable[str], else_step: str, where: str = "", prefix: str = "") -> str:
    near = nearest(word, known, prefix)
    return f"unknown {kind} {shown(word)}{where}; " + (f"did you mean {near}?" if near else else_step)


def shown(value: Any) -> str:
    """A value for a message: on one line, not too long, without what looks like a password."""
    if value is None:
        return "none"
    text = repr(value) if isinstance(value, str) else str(value)
    text = text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
    text = MASK if is_secret(text) else text
    return text if len(text) <= 80 else text[:77] + "..."


def _validated(layers: Layers, now_ms: int) -> RunSettings | None:
    """The settings, or None when something is wrong; what is wrong is appended to the problems."""
    try:
        return RunSettings.model_validate(layers.values, context={"now_ms": now_ms})
    except ValidationError as error:
        bad = _report(error, layers, set())
    if bad:  # look for contradictions among the others
        good = {name: value for name, value in layers.values.items() if name not in bad}
        try:
            RunSettings.model_validate(good, context={"now_ms": now_ms})
        except ValidationError as error:
            _report(error, layers, bad)
    return None


def _report(error: ValidationError, layers: Layers, bad: set[str]) -> set[str]:
    """Append a line for each problem that does not follow from the settings known as bad; return the bad fields."""
    found = set()
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, Contradiction):
            fresh = [problem for problem in cause.problems if bad.isdisjoint(problem.values)]
            layers.problems += [_contradiction_line(problem, layers) for problem in fresh]
        elif item["type"] != "default_factory_not_called":  # follows from another problem
            found.add(str(item["loc"][0]))
            layers.problems.append(_value_line(item, cause, layers))
    return found


def _value_line(item: Any, cause: Any, layers: Layers) -> str:
    name = str(item["loc"][0])
    key = KEY_OF_FIELD[name]
    origin = layers.origins.get(name, "default")
    got = shown(layers.values.get(name))
    if isinstance(cause, BadValue):
        subject = f"{key} {item['loc'][1]}" if len(item["loc"]) > 1 else key
        return f"{subject} {cause.rule}, got {got} ({origin}); {cause.next_step}"
    if item["type"] == "extra_forbidden":
        return _unknown(f"name in {key}:", str(item["loc"][1]), _sub_names(name), "take it out") + f" ({origin})"
    return f"{key}: {item['msg']}, got {got} ({origin}); see loadgen run --help"


def _sub_names(name: str) -> list[str]:
    annotation: Any = RunSettings.model_fields[name].annotation
    return list(getattr(annotation, "model_fields", ()))


def _contradiction_line(problem: Problem, layers: Layers) -> str:
    got = []
    for name, value in problem.values.items():
        origin = layers.origins.get(name, "default")
        got.append(f"{KEY_OF_FIELD[name]} {shown(layers.values.get(name, value))} ({origin})")
    return f"{problem.rule}, got {' and '.join(got)}; {problem.next_step}"

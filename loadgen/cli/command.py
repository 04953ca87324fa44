"""A command whose flags are derived from its settings, where each is declared once.

In: a class of settings, and the function that does the work. Out: a command of the program, which reports all problems
of its command line, its variables and its file together, and prints the settings for --dry-run.
"""

import inspect
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any, Generic, TypeVar, get_origin

import typer

from loadgen.cli.parsing import MANY, PROBLEMS, GatheringCommand, instead, renamed, split_flags, value_line
from loadgen.config import Resolved, Settings, resolve
from loadgen.config.layers import OPTIONS
from loadgen.config.masks import MASK, hidden, is_secret, without_login
from loadgen.config.settings import ALL
from loadgen.config.shape_files import in_short
from loadgen.config.values import did_you_mean, say_duration
from loadgen.signals import exit_code, reason_of

S = TypeVar("S", bound=Settings)


def examples(*lines: str) -> str:
    """The examples at the end of a command's --help."""
    return "\n\n".join(["Examples:", *lines])


def as_json(resolved: Resolved[S], expected: Mapping[str, Any]) -> str:
    """The settings as one JSON object with *** for secrets; expected values stand under a key of their own."""
    shown = resolved.settings.public_dict() | ({"expected": expected} if expected else {})
    return json.dumps(shown, indent=2, ensure_ascii=False)


def as_toml(resolved: Resolved[S], expected: Mapping[str, Any]) -> str:
    """The settings as a file for --config, without secrets, each with its origin; expected values as comments."""
    lines = [f"# expected: {name} = {_quoted(value)}" for name, value in expected.items()]
    public = resolved.settings.public_dict()
    for name, key in resolved.settings.keys().items():
        value = _toml_value(name, public[key])
        if value is not None and name not in ("config", "dry_run") and not (name == "tracks" and public.get("catalog")):
            origin = "".join(letter if letter.isprintable() else "?" for letter in resolved.origins[name])
            lines.append(f"{key} = {value}".ljust(50) + f"  # {origin}")
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
    """A value in TOML, which is as in JSON except for tables and the DEL character."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_quoted(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


LAYERS = """\
Each flag is also a variable (LOADGEN_{variable} for --{key}) and a key of the --config file ({key} = …). A flag goes \
before a variable, a variable before the file, the file before the default. For every switch there is a --no-SWITCH, \
which takes back what a variable or the file says."""


def spellings(settings: type[Settings]) -> list[str]:
    """Every flag of a command, including short ones and the hidden --no-… of boolean flags."""
    flags = [flag for flag in settings.flags().values() if not flag.is_positional]
    denials = [f"--no-{settings.flags()[name].key}" for name in settings.boolean_flags()]
    return [*(f"--{flag.key}" for flag in flags), *(flag.short for flag in flags if flag.short), *denials]


class Command(Generic[S]):
    """A command of the program.

    Attributes:
        positional: the field of the positional arguments, or None.
        spellings: every flag, including hidden ones.
    """

    def __init__(
        self,
        settings: type[S],
        module: str,
        about: str,
        *example_lines: str,
        expects: Callable[[S], dict[str, Any]] | None = None,
    ) -> None:
        """A command of these settings.

        Args:
            settings: the class from whose fields the flags are derived.
            module: its `main` does the work and returns the exit code; imported when the work starts.
            about: the help, in paragraphs.
            example_lines: two or three command lines.
            expects: computes expected values for --dry-run.
        """
        self.settings = settings
        self._module, self._about = module, about
        self._example_lines = example_lines
        self._expects = expects
        self._flags = settings.flags()
        self._boolean_flags = settings.boolean_flags()
        self.positional = next((name for name, flag in self._flags.items() if flag.is_positional), None)
        self.spellings = spellings(settings)

    def add_to(self, app: typer.Typer) -> None:
        """Add it to the program."""
        many = [f"--{flag.key}" for name, flag in self._flags.items() if self._is_tuple(name)]
        app.command(
            self.settings.command,
            cls=GatheringCommand,
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "obj": {MANY: many}},
            epilog=examples(*self._example_lines),
        )(self._callback())

    def parse(self, argv: Sequence[str]) -> Resolved[S]:
        """The settings of this command line and the environment. Raises UsageError."""
        with self._command.make_context(self.settings.command, list(argv)) as ctx:
            return self._resolved(ctx, ctx.params)

    @cached_property
    def _command(self) -> Any:
        app = typer.Typer(add_completion=False)
        self.add_to(app)
        return typer.main.get_command(app)

    def _is_tuple(self, name: str) -> bool:
        return get_origin(self.settings.model_fields[name].annotation) is tuple

    def _callback(self) -> Callable[..., int]:
        """The function for Typer, with a parameter for each setting."""

        def run(ctx: typer.Context, **given: Any) -> int:
            resolved = self._resolved(ctx, given)
            if not getattr(resolved.settings, "quiet", False):
                for note in resolved.notes:
                    typer.echo(f"note: {note}", err=True)
            if not getattr(resolved.settings, "dry_run", False):
                return self._started(resolved.settings)
            expected = self._expects(resolved.settings) if self._expects else {}
            is_json = getattr(resolved.settings, "json_summary", False)
            typer.echo((as_json if is_json else as_toml)(resolved, expected))
            return 0

        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [context, *map(self._parameter, self._flags), *map(self._denial, self._boolean_flags)]
        run.__doc__ = self._help()
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    def _started(self, settings: S) -> int:
        """Do the work. A signal before the work has its own handler gives the same exit code as a later one."""
        try:
            return int(import_module(self._module).main(settings))
        except KeyboardInterrupt as stopped:
            number = getattr(stopped, "number", signal.SIGINT)
            return exit_code(reason_of(number, is_early=not settings.goes_on))

    def _help(self) -> str:
        """What the command does, one line per paragraph, and the rule about variables and files."""
        paragraphs = [" ".join(part.split()) for part in self._about.split("\n\n")]
        if self.positional:
            flag = self._flags[self.positional]
            paragraphs.append(f"{flag.metavar}: {flag.help[0].lower()}{flag.help[1:]}")
        key = next(flag.key for flag in self._flags.values() if not flag.is_positional)
        return "\n\n".join([*paragraphs, LAYERS.format(variable=key.upper(), key=key)])

    def _parameter(self, name: str) -> inspect.Parameter:
        kind: Any = self.settings.model_fields[name].annotation
        is_list = name in OPTIONS or self._is_tuple(name) or name == self.positional
        typed: Any = bool if kind is bool else list[str] if is_list else str
        word = typer.Argument(
            metavar=self._flags[name].metavar, hidden=True
        )  # shown by _help: Typer shows its type too
        annotation = Annotated[typed | None, word if name == self.positional else self._option(name)]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

    def _option(self, name: str) -> Any:
        flag, default = self._flags[name], self.settings.model_fields[name].default
        says_default = default is not False and isinstance(default, str | int | float) and "Default" not in flag.help
        return typer.Option(
            *filter(None, (f"--{flag.key}", flag.short)),
            help=f"{flag.help} Default: {default}." if says_default else flag.help,
            metavar=flag.metavar or " ",
            rich_help_panel=flag.panel,
            show_default=False,
        )

    def _denial(self, name: str) -> inspect.Parameter:
        """The hidden flag --no-X, which overrides a variable or a file."""
        annotation = Annotated[bool | None, typer.Option(f"--no-{self._flags[name].key}", hidden=True)]
        return inspect.Parameter(f"no_{name}", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

    def _resolved(self, ctx: Any, given: dict[str, Any]) -> Resolved[S]:
        words = split_flags([*(given.get(self.positional or "") or ()), *ctx.args])
        flags = {name: given[name] for name in self._flags if given.get(name) not in (None, [], ())}
        flags |= {name: False for name in self._boolean_flags if given.get(f"no_{name}")}
        flags.pop(self.positional or "", None)
        options = [option for name in OPTIONS for option in flags.get(name, ())]
        may_be_secret = any("=" not in option for option in options)  # --kafka-option NAME VALUE
        eaten = [name for name, value in flags.items() if self._is_flag(value)]
        lines = [value_line(f"--{self._flags[name].key}", "", self.settings.command) for name in eaten]
        problems = [*ctx.meta.get(PROBLEMS, ()), *lines, *self._unknown(words, may_be_secret)]
        kept = {name: value for name, value in flags.items() if name not in eaten}
        return resolve(self.settings, kept | self._positionals(words), os.environ, problems)

    def _is_flag(self, value: Any) -> bool:
        """Whether the next flag stands where a flag's value should."""
        return any(item in self.spellings for item in (value if isinstance(value, list) else [value]))

    def _positionals(self, words: list[tuple[str, bool]]) -> dict[str, Any]:
        plain = [word for word, is_flag in words if not is_flag]
        if not self.positional or not plain:
            return {}
        return {self.positional: plain if self._is_tuple(self.positional) else plain[0]}

    def _unknown(self, words: list[tuple[str, bool]], may_be_secret: bool) -> list[str]:
        """A line for each unknown flag and each unexpected word."""
        lines, n_free = [], (len(words) if self._is_tuple(self.positional) else 1) if self.positional else 0
        for word, is_flag in words:
            if is_flag:
                lines.append(self._unknown_flag(word))
            elif n_free > 0:
                n_free -= 1
            else:
                step = f"flags begin with --, see loadgen {self.settings.command} --help"
                lines.append(f"unexpected word {MASK if may_be_secret else hidden(repr(word[:80]))}; {step}")
        return lines

    def _unknown_flag(self, flag: str) -> str:
        others = [f"loadgen {kind.command}" for kind in ALL if flag in spellings(kind)]
        step = (
            renamed(flag, self.spellings)
            or (f"it belongs to {' and '.join(others)}" if others else instead(flag, self.spellings))
            or did_you_mean(flag, self.spellings, f"see loadgen {self.settings.command} --help", "--")
        )
        return f"unknown flag {without_login(repr(flag[:80]))}; {step}"

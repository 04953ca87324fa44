"""`loadgen run`: flags to settings, settings to a run.

In: the flags; they are made from RunSettings, where each is declared once. Out: the exit code of the run.
"""

import inspect
import os
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from loadgen.cli.text import as_json, as_toml, examples
from loadgen.config import Resolved, resolve
from loadgen.config.settings import FLAGS, RunSettings
from loadgen.config.values import nearest
from loadgen.errors import UsageError

PROBLEMS = "loadgen.problems"
"""Where a context keeps what is wrong with the command line, until the settings are checked too."""
SWITCHES = tuple(name for name in FLAGS if RunSettings.model_fields[name].annotation is bool)
SPELLINGS = (*(f"--{flag.key}" for flag in FLAGS.values()), *(f"--no-{FLAGS[name].key}" for name in SWITCHES))


class GatheringCommand(TyperCommand):
    """A command that goes on after a wrong flag, so that all problems can be told at once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what is right; ctx.meta gets a line for each flag that lacks its value or has one too many."""
        try:
            return super().parse_args(ctx, list(args))
        except typer.TyperException as error:
            flag = str(getattr(error, "option_name", ""))
            wrong = [place for place, word in enumerate(args) if word.partition("=")[0] == flag]
            if not wrong:
                raise UsageError(f"{error.format_message()}; see loadgen run --help") from None
            ctx.meta.setdefault(PROBLEMS, []).append(_flag_line(flag, args[wrong[-1]]))
        return self.parse_args(ctx, args[: wrong[-1]] + args[wrong[-1] + 1 :])


def _flag_line(flag: str, word: str) -> str:
    if "=" in word:
        return f"{flag} must stand alone, got {word[:80]!r}; write {flag} to switch it on"
    return f"{flag} must have a value, got none; write {flag} VALUE, see loadgen run --help"


def _parameters() -> list[inspect.Parameter]:
    """The flags as parameters that Typer understands: one for each field of RunSettings."""
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    return [context, *(_parameter(name) for name in FLAGS), *(_denial(name) for name in SWITCHES)]


def _parameter(name: str) -> inspect.Parameter:
    flag, field = FLAGS[name], RunSettings.model_fields[name]
    kind: Any = bool if field.annotation is bool else list[str] if name == "kafka_option" else str
    option = typer.Option(
        f"--{flag.key}",
        help=flag.help if _says_no_default(name) else f"{flag.help} Default: {field.default}.",
        metavar=flag.metavar or " ",
        rich_help_panel=flag.panel,
        show_default=False,
    )
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _denial(name: str) -> inspect.Parameter:
    """The hidden flag --no-X, which takes back what a variable or a file switches on."""
    annotation = Annotated[bool | None, typer.Option(f"--no-{FLAGS[name].key}", hidden=True)]
    return inspect.Parameter(f"no_{name}", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _says_no_default(name: str) -> bool:
    field = RunSettings.model_fields[name]
    return field.default_factory is not None or field.default in (None, False) or name in ("impair", "shard")


def _run(ctx: typer.Context, **given: Any) -> int:
    """Simulate listeners and produce their events.

    Each flag is also a variable (LOADGEN_USERS for --users) and a key of the --config file (users = 50000).
    A flag goes before a variable, a variable before the file, the file before the default. For every switch there is
    a --no-SWITCH, which takes back what a variable or the file says.
    """
    resolved = _resolved(ctx, given)
    if resolved.settings.dry_run:
        typer.echo(as_json(resolved) if resolved.settings.json_summary else as_toml(resolved))
        return 0
    from loadgen.run import main

    return main(resolved.settings)


def add_to(app: typer.Typer) -> None:
    """Make `run` a verb of the program."""
    signature = inspect.Signature(_parameters())
    _run.__signature__ = signature  # type: ignore[attr-defined]
    _run.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    app.command(
        "run",
        cls=GatheringCommand,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        epilog=examples(
            "loadgen run --users 50000 --workers 8 --duration 30",
            "loadgen run --brokers localhost:9092 --create-topic --users 50k --rate 100k/s",
            "loadgen run --start 2026-01-01 --end 2026-02-01 --output january.jsonl.zst",
        ),
    )(_run)


def parse(argv: Sequence[str]) -> Resolved:
    """The settings that these flags of `loadgen run` mean, with the environment's variables; raises UsageError."""
    with _command().make_context("run", list(argv)) as ctx:
        return _resolved(ctx, ctx.params)


@cache
def _command() -> Any:
    app = typer.Typer(add_completion=False)
    add_to(app)
    return typer.main.get_command(app)


def _resolved(ctx: Any, given: dict[str, Any]) -> Resolved:
    flags = {name: given[name] for name in FLAGS if given.get(name) not in (None, [], ())}
    flags |= {name: False for name in SWITCHES if given.get(f"no_{name}")}
    eaten = {name: value for name, value in flags.items() if value in SPELLINGS}
    lines = [_flag_line(f"--{FLAGS[name].key}", "") for name in eaten]
    problems = [*ctx.meta.get(PROBLEMS, ()), *lines, *_unknown_words(ctx.args)]
    return resolve({name: value for name, value in flags.items() if name not in eaten}, os.environ, problems)


def _unknown_words(words: Sequence[str]) -> list[str]:
    """A line for each flag that does not exist, and for each word that belongs to no flag."""
    lines, value_may_follow = [], False
    for word in words:
        is_flag = word.startswith("-")
        if is_flag:
            lines.append(_unknown_flag(word.partition("=")[0]))
        elif not value_may_follow:
            lines.append(f"unexpected word {word[:80]!r}; flags begin with --, see loadgen run --help")
        value_may_follow = is_flag and "=" not in word
    return lines


def _unknown_flag(flag: str) -> str:
    near = nearest(flag, SPELLINGS, "--")
    return f"unknown flag {flag[:80]!r}; " + (f"did you mean {near}?" if near else "see loadgen run --help")

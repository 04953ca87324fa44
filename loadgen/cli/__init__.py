"""The program `loadgen`: commands, flags, and messages for what goes wrong.

In: the command line. Out: an exit code: 0 done and every promise kept, 1 failed, 2 wrong usage; after a signal that
came before the end 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP).
"""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from loadgen.cli import catalog
from loadgen.cli.command import examples
from loadgen.cli.commands import WITH_SETTINGS
from loadgen.config.masks import hidden, without_logins
from loadgen.config.values import did_you_mean
from loadgen.errors import NO_MEMORY, LoadgenError, lacks_memory
from loadgen.files import reason
from loadgen.signals import exit_code_of, listening, stop

COMMANDS = (*(command.settings.command for command in WITH_SETTINGS), "catalog")

OF_THE_SYSTEM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EFBIG)
"""Errors of a full disk or a limit, which are not bugs."""

app = typer.Typer(
    help="Simulate the listeners of a music-streaming service and offer their events to Kafka, to files, or to both; "
    "store what Kafka holds, each event once; prove that nothing was lost, repeated or changed on the way.",
    epilog=examples("loadgen run --users 50000 --workers 8 --duration 30m", "loadgen catalog show"),
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for command in WITH_SETTINGS:
    command.add_to(app)
catalog.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from loadgen import __version__

        typer.echo(f"loadgen {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with these arguments (default: the process's); returns the exit code and never raises."""
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        with listening(stop):
            code = typer.main.get_command(app)(words, prog_name="loadgen", standalone_mode=False)
            if sys.stdout is not None:
                sys.stdout.flush()
    except LoadgenError as error:
        return _print_problems(str(error).splitlines(), error.exit_code)
    except typer.TyperException as error:
        return _print_problems([_usage_line(error, words)], 2)
    except (KeyboardInterrupt, typer.Abort) as stopped:
        return exit_code_of(stopped)
    except Exception as error:
        return _print_unforeseen(error)
    return code if isinstance(code, int) else 0


def _print_unforeseen(error: Exception) -> int:
    """Print an error that no command handles: a limit of the system, or a bug."""
    if lacks_memory(error):
        return _print_problems([NO_MEMORY], 1)
    if not isinstance(error, OSError) or error.errno not in OF_THE_SYSTEM:
        return _print_bug(error)
    _discard_stdout()
    place = f"{error.filename!r}: " if error.filename else ""
    return _print_problems([f"the system refuses: {place}{reason(error)}"], 1)


def _discard_stdout() -> None:
    """Discard the buffer that cannot be written, because Python would report it again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _print_problems(lines: Sequence[str], code: int) -> int:
    for line in lines:
        typer.secho("error: ", nl=False, err=True, fg=typer.colors.RED)
        typer.echo(line, err=True)
    return code


def _usage_line(error: typer.TyperException, words: Sequence[str]) -> str:
    """One line for a problem that the parser found before the command."""
    flag = str(getattr(error, "option_name", ""))
    knows = [command for command in WITH_SETTINGS if flag in command.spellings]
    if words[0] == flag.partition("=")[0] and knows:
        return f"a command comes first, got {flag}; write loadgen {knows[0].settings.command} {flag} …"
    if not words[0].startswith("-") and words[0] not in COMMANDS:
        step = did_you_mean(words[0], COMMANDS, f"one of {', '.join(COMMANDS)}")
        return f"unknown command {hidden(repr(words[0][:80]))}; {step}"
    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context else "loadgen"
    return f"{without_logins(error.format_message()).rstrip('.')}; see {path} --help"


def _print_bug(bug: Exception) -> int:
    if os.environ.get("LOADGEN_DEBUG"):
        import traceback

        traceback.print_exception(bug)
    step = "set LOADGEN_DEBUG=1 to see where, and report it with the command line"
    return _print_problems([f"this is a bug in loadgen: {type(bug).__name__}: {bug}; {step}"], 1)

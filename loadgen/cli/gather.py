"""Reads a command line to its end, whatever is wrong with it.

In: the words after the verb. Out: the flags that can be understood, the words that belong to no flag, and a line for
each problem, so that all of them can be told at once.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from loadgen.config.masks import hidden
from loadgen.errors import UsageError

PROBLEMS = "loadgen.problems"
"""Where a context keeps what is wrong with the command line, until the settings are checked too."""
MANY = "loadgen.many"
"""Where a command finds the flags that take several words."""


class GatheringCommand(TyperCommand):
    """A command that goes on after a wrong flag."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what is right; ctx.meta gets a line for each flag that lacks its value or has one too many."""
        args = spread(args, ctx.obj[MANY])
        try:
            return super().parse_args(ctx, list(args))
        except typer.TyperException as error:
            flag = str(getattr(error, "option_name", ""))
            wrong = [place for place, word in enumerate(args) if word.partition("=")[0] == flag]
            if not wrong:
                raise UsageError(f"{error.format_message()}; see loadgen {ctx.info_name} --help") from None
            ctx.meta.setdefault(PROBLEMS, []).append(value_line(flag, args[wrong[-1]], ctx.info_name))
        return self.parse_args(ctx, args[: wrong[-1]] + args[wrong[-1] + 1 :])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands in the usage line behind the verb."""
        words = [str(param.metavar) for param in self.params if param.param_type_name == "argument"]
        return [str(self.options_metavar), *words]


def value_line(flag: str, word: str, verb: str) -> str:
    """The line for a flag that has no value, or (as in --json=4) one that it does not take."""
    if "=" in word:
        return f"{flag} must stand alone, got {hidden(repr(word[:80]))}; write {flag} to switch it on"
    return f"{flag} must have a value, got none; write {flag} VALUE, see loadgen {verb} --help"


def spread(args: Sequence[str], many: Iterable[str]) -> list[str]:
    """The words with `--files a b` written as `--files a --files b`, for the flags that take several words."""
    found: list[str] = []
    flag, needs_value = "", False
    for place, word in enumerate(args):
        if needs_value or not flag or word[:1] == "-":
            found.append(word)
        else:
            found += [flag, word]
        if word == "--":
            return found + list(args[place + 1 :])
        if word[:1] == "-" and not needs_value:
            flag = word.partition("=")[0] if word.partition("=")[0] in many else ""
        needs_value = word == flag and not needs_value
    return found


def told_apart(words: Iterable[str]) -> list[tuple[str, bool]]:
    """The words that the parser knew nothing of, in their order; True with a flag, which is unknown then.

    The word behind an unknown flag is left out: it may be its value."""
    found, may_be_value = [], False
    for word in words:
        is_flag = word.startswith("-")
        if is_flag or not may_be_value:
            found.append((word.partition("=")[0] if is_flag else word, is_flag))
        may_be_value = is_flag and "=" not in word
    return found

"""The README names every verb and flag, and each of its command lines is one that the program takes."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from loadgen.cli import VERBS, WITH_SETTINGS
from loadgen.config.settings import Flag
from loadgen.config.shape_files import NAMED

README = (Path(__file__).parents[1] / "README.md").read_text()
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
BLOCKS = [block for language, block in FENCED if not language]
LINES = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines()]
PARSERS = {verb.settings.verb: verb.parse for verb in WITH_SETTINGS}
CELLS = re.findall(r"^\| [^|]+ \| `(loadgen .+?)`", README, re.MULTILINE)
COMMANDS = [line for line in LINES + CELLS if re.search(rf"\bloadgen ({'|'.join(PARSERS)})\b", line)]


def table_row(flag: Flag) -> str:
    """The line of a table of flags that explains this one."""
    spelling = flag.metavar if flag.is_word else f"--{flag.key} {flag.metavar}".rstrip()
    short = f", `{flag.short}`" if flag.short else ""
    return f"| `{spelling.replace('|', chr(92) + '|')}`{short} | {flag.help} |"


def test_every_verb_and_flag_is_named_as_its_help_explains_it() -> None:
    missing = [verb for verb in VERBS if f"loadgen {verb}" not in README]
    for verb in WITH_SETTINGS:
        title = f"## All flags of `loadgen {verb.settings.verb}`\n"
        section = README.partition(title)[2].partition("\n## ")[0]
        missing += [title + row for row in map(table_row, verb.settings.flags().values()) if row not in section]
    assert missing == []


def test_every_shape_is_explained_in_its_own_words() -> None:
    assert [name for name, (words, _) in NAMED.items() if f"| `{name}` | {words} |" not in README] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_line_is_taken(command: str) -> None:
    words = shlex.split(command.partition("|")[0].rpartition("&&")[2], comments=True)
    words = list(itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words))
    if Path(words[0]).name == "loadgen" and words[1] in PARSERS:
        PARSERS[words[1]](words[2:])


def test_there_are_command_lines_to_check() -> None:
    assert len(COMMANDS) >= 8

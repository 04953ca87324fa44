"""The README names every command and flag, and each of its command lines is one that the program takes."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from loadgen.cli import COMMANDS, app
from loadgen.cli.commands import WITH_SETTINGS
from loadgen.config.settings.base import Flag
from loadgen.config.shape_files import NAMED
from loadgen.errors import UsageError
from tests.runner.program import TRACKS, do_here

README = (Path(__file__).parents[1] / "README.md").read_text()
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
BLOCKS = [block for language, block in FENCED if not language]
LINES = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines()]
FILES = {name: text for _, text in FENCED for name in re.findall(r"\A# (\w+\.toml)\n", text)}
"""The files that it shows in full, with their names."""
PARSERS = {command.settings.command: command.parse for command in WITH_SETTINGS}
CELLS = re.findall(r"^\| [^|]+ \| `(loadgen .+?)`", README, re.MULTILINE)


def commands_of(line: str) -> Iterator[list[str]]:
    """What follows `loadgen` in each command of a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for is_operator, words in itertools.groupby(lexer, lambda word: set(word) <= set(lexer.punctuation_chars)):
        starts = [] if is_operator else [(Path(word).name, rest) for word, *rest in tails(list(words))]
        yield from (rest for name, rest in starts if name == "loadgen" and rest[:1] and rest[0] in COMMANDS)


def tails(words: list[str]) -> Iterator[list[str]]:
    return (words[first:] for first in range(len(words)))


LINES_OF_COMMANDS = [words for line in LINES + CELLS for words in commands_of(line)]


def table_row(flag: Flag) -> str:
    """The line of a table of flags that explains this one."""
    spelling = flag.metavar if flag.is_positional else f"--{flag.key} {flag.metavar}".rstrip()
    short = f", `{flag.short}`" if flag.short else ""
    return f"| `{spelling.replace('|', chr(92) + '|')}`{short} | {flag.help} |"


def test_every_verb_and_flag_is_named_as_its_help_explains_it() -> None:
    missing = [command for command in COMMANDS if f"loadgen {command}" not in README]
    for command in WITH_SETTINGS:
        title = f"## All flags of `loadgen {command.settings.command}`\n"
        section = README.partition(title)[2].partition("\n## ")[0]
        missing += [title + row for row in map(table_row, command.settings.flags().values()) if row not in section]
    assert missing == []


def test_every_shape_is_explained_in_its_own_words() -> None:
    assert [name for name, (words, _) in NAMED.items() if f"| `{name}` | {words} |" not in README] == []


@pytest.mark.parametrize("words", LINES_OF_COMMANDS, ids=" ".join)
def test_every_command_line_is_taken(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FILES.keys() & set(words):
        monkeypatch.chdir(tmp_path)
        (tmp_path / name).write_text(FILES[name])
    if words[0] in PARSERS:
        PARSERS[words[0]](words[1:])
    else:
        command: Any = typer.main.get_command(app)
        for name in words[:2]:
            command = command.commands[name]
        command.make_context(words[1], words[2:])


def test_a_flag_that_does_not_exist_would_be_found() -> None:
    (words,) = commands_of("A=b docker run x loadgen run --users 10 --sped 2 && sleep 3 | cat # loadgen run")
    with pytest.raises(UsageError, match="--sped"):
        PARSERS["run"](words[1:])


def test_each_verb_has_a_command_line_but_one_that_a_sentence_shows() -> None:
    assert {words[0] for words in LINES_OF_COMMANDS} == set(COMMANDS) - {"compact"}


def test_the_crowds_that_it_shows_run_as_printed(tmp_path: Path) -> None:
    (line,) = [line for line in LINES if line == "loadgen run --config crowds.toml"]
    (tmp_path / "crowds.toml").write_text(FILES["crowds.toml"])
    code, summary, text = do_here(tmp_path, *line.split()[1:], "--json", "--metrics-port", "0", "--tracks", TRACKS)
    assert code == 0, text
    names = re.findall(r"^crowd (\w+): ([\d,]+) of", README, re.MULTILINE)
    found = {crowd["name"]: crowd["planned"] for crowd in summary["crowds"]}
    assert found == pytest.approx({name: int(number.replace(",", "")) for name, number in names}, abs=2)
    assert all(f"crowd {name}: " in text for name, _ in names)

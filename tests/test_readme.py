"""The README names every verb, flag and metric, and each of its command lines is one that the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from loadgen.cli import VERBS
from loadgen.cli.run import parse
from loadgen.config.settings import FLAGS
from loadgen.metrics import RUN_METRICS

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines() if "loadgen run" in line]


def test_every_verb_and_flag_is_named() -> None:
    missing = [verb for verb in VERBS if f"loadgen {verb}" not in README]
    missing += [flag.key for flag in FLAGS.values() if f"`--{flag.key}" not in README]
    assert missing == []


def test_every_metric_is_named_as_it_is_exposed() -> None:
    exposed = {metric.name + ("_total" if metric.kind == "counter" else "") for metric in RUN_METRICS}
    assert exposed == set(re.findall(r"^\| `(loadgen_\w+)`", README, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_line_is_taken(command: str) -> None:
    words = shlex.split(command.partition("|")[0].rpartition("&&")[2], comments=True)
    if "run" in words[:2]:
        parse(words[2:])


def test_there_are_command_lines_to_check() -> None:
    assert len(COMMANDS) >= 8

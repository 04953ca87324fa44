"""Whatever command line, variables and file say: valid settings, or a UsageError with what is wrong.

TEST_FUZZ sets the number of command lines (default 500); half as many files are tried.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.cli.command import Command
from loadgen.cli.commands import COMPACT, CONSUME, WITH_SETTINGS
from loadgen.config.settings import ALL
from loadgen.errors import UsageError

N_EXAMPLES = int(os.environ.get("TEST_FUZZ", "500"))
TIMEOUT_S = 60 + N_EXAMPLES // 20
SOME_PATH = str(Path(tempfile.gettempdir()) / "no such file")

plausible = st.sampled_from(
    [
        *(
            "1",
            "0",
            "-1",
            "5",
            "256",
            "257",
            "50k",
            "50_000",
            "10M",
            "1e3",
            "0.5",
            "natural",
            "max",
            "100k/s",
            "300/min",
        ),
        *(
            "embedded",
            "localhost:9092",
            "a:1,b:2",
            "-",
            "x.gz",
            "~/x",
            "~root/x",
            "~nobody/x",
            "0/4",
            "3/4",
            "now",
            "-1d",
        ),
        *("2026-01-01", "2026-01-01T00:00:00+09:00", "9999-12-31", "0001-01-01T00:00:00+14:00", "90s", "2h", "1d"),
        *(
            "activity",
            "full",
            "gz",
            "zst",
            "online",
            "everyday",
            "wall",
            "fail",
            "late=0.1",
            "drop=1,late=x",
            "linger.ms=5",
        ),
        *("failed == 0", "p99(ack) < 50ms over 5s", "rate >= 0.9 * target;active > 5 abort", "p99(ak) < 1", "max(ack)"),
        *("true", "false", "", " ", "nan", "inf", "1e99", "=", "--", "../..", SOME_PATH),
    ]
)
absurd = st.one_of(
    st.text(max_size=20),
    st.text("0123456789.,:/=+-_ekMhsdTZ", max_size=20),
    st.text(st.characters(codec=None, categories=["Cs", "Cc", "Lu", "Nd"]), max_size=5),
    st.integers().map(str),
    st.floats().map(str),
    st.just("9" * 5000),
)
value = plausible | absurd
commands = st.sampled_from(WITH_SETTINGS)
KEYS = sorted({key for kind in ALL for key in kind.keys().values()})
known = st.sampled_from(sorted({flag for command in WITH_SETTINGS for flag in command.spellings} - {"--config"}))
flag = known | st.sampled_from(
    ["--usres", "-x", "--", "---", "--=", "-", "--users=", "--no-users", "-hx", "-xb", "-b5"]
)
words = st.one_of(
    st.tuples(flag, value).map(list),
    st.tuples(flag, value).map(lambda pair: [f"{pair[0]}={pair[1]}"]),
    st.tuples(flag).map(list),
    st.tuples(value).map(list),
)
RIGHT = {
    "users": ("1", "50k", "10M"),
    "workers": ("1",),
    "duration": ("1", "90s"),
    "events": ("5", "1.5M"),
    "start": ("now", "-1d", "2026-01-01"),
    "end": ("+1d", "2199-12-31"),
    "rate": ("natural", "max", "5/s"),
    "shape": ("spike", "constant"),
    "speed": ("1", "60"),
    "brokers": ("embedded", "a:1,b:2"),
    "output": ("-", "~/x.gz", "ü\n\x7f.zst"),
    "folder": ("x",),
    "compress": ("gz", "none"),
    "format": ("full", "listen"),
    "presence": ("online", "everyday"),
    "impair": ("late=0.1", "drop=1,reorder=1e-3"),
    "shard": ("0/1", "3/4"),
    "seed": ("0", "18446744073709551615"),
    "tracks": ("800k", "20k"),
    "catalog": ("mine",),
    "behaviour": ("b.toml",),
    "drain-timeout": ("0", "2m"),
    "max-lag": ("5", "1h"),
    "metrics-port": ("0", "65535"),
    "on-worker-death": ("fail",),
    "threshold": ("failed == 0", "p999(ack) < 50ms over 5s", "max(latency) < 1s abort; rate >= 0.9 * target"),
    "warm-up": ("0", "5s"),
    "percentile-log": ("x",),
    "report": ("x.html",),
}
RIGHT_FOR_CONSUMERS = {
    "brokers": ("localhost:9092", "a:1,b:2"),
    "topic": ("t",),
    "group": ("g", "ü /x"),
    "store": ("x", "~/x", "hdfs://a:8020/x", "file:///x"),
    "mode": ("batch", "realtime"),
    "batch-size": ("5", "50k"),
    "rotate-interval": ("1", "5m"),
    "max-file-size": ("64k", "1.5G"),
    "until-idle": ("5", "2m"),
    "partition-by": ("ingest",),
    "file-format": ("parquet", "avro"),
    "on-gap": ("continue",),
    "compress": ("gz", "zst"),
    "files": ("a", "b c"),
    "show": ("0", "1M"),
    "until": ("now", "-1d", "2026-01-01"),
    "since": ("1970-01-01", "2026-01-01T18:00"),
    "out": ("x", "~/ü"),
    "top": ("1", "1000"),
    "grace": ("0", "1h"),
    "report": ("x.html",),
}


def right_for(command: Command[Any]) -> st.SearchStrategy[tuple[str, str]]:
    """A flag of this command, without its dashes, and a value that it takes."""
    values = RIGHT if command.settings.command == "run" else RIGHT_FOR_CONSUMERS
    own = {flag.key for flag in command.settings.flags().values() if not flag.is_positional}
    return st.sampled_from([(key, text) for key, texts in values.items() for text in texts if key in own])


def right_lines(command: Command[Any]) -> st.SearchStrategy[list[str]]:
    """Flags that are right, each alone; and words, where the command takes some."""
    flags = st.lists(right_for(command), max_size=6).map(lambda pairs: [f"--{key}={text}" for key, text in pairs])
    return st.tuples(st.just(["a", "b"][: bool(command.positional)]), flags).map(lambda parts: parts[0] + parts[1])


any_lines = st.lists(words, max_size=8).map(lambda parts: [word for part in parts for word in part])
command_lines = commands.flatmap(lambda command: st.tuples(st.just(command), right_lines(command) | any_lines))

keys = st.sampled_from(
    [*KEYS, *(key.replace("_", "-") for key in KEYS), *(kind.command for kind in ALL), "usres", "kafka.option"]
)
variables = st.dictionaries(
    st.one_of(
        st.sampled_from([f"LOADGEN_{key.upper()}" for key in KEYS if key != "config"]),
        st.sampled_from(
            ["LOADGEN_KAFKA_OPTION_SASL_PASSWORD", "LOADGEN_KAFKA_OPTION_", "LOADGEN_X", "LOADGEN_", "OTHER"]
        ),
    ),
    value.filter(lambda text: "\0" not in text and text.isprintable()),
    max_size=4,
)
scalars = st.one_of(
    plausible.map(repr),
    st.integers().map(str),
    st.floats().map(repr),
    st.sampled_from(["true", "false", "2026-01-01", "2026-01-01T00:00:00Z", "00:00:00", "0x1F", "1e400", "9" * 5000]),
)
toml_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(["a", "late", "linger.ms", "'a b'"]), inner), max_size=2).map(
            lambda items: "{" + ", ".join(f"{key} = {item}" for key, item in items) + "}"
        )
    ),
    max_leaves=4,
)
toml_lines = st.tuples(keys, toml_values).map(lambda pair: f"{pair[0]} = {pair[1]}") | st.sampled_from(
    ["[run]", "[[run]]", "[consume]", "[verify]", "[compare]", "[compact]", "x"]
)
any_files = st.lists(toml_lines, max_size=6).map("\n".join).map(str.encode) | st.binary(max_size=50)


def right_files(command: Command[Any]) -> st.SearchStrategy[bytes]:
    """Keys of this command with values that are right, each alone."""
    return st.lists(right_for(command), max_size=6, unique_by=lambda pair: pair[0]).map(
        lambda pairs: "\n".join(f"{key} = {json.dumps(text)}" for key, text in pairs).replace("\x7f", "").encode()
    )


files = commands.flatmap(lambda command: st.tuples(st.just(command), right_files(command) | any_files))


def check(command: Command[Any], argv: list[str], environment: dict[str, str]) -> None:
    """Valid settings, or a UsageError with a line for each problem."""
    with patch.dict(os.environ, environment):
        try:
            settings = command.parse([word for word in argv if not word.startswith(("-h", "--help"))]).settings
        except UsageError:
            return
    assert command.settings.from_public(settings.public_dict()).public_dict() == settings.public_dict()


@pytest.mark.timeout(TIMEOUT_S)
@given(line=command_lines, environment=st.just({}) | variables)
@settings(max_examples=N_EXAMPLES)
def test_any_command_line_is_settings_or_a_usage_error(
    line: tuple[Command[Any], list[str]], environment: dict[str, str]
) -> None:
    check(*line, environment)


@pytest.mark.timeout(TIMEOUT_S)
@given(written=files, argv=st.just([]) | any_lines)
@settings(max_examples=N_EXAMPLES // 2)
def test_any_file_is_settings_or_a_usage_error(written: tuple[Command[Any], bytes], argv: list[str]) -> None:
    command, content = written
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(content)
        file.flush()
        check(command, [*["m"][: bool(command.positional)], "--config", file.name, *argv[:2]], {})


@pytest.mark.parametrize(("command", "words"), [(CONSUME, ["--brokers=a:1"]), (COMPACT, ["x"])])
def test_what_is_right_for_a_verb_is_taken(command: Command[Any], words: list[str]) -> None:
    keys = {flag.key for flag in command.settings.flags().values() if not flag.is_positional} & set(RIGHT_FOR_CONSUMERS)
    assert len(keys) >= 2
    for key in keys:
        for text in RIGHT_FOR_CONSUMERS[key]:
            taken = command.parse([*words, f"--{key}={text}"])
            assert f"from --{key}" in taken.origins.values()

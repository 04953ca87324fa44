"""The program as a whole: commands, help, version, exit codes, and what is said on stderr."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import loadgen.runner
from loadgen import __version__
from loadgen.cli import COMMANDS, main
from loadgen.cli.command import Command
from loadgen.cli.commands import COMPACT, CONSUME, RUN, VERIFY, WITH_SETTINGS
from loadgen.config import RunSettings, Settings
from loadgen.errors import TopicMissing

ROOT = Path(__file__).parents[2]
HEAVY = (
    "numpy",
    "pyarrow",
    "confluent_kafka",
    "faker",
    "prometheus_client",
    "duckdb",
    "hdfs_native",
    "orjson",
    "plotly",
)


def program(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables}
    command = [sys.executable, "-m", "loadgen", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=90, check=False)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[RunSettings]:
    """The settings of the runs that are started, each of which ends with exit code 1."""
    runs: list[RunSettings] = []

    def pretend(settings: RunSettings) -> int:
        runs.append(settings)
        return 1

    monkeypatch.setattr(loadgen.runner, "main", pretend)
    return runs


def test_run_hands_the_settings_on_and_gives_the_exit_code_back(started: list[RunSettings]) -> None:
    assert (
        main(
            [
                "run",
                "--users",
                "50k",
                "--workers=8",
                "--kafka-option",
                "acks=1",
                "--kafka-option",
                "retries=2",
                "--quiet",
            ]
        )
        == 1
    )
    (settings,) = started
    assert (settings.users, settings.workers, settings.quiet) == (50_000, 8, True)
    assert settings.kafka_option == {"acks": "1", "retries": "2"}


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["consume", "--brokers", "a:1"], "loadgen.consume"),
        (["verify", "m", "--store", "x"], "loadgen.verifier.verify"),
        (["compare", "a", "b"], "loadgen.report.compare"),
        (["compact", "x"], "loadgen.consume.compact"),
        (["analyze", "x"], "loadgen.analyze"),
        (["pipeline", "--duration", "1"], "loadgen.pipeline"),
        (["doctor"], "loadgen.doctor"),
    ],
)
def test_a_verb_hands_its_settings_on_and_gives_the_exit_code_back(
    words: list[str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Settings] = []
    module = ModuleType(place)

    def take(settings: Settings) -> int:
        handed.append(settings)
        return 7

    module.main = take  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, place, module)
    assert main(words) == 7
    assert [settings.command for settings in handed] == words[:1]


def test_the_last_of_two_equal_flags_counts(started: list[RunSettings]) -> None:
    main(["run", "--users", "5", "--users", "6", "--continuous"])
    assert (started[0].users, started[0].continuous) == (6, True)


def test_a_denial_takes_back_what_a_variable_says(started: list[RunSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADGEN_CONTINUOUS", "yes")
    main(["run", "--no-continuous", "--duration", "5"])
    assert (started[0].continuous, started[0].duration_min) == (False, 5.0)


@pytest.mark.parametrize(
    "words", [["-b", "5", "-m", "realtime"], ["-b5", "-mrealtime"], ["--batch-size=5", "-m", "realtime"]]
)
def test_short_flags_are_spellings_of_long_ones(words: list[str]) -> None:
    settings = CONSUME.parse(["--brokers", "a:1", *words]).settings
    assert (settings.batch_size, settings.mode) == (5, "realtime")


@pytest.mark.parametrize(
    "words",
    [
        ["m", "n", "--files", "a", "b", "c"],
        ["m", "--files", "a", "b", "--show", "5", "n", "--files=c"],
        ["m", "--files=a", "b", "c", "--", "n"],
        ["--files", "a", "--files", "b", "c", "--quiet", "m", "n"],
    ],
)
def test_words_belong_to_the_flag_before_them_that_takes_many_or_to_none(words: list[str]) -> None:
    settings = VERIFY.parse(words).settings
    assert [path.name for path in settings.manifests] == ["m", "n"]
    assert settings.files == ("a", "b", "c")


def test_a_store_is_named_by_a_word() -> None:
    settings = COMPACT.parse(["--until", "2026-01-01", "file:///srv/x", "--grace", "2m"]).settings
    assert (settings.store, settings.until_day, settings.grace_s) == ("file:///srv/x", 20_454, 120.0)


def test_all_problems_of_words_and_flags_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "m", "--files", "--show", "x", "--brokers", "--quite", "--store"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: --store must have a value, got none; write --store VALUE, see loadgen verify --help",
        "error: --files must have a value, got none; write --files VALUE, see loadgen verify --help",
        "error: brokers must be HOST:PORT,…, got '--quite' (from --brokers); "
        "write for example localhost:9092 or kafka1:9092,kafka2:9092",
    ]
    assert main(["verify", "--shwo", "3", "--topic", "t"]) == 2
    assert [line[:40] for line in capsys.readouterr().err.splitlines()] == [
        "error: unknown flag '--shwo'; did you me",
        "error: verify needs a manifest, got none",
        "error: verify needs a place to compare w",
    ]


def test_all_problems_of_a_command_line_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = "run --usres 5 --users x --json=4 --no-jsn foo bar -q --seed --rate 5/s --topic"
    assert main(line.split()) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: --json must stand alone, got '--json=4'; write --json to switch it on",
        "error: --topic must have a value, got none; write --topic VALUE, see loadgen run --help",
        "error: --seed must have a value, got none; write --seed VALUE, see loadgen run --help",
        "error: unknown flag '--usres'; did you mean --users?",
        "error: unknown flag '--no-jsn'; did you mean --no-json?",
        "error: unexpected word 'bar'; flags begin with --, see loadgen run --help",
        "error: unknown flag '-q'; see loadgen run --help",
        "error: users must be a whole number 1..10,000,000, got 'x' (from --users); "
        "write for example 50000, 50_000, 50k or 10M",
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rn"], "unknown command 'rn'; did you mean run?"),
        (["produce"], f"unknown command 'produce'; one of {', '.join(COMMANDS)}"),
        (["--users", "5"], "a command comes first, got --users; write loadgen run --users …"),
        (["--store", "x"], "a command comes first, got --store; write loadgen consume --store …"),
        (["run", "--grace", "x"], "unknown flag '--grace'; it belongs to loadgen compact"),
        (
            ["run", "--rotate-interval", "5"],
            "unknown flag '--rotate-interval'; it belongs to loadgen consume and loadgen pipeline",
        ),
        (["consume", "--brokers", "a", "-x"], "unknown flag '-x'; see loadgen consume --help"),
        (["compact", "a", "b"], "unexpected word 'b'; flags begin with --, see loadgen compact --help"),
        (["--vers"], "No such option: --vers (Possible options: --version); see loadgen --help"),
        (["catalog", "shw"], "No such command 'shw'. Did you mean 'show'?; see loadgen catalog --help"),
        (["catalog", "export"], "Missing argument 'FILE'; see loadgen catalog export --help"),
        (
            ["catalog", "show", "--tracks", "5"],
            "tracks must be a whole number 10,558..20,000,000, got '5' (from --tracks); write for example 800k",
        ),
    ],
)
def test_a_wrong_verb_is_answered_with_the_right_one(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"error: {line}\n"


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (TopicMissing("topic x must exist, got none; add --create-topic"), 1, "topic x must exist"),
        (ZeroDivisionError("division"), 1, "this is a bug in loadgen: ZeroDivisionError: division"),
    ],
)
def test_what_ends_a_run_is_one_line_and_an_exit_code(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(settings: RunSettings) -> int:
        raise raised

    monkeypatch.setattr(loadgen.runner, "main", fail)
    assert main(["run"]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [
        (["run"], signal.SIGINT, 130),
        (["run"], signal.SIGTERM, 143),
        (["run", "--events", "5"], signal.SIGHUP, 129),
        (["run", "--continuous"], signal.SIGINT, 130),
        (["run", "--continuous"], signal.SIGTERM, 0),
        (["run", "--continuous"], signal.SIGHUP, 0),
    ],
)
def test_a_signal_before_the_run_takes_over_ends_it_as_one_that_comes_later(
    words: list[str], number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(settings: RunSettings) -> int:
        signal.raise_signal(number)
        return 5

    monkeypatch.setattr(loadgen.runner, "main", interrupted)
    assert main(words) == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_every_verb_ends_by_a_signal_with_its_code_and_clears_up(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared = []

    def interrupted(*_: Any, **__: Any) -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleared.append(True)

    for command, module in (
        ("analyze", "loadgen.analyze"),
        ("verify", "loadgen.verifier.verify"),
        ("doctor", "loadgen.doctor"),
    ):
        monkeypatch.setattr(f"{module}.main", interrupted)
        words = [command, "m.json", "--store", "x"] if command == "verify" else [command]
        assert main(words) == code, command
    assert len(cleared) == 3


def test_what_goes_on_until_it_is_stopped_says_so() -> None:
    goes_on = {
        "consume --brokers a:1": True,
        "consume --brokers a:1 --until-idle 5": False,
        "pipeline": True,
        "pipeline --duration 1m": False,
        "dashboard --store x": True,
        "run --continuous": True,
        "run --end 2030-01-01": False,
        "run": False,
        "analyze x": False,
    }
    commands = {command.settings.command: command for command in WITH_SETTINGS}
    found = {line: commands[line.split()[0]].parse(line.split()[1:]).settings.goes_on for line in goes_on}
    assert found == goes_on


def test_a_bug_shows_where_when_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(loadgen.runner, "main", lambda settings: 1 / 0)
    monkeypatch.setenv("LOADGEN_DEBUG", "1")
    assert main(["run"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_settings_of_a_dry_run_are_a_configuration_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--users",
        "50k",
        "--start",
        "-1d",
        "--impair",
        "late=0.5",
        "--output",
        'odd "name"\n\x7f.gz',
        "--rate",
        "7",
    ]
    said = RUN.parse([*words, "--kafka-option", "sasl.password=x", "--kafka-option", "linger.ms=5"]).settings
    main(["run", "--dry-run", *words, "--kafka-option", "sasl.password=x", "--kafka-option", "linger.ms=5"])
    file = tmp_path / "again.toml"
    file.write_text(capsys.readouterr().out)
    again = RUN.parse(["--config", str(file)]).settings
    changed: dict[str, Any] = {"config": None, "start_ms": 0, "kafka_option": {}}
    assert again.model_copy(update=changed) == said.model_copy(update=changed)
    assert abs(again.start_ms - said.start_ms) < 60_000  # -1d, asked twice
    assert again.kafka_option == {"linger.ms": "5"}


def test_the_settings_of_a_dry_consumer_are_a_configuration_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--brokers", "a:1", "--max-file-size", "64k", "--until-idle", "2m", "-b", "5", "--store", "file:///ü x"]
    assert main(["consume", *words, "--dry-run"]) == 0
    file = tmp_path / "again.toml"
    file.write_text(capsys.readouterr().out)
    again = CONSUME.parse(["--config", str(file)]).settings
    assert again.model_copy(update={"config": None}) == CONSUME.parse(words).settings


def test_a_dry_run_says_where_each_setting_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOADGEN_USERS", "7")
    assert main(["run", "--dry-run", "--seed", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(" +", " ", line) for line in lines if line.startswith(("users", "seed", "rate"))] == [
        "users = 7 # from LOADGEN_USERS",
        'rate = "natural" # default',
        "seed = 3 # from --seed",
    ]


def test_a_duration_is_shown_as_it_was_typed_and_a_bare_one_is_explained_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for typed, shown, note in (
        ("20s", "20s", ""),
        ("1m30s", "1m30s", ""),
        ("2", "2m", "note: duration 2 (from --duration) is in minutes; write 2m, or 2s for seconds\n"),
    ):
        assert main(["run", "--dry-run", "--duration", typed]) == 0
        said = capsys.readouterr()
        assert f'duration = "{shown}" ' in said.out
        assert said.err == note
    assert main(["run", "--dry-run", "--quiet", "--duration", "2"]) == 0
    assert capsys.readouterr().err == ""


def test_a_dry_run_says_what_to_expect(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--dry-run", "--json", "--users", "50000"]) == 0
    expected = json.loads(capsys.readouterr().out)["expected"]
    assert expected["events_per_s"] == pytest.approx(500, rel=0.1)
    assert main(["run", "--dry-run", "--users", "50000"]) == 0
    assert capsys.readouterr().out.startswith(f"# expected: events_per_s = {expected['events_per_s']}\n")


@pytest.mark.parametrize(
    "command",
    [
        *([command.settings.command] for command in WITH_SETTINGS),
        ["catalog", "build"],
        ["catalog", "show"],
        ["catalog", "export"],
        ["catalog", "import"],
    ],
)
def test_the_help_of_each_verb_ends_with_two_or_three_examples(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out.split("Examples:")
    examples = [line for line in shown[1].splitlines() if line.strip()]
    assert len(examples) in (2, 3)
    assert [line for line in examples if not line.strip().startswith(f"loadgen {' '.join(command)}")] == []


@pytest.mark.parametrize("command", WITH_SETTINGS, ids=COMMANDS[:-1])
def test_the_examples_of_a_verb_are_right(command: Command[Any], capsys: pytest.CaptureFixture[str]) -> None:
    main([command.settings.command, "--help"])
    shown = " ".join(capsys.readouterr().out.split("Examples:")[1].split())
    for line in filter(None, shown.split("loadgen ")):
        assert command.parse(line.split()[1:]).settings.command == command.settings.command


@pytest.mark.parametrize("command", WITH_SETTINGS, ids=COMMANDS[:-1])
def test_every_flag_is_in_the_help_of_its_verb(
    command: Command[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([command.settings.command, "--help"]) == 0
    shown = capsys.readouterr().out
    flags = command.settings.flags().values()
    assert [flag.key for flag in flags if (flag.metavar if flag.is_positional else f"--{flag.key} ") not in shown] == []
    assert [flag.short for flag in flags if flag.short not in shown] == []


def test_the_program_runs_as_a_process() -> None:
    version = program("--version")
    assert (version.returncode, version.stdout) == (0, f"loadgen {__version__}\n")
    wrong = program("run", "--users", "0", LOADGEN_SEED="x")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("error: ")) == (2, "", 2)
    assert program().stdout == program("--help").stdout != ""


@pytest.mark.parametrize(
    "words", [["run", "--users", "0"], ["consume", "-b", "0"], ["verify"], ["compact", "--until", "x"]]
)
def test_a_wrong_flag_is_answered_before_anything_heavy_is_imported(words: list[str]) -> None:
    code = f"import sys, loadgen.cli as c; c.main({words}); print([m for m in {HEAVY} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert shown.stdout == "[]\n"
    assert shown.stderr.startswith("error: ")

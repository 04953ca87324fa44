"""flag > variable > file > default, and what is said about what nobody knows."""

import re
from pathlib import Path
from typing import Any

import pytest

from loadgen.config import (
    CompactSettings,
    ConsumeSettings,
    PipelineSettings,
    RunSettings,
    Settings,
    VerifySettings,
    resolve,
)
from loadgen.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "loadgen.toml"
    path.write_text("users = 30\nseed = 30\nrate = '30/s'\ntracks = 30_000\n[run]\nrate = '40/s'\n")
    return path


def problems(flags: dict[str, Any], variables: dict[str, str], kind: type[Settings] = RunSettings) -> list[str]:
    """The lines of the UsageError that these cause."""
    with pytest.raises(UsageError) as refused:
        resolve(kind, flags, variables)
    return str(refused.value).splitlines()


def test_a_flag_goes_before_a_variable_before_the_file_before_the_default(file: Path) -> None:
    variables = {"LOADGEN_USERS": "20", "LOADGEN_SEED": "20", "LOADGEN_CONFIG": str(file), "HOME": "/", "PATH": "x"}
    resolved = resolve(RunSettings, {"users": "10"}, variables)
    settings, origins = resolved.settings, resolved.origins
    assert (settings.users, settings.seed, settings.tracks, settings.speed) == (10, 20, 30_000, 1.0)
    assert (origins["users"], origins["seed"]) == ("from --users", "from LOADGEN_SEED")
    assert (origins["tracks"], origins["speed"]) == (f"from tracks in {file}", "default")


def test_the_table_run_goes_before_what_stands_above_it(file: Path) -> None:
    assert resolve(RunSettings, {"config": str(file)}, {}).settings.rate == 40.0


def test_kafka_options_are_merged_name_by_name(file: Path) -> None:
    file.write_text("kafka-option = {linger.ms = 1, acks = 'all', 'client.id' = 'file'}")
    variables = {"LOADGEN_KAFKA_OPTION_LINGER_MS": "2", "LOADGEN_KAFKA_OPTION_CLIENT_ID": "variable"}
    resolved = resolve(RunSettings, {"config": str(file), "kafka_option": ["linger.ms=3"]}, variables)
    assert resolved.settings.kafka_option == {"linger.ms": "3", "client.id": "variable", "acks": "all"}


def test_unknown_names_are_answered_with_the_nearest_known_one(file: Path) -> None:
    file.write_text("user = 5\nconfig = 'x'\n[run]\nrat = 5\n")
    assert problems({"config": str(file)}, {"LOADGEN_USRES": "5", "LOADGEN_XYZ": "1"}) == [
        "unknown variable 'LOADGEN_USRES'; did you mean LOADGEN_USERS?",
        "unknown variable 'LOADGEN_XYZ'; unset it",
        f"unknown key 'rat' in {file} [run]; did you mean rate?",
        f"unknown key 'user' in {file}; did you mean users?",
        f"config must not stand in a file, got it in {file}; name it by --config",
    ]


def test_a_wrong_value_is_reported_with_its_origin(file: Path) -> None:
    file.write_text("users = true")
    assert problems({"config": str(file)}, {"LOADGEN_SEED": "x"}) == [
        f"users must be a whole number 1..10,000,000, got True (from users in {file}); "
        "write for example 50000, 50_000, 50k or 10M",
        "seed must be a whole number 0..18,446,744,073,709,551,615, got 'x' (from LOADGEN_SEED); write for example 42",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"users =", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"a = " + b"9" * 10_000, "is not TOML"),
        (b"# " + b"x" * 2_000_000, "must be at most 1 MiB"),
        (b"run = 5", "run must be a table"),
    ],
)
def test_a_file_that_is_no_configuration_is_reported_as_such(file: Path, content: bytes, reason: str) -> None:
    file.write_bytes(content)
    (line,) = problems({"config": str(file)}, {})
    assert reason in line


def test_a_file_that_cannot_be_read_is_reported_with_the_others(tmp_path: Path) -> None:
    lines = problems({"config": str(tmp_path), "users": "x"}, {})
    assert lines[0] == f"cannot read {tmp_path}: Is a directory; name a TOML file that can be read (from --config)"
    assert lines[1].startswith("users must be")
    assert "No such file" in problems({"config": str(tmp_path / "none.toml")}, {})[0]


def test_variables_that_kubernetes_makes_up_are_no_settings() -> None:
    made_up = {
        "LOADGEN_SERVICE_HOST": "10.0.0.1",
        "LOADGEN_METRICS_PORT": "tcp://10.0.0.1:9108",
        "LOADGEN_METRICS_SERVICE_PORT_HTTP": "9108",
        "LOADGEN_PORT_9108_TCP_ADDR": "10.0.0.1",
        "LOADGEN_CACHE": "/tmp/cache",
    }
    assert resolve(RunSettings, {}, made_up).settings.metrics_port == 9108


def test_now_means_the_same_moment_everywhere() -> None:
    settings = resolve(RunSettings, {"start_ms": "-1d", "end_ms": "now"}, {}, now_ms=1_767_225_600_000).settings
    assert (settings.start_ms, settings.end_ms) == (1_767_139_200_000, 1_767_225_600_000)


def test_problems_of_the_command_line_come_first() -> None:
    with pytest.raises(UsageError, match=r"^unknown flag\nusers must"):
        resolve(RunSettings, {"users": "x"}, {}, ["unknown flag"])


def test_a_key_or_variable_of_another_verb_is_passed_over(file: Path) -> None:
    file.write_text("users = 5\nstore = 's'\ntopic = 't'\n[run]\ncompress = 'gz'\n[consume]\ngroup = 'g'\n")
    variables = {"LOADGEN_CONFIG": str(file), "LOADGEN_BROKERS": "a:1", "LOADGEN_BATCH_SIZE": "7", "LOADGEN_SEED": "8"}
    consume = resolve(ConsumeSettings, {}, variables)
    assert (consume.settings.store, consume.settings.topic, consume.settings.group) == ("s", "t", "g")
    assert (consume.settings.batch_size, consume.settings.compress, consume.settings.brokers) == (7, "none", "a:1")
    assert consume.origins["group"] == f"from group in {file} [consume]"
    run = resolve(RunSettings, {"folder": "x"}, variables).settings
    assert (run.users, run.topic, run.compress, run.seed) == (5, "t", "gz", 8)
    assert resolve(CompactSettings, {}, {"LOADGEN_STORE": "x", "LOADGEN_KAFKA_OPTION_A": "1"}).settings.store == "x"


def test_a_wrong_value_of_another_verb_is_none_of_this_ones_business(file: Path) -> None:
    file.write_text("users = 'x'\n[run]\nrate = 'x'\n")
    assert (
        resolve(ConsumeSettings, {"brokers": "a", "config": str(file)}, {"LOADGEN_SPEED": "x"}).settings.mode == "batch"
    )


def test_a_name_that_no_verb_knows_is_told_whichever_the_verb(file: Path) -> None:
    file.write_text("stoer = 'x'\n[run]\nstore = 's'\n[verify]\nshwo = 1\nconfig = 'x'\n[compact]\nuntli = 'x'")
    assert problems({"config": str(file), "brokers": "a"}, {"LOADGEN_GRUOP": "x"}, ConsumeSettings) == [
        "unknown variable 'LOADGEN_GRUOP'; did you mean LOADGEN_GROUP?",
        f"unknown key 'store' in {file} [run]; did you mean start?",
        f"unknown key 'shwo' in {file} [verify]; did you mean show?",
        f"config must not stand in a file, got it in {file} [verify]; name it by --config",
        f"unknown key 'untli' in {file} [compact]; did you mean until?",
        f"unknown key 'stoer' in {file}; did you mean store?",
    ]


def test_a_file_may_name_several_files(file: Path) -> None:
    file.write_text("[verify]\nmanifests = ['a', 'b']\nfiles = 'x y'\n")
    settings = resolve(VerifySettings, {"config": str(file)}, {}).settings
    assert (settings.manifests, settings.files) == ((Path("a"), Path("b")), ("x y",))


@pytest.mark.parametrize("kind", [RunSettings, PipelineSettings])
def test_a_bare_duration_is_minutes_and_says_so(kind: type[Any]) -> None:
    note = "duration 30 (from --duration) is in minutes; write 30m, or 30s for seconds"
    resolved = resolve(kind, {"duration_min": "30"}, {})
    assert (resolved.settings.duration_s, resolved.notes) == (1800.0, (note,))
    assert resolve(kind, {"duration_min": "30m"}, {}).notes == ()
    assert resolve(kind, {"continuous": True}, {}).notes == ()
    assert resolve(kind, {}, {"LOADGEN_DURATION": "0.5"}).notes == (
        "duration 0.5 (from LOADGEN_DURATION) is in minutes; write 0.5m, or 0.5s for seconds",
    )


def test_a_moment_in_a_message_is_a_date() -> None:
    with pytest.raises(UsageError) as refused:
        resolve(RunSettings, {"end_ms": "2020-01-01"}, {})
    start = r"got start '20\d\d-\d\d-\d\dT[0-9:.]+\+00:00' \(default\) and end '2020-01-01'"
    assert re.search(start, str(refused.value))


def test_a_moment_in_a_message_to_a_caller_is_a_date_too() -> None:
    with pytest.raises(ValueError, match=r"start_ms 2027-01-15T08:00:00\+00:00 and end_ms 2026-01-01T00:00:00\+00:00;"):
        RunSettings.model_validate({"start_ms": 1_800_000_000_000, "end_ms": 1_767_225_600_000})


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (ConsumeSettings, "until_idle_s"),
        (ConsumeSettings, "rotate_interval_s"),
        (RunSettings, "warm_up_s"),
        (RunSettings, "max_lag_s"),
        (RunSettings, "drain_timeout_s"),
        (CompactSettings, "grace_s"),
        (PipelineSettings, "rotate_interval_s"),
        (PipelineSettings, "drain_timeout_s"),
    ],
)
def test_every_length_of_time_takes_the_same_units(kind: type[Any], field: str) -> None:
    needed = {"brokers": "a:1"} if kind is ConsumeSettings else {"store": "x"} if kind is CompactSettings else {}
    longer = {"duration_min": "1h"} if kind is RunSettings else {}
    for text, length_s in (("1m30s", 90.0), ("90s", 90.0), ("0.05h", 180.0), ("5", 5.0)):
        assert getattr(resolve(kind, {field: text, **needed, **longer}, {}).settings, field) == length_s


def test_a_byte_order_mark_in_front_of_a_file_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbfusers = 500\r\n")
    assert resolve(RunSettings, {"config": str(file)}, {}).settings.users == 500


def test_a_variable_may_mean_an_option_with_an_underscore() -> None:
    variables = {"LOADGEN_KAFKA_OPTION_LOG_LEVEL": "7", "LOADGEN_KAFKA_OPTION_LINGER_MS": "5"}
    assert resolve(RunSettings, {}, variables).settings.kafka_option == {"log_level": "7", "linger.ms": "5"}

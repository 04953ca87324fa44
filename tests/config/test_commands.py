"""The settings of the commands that consume and verify, and what all commands' settings have in common."""

import time
from pathlib import Path
from typing import Any

import pytest

from loadgen.config import CompactSettings, ConsumeSettings, RunSettings, Settings, VerifySettings, resolve
from loadgen.config.settings import ALL
from loadgen.errors import UsageError

DAY_MS = 86_400_000


def problems(kind: type[Settings], **flags: Any) -> list[str]:
    """The lines of the UsageError that these flags cause."""
    with pytest.raises(UsageError) as refused:
        resolve(kind, flags, {})
    return str(refused.value).splitlines()


@pytest.mark.parametrize("kind", ALL)
def test_every_setting_has_a_flag_of_its_own_with_help(kind: type[Settings]) -> None:
    flags = kind.flags()
    assert len({flag.key for flag in flags.values()}) == len(flags)
    assert kind.inherited is not None or len(flags) == len(kind.model_fields)
    assert [name for name, flag in flags.items() if not flag.help.endswith(".")] == []


@pytest.mark.parametrize("kind", ALL)
def test_what_has_no_default_says_what_to_do(kind: type[Settings]) -> None:
    assert [name for name, field in kind.model_fields.items() if field.is_required()] == [
        name for name, flag in kind.flags().items() if flag.needed
    ]


def test_a_setting_that_verbs_share_is_spelt_alike() -> None:
    keys: dict[str, set[str]] = {}
    for kind in ALL:
        for name, key in kind.keys().items():
            keys.setdefault(key, set()).add(name)
    different = {
        "until": {"until_day", "until_ms"},  # the last day to compact, a time to analyze
        "start": {"start_ms", "start"},  # when a run begins, what a replay skips
    }
    assert {key: names for key, names in keys.items() if len(names) > 1} == different


def test_a_consumer_with_a_broker_needs_nothing_else() -> None:
    settings = ConsumeSettings(brokers="localhost:9092")
    assert (settings.topic, settings.store, settings.group) == (
        "music-streaming-events",
        "music_events",
        "loadgen-consume",
    )
    assert (settings.mode, settings.batch_size, settings.rotate_interval_s) == ("batch", 50_000, 60.0)
    assert (settings.max_file_bytes, settings.metrics_port, settings.drain_timeout_s) == (128 << 20, 9109, 30.0)
    assert (settings.partition_by, settings.compress, settings.file_format, settings.on_gap) == (
        "event",
        "none",
        "jsonl",
        "fail",
    )
    assert settings.topic == RunSettings().topic


def test_a_consumer_is_continuous_unless_it_ends_when_idle() -> None:
    assert ConsumeSettings(brokers="a").continuous
    assert not ConsumeSettings(brokers="a", until_idle_s=5).continuous


def test_a_consumer_reads_its_values_as_users_write_them() -> None:
    said = {"brokers": "a:1", "batch_size": "5", "max_file_bytes": "64k", "rotate_interval_s": "5m", "mode": "realtime"}
    settings = resolve(ConsumeSettings, said, {}).settings
    assert (settings.batch_size, settings.max_file_bytes, settings.rotate_interval_s) == (5, 65_536, 300.0)
    assert ConsumeSettings.from_public(settings.public_dict()) == settings


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({}, "consume needs a broker, got none; add --brokers HOST:PORT,…"),
        (
            {"brokers": "embedded"},
            "brokers must be HOST:PORT,…, got 'embedded' (from --brokers); that broker belongs to the loadgen run that "
            "started it, which prints its address: name that",
        ),
        (
            {"brokers": "a", "continuous": True, "until_idle_s": "5"},
            "what is continuous does not end when idle, got continuous True (from --continuous) and until_idle '5' "
            "(from --until-idle); keep one of the two (--no-continuous overrides a file)",
        ),
        (
            {"brokers": "a", "continuous": False},
            "a consumer that is not continuous needs an end, got continuous False (from --continuous) and until_idle "
            "none (default); add --until-idle S, or leave out --no-continuous",
        ),
        (
            {"brokers": "a", "store": "s3://bucket/x"},
            "store must be a folder, file:///PATH or hdfs://HOST:PORT/PATH, got 's3://bucket/x' (from --store); "
            "write for example hdfs://localhost:8020/music_events",
        ),
        (
            {"brokers": "a", "file_format": "parquett"},
            "file_format must be one of jsonl, parquet, avro, got 'parquett' (from --file-format); "
            "did you mean parquet?",
        ),
        (
            {"brokers": "a", "max_file_bytes": "5"},
            "max_file_size must be a size of 1k to 1T, got '5' (from --max-file-size); write for example 128M or 64k",
        ),
    ],
)
def test_each_broken_rule_of_consume_is_one_line(flags: dict[str, Any], line: str) -> None:
    assert problems(ConsumeSettings, **flags) == [line]


def test_what_is_missing_is_told_together_with_contradictions_among_the_rest() -> None:
    lines = problems(ConsumeSettings, continuous=True, until_idle_s="5", batch_size="0")
    assert [line.split()[0] for line in lines] == ["consume", "batch_size", "what"]
    lines = problems(VerifySettings, store="x", files=["y"])
    assert [line.split()[0] for line in lines] == ["verify", "verify"]


@pytest.mark.parametrize("place", [{"brokers": "a:1"}, {"store": "x"}, {"files": ["x", "y"]}])
def test_one_place_is_enough_to_verify(place: dict[str, Any]) -> None:
    settings = resolve(VerifySettings, {"manifests": ["m.json", "n.json"], **place}, {}).settings
    assert settings.manifests == (Path("m.json"), Path("n.json"))
    assert settings.show == 5
    assert {name: getattr(settings, name) for name in place} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in place.items()
    }
    assert VerifySettings.from_public(settings.public_dict()) == settings


ONE = "--brokers HOST:PORT --topic NAME, --store URL or --files PATH…"


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            {"store": "x", "manifests": None},
            "verify needs a manifest, got none; name the file that loadgen run wrote: loadgen_runs/<run id>.json",
        ),
        (
            {"store": "x", "manifests": []},
            "manifests must name at least one file, got [] (from the command line); "
            "name the file that loadgen run wrote: loadgen_runs/<run id>.json",
        ),
        (
            {},
            "verify needs a place to compare with, got brokers none (default) and store none (default) and files none "
            f"(default); add {ONE}",
        ),
        (
            {"manifests": ["m"], "store": "x", "through": True},
            "--through reads a topic, got through True (from --through) and store 'x' (from --store); "
            "give --brokers HOST:PORT",
        ),
        (
            {"brokers": "a", "store": "x"},
            "verify compares with one place, got brokers 'a' (from --brokers) and store 'x' (from --store); "
            f"name one on the command line: {ONE}",
        ),
    ],
)
def test_each_broken_rule_of_verify_is_one_line(flags: dict[str, Any], line: str) -> None:
    said = {name: value for name, value in ({"manifests": ["m"]} | flags).items() if value is not None}
    assert problems(VerifySettings, **said) == [line]


def test_a_place_in_a_higher_layer_goes_before_another_in_a_lower_one(tmp_path: Path) -> None:
    file = tmp_path / "loadgen.toml"
    file.write_text("store = 'in_file'\n[verify]\nfiles = ['x']")
    variables = {"LOADGEN_BROKERS": "a:1", "LOADGEN_TOPIC": "t", "LOADGEN_CONFIG": str(file)}
    by_variable = resolve(VerifySettings, {"manifests": ["m"]}, variables).settings
    assert (by_variable.brokers, by_variable.topic, by_variable.store, by_variable.files) == ("a:1", "t", None, ())
    by_flag = resolve(VerifySettings, {"manifests": ["m"], "store": "here"}, variables)
    assert (by_flag.settings.brokers, by_flag.settings.store, by_flag.settings.files) == (None, "here", ())
    assert (by_flag.settings.topic, by_flag.origins["topic"]) == (None, "default")
    by_file = resolve(VerifySettings, {"manifests": ["m"], "config": str(file)}, {}).settings
    assert (by_file.store, by_file.files) == (None, ("x",))


def test_compacting_ends_with_yesterday_unless_told_otherwise() -> None:
    settings = resolve(CompactSettings, {"store": "x", "until_day": "-1d"}, {}, now_ms=20_454 * DAY_MS).settings
    assert (settings.store, settings.until_day, settings.grace_s) == ("x", 20_453, 60.0)
    today_before = int(time.time() // 86_400)
    assert CompactSettings(store="x").until_day + 1 in (today_before, int(time.time() // 86_400))


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({}, "compact needs a store, got none; name it: loadgen compact music_events"),
        (
            {"store": "x", "until_day": "soon"},
            "until must be a day between 1970 and 2200, got 'soon' (from --until); "
            "write for example 2026-03-01, now or -1d",
        ),
        (
            {"store": ""},
            "store must be the path of a file or folder, in UTF-8, got '' (from the command line); "
            "write for example ./events.jsonl",
        ),
    ],
)
def test_each_broken_rule_of_compact_is_one_line(flags: dict[str, Any], line: str) -> None:
    assert problems(CompactSettings, **flags) == [line]

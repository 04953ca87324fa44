"""RunSettings: defaults that follow from other settings, and what may not be said together."""

from typing import Any

import pytest
from pydantic import ValidationError

from loadgen import event, formats
from loadgen.config import Impairments, RunSettings, ShardOf, resolve, values
from loadgen.config.settings.run import usable_cores
from loadgen.config.settings.shared import MAX_WORKERS
from loadgen.errors import UsageError


def problems(**flags: Any) -> list[str]:
    """The lines of the UsageError that these flags cause."""
    with pytest.raises(UsageError) as refused:
        resolve(RunSettings, flags, {})
    return str(refused.value).splitlines()


def test_the_limits_are_those_of_events() -> None:
    assert MAX_WORKERS == event.N_VIRTUAL_SHARDS
    assert values.FORMATS == formats.FORMATS


def test_with_nothing_said_a_thousand_listeners_run_a_minute_into_a_folder() -> None:
    settings = RunSettings()
    assert (settings.users, settings.duration_s, str(settings.folder), settings.presence) == (
        1000,
        60,
        "music_events",
        "online",
    )
    assert settings.workers == min(usable_cores(), MAX_WORKERS)
    assert settings.topic == "music-streaming-events"
    assert settings.metrics_port == 9108


@pytest.mark.parametrize("ending", [{"continuous": True}, {"events": 5}, {"end_ms": "+1d"}])
def test_another_ending_takes_the_place_of_the_minute(ending: dict[str, Any]) -> None:
    assert RunSettings.model_validate(ending).duration_s is None


@pytest.mark.parametrize("place", [{"brokers": "localhost:9092"}, {"output": "-"}, {"discard": True}])
def test_another_place_takes_the_place_of_the_folder(place: dict[str, Any]) -> None:
    assert RunSettings.model_validate(place).folder is None


def test_a_folder_may_be_written_beside_kafka() -> None:
    settings = RunSettings.model_validate({"brokers": "embedded", "folder": "events", "output": "x.gz"})
    assert (settings.embedded, str(settings.folder), str(settings.output)) == (True, "events", "x.gz")


def test_a_backfill_is_everyday_and_unpaced() -> None:
    settings = RunSettings.model_validate({"start_ms": "2026-01-01", "end_ms": "2026-02-01"})
    assert (settings.presence, settings.unpaced) == ("everyday", True)
    assert settings.end_ms == settings.start_ms + 31 * 86_400_000


def test_no_more_workers_than_listeners_are_started_by_default() -> None:
    assert RunSettings(users=1).workers == 1
    assert RunSettings(users=256, shard=ShardOf(0, 256)).workers == 1


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunSettings().users = 5


def test_what_the_manifest_holds_gives_the_same_settings_again() -> None:
    said = {
        "users": "50k",
        "rate": "5/s",
        "shard": "1/4",
        "impair": "late=0.1",
        "brokers": "a:1",
        "kafka_option": ["linger.ms=5"],
    }
    settings = resolve(RunSettings, said, {}).settings
    assert RunSettings.from_public(settings.public_dict()) == settings


def test_the_topics_are_those_of_the_map_or_the_one_topic() -> None:
    mapped = RunSettings.model_validate({"brokers": "b", "topic_map": "NextSong=plays, Home=rest ,*=plays"})
    assert mapped.topics == ("plays", "rest")
    assert RunSettings.model_validate({"topic": "t"}).topics == ("t",)
    assert RunSettings.from_public(mapped.public_dict()) == mapped


def test_a_topic_of_a_higher_layer_goes_before_a_map_and_the_other_way_round() -> None:
    flags, variables = {"brokers": "b", "topic": "t"}, {"LOADGEN_TOPIC_MAP": "*=a"}
    assert resolve(RunSettings, flags, variables).settings.topics == ("t",)
    flags, variables = {"brokers": "b", "topic_map": "*=a"}, {"LOADGEN_TOPIC": "t"}
    assert resolve(RunSettings, flags, variables).settings.topics == ("a",)


def test_the_manifest_is_named_after_the_run() -> None:
    assert str(RunSettings().manifest_path("r1")) == "loadgen_runs/r1.json"
    assert str(RunSettings.model_validate({"manifest": "m.json"}).manifest_path("r1")) == "m.json"


def test_impairments_are_off_unless_named() -> None:
    assert not RunSettings().impair
    settings = RunSettings.model_validate({"impair": "late=0.01, Duplicate=1"})
    assert settings.impair == Impairments(late=0.01, duplicate=1.0)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            {"users": "500", "workers": "501"},
            "workers must be a whole number 1..256, got '501' (from --workers); write for example 4",
        ),
        (
            {"users": "5", "workers": "8"},
            "workers x shards must be 1..5 (no more than users, no more than 256), got workers '8' "
            "(from --workers) and users '5' (from --users); lower --workers or raise --users",
        ),
        (
            {"users": "1M", "workers": "8", "shard": "0/64"},
            "workers x shards must be 1..256 (no more than users, no more than 256), got workers '8' "
            "(from --workers) and shard '0/64' (from --shard) and users '1M' (from --users); lower --workers",
        ),
        (
            {"users": "5", "shard": "0/6"},
            "each shard needs a listener, got shard '0/6' (from --shard) and users '5' (from --users); "
            "lower N of --shard or raise --users",
        ),
        (
            {"continuous": True, "duration_min": "1"},
            "a continuous run has no end of its own, got continuous True (from --continuous) and duration '1' "
            "(from --duration); keep one of the two (--no-continuous overrides a file)",
        ),
        (
            {"start_ms": "2026-02-01", "end_ms": "2026-01-01"},
            "end must be later than start, got start '2026-02-01' (from --start) and end '2026-01-01' (from --end); "
            "give an earlier --start or a later --end",
        ),
        (
            {"end_ms": "+1d", "rate": "5"},
            "a backfill is not paced, got end '+1d' (from --end) and rate '5' (from --rate); "
            "leave it out, or use --duration in place of --end",
        ),
        (
            {"rate": "max", "speed": "2"},
            "rate already sets how fast simulated time goes, got rate 'max' (from --rate) and speed '2' "
            "(from --speed); keep one of the two",
        ),
        (
            {"discard": True, "output": "x"},
            "discard writes nowhere, got discard True (from --discard) and output 'x' (from --output); "
            "leave out --discard or --output",
        ),
        (
            {"create_topic": True},
            "create-topic needs a broker, got create_topic True (from --create-topic) and brokers none (default); "
            "add --brokers HOST:PORT",
        ),
        (
            {"topic_map": "*=a"},
            "a topic map is of Kafka's topics, got topic_map '*=a' (from --topic-map) and brokers none (default); "
            "add --brokers HOST:PORT, or leave --topic-map out",
        ),
        (
            {"topic_map": "*=a", "topic": "b", "brokers": "c"},
            "a topic map names every topic, got topic_map '*=a' (from --topic-map) and topic 'b' (from --topic); "
            "keep one of the two",
        ),
        (
            {"topic_map": "*=a", "watch_group": "b", "brokers": "c"},
            "groups are watched on one topic, got watch_group 'b' (from --watch-group) and topic_map '*=a' "
            "(from --topic-map); leave one of the two out",
        ),
        (
            {"abort_prob": "0.1", "brokers": "c"},
            "only a transactional run has transactions, got abort '0.1' (from --abort) and transactional False "
            "(default); add --transactional",
        ),
        (
            {"transactional": True, "output": "x"},
            "transactions are Kafka's, got transactional True (from --transactional) and brokers none (default); add "
            "--brokers HOST:PORT",
        ),
        (
            {"transactional": True, "brokers": "embedded"},
            "the test broker shows aborted events to every reader, got transactional True (from --transactional) "
            "and brokers 'embedded' (from --brokers); name a real one with --brokers HOST:PORT",
        ),
        (
            {"transactional": True, "brokers": "c", "folder": "x"},
            "a transaction holds what goes to Kafka alone, got transactional True (from --transactional) and folder "
            "'x' (from --folder); leave out --folder, or --transactional",
        ),
        (
            {"transactional": True, "abort_prob": "0.1", "brokers": "c", "watch_topic": "x"},
            "aborted events never come out of the system under test, got abort '0.1' (from --abort) and "
            "watch_topic 'x' (from --watch-topic); leave out --abort, or --watch-topic",
        ),
        (
            {"transactional": True, "brokers": "c", "watch_group": "g", "wait_caught_up_s": "2m"},
            "the end of a transaction takes an offset, past which many groups never commit, got transactional True "
            "(from --transactional) and wait_caught_up '2m' (from --wait-caught-up); leave out --wait-caught-up, or "
            "--transactional",
        ),
        (
            {"transactional": True, "brokers": "c", "rate": "max", "timestamps": "wall"},
            "the successor of a worker must make its events again to know which were committed, got transactional "
            "True (from --transactional) and timestamps 'wall' (from --timestamps) and on_worker_death 'restart' "
            "(default); add --on-worker-death fail, or leave --timestamps out",
        ),
        (
            {"catalog": "mine", "tracks": "900k"},
            "an imported catalogue has its own tracks, got catalog 'mine' (from --catalog) and tracks '900k' "
            "(from --tracks); keep one of the two",
        ),
        (
            {"json_summary": True, "output": "-"},
            "stdout can hold the events or the summary, not both, got json True (from --json) and output '-' "
            "(from --output); write the events to a file, or leave out --json",
        ),
        (
            {"compress": "gz", "output": "x"},
            "compress is for the files in a folder, got compress 'gz' (from --compress) and folder none (default); "
            "name the --output file .gz or .zst, set compression.type for Kafka, or add --folder",
        ),
        (
            {"impair": "lat=0.1"},
            "unknown name in impair: 'lat'; did you mean late? (from --impair)",
        ),
        (
            {"impair": "late=2"},
            "impair late must be a probability 0..1, got 'late=2' (from --impair); "
            "write for example late=0.01,duplicate=0.001",
        ),
    ],
)
def test_each_broken_rule_is_one_line_with_its_next_step(flags: dict[str, Any], line: str) -> None:
    assert problems(**flags) == [line]


def test_all_problems_are_reported_at_once() -> None:
    lines = problems(users="0", rate="x", topic="a b", continuous=True, duration_min="3", kafka_option=["x"])
    assert [line.split()[0] for line in lines] == ["kafka_option", "topic", "users", "rate", "a"]


def test_a_contradiction_with_a_wrong_value_is_not_reported_twice() -> None:
    lines = problems(users="0", workers="200", shard="9/9")
    assert [line.split()[0] for line in lines] == ["users", "shard"]


@pytest.mark.parametrize(
    ("sinks", "rule"),
    [
        (["a b"], "must be package.module:Class"),
        (["kafka"], "other than kafka, stream, files, null"),
        (["a:B?nonsense"], "must have options key=value"),
        (["a:B?x=1", "a:B?x=2"], "must name each sink once"),
    ],
)
def test_a_sink_that_cannot_be_one_is_refused(sinks: list[str], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        RunSettings.model_validate({"sink": sinks})


def test_the_secret_options_of_a_sink_are_not_shown() -> None:
    settings = RunSettings(sink=("a:B?url=x&password=hidden", "own"))
    assert settings.folder is None
    assert settings.public_dict()["sink"] == ["a:B?url=x&password=***", "own"]

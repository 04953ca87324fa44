"""RunSettings: everything that `loadgen run` can be told, each with its flag, its rule and its default.

In: values as a user writes them, or as Python has them. Out: one frozen object that is complete (every default filled
in) and free of contradictions, or a ValidationError that lists each bad setting. A setting is declared once, here: the
flags, their help, the LOADGEN_* variables and the keys of a configuration file all follow from it.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import ValidationInfo

from loadgen.config import values
from loadgen.config.rules import Contradiction, contradictions
from loadgen.config.secrets import KafkaOptions, kafka_options
from loadgen.config.values import BadValue, ShardOf

MAX_USERS = 10_000_000
MAX_WORKERS = 256
"""A worker owns whole slices of the listeners, of which there are event.N_SLICES (not imported: it costs a NumPy)."""
DEFAULT_TRACKS = 800_000
DEFAULT_FOLDER = Path("music_events")
DEFAULT_MANIFESTS = Path("loadgen_runs")

WHERE = "Where the events go"
HOW_MUCH = "How many, how long, how fast"
WORLD = "What is simulated"
AROUND = "Around the run"


@dataclass(frozen=True)
class Flag:
    """How a setting is spelt and explained: `key` is its name in files; --key and LOADGEN_KEY follow from it."""

    key: str
    metavar: str
    help: str
    panel: str = WORLD


def _moment(value: Any, info: ValidationInfo) -> int:
    now_ms: int | None = info.context["now_ms"] if info.context else None
    return values.moment_ms(value, now_ms)


def _or_none(parse: values.Parser) -> BeforeValidator:
    return BeforeValidator(lambda value: None if value is None else parse(value))


def _impair(value: Any) -> Any:
    return value if isinstance(value, Impairments) else values.pairs(value)


_moment_or_none = BeforeValidator(lambda value, info: None if value is None else _moment(value, info))
_text = PlainSerializer(str, return_type=str)


def _prob(value: Any) -> float:
    number = values.read_number(value)
    if number is None or not 0 <= number <= 1:
        raise BadValue("must be a probability 0..1", "write for example late=0.01,duplicate=0.001")
    return float(number)


Prob = Annotated[float, BeforeValidator(_prob)]


class Impairments(BaseModel):
    """The probability of each impairment of an event, 0..1."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    late: Prob = 0.0
    duplicate: Prob = 0.0
    drop: Prob = 0.0
    malform: Prob = 0.0
    reorder: Prob = 0.0

    def __bool__(self) -> bool:
        return any((self.late, self.duplicate, self.drop, self.malform, self.reorder))


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default_workers(given: dict[str, Any]) -> int:
    shard: ShardOf = given.get("shard", ShardOf(0, 1))
    most: int = min(given.get("users", 1000), MAX_WORKERS) // shard.count
    return max(1, min(usable_cores(), most))


def _default_duration(given: dict[str, Any]) -> float | None:
    ends = given.get("continuous") or given.get("events") is not None or given.get("end_ms") is not None
    return None if ends else 1.0


def _default_folder(given: dict[str, Any]) -> Path | None:
    elsewhere = given.get("brokers") or given.get("output") or given.get("discard")
    return None if elsewhere else DEFAULT_FOLDER


def _default_presence(given: dict[str, Any]) -> Literal["online", "everyday"]:
    return "online" if given.get("end_ms") is None else "everyday"


class RunSettings(BaseModel):
    """The settings of `loadgen run`, complete and free of contradictions; immutable.

    Times are milliseconds since 1970 (UTC); `duration_min` is in minutes, None where something else ends the run;
    `rate` is events per second, or "natural" or "max". `folder` is None when no date folders are written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    brokers: Annotated[
        str | None,
        _or_none(values.brokers),
        Flag("brokers", "HOST:PORT,…", "Kafka bootstrap servers; 'embedded' starts a test broker in memory.", WHERE),
    ] = None
    topic: Annotated[
        str, BeforeValidator(values.topic), Flag("topic", "NAME", "Kafka topic; it must exist.", WHERE)
    ] = "music-streaming-events"
    create_topic: Annotated[
        bool, BeforeValidator(values.switch), Flag("create-topic", "", "Make the topic if it is missing.", WHERE)
    ] = False
    partitions: Annotated[
        int,
        BeforeValidator(values.count(1, 65535, "12")),
        Flag("partitions", "N", "Partitions of a topic made by --create-topic.", WHERE),
    ] = 12
    replication_factor: Annotated[
        int,
        BeforeValidator(values.count(1, 32767, "3")),
        Flag("replication-factor", "N", "Copies of each partition of a topic made by --create-topic.", WHERE),
    ] = 3
    kafka_option: Annotated[
        KafkaOptions,
        PlainValidator(kafka_options),
        PlainSerializer(KafkaOptions.public, return_type=dict[str, str]),
        Flag(
            "kafka-option",
            "K=V",
            "Any librdkafka option; may be given many times. Passwords are better kept from the process list: in "
            "LOADGEN_KAFKA_OPTION_SASL_PASSWORD (for sasl.password) or in --kafka-config.",
            WHERE,
        ),
    ] = Field(default_factory=KafkaOptions)
    kafka_config: Annotated[
        Path | None,
        _or_none(values.path),
        Flag("kafka-config", "FILE", "Properties file (K=V a line) of librdkafka options.", WHERE),
    ] = None
    output: Annotated[
        Path | None,
        _or_none(values.path),
        Flag("output", "PATH", "JSON lines file; '-' is stdout; .gz and .zst are compressed.", WHERE),
    ] = None
    discard: Annotated[
        bool,
        BeforeValidator(values.switch),
        Flag("discard", "", "Write nowhere: measures the generator alone.", WHERE),
    ] = False
    folder: Annotated[
        Path | None,
        _or_none(values.path),
        Flag(
            "folder",
            "DIR",
            "JSON lines by date in this folder. Default: ./music_events if nothing else is named.",
            WHERE,
        ),
    ] = Field(default_factory=_default_folder)
    compress: Annotated[
        Literal["none", "gz", "zst"],
        BeforeValidator(values.choice("none", "gz", "zst")),
        Flag("compress", "none|gz|zst", "Compression of the files in --folder.", WHERE),
    ] = "none"
    format: Annotated[
        Literal["activity", "listen", "full"],
        BeforeValidator(values.choice("activity", "listen", "full")),
        Flag("format", "activity|listen|full", "Fields of an event.", WHERE),
    ] = "activity"

    users: Annotated[
        int,
        BeforeValidator(values.count(1, MAX_USERS, "50000, 50_000, 50k or 10M")),
        Flag("users", "N", "Simulated listeners, 1..10,000,000.", HOW_MUCH),
    ] = 1000
    shard: Annotated[
        ShardOf,
        PlainValidator(values.shard),
        _text,
        Flag("shard", "I/N", "Be machine I (from 0) of N: simulate that share of the listeners.", HOW_MUCH),
    ] = ShardOf(0, 1)
    workers: Annotated[
        int,
        BeforeValidator(values.count(1, MAX_WORKERS, "4")),
        Flag("workers", "N", "Worker processes. Default: the usable cores.", HOW_MUCH),
    ] = Field(default_factory=_default_workers)
    continuous: Annotated[
        bool, BeforeValidator(values.switch), Flag("continuous", "", "Run until stopped.", HOW_MUCH)
    ] = False
    events: Annotated[
        int | None,
        _or_none(values.count(1, 10**15, "100000, 100k or 1.5M")),
        Flag("events", "N", "Stop after exactly N events.", HOW_MUCH),
    ] = None
    start_ms: Annotated[
        int,
        BeforeValidator(_moment),
        Flag("start", "T", "Simulated time of the first event: ISO 8601, a date, now, -1d. Default: now.", HOW_MUCH),
    ] = Field(default_factory=lambda: int(time.time() * 1000))
    end_ms: Annotated[
        int | None,
        _moment_or_none,
        Flag("end", "T", "Simulated time of the end: a backfill, as fast as possible.", HOW_MUCH),
    ] = None
    duration_min: Annotated[
        float | None,
        _or_none(values.duration(60, 0.001, 86400 * 36500, "30 (minutes), 0.5, 90s or 2h")),
        Flag("duration", "MIN", "Minutes of wall-clock time; also 90s, 2h. Default: 1 if nothing ends it.", HOW_MUCH),
    ] = Field(default_factory=_default_duration)
    speed: Annotated[
        float,
        BeforeValidator(values.positive(1_000_000, "60")),
        Flag("speed", "X", "Simulated seconds per wall-clock second.", HOW_MUCH),
    ] = 1.0
    rate: Annotated[
        Literal["natural", "max"] | float,
        BeforeValidator(values.rate),
        Flag("rate", "R", "Events per second: natural, max, or a number such as 100k/s or 300/min.", HOW_MUCH),
    ] = "natural"
    max_lag_s: Annotated[
        float,
        BeforeValidator(values.duration(1, 0.001, 86400 * 365, "60 (seconds) or 5m")),
        Flag("max-lag", "S", "Events further behind their schedule than this are dropped.", HOW_MUCH),
    ] = 60.0

    presence: Annotated[
        Literal["online", "everyday"],
        BeforeValidator(values.choice("online", "everyday")),
        Flag("presence", "online|everyday", "All in sessions, or as in life. Default: online; everyday with --end."),
    ] = Field(default_factory=_default_presence)
    timestamps: Annotated[
        Literal["simulated", "wall"],
        BeforeValidator(values.choice("simulated", "wall")),
        Flag("timestamps", "simulated|wall", "What ts says when time is compressed."),
    ] = "simulated"
    seed: Annotated[
        int,
        BeforeValidator(values.count(0, 2**64 - 1, "42")),
        Flag("seed", "N", "Same seed and start, same events, for any number of workers and machines."),
    ] = 1
    tracks: Annotated[
        int,
        BeforeValidator(values.count(10_558, 20_000_000, "800k")),
        Flag("tracks", "N", "Tracks in the catalogue."),
    ] = DEFAULT_TRACKS
    catalog: Annotated[str | None, _or_none(values.name), Flag("catalog", "NAME", "Use this imported catalogue.")] = (
        None
    )
    behaviour: Annotated[
        Path | None,
        _or_none(values.path),
        Flag("behaviour", "FILE", "TOML file that says how listeners behave. Default: the one in the package."),
    ] = None
    impair: Annotated[
        Impairments,
        BeforeValidator(_impair),
        Flag("impair", "NAME=P,…", "Spoil events with these probabilities: late, duplicate, drop, malform, reorder."),
    ] = Impairments()

    config: Annotated[
        Path | None,
        _or_none(values.path),
        Flag("config", "FILE", "TOML file of settings: the names of these flags without the dashes in front.", AROUND),
    ] = None
    json_summary: Annotated[
        bool, BeforeValidator(values.switch), Flag("json", "", "Print a summary as one JSON object to stdout.", AROUND)
    ] = False
    quiet: Annotated[
        bool, BeforeValidator(values.switch), Flag("quiet", "", "Show no samples and no progress.", AROUND)
    ] = False
    dry_run: Annotated[
        bool,
        BeforeValidator(values.switch),
        Flag("dry-run", "", "Print the resolved settings as a configuration file, and end.", AROUND),
    ] = False
    manifest: Annotated[
        Path | None,
        _or_none(values.path),
        Flag("manifest", "PATH", "Where to write the run's manifest. Default: ./loadgen_runs/<run id>.json.", AROUND),
    ] = None
    metrics_port: Annotated[
        int,
        BeforeValidator(values.count(0, 65535, "9108")),
        Flag("metrics-port", "P", "Port of the Prometheus endpoint; 0 is off.", AROUND),
    ] = 9108
    metrics_host: Annotated[
        str, BeforeValidator(values.host), Flag("metrics-host", "HOST", "Address of that endpoint.", AROUND)
    ] = "127.0.0.1"
    drain_timeout_s: Annotated[
        float,
        BeforeValidator(values.duration(1, 0, 86400, "30 (seconds) or 2m")),
        Flag("drain-timeout", "S", "Longest wait at the end for events in flight.", AROUND),
    ] = 30.0
    on_worker_death: Annotated[
        Literal["restart", "fail"],
        BeforeValidator(values.choice("restart", "fail")),
        Flag("on-worker-death", "restart|fail", "Go on from a dead worker's last report, or end the run.", AROUND),
    ] = "restart"

    @model_validator(mode="after")
    def _free_of_contradictions(self) -> Self:
        found = contradictions(self)
        if found:
            raise Contradiction(found)
        return self

    @property
    def duration_s(self) -> float | None:
        """Wall-clock seconds; None where something else ends the run."""
        return None if self.duration_min is None else self.duration_min * 60

    @property
    def embedded(self) -> bool:
        """Whether the run brings its own broker."""
        return self.brokers == "embedded"

    @property
    def unpaced(self) -> bool:
        """Whether events are offered as fast as possible: --rate max, or a backfill."""
        return self.rate == "max" or self.end_ms is not None

    def manifest_path(self, run_id: str) -> Path:
        """Where this run's manifest goes."""
        return self.manifest or DEFAULT_MANIFESTS / f"{run_id}.json"

    def public_dict(self) -> dict[str, Any]:
        """The settings as JSON types by their keys (`duration`, `start` …), each secret as ***.

        `RunSettings.from_public` reads it back; only secrets are lost."""
        dumped = self.model_dump(mode="json")
        return {key: dumped[name] for name, key in KEY_OF_FIELD.items()}

    @classmethod
    def from_public(cls, public: dict[str, Any]) -> Self:
        """The settings that public_dict() wrote (of a manifest); raises ValidationError."""
        return cls.model_validate({FIELD_OF_KEY[key]: value for key, value in public.items()})


def flag_of(field: FieldInfo) -> Flag:
    """The Flag that a field of RunSettings was declared with."""
    return next(item for item in field.metadata if isinstance(item, Flag))


FLAGS = {name: flag_of(field) for name, field in RunSettings.model_fields.items()}
"""Field name → Flag, in the order of declaration."""
KEY_OF_FIELD = {name: flag.key.replace("-", "_") for name, flag in FLAGS.items()}
FIELD_OF_KEY = {key: name for name, key in KEY_OF_FIELD.items()}

"""The settings of `loadgen run`."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator
from pydantic_core.core_schema import ValidationInfo

from loadgen.config import names, rules, values
from loadgen.config.crowds import Crowd, crowds, of_crowds
from loadgen.config.kafka_options import KafkaOptions
from loadgen.config.names import SubjectStrategy
from loadgen.config.registry_options import RegistryOptions
from loadgen.config.rules import Problem
from loadgen.config.settings import shared
from loadgen.config.settings.base import AROUND, HOW_MUCH, WHERE, Flag, FlagOverride, Settings, or_none
from loadgen.config.values import BadValue, ShardOf
from loadgen.extensions import name_of

if TYPE_CHECKING:
    from loadgen.formats import Format

DEFAULT_FOLDER = Path("music_events")
DEFAULT_MANIFESTS = Path("loadgen_runs")
TRIAL_MIN = 1 / 6
"""The default length of a trial of --find-max-rate, minutes."""


def _moment(value: Any, info: ValidationInfo) -> int:
    return values.moment_ms(value, shared.now_ms(info))


_text = PlainSerializer(str, return_type=str)


def _prob(value: Any) -> float:
    number = values.read_number(value)
    if number is None or not 0 <= number <= 1:
        raise BadValue("must be a probability 0..1", "write for example late=0.01,duplicate=0.001")
    return float(number)


Prob = Annotated[float, BeforeValidator(_prob)]


def _abort(value: Any) -> float:
    number = values.read_number(value)
    if number is None or not 0 <= number <= 1:
        raise BadValue("must be a share 0..1", "write for example 0.01")
    return float(number)


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
    most: int = min(given.get("users", 1000), shared.MAX_WORKERS) // shard.count
    return max(1, min(usable_cores(), most))


def _default_duration(given: dict[str, Any]) -> float | None:
    ends = given.get("continuous") or given.get("events") is not None or given.get("end_ms") is not None
    if ends or given.get("find_max_rate"):
        return None if ends else TRIAL_MIN
    stops_s = [crowd.stop_s for crowd in given.get("crowd", ())]
    return max(stops_s) / 60 if stops_s and None not in stops_s else 1.0


def _default_folder(given: dict[str, Any]) -> Path | None:
    elsewhere = any(given.get(name) for name in ("brokers", "output", "discard", "sink"))
    return None if elsewhere else DEFAULT_FOLDER


class RunSettings(Settings):
    """The settings of `loadgen run`.

    Times are milliseconds since 1970 (UTC); `duration_min` is in minutes, None where something else ends the run;
    `rate` is events per second, or "natural" or "max". `folder` is None when no date folders are written.
    """

    command: ClassVar[str] = "run"
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("topic",), ("topic_map",))

    brokers: Annotated[
        str | None,
        or_none(names.brokers),
        shared.BROKERS,
        FlagOverride("Kafka bootstrap servers; 'embedded' starts a test broker in memory.", WHERE),
    ] = None
    topic: Annotated[shared.Topic, FlagOverride(panel=WHERE)] = shared.DEFAULT_TOPIC
    topic_map: shared.TopicMap = None
    create_topic: shared.CreateTopic = False
    partitions: shared.Partitions = 12
    replication_factor: shared.ReplicationFactor = 3
    kafka_option: Annotated[shared.KafkaOption, FlagOverride(panel=WHERE)] = Field(default_factory=KafkaOptions)
    kafka_config: Annotated[shared.KafkaConfig, FlagOverride(panel=WHERE)] = None
    key: shared.MessageKey = "user"
    key_type: shared.KeyType = "text"
    header: shared.Headers = ()
    cloudevents: shared.CloudEvents = None
    transactional: Annotated[
        bool,
        Flag(
            "transactional",
            "Produce in transactions, exactly once also where a worker dies; the ack is the commit.",
            WHERE,
        ),
    ] = False
    transaction_events: Annotated[
        int,
        BeforeValidator(values.count(1, 100_000, "1000")),
        Flag("transaction-events N", "Events of a worker's transaction, which ends after 0.1 s at the latest.", WHERE),
    ] = 1000
    abort_prob: Annotated[
        float,
        BeforeValidator(_abort),
        Flag("abort P", "Abort this share of the transactions on purpose, the same events in each run.", WHERE),
    ] = 0.0
    encoding: shared.Encoding = "json"
    schema_registry: Annotated[shared.SchemaRegistry, FlagOverride(panel=WHERE)] = None
    registry_option: Annotated[shared.RegistryOption, FlagOverride(panel=WHERE)] = Field(
        default_factory=RegistryOptions
    )
    registry_config: Annotated[shared.RegistryConfig, FlagOverride(panel=WHERE)] = None
    register_schema: Annotated[
        bool,
        Flag("register", "Register the schema where it is not yet; --no-register only looks it up.", WHERE),
    ] = True
    schema_file: Annotated[
        Path | None,
        Flag(
            "schema FILE",
            "A schema of your own for --encoding, evolved from the format's: fields left out, renamed by aliases, of "
            "other types, added with defaults.",
            WHERE,
        ),
    ] = None
    subject_name: Annotated[
        SubjectStrategy,
        Flag("subject-name topic|record|topic-record", "What the subject of the schema is named after.", WHERE),
    ] = "topic"
    output: Annotated[
        Path | None, Flag("output PATH", "JSON lines file; '-' is stdout; .gz and .zst are compressed.", WHERE)
    ] = None
    discard: Annotated[bool, Flag("discard", "Write nowhere: measures the generator alone.", WHERE)] = False
    sink: Annotated[
        tuple[Any, ...],
        BeforeValidator(names.sinks),
        PlainSerializer(names.public_extensions, return_type=list[str]),
        Flag(
            "sink SINK",
            "A sink of your own: package.module:Class or an entry point's name, ?key=value&… for its options; may be "
            "given many times.",
            WHERE,
        ),
    ] = ()
    folder: Annotated[
        Path | None,
        Flag(
            "folder DIR", "JSON lines by date in this folder. Default: ./music_events if nothing else is named.", WHERE
        ),
    ] = Field(default_factory=_default_folder)
    overwrite: Annotated[
        bool, Flag("overwrite", "Replace files that loadgen did not write, and this run's events in --folder.", WHERE)
    ] = False
    compress: Annotated[shared.Compress, FlagOverride("Compression of the files in --folder.")] = "none"
    format: Annotated[
        str,
        BeforeValidator(values.wire_format),
        Flag("format activity|listen|full", "Fields of an event; or an installed format, or MODULE:OBJECT.", WHERE),
    ] = "activity"
    field: Annotated[
        tuple[Any, ...],  # str, or loadgen.formats.Field, whose import takes time
        BeforeValidator(names.event_fields),
        PlainSerializer(names.public_fields, return_type=list[Any]),
        Flag(
            "field FIELD",
            "A further field of an event: an installed one, or MODULE:OBJECT; may be given many times.",
            WHERE,
        ),
    ] = ()

    users: shared.Users = 1000
    shard: Annotated[
        ShardOf,
        PlainValidator(values.shard),
        _text,
        Flag("shard I/N", "Be machine I (from 0) of N: simulate that share of the listeners.", HOW_MUCH),
    ] = ShardOf(0, 1)
    workers: shared.Workers = Field(default_factory=_default_workers)
    continuous: shared.Continuous = False
    events: Annotated[
        int | None,
        or_none(values.count(1, 10**15, "100000, 100k or 1.5M")),
        Flag("events N", "Stop after exactly N events.", HOW_MUCH),
    ] = None
    start_ms: Annotated[
        int,
        BeforeValidator(_moment),
        Flag("start T", "Simulated time of the first event: ISO 8601, a date, now, -1d. Default: now.", HOW_MUCH),
    ] = Field(default_factory=lambda: int(time.time() * 1000))
    end_ms: Annotated[
        int | None,
        shared.moment_or_none,
        Flag("end T", "Simulated time of the end: a backfill, as fast as possible.", HOW_MUCH),
    ] = None
    crowd: Annotated[
        tuple[Crowd, ...],
        PlainValidator(crowds),
        PlainSerializer(lambda found: [crowd.public() for crowd in found], return_type=list[Any]),
        Flag(
            "crowd TABLES",
            "Several crowds of listeners in one run: [[run.crowd]] tables of the --config file, each with a name, a "
            "share or users, and what is its own of profile, behaviour, rate, shape, start and stop.",
            HOW_MUCH,
        ),
    ] = ()
    find_max_rate: shared.FindMaxRate = False
    duration_min: shared.Duration = Field(default_factory=_default_duration)
    speed: Annotated[
        float,
        BeforeValidator(values.positive(1_000_000, "60")),
        Flag("speed X", "Simulated seconds per wall-clock second.", HOW_MUCH),
    ] = 1.0
    rate: shared.Rate = "natural"
    shape: shared.Shape = None
    pacer: Annotated[
        Any,
        or_none(names.pacer),
        PlainSerializer(lambda pacer: None if pacer is None else names.public_extension(pacer)),
        Flag(
            "pacer PACER",
            "A pacer of your own in place of --rate and --shape: package.module:OBJECT or an entry point's name, "
            "?key=value&… for its options.",
            HOW_MUCH,
        ),
    ] = None
    max_lag_s: Annotated[
        float,
        BeforeValidator(values.duration(1, 0.001, 86400 * 365, "60 (seconds) or 5m")),
        Flag("max-lag S", "Events further behind their schedule than this are dropped.", HOW_MUCH),
    ] = 60.0

    presence: Annotated[
        Literal["online", "everyday"],
        Flag("presence online|everyday", "All in sessions, or as in life. Default: online; everyday with --end."),
    ] = Field(default_factory=lambda given: "online" if given.get("end_ms") is None else "everyday")
    timestamps: Annotated[
        Literal["simulated", "wall"], Flag("timestamps simulated|wall", "What ts says when time is compressed.")
    ] = "simulated"
    seed: shared.Seed = 1
    tracks: shared.Tracks = shared.DEFAULT_TRACKS
    catalog: Annotated[str | None, or_none(names.name), Flag("catalog NAME", "Use this imported catalogue.")] = None
    profile: Annotated[
        names.Profile,
        Flag(
            "profile NAME",
            "Which crowd: default (as published data say), k-pop-release-day (young, back again and again to the "
            "biggest names, most on Friday), sleepy-sunday (few, long sessions late in the morning, hardly skipped).",
        ),
    ] = "default"
    behaviour: Annotated[
        str | None,
        or_none(names.path_text),
        Flag(
            "behaviour FILE",
            "How listeners behave where they differ from the profile: TOML file, installed behaviour or MODULE:OBJECT.",
        ),
    ] = None
    impair: Annotated[
        Impairments,
        BeforeValidator(lambda value: value if isinstance(value, Impairments) else values.pairs(value)),
        Flag("impair NAME=P,…", "Spoil events with these probabilities: late, duplicate, drop, malform, reorder."),
    ] = Impairments()

    watch_group: Annotated[
        tuple[str, ...],
        BeforeValidator(names.groups),
        Flag(
            "watch-group NAME",
            "Watch how far this consumer group is behind in the topic; may be given many times. Thresholds: "
            "'lag(NAME) < 10k over 30s', 'behind(NAME) < 5s'.",
            shared.MEASURED,
        ),
    ] = ()
    watch_topic: Annotated[
        str | None,
        or_none(names.topic),
        Flag(
            "watch-topic NAME",
            "Watch what comes out of the system under test: events are recognised in this topic by a header that they "
            "bear. Thresholds: 'p99(end_to_end) < 2s over 30s', 'lost == 0', 'repeated == 0', 'late == 0'.",
            shared.MEASURED,
        ),
    ] = None
    watch_brokers: Annotated[
        str | None,
        or_none(names.brokers),
        Flag("watch-brokers HOST:PORT,…", "Where that topic is, if not where --topic is.", shared.MEASURED),
    ] = None
    watch_late_s: Annotated[
        float,
        BeforeValidator(values.duration(1, 0.001, 86400, "10 (seconds) or 500ms")),
        Flag(
            "watch-late S",
            "What is seen there more than S seconds after it was due counts as late.",
            shared.MEASURED,
        ),
    ] = 10.0
    wait_caught_up_s: Annotated[
        float | None,
        or_none(values.duration(1, 0.001, 86400, "120 (seconds) or 2m")),
        Flag(
            "wait-caught-up S",
            "After the load wait up to S seconds for these groups to catch up (threshold: 'catch_up < 60s'), and for "
            "what has not come out of --watch-topic; for that 30 seconds without this flag.",
            shared.MEASURED,
        ),
    ] = None
    threshold: shared.Thresholds = ()
    warm_up_s: shared.WarmUp = 0.0
    percentile_log: shared.PercentileLog = None
    report: shared.Report = None

    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: Annotated[shared.Quiet, FlagOverride("Show no settings, no samples and no progress.")] = False
    dry_run: shared.DryRun = False
    preview: shared.Preview = False
    manifest: Annotated[
        Path | None,
        Flag("manifest PATH", "Where to write the run's manifest. Default: ./loadgen_runs/<run id>.json.", AROUND),
    ] = None
    metrics_port: shared.MetricsPort = 9108
    metrics_host: shared.MetricsHost = "127.0.0.1"
    drain_timeout_s: shared.DrainTimeout = 30.0
    on_worker_death: Annotated[
        Literal["restart", "fail"],
        Flag("on-worker-death restart|fail", "Go on from a dead worker's last report, or end the run.", AROUND),
    ] = "restart"

    def broken_rules(self) -> Iterator[Problem]:
        yield from rules.of_run(self)
        yield from of_crowds(self)

    @property
    def duration_s(self) -> float | None:
        """Wall-clock seconds; None if something else ends the run."""
        return None if self.duration_min is None else self.duration_min * 60

    @property
    def goes_on(self) -> bool:
        """Whether only a signal ends the run."""
        return self.events is None and self.end_ms is None and self.duration_min is None

    @property
    def embedded(self) -> bool:
        """Whether the run brings its own broker."""
        return self.brokers == "embedded"

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that its events go to."""
        return (
            (self.topic,)
            if self.topic_map is None
            else tuple(dict.fromkeys(names.page_topics(self.topic_map).values()))
        )

    @property
    def unpaced(self) -> bool:
        """Whether events are offered as fast as possible: --rate max, or a backfill."""
        return self.rate == "max" or self.end_ms is not None

    @property
    def timeless(self) -> bool:
        """Whether the times of its events cannot be regenerated: they are the clock's, and not of a known schedule."""
        return self.timestamps == "wall" and (self.unpaced or self.pacer is not None)

    @property
    def curve(self) -> str:
        """The name of the pacer or the shape; empty without either."""
        if self.pacer is not None:
            return name_of(self.pacer)
        return self.shape.name if self.shape else ""

    @property
    def wire_format(self) -> "Format":
        """What the events look like; raises UsageError where a format or field of others cannot be used."""
        from loadgen.formats import format_of

        return format_of(self.format, self.field)

    def manifest_path(self, run_id: str) -> Path:
        """The path of the run's manifest."""
        return self.manifest or DEFAULT_MANIFESTS / f"{run_id}.json"

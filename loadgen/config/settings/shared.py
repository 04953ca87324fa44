"""The settings that several commands share, each declared once: its type, its parser, its flag.

A command uses one as the type of a field (`topic: Topic = DEFAULT_TOPIC`), and may change its help by `FlagOverride`.
The last part are the settings of a load test: its shape, its thresholds, its report.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, PlainValidator
from pydantic_core.core_schema import ValidationInfo

from loadgen.config import names, values
from loadgen.config.kafka_options import KafkaOptions
from loadgen.config.registry_options import RegistryOptions
from loadgen.config.settings.base import AROUND, HOW_MUCH, WHERE, WHERE_FROM, WORLD, Flag, or_none
from loadgen.config.shape_files import NAMED, shape_spec
from loadgen.config.shapes import ShapeSpec
from loadgen.config.thresholds import Threshold, expressions, threshold
from loadgen.config.values import BadValue

DEFAULT_TOPIC = "music-streaming-events"
DEFAULT_STORE = "music_events"
DEFAULT_PORT = 5001
"""Of the dashboard."""
DEFAULT_TRACKS = 800_000
MAX_USERS = 10_000_000
MAX_WORKERS = 256
PAGE = "Where the page is"

BROKERS = Flag("brokers HOST:PORT,…", "Kafka bootstrap servers.", WHERE_FROM)

Topic = Annotated[str, BeforeValidator(names.topic), Flag("topic NAME", "Kafka topic; it must exist.", WHERE_FROM)]
TopicMap = Annotated[
    str | None,
    or_none(names.topic_map),
    Flag(
        "topic-map PAGE=TOPIC,…",
        "Topics by page, in place of --topic: NextSong=plays,*=activity; * is all other pages.",
        WHERE,
    ),
]
KafkaOption = Annotated[
    KafkaOptions,
    PlainValidator(KafkaOptions.parsed),
    PlainSerializer(KafkaOptions.public, return_type=dict[str, str]),
    Flag(
        "kafka-option K=V",
        "Any librdkafka option; may be given many times. Passwords are better kept from the process list: in "
        "LOADGEN_KAFKA_OPTION_SASL_PASSWORD (for sasl.password) or in --kafka-config.",
        WHERE_FROM,
    ),
]
KafkaConfig = Annotated[
    Path | None, Flag("kafka-config FILE", "Properties file (K=V a line) of librdkafka options.", WHERE_FROM)
]
MessageKey = Annotated[
    str,
    BeforeValidator(names.message_key),
    Flag(
        "key user|session|artist|track|none|FIELD",
        "Key of the Kafka messages: a field that every event has; events about no track have no artist or track. "
        "Messages without a key go to the partition of their listener.",
        WHERE,
    ),
]
KeyType = Annotated[
    names.KeyType,
    Flag(
        "key-type text|int64|avro",
        "Keys as text, as 8 bytes (Kafka's Long), or as Avro by the schema registry.",
        WHERE,
    ),
]
Headers = Annotated[
    tuple[str, ...],
    BeforeValidator(names.headers),
    Flag(
        "header NAME=VALUE",
        "A header of the Kafka messages; {FIELD} in it is the value of a field; may be given many times.",
        WHERE,
    ),
]
CloudEvents = Annotated[
    Literal["binary", "structured"] | None,
    Flag(
        "cloudevents binary|structured",
        "Kafka messages are CloudEvents 1.0: their attributes are headers, or stand around the event in the value.",
        WHERE,
    ),
]
SchemaRegistry = Annotated[
    str | None,
    or_none(names.registry),
    Flag("schema-registry URL", "Schema registry with Confluent's API: http://HOST:PORT, also a list.", WHERE_FROM),
]
RegistryOption = Annotated[
    RegistryOptions,
    PlainValidator(RegistryOptions.parsed),
    PlainSerializer(RegistryOptions.public, return_type=dict[str, str]),
    Flag(
        "registry-option K=V",
        "How to reach the schema registry: ssl.ca.location, ssl.certificate.location, ssl.key.location, "
        "basic.auth.user.info, bearer.auth.token, proxy …; may be given many times. Passwords are better kept from the "
        "process list: in LOADGEN_REGISTRY_OPTION_BASIC_AUTH_USER_INFO (USER:PASSWORD) or in --registry-config.",
        WHERE_FROM,
    ),
]
RegistryConfig = Annotated[
    Path | None, Flag("registry-config FILE", "Properties file (K=V a line) of such options.", WHERE_FROM)
]
Encoding = Annotated[
    names.EncodingName,
    Flag(
        "encoding json|avro|protobuf|jsonschema",
        "Of the messages in Kafka; all but json need a schema registry. Files have JSON lines.",
        WHERE,
    ),
]
CreateTopic = Annotated[bool, Flag("create-topic", "Make the topic if it is missing.", WHERE)]
Partitions = Annotated[
    int,
    BeforeValidator(values.count(1, 65535, "12")),
    Flag("partitions N", "Partitions of a topic made by --create-topic.", WHERE),
]
ReplicationFactor = Annotated[
    int,
    BeforeValidator(values.count(1, 32767, "3")),
    Flag(
        "replication-factor N",
        "Copies of each partition of a topic made by --create-topic; as many as there are brokers, up to 3.",
        WHERE,
    ),
]
STORE = Flag("store URL", "Folder of the store: a path, file:///PATH or hdfs://HOST:PORT/PATH.", WHERE)
Compress = Annotated[Literal["none", "gz", "zst"], Flag("compress none|gz|zst", "Compression of the files.", WHERE)]

Users = Annotated[
    int,
    BeforeValidator(values.count(1, MAX_USERS, "50000, 50_000, 50k or 10M")),
    Flag("users N", "Simulated listeners, 1..10,000,000.", HOW_MUCH),
]
Workers = Annotated[
    int,
    BeforeValidator(values.count(1, MAX_WORKERS, "4")),
    Flag("workers N", "Worker processes. Default: the usable cores.", HOW_MUCH),
]
Continuous = Annotated[bool, Flag("continuous", "Run until stopped.", HOW_MUCH)]
Duration = Annotated[
    float | None,
    or_none(values.duration(60, 0.001, 86400 * 36500, "30m, 1m30s or 2h; 30 is minutes")),
    Flag(
        "duration MIN",
        "Wall-clock time: 30m, 1m30s, 2h; a bare number is minutes. Default: 1 if nothing ends it.",
        HOW_MUCH,
        bare="m",
    ),
]
Rate = Annotated[
    Literal["natural", "max"] | float,
    BeforeValidator(values.rate),
    Flag("rate R", "Events per second: natural, max, or a number such as 100k/s or 300/min.", HOW_MUCH),
]
Seed = Annotated[
    int,
    BeforeValidator(values.count(0, 2**64 - 1, "42")),
    Flag("seed N", "Same seed and start, same events, for any number of workers and machines.", WORLD),
]
Tracks = Annotated[
    int, BeforeValidator(values.count(10_558, 20_000_000, "800k")), Flag("tracks N", "Tracks in the catalogue.", WORLD)
]


ReadFormats = Annotated[
    tuple[str, ...],
    BeforeValidator(names.wire_formats),
    Flag(
        "format FORMAT",
        "Events may have this format, too: MODULE:OBJECT (installed ones are known); may be given many times.",
        WHERE_FROM,
    ),
]
ReadFields = Annotated[
    tuple[Any, ...],  # str, or loadgen.formats.Field, whose import takes time
    BeforeValidator(names.event_fields),
    PlainSerializer(names.public_fields, return_type=list[Any]),
    Flag(
        "field FIELD",
        "Events may have this further field: MODULE:OBJECT (installed ones are known); may be given many times.",
        WHERE_FROM,
    ),
]


def now_ms(info: ValidationInfo) -> int | None:
    """What `now` means in this validation, milliseconds since 1970; None is the clock."""
    context: dict[str, Any] = info.context or {}
    return context.get("now_ms")


moment_or_none = BeforeValidator(lambda value, info: None if value is None else values.moment_ms(value, now_ms(info)))
Since = Annotated[
    int | None,
    moment_or_none,
    Flag("since TIME", "Only events of this time and later: 2026-03-01, 2026-03-01T18:00, -1d.", WHERE_FROM),
]
Until = Annotated[int | None, moment_or_none, Flag("until TIME", "Only events before this time.", WHERE_FROM)]

PagePort = Annotated[
    int, BeforeValidator(values.count(0, 65535, "5001")), Flag("port P", "Port of the page; 0 is any free one.", PAGE)
]
PageHost = Annotated[
    str,
    BeforeValidator(names.host),
    Flag("host HOST", "Address of the page; 0.0.0.0 lets every machine in that can reach this one.", PAGE),
]

Config = Annotated[
    Path | None,
    Flag("config FILE", "TOML file of settings: the names of these flags without the dashes in front.", AROUND),
]
JsonSummary = Annotated[bool, Flag("json", "Print a summary as one JSON object to stdout.", AROUND)]
Quiet = Annotated[bool, Flag("quiet", "Show no progress.", AROUND)]
DryRun = Annotated[bool, Flag("dry-run", "Print the resolved settings as a configuration file, and end.", AROUND)]
MetricsPort = Annotated[
    int,
    BeforeValidator(values.count(0, 65535, "9108")),
    Flag("metrics-port P", "Port of the Prometheus endpoint; 0 is off.", AROUND),
]
MetricsHost = Annotated[
    str, BeforeValidator(names.host), Flag("metrics-host HOST", "Address of that endpoint.", AROUND)
]
DrainTimeout = Annotated[
    float,
    BeforeValidator(values.duration(1, 0, 86400, "30 (seconds) or 2m")),
    Flag("drain-timeout S", "Longest wait at the end for events in flight.", AROUND),
]


MEASURED = "What is measured and must be kept"


def _page(value: Any) -> Path:
    path = names.path(value)
    if path.suffix.lower() not in (".html", ".htm", ""):
        raise BadValue("is one page, so it must end in .html", "write for example run.html")
    return path


Shape = Annotated[
    ShapeSpec | None,
    PlainValidator(lambda value: None if value is None else shape_spec(value)),
    PlainSerializer(lambda spec: spec and spec.public()),
    Flag(
        "shape NAME|FILE",
        f"Offered rate over time, as high as --rate: {', '.join(NAMED)}; or a .toml file of phases, or a .csv file of "
        "seconds,events_per_s.",
        HOW_MUCH,
    ),
]
Preview = Annotated[bool, Flag("preview", "Draw the offered rate over time, and end: nothing is sent.", AROUND)]
FindMaxRate = Annotated[
    bool,
    Flag(
        "find-max-rate",
        "Search the highest rate that keeps every --threshold (by default, the schedule): trials of --duration (10s), "
        "from --rate (1k/s) upwards.",
        HOW_MUCH,
    ),
]

Thresholds = Annotated[
    tuple[Annotated[Threshold, PlainValidator(threshold), PlainSerializer(str, return_type=str)], ...],
    BeforeValidator(expressions),
    Flag(
        "threshold EXPR",
        "What the run must keep, or it ends with exit code 1: 'p99(ack) < 50ms over 30s', 'rate >= 0.99 * target', "
        "'failed == 0 abort'; may be given many times.",
        MEASURED,
    ),
]
WarmUp = Annotated[
    float,
    BeforeValidator(values.duration(1, 0, 86400, "10 (seconds) or 2m")),
    Flag("warm-up S", "Leave the first S seconds out of rates, latencies and thresholds.", MEASURED),
]
PercentileLog = Annotated[
    Path | None,
    Flag(
        "percentile-log DIR",
        "Write schedule_lag.hgrm, ack.hgrm and intended_to_ack.hgrm into this folder, for HdrHistogram's plotter.",
        MEASURED,
    ),
]
Report = Annotated[
    Path | None,
    or_none(_page),
    Flag("report FILE.html", "Write one page of figures and charts, which needs no network to open.", MEASURED),
]

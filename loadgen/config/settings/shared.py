"""The settings that several verbs share, each declared once: its type, its parser, its flag.

A verb takes one up as a field (`topic: Topic = DEFAULT_TOPIC`), and may say its help in another way with `Here`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, PlainValidator
from pydantic_core.core_schema import ValidationInfo

from loadgen.config import names, values
from loadgen.config.secrets import KafkaOptions, kafka_options
from loadgen.config.settings.base import AROUND, WHERE, WHERE_FROM, Flag, or_none

DEFAULT_TOPIC = "music-streaming-events"
DEFAULT_STORE = "music_events"

BROKERS = Flag("brokers", "HOST:PORT,…", "Kafka bootstrap servers.", WHERE_FROM)

Topic = Annotated[str, BeforeValidator(names.topic), Flag("topic", "NAME", "Kafka topic; it must exist.", WHERE_FROM)]
KafkaOption = Annotated[
    KafkaOptions,
    PlainValidator(kafka_options),
    PlainSerializer(KafkaOptions.public, return_type=dict[str, str]),
    Flag(
        "kafka-option",
        "K=V",
        "Any librdkafka option; may be given many times. Passwords are better kept from the process list: in "
        "LOADGEN_KAFKA_OPTION_SASL_PASSWORD (for sasl.password) or in --kafka-config.",
        WHERE_FROM,
    ),
]
KafkaConfig = Annotated[
    Path | None,
    or_none(names.path),
    Flag("kafka-config", "FILE", "Properties file (K=V a line) of librdkafka options.", WHERE_FROM),
]
STORE = Flag("store", "URL", "Folder of the store: a path, file:///PATH or hdfs://HOST:PORT/PATH.", WHERE)
Compress = Annotated[
    Literal["none", "gz", "zst"],
    BeforeValidator(values.choice("none", "gz", "zst")),
    Flag("compress", "none|gz|zst", "Compression of the files.", WHERE),
]

Config = Annotated[
    Path | None,
    or_none(names.path),
    Flag("config", "FILE", "TOML file of settings: the names of these flags without the dashes in front.", AROUND),
]
JsonSummary = Annotated[
    bool, BeforeValidator(values.switch), Flag("json", "", "Print a summary as one JSON object to stdout.", AROUND)
]
Quiet = Annotated[bool, BeforeValidator(values.switch), Flag("quiet", "", "Show no progress.", AROUND)]
DryRun = Annotated[
    bool,
    BeforeValidator(values.switch),
    Flag("dry-run", "", "Print the resolved settings as a configuration file, and end.", AROUND),
]
MetricsPort = Annotated[
    int,
    BeforeValidator(values.count(0, 65535, "9108")),
    Flag("metrics-port", "P", "Port of the Prometheus endpoint; 0 is off.", AROUND),
]
MetricsHost = Annotated[
    str, BeforeValidator(names.host), Flag("metrics-host", "HOST", "Address of that endpoint.", AROUND)
]
DrainTimeout = Annotated[
    float,
    BeforeValidator(values.duration(1, 0, 86400, "30 (seconds) or 2m")),
    Flag("drain-timeout", "S", "Longest wait at the end for events in flight.", AROUND),
]


def now_ms(info: ValidationInfo) -> int | None:
    """What `now` means in this validation, milliseconds since 1970; None is the clock."""
    context: dict[str, Any] = info.context or {}
    return context.get("now_ms")

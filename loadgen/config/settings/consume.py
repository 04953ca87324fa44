"""The settings of `loadgen consume` and `loadgen compact`."""

import time
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_core.core_schema import ValidationInfo

from loadgen.config import names, rules, values
from loadgen.config.kafka_options import KafkaOptions
from loadgen.config.registry_options import RegistryOptions
from loadgen.config.rules import Problem
from loadgen.config.settings import shared
from loadgen.config.settings.base import (
    AROUND,
    WHERE,
    WHERE_FROM,
    Flag,
    FlagOverride,
    RequiredMessage,
    Settings,
    or_none,
)

HOW_LONG = "How much at once, how long"


class ConsumeSettings(Settings):
    """The settings of `loadgen consume`.

    `until_idle_s` is None where only a signal ends the consumer; sizes are in bytes, durations in seconds.
    """

    command: ClassVar[str] = "consume"

    brokers: Annotated[
        str,
        BeforeValidator(names.servers),
        shared.BROKERS,
        FlagOverride(needed=RequiredMessage("consume needs a broker", "add --brokers HOST:PORT,…", "localhost:9092")),
    ]
    topic: shared.Topic = shared.DEFAULT_TOPIC
    kafka_option: shared.KafkaOption = Field(default_factory=KafkaOptions)
    kafka_config: shared.KafkaConfig = None
    schema_registry: shared.SchemaRegistry = None
    registry_option: shared.RegistryOption = Field(default_factory=RegistryOptions)
    registry_config: shared.RegistryConfig = None
    group: Annotated[
        str,
        BeforeValidator(names.group),
        Flag("group NAME", "Consumer group: consumers of the same name share the partitions.", WHERE_FROM),
    ] = "loadgen-consume"
    on_gap: Annotated[
        Literal["fail", "continue"],
        Flag(
            "on-gap fail|continue",
            "Where Kafka has lost what must be read next: end with an error, or say how much is missing and go on.",
            WHERE_FROM,
        ),
    ] = "fail"

    store: Annotated[str, BeforeValidator(names.store), shared.STORE] = shared.DEFAULT_STORE
    partition_by: Annotated[
        Literal["event", "ingest"],
        Flag("partition-by event|ingest", "Which day an event is stored under: its own, or the day it came.", WHERE),
    ] = "event"
    file_format: Annotated[
        Literal["jsonl", "parquet", "avro"], Flag("file-format jsonl|parquet|avro", "Format of the files.", WHERE)
    ] = "jsonl"
    compress: shared.Compress = "none"
    format: shared.ReadFormats = ()
    field: shared.ReadFields = ()

    mode: Annotated[
        Literal["batch", "realtime"],
        Flag("mode batch|realtime", "Publish files of many events, or what each poll brings.", HOW_LONG, short="-m"),
    ] = "batch"
    batch_size: Annotated[
        int,
        BeforeValidator(values.count(1, 10**9, "50000 or 50k")),
        Flag("batch-size N", "Events of a Kafka partition after which its files are published.", HOW_LONG, short="-b"),
    ] = 50_000
    rotate_interval_s: Annotated[
        float,
        BeforeValidator(values.duration(1, 0.1, 7 * 86400, "60 (seconds) or 5m")),
        Flag("rotate-interval S", "Publish at least this often, also when nothing more arrives.", HOW_LONG),
    ] = 60.0
    max_file_bytes: Annotated[
        int,
        BeforeValidator(values.size(1 << 10, 1 << 40, "128M or 64k")),
        Flag("max-file-size SIZE", "Publish a file that has grown to this: 64k, 1G. Default: 128M.", HOW_LONG),
    ] = 128 << 20
    until_idle_s: Annotated[
        float | None,
        or_none(values.duration(1, 0.1, 7 * 86400, "10 (seconds) or 2m")),
        Flag("until-idle S", "End when everything is stored and nothing has come for S seconds.", HOW_LONG),
    ] = None
    continuous: Annotated[
        bool, Flag("continuous", "Go on until stopped. Default, unless there is --until-idle.", HOW_LONG)
    ] = Field(default_factory=lambda given: given.get("until_idle_s") is None)

    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: shared.Quiet = False
    dry_run: shared.DryRun = False
    metrics_port: shared.MetricsPort = 9109
    metrics_host: shared.MetricsHost = "127.0.0.1"
    drain_timeout_s: Annotated[
        shared.DrainTimeout, FlagOverride("Longest wait at the end for what is read and not yet stored.", AROUND)
    ] = 30.0

    @property
    def goes_on(self) -> bool:
        """Whether only a signal ends it."""
        return self.until_idle_s is None

    def broken_rules(self) -> Iterator[Problem]:
        return rules.of_consume(self)


DAY_S = 86400


def _day(value: Any, info: ValidationInfo) -> int:
    return values.day(value, shared.now_ms(info))


class CompactSettings(Settings):
    """The settings of `loadgen compact`.

    `until_day` is the last day that is compacted, in days since 1970 (UTC).
    """

    command: ClassVar[str] = "compact"

    store: Annotated[
        str,
        BeforeValidator(names.store),
        Flag(
            "store STORE",
            "Folder that loadgen consume writes: a path, file:///PATH or hdfs://HOST:PORT/PATH.",
            WHERE,
            is_positional=True,
            needed=RequiredMessage("compact needs a store", "name it: loadgen compact music_events", "music_events"),
        ),
    ]
    until_day: Annotated[
        int,
        BeforeValidator(_day),
        Flag("until DATE", "The last day whose files are merged (UTC). Default: yesterday.", AROUND),
    ] = Field(default_factory=lambda: int(time.time()) // DAY_S - 1)
    grace_s: Annotated[
        float,
        BeforeValidator(values.duration(1, 0, 30 * DAY_S, "60 (seconds) or 5m")),
        Flag("grace S", "How long readers get until a later call removes what was merged.", AROUND),
    ] = 60.0
    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: Annotated[shared.Quiet, FlagOverride("Show no progress.")] = False

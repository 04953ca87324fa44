"""The settings of `loadgen verify` and `loadgen doctor`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from loadgen.config import names, rules, values
from loadgen.config.kafka_options import KafkaOptions
from loadgen.config.registry_options import RegistryOptions
from loadgen.config.rules import Problem
from loadgen.config.settings import shared
from loadgen.config.settings.base import AROUND, WHERE_FROM, Flag, FlagOverride, RequiredMessage, Settings, or_none

VERIFIED = "What is verified"
NEEDED = RequiredMessage(
    "verify needs a manifest", "name the file that loadgen run wrote: loadgen_runs/<run id>.json", "manifest.json"
)


class VerifySettings(Settings):
    """The settings of `loadgen verify`: manifests, and the one place to compare them with.

    Exactly one of `brokers` (with `topic`), `store` and `files` is given; the other two are None and ().
    """

    command: ClassVar[str] = "verify"
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("brokers", "topic"), ("store",), ("files",))

    manifests: Annotated[
        tuple[Path, ...],
        BeforeValidator(names.some(names.paths, "must name at least one file", NEEDED.next_step)),
        Flag(
            "manifests MANIFEST…",
            "Manifests of a run, or of all shards of one: loadgen_runs/<run id>.json.",
            VERIFIED,
            is_positional=True,
            needed=NEEDED,
        ),
    ]
    brokers: Annotated[str | None, or_none(names.servers), shared.BROKERS] = None
    topic: Annotated[
        str | None,
        or_none(names.topic),
        Flag("topic NAME", "Kafka topic; default: that of the run, or all of its --topic-map.", WHERE_FROM),
    ] = None
    kafka_option: shared.KafkaOption = Field(default_factory=KafkaOptions)
    kafka_config: shared.KafkaConfig = None
    schema_registry: shared.SchemaRegistry = None
    registry_option: shared.RegistryOption = Field(default_factory=RegistryOptions)
    registry_config: shared.RegistryConfig = None
    store: Annotated[
        str | None,
        or_none(names.store),
        shared.STORE,
        FlagOverride("Folder that loadgen consume wrote: a path, file:///PATH or hdfs://HOST:PORT/PATH.", WHERE_FROM),
    ] = None
    files: Annotated[
        tuple[str, ...],
        BeforeValidator(names.path_texts),
        Flag("files PATH…", "JSON lines files, or folders of them.", WHERE_FROM),
    ] = ()

    isolation: Annotated[
        Literal["read_committed", "read_uncommitted"],
        Flag(
            "isolation read_committed|read_uncommitted",
            "What readers of a transactional run's events see: without or with aborted ones.",
            WHERE_FROM,
        ),
    ] = "read_committed"
    repartitioned: Annotated[
        bool, Flag("repartitioned", "Another system has put events into other partitions on purpose.", WHERE_FROM)
    ] = False

    through: Annotated[
        bool,
        Flag(
            "through",
            "The topic is what came out of a system under test (default: the run's --watch-topic): events are "
            "recognised by their header, and values may be others.",
            WHERE_FROM,
        ),
    ] = False

    show: Annotated[
        int,
        BeforeValidator(values.count(0, 1_000_000, "5")),
        Flag("show N", "How many events of each kind of difference are named.", AROUND),
    ] = 5
    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: shared.Quiet = False

    def broken_rules(self) -> Iterator[Problem]:
        return rules.of_verify(self)


CHECKED = "What is checked"


class DoctorSettings(Settings):
    """The settings of `loadgen doctor`; `brokers` and `store` are None where none is to be checked."""

    command: ClassVar[str] = "doctor"

    brokers: Annotated[
        str | None,
        or_none(names.brokers),
        shared.BROKERS,
        FlagOverride("Kafka bootstrap servers. Default: a test broker in memory, of the doctor's own.", CHECKED),
    ] = None
    topic: Annotated[shared.Topic, FlagOverride("Kafka topic to look at, where there are --brokers.", CHECKED)] = (
        shared.DEFAULT_TOPIC
    )
    kafka_option: Annotated[shared.KafkaOption, FlagOverride(panel=CHECKED)] = Field(default_factory=KafkaOptions)
    kafka_config: Annotated[shared.KafkaConfig, FlagOverride(panel=CHECKED)] = None
    schema_registry: Annotated[shared.SchemaRegistry, FlagOverride(panel=CHECKED)] = None
    registry_option: Annotated[shared.RegistryOption, FlagOverride(panel=CHECKED)] = Field(
        default_factory=RegistryOptions
    )
    registry_config: Annotated[shared.RegistryConfig, FlagOverride(panel=CHECKED)] = None
    store: Annotated[
        str | None,
        or_none(names.store),
        shared.STORE,
        FlagOverride(
            "Store to try: a path, file:///PATH or hdfs://HOST:PORT/PATH. Default: a temporary folder.", CHECKED
        ),
    ] = None
    port: Annotated[
        int,
        BeforeValidator(values.count(1, 65535, "5001")),
        Flag("port P", "Port of the dashboard, to be free.", CHECKED),
    ] = shared.DEFAULT_PORT

    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: Annotated[shared.Quiet, FlagOverride("Show only what is wrong.")] = False

    @property
    def embedded(self) -> bool:
        """Whether there is no real broker to check."""
        return self.brokers in (None, "embedded")

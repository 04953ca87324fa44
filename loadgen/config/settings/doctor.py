"""DoctorSettings: everything that `loadgen doctor` can be told."""

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from loadgen.config import names, values
from loadgen.config.secrets import KafkaOptions
from loadgen.config.settings import shared
from loadgen.config.settings.base import Flag, Here, Settings, or_none

WHAT = "What is checked"


class DoctorSettings(Settings):
    """The settings of `loadgen doctor`; `brokers` and `store` are None where none is to be checked."""

    verb: ClassVar[str] = "doctor"

    brokers: Annotated[
        str | None,
        or_none(names.brokers),
        shared.BROKERS,
        Here("Kafka bootstrap servers. Default: a test broker in memory, of the doctor's own.", WHAT),
    ] = None
    topic: Annotated[shared.Topic, Here("Kafka topic to look at, where there are --brokers.", WHAT)] = (
        shared.DEFAULT_TOPIC
    )
    kafka_option: Annotated[shared.KafkaOption, Here(panel=WHAT)] = Field(default_factory=KafkaOptions)
    kafka_config: Annotated[shared.KafkaConfig, Here(panel=WHAT)] = None
    store: Annotated[
        str | None,
        or_none(names.store),
        shared.STORE,
        Here("Store to try: a path, file:///PATH or hdfs://HOST:PORT/PATH. Default: a temporary folder.", WHAT),
    ] = None
    port: Annotated[
        int,
        BeforeValidator(values.count(1, 65535, "5001")),
        Flag("port", "P", "Port of the dashboard, to be free.", WHAT),
    ] = shared.DEFAULT_PORT

    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: Annotated[shared.Quiet, Here("Show only what is wrong.")] = False

    @property
    def embedded(self) -> bool:
        """Whether there is no real broker to check."""
        return self.brokers in (None, "embedded")

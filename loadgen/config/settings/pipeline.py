"""The settings of `loadgen pipeline`."""

import sys
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from loadgen.config import names, values
from loadgen.config.kafka_options import KafkaOptions
from loadgen.config.registry_options import RegistryOptions
from loadgen.config.rules import Problem
from loadgen.config.settings import shared
from loadgen.config.settings.base import AROUND, HOW_MUCH, WHERE, Flag, FlagOverride, Settings, or_none

THROUGH = "Which way the events go"


class PipelineSettings(Settings):
    """The settings of `loadgen pipeline`.

    `brokers` is None where the pipeline brings its own; `duration_min` is in minutes, None where only a signal ends it.
    """

    command: ClassVar[str] = "pipeline"

    users: Annotated[shared.Users, FlagOverride("Simulated listeners; 10,000 cause about 100 events/s.")] = 10_000
    duration_min: Annotated[
        shared.Duration, FlagOverride("How long events are made: 30m, 1m30s, 2h; a bare number is minutes.")
    ] = None
    continuous: Annotated[
        shared.Continuous, FlagOverride("Go on until Ctrl-C. Default, unless there is --duration.")
    ] = Field(default_factory=lambda given: given.get("duration_min") is None)
    rate: Annotated[
        shared.Rate, FlagOverride("Events per second: natural, max (not without --brokers), or a number.")
    ] = "natural"
    workers: Annotated[
        shared.Workers, FlagOverride("Worker processes of the producer; one can do 100,000 events/s.")
    ] = 1
    seed: Annotated[
        shared.Seed, FlagOverride("Of the first producer; one that has to be started again takes the next.", HOW_MUCH)
    ] = 1
    tracks: Annotated[shared.Tracks, FlagOverride(panel=HOW_MUCH)] = shared.DEFAULT_TRACKS

    brokers: Annotated[
        str | None,
        or_none(names.brokers),
        shared.BROKERS,
        FlagOverride("Kafka bootstrap servers. Default: a test broker in memory, of the pipeline's own.", THROUGH),
    ] = None
    topic: Annotated[
        shared.Topic, FlagOverride("Kafka topic; it must exist, unless there is --create-topic.", THROUGH)
    ] = shared.DEFAULT_TOPIC
    create_topic: Annotated[shared.CreateTopic, FlagOverride(panel=THROUGH)] = False
    partitions: Annotated[shared.Partitions, FlagOverride(panel=THROUGH)] = 12
    replication_factor: Annotated[shared.ReplicationFactor, FlagOverride(panel=THROUGH)] = 3
    kafka_option: Annotated[shared.KafkaOption, FlagOverride(panel=THROUGH)] = Field(default_factory=KafkaOptions)
    kafka_config: Annotated[shared.KafkaConfig, FlagOverride(panel=THROUGH)] = None
    encoding: Annotated[shared.Encoding, FlagOverride(panel=THROUGH)] = "json"
    schema_registry: Annotated[shared.SchemaRegistry, FlagOverride(panel=THROUGH)] = None
    registry_option: Annotated[shared.RegistryOption, FlagOverride(panel=THROUGH)] = Field(
        default_factory=RegistryOptions
    )
    registry_config: Annotated[shared.RegistryConfig, FlagOverride(panel=THROUGH)] = None
    group: Annotated[
        str | None,
        or_none(names.group),
        Flag("group NAME", "Consumer group. Default: one per topic and store.", THROUGH),
    ] = None
    store: Annotated[str, BeforeValidator(names.store), shared.STORE] = shared.DEFAULT_STORE
    rotate_interval_s: Annotated[
        float,
        BeforeValidator(values.duration(1, 0.1, 7 * 86400, "60 (seconds) or 5m")),
        Flag("rotate-interval S", "Publish what is consumed at least this often: how fresh the page is.", WHERE),
    ] = 2.0

    port: Annotated[
        int, BeforeValidator(values.count(1, 65535, "5001")), Flag("port P", "Port of the dashboard.", shared.PAGE)
    ] = shared.DEFAULT_PORT
    host: shared.PageHost = "127.0.0.1"
    stay: Annotated[
        bool,
        Flag("stay", "Serve the page until Ctrl-C after --duration. Default, if stdin is a terminal.", shared.PAGE),
    ] = Field(default_factory=lambda: sys.stdin is not None and sys.stdin.isatty())

    drain_timeout_s: Annotated[
        shared.DrainTimeout, FlagOverride("Longest wait at the end in which nothing more is stored.", AROUND)
    ] = 60.0
    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: Annotated[shared.Quiet, FlagOverride("Show problems and the result only.")] = False
    dry_run: shared.DryRun = False

    def broken_rules(self) -> Iterator[Problem]:
        """Every broken rule of `loadgen pipeline`."""
        if self.continuous and self.duration_min is not None:
            step = "keep one of the two (--no-continuous overrides a file)"
            yield self.problem("a continuous pipeline has no end of its own", "continuous duration_min", step)
        if not self.continuous and self.duration_min is None:
            rule = "a pipeline that is not continuous needs an end"
            yield self.problem(rule, "continuous duration_min", "add --duration MIN")
        if self.workers > min(self.users, 256):
            rule = f"workers must be 1..{min(self.users, 256)} (no more than users, no more than 256)"
            yield self.problem(rule, "workers users", "lower --workers")
        if self.encoding != "json" and self.schema_registry is None:
            step = "add --schema-registry http://HOST:PORT, or --encoding json"
            yield self.problem("an encoding with a schema needs a schema registry", "encoding schema_registry", step)
        if self.embedded and self.create_topic:
            yield self.problem("create-topic needs a broker", "create_topic brokers", "add --brokers HOST:PORT")
        if self.embedded and self.rate == "max":
            step = "name a rate such as 2000/s, or add --brokers HOST:PORT"
            yield self.problem("the test broker in memory keeps 5 MiB of each partition", "rate brokers", step)

    @property
    def goes_on(self) -> bool:
        """Whether only a signal ends it."""
        return self.duration_min is None

    @property
    def embedded(self) -> bool:
        """Whether the pipeline brings its own broker."""
        return self.brokers in (None, "embedded")

    @property
    def duration_s(self) -> float | None:
        """Seconds of events; None if only a signal ends it."""
        return None if self.duration_min is None else self.duration_min * 60

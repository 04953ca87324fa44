"""The settings of the commands that show what is in events: `analyze`, `realism`, `compare`, `dashboard`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator

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
from loadgen.config.thresholds import Regression, expressions, regression
from loadgen.config.values import BadValue

DEFAULT_OUT = Path("analysis")
_stores = names.some(names.stores, "must name at least one store or file", "write for example music_events")


class AnalyzeSettings(Settings):
    """The settings of `loadgen analyze`.

    `since_ms` and `until_ms` are times of events, milliseconds since 1970: those from `since_ms` on and before
    `until_ms` count; None is no limit.
    """

    command: ClassVar[str] = "analyze"

    stores: Annotated[
        tuple[str, ...],
        BeforeValidator(_stores),
        Flag(
            "stores STORE…",
            "Folders that loadgen consume or loadgen run wrote (a path, file:///PATH, hdfs://HOST:PORT/PATH), or "
            "single files: .jsonl, .jsonl.gz, .jsonl.zst, .parquet, .avro. Default: music_events.",
            WHERE_FROM,
            is_positional=True,
        ),
    ] = (shared.DEFAULT_STORE,)
    since_ms: shared.Since = None
    until_ms: shared.Until = None
    format: shared.ReadFormats = ()

    out: Annotated[
        Path, Flag("out DIR", "Folder for the report, the tables and the charts. Default: analysis.", WHERE)
    ] = DEFAULT_OUT
    top: Annotated[
        int,
        BeforeValidator(values.count(1, 1000, "10")),
        Flag("top N", "How many names the lists of the report have.", AROUND),
    ] = 10
    charts: Annotated[bool, Flag("charts", "Draw charts; --no-charts leaves them out.", AROUND)] = True
    config: shared.Config = None
    json_summary: Annotated[
        shared.JsonSummary, FlagOverride("Print the figures as one JSON object to stdout, in place of the report.")
    ] = False
    quiet: shared.Quiet = False

    def broken_rules(self) -> Iterator[Problem]:
        """Every broken rule of `loadgen analyze`."""
        yield from rules.of_interval(self.since_ms, self.until_ms)


TARGETS = "What they are held against"


def _picture(value: Any) -> Path | None:
    if value is None:
        return None
    path = names.path(value)
    if path.suffix.lower() not in (".html", ".htm", ".png"):
        raise BadValue("must end in .html or .png", "write for example realism.html")
    return path


class RealismSettings(Settings):
    """The settings of `loadgen realism`.

    Either `stores` names what is read, or `brokers` and `topic` do. `since_ms` and `until_ms` are times of events,
    milliseconds since 1970: those from `since_ms` on and before `until_ms` count; None is no limit.
    """

    command: ClassVar[str] = "realism"
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("stores",), ("brokers", "topic"))

    stores: Annotated[
        tuple[str, ...],
        BeforeValidator(names.stores),
        Flag(
            "stores FILE|STORE…",
            "Files of events (.jsonl, .jsonl.gz, .jsonl.zst, .parquet, .avro), or folders that loadgen consume or "
            "loadgen run wrote (a path, file:///PATH, hdfs://HOST:PORT/PATH). Default: music_events.",
            WHERE_FROM,
            is_positional=True,
        ),
    ] = ()
    brokers: Annotated[str | None, or_none(names.servers), shared.BROKERS] = None
    topic: shared.Topic = shared.DEFAULT_TOPIC
    kafka_option: shared.KafkaOption = Field(default_factory=KafkaOptions)
    kafka_config: shared.KafkaConfig = None
    schema_registry: shared.SchemaRegistry = None
    registry_option: shared.RegistryOption = Field(default_factory=RegistryOptions)
    registry_config: shared.RegistryConfig = None
    since_ms: shared.Since = None
    until_ms: shared.Until = None
    format: shared.ReadFormats = ()

    targets: Annotated[
        Path | None,
        Flag("targets FILE", "TOML file of targets in place of the shipped ones, which are its example.", TARGETS),
    ] = None
    report: Annotated[
        Path | None,
        BeforeValidator(_picture),
        Flag("report FILE", "Curves over the published points: one page (.html), or one picture (.png).", WHERE),
    ] = None
    config: shared.Config = None
    json_summary: Annotated[
        shared.JsonSummary, FlagOverride("Print a JSON list to stdout, an object per number, in place of the report.")
    ] = False
    quiet: shared.Quiet = False

    def broken_rules(self) -> Iterator[Problem]:
        """Every broken rule of `loadgen realism`."""
        if self.brokers and self.stores:
            yield self.problem("realism reads one place", "brokers stores", "keep one of the two")
        yield from rules.of_interval(self.since_ms, self.until_ms)


COMPARED = "What is compared"
NEXT_STEP = "name two files that loadgen run wrote: A.json B.json"
NEEDED = RequiredMessage("compare needs two runs", NEXT_STEP, "A.json\nB.json")


class CompareSettings(Settings):
    """The settings of `loadgen compare`: two files, each a manifest or what `loadgen run --json` printed."""

    command: ClassVar[str] = "compare"

    runs: Annotated[
        tuple[Path, ...],
        BeforeValidator(names.some(names.paths, "must name two files", NEXT_STEP, 2)),
        Flag(
            "runs A.json B.json",
            "Two runs: manifests (loadgen_runs/<run id>.json), or files with what loadgen run --json printed.",
            COMPARED,
            is_positional=True,
            needed=NEEDED,
        ),
    ]

    fail_if: Annotated[
        tuple[Annotated[Regression, PlainValidator(regression), PlainSerializer(str, return_type=str)], ...],
        BeforeValidator(expressions),
        Flag(
            "fail-if EXPR",
            "Exit with code 1 where B differs from A like this: 'p99(latency) > +10%', 'rate < -5%', 'failed > +0%'; "
            "may be given many times.",
            COMPARED,
        ),
    ] = ()
    config: shared.Config = None
    json_summary: Annotated[shared.JsonSummary, FlagOverride("Print the figures as one JSON object to stdout.")] = False
    report: Annotated[shared.Report, FlagOverride("Write one page with both runs laid over each other.", AROUND)] = None

    def broken_rules(self) -> Iterator[Problem]:
        """Every broken rule of `loadgen compare`."""
        if self.report in self.runs:
            values = {"report": self.report, "runs": " ".join(map(str, self.runs))}
            yield Problem("report must be another file than the runs", values, "name another file: compared.html")


class DashboardSettings(Settings):
    """The settings of `loadgen dashboard`.

    One of `brokers` (with `topic`) and `store` is where the events come from; the other is None.
    """

    command: ClassVar[str] = "dashboard"
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("brokers", "topic"), ("store",))

    brokers: Annotated[
        str | None,
        or_none(names.servers),
        shared.BROKERS,
        FlagOverride("Kafka bootstrap servers: show the topic itself, seconds fresh, instead of what is stored."),
    ] = None
    topic: shared.Topic = shared.DEFAULT_TOPIC
    kafka_option: shared.KafkaOption = Field(default_factory=KafkaOptions)
    kafka_config: shared.KafkaConfig = None
    schema_registry: shared.SchemaRegistry = None
    registry_option: shared.RegistryOption = Field(default_factory=RegistryOptions)
    registry_config: shared.RegistryConfig = None
    begin: Annotated[
        Literal["recent", "beginning", "end"],
        Flag(
            "from recent|beginning|end",
            "Where in the topic to begin: with its last 100,000 messages, its first one, or what comes from now on.",
            WHERE_FROM,
        ),
    ] = "recent"
    store: Annotated[
        str | None,
        or_none(names.store),
        shared.STORE,
        FlagOverride(
            "Folder of the store: a path, file:///PATH or hdfs://HOST:PORT/PATH. Default: music_events, unless there "
            "is --brokers.",
            WHERE_FROM,
        ),
    ] = Field(default_factory=lambda given: None if given.get("brokers") else shared.DEFAULT_STORE)
    format: shared.ReadFormats = ()

    flow: Annotated[
        Path | None,
        Flag(
            "flow FILE",
            "File in which a pipeline says how many events it has sent and stored, and its consumer lag, for the page "
            "to show; loadgen pipeline gives it to its own dashboard.",
            WHERE_FROM,
        ),
    ] = None

    port: shared.PagePort = shared.DEFAULT_PORT
    host: shared.PageHost = "127.0.0.1"

    config: shared.Config = None
    json_summary: Annotated[
        shared.JsonSummary, FlagOverride("Print where the page is as one JSON object to stdout, once it answers.")
    ] = False
    quiet: Annotated[shared.Quiet, FlagOverride("Say nothing but where the page is.")] = False

    @property
    def goes_on(self) -> bool:
        """True: only a signal ends it."""
        return True

    def broken_rules(self) -> Iterator[Problem]:
        """Every broken rule of `loadgen dashboard`."""
        if self.brokers is not None and self.store is not None:
            yield self.problem("dashboard shows one place", "brokers store", "keep one of the two")
        if self.brokers is None and self.topic != type(self).model_fields["topic"].default:
            step = "add --brokers HOST:PORT, or leave out --topic"
            yield self.problem("a topic needs brokers", "topic brokers", step)

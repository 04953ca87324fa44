"""VerifySettings: everything that `loadgen verify` can be told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from loadgen.config import names, rules, values
from loadgen.config.rules import Problem
from loadgen.config.secrets import KafkaOptions
from loadgen.config.settings import shared
from loadgen.config.settings.base import AROUND, WHERE_FROM, Flag, Here, Needed, Settings, or_none
from loadgen.config.values import BadValue

WHAT = "What is verified"
NEEDED = Needed(
    "verify needs a manifest", "name the file that loadgen run wrote: loadgen_runs/<run id>.json", "manifest.json"
)


def _manifests(value: Any) -> tuple[Path, ...]:
    found = names.paths(value)
    if not found:
        raise BadValue("must name at least one file", NEEDED.next_step)
    return found


class VerifySettings(Settings):
    """The settings of `loadgen verify`: manifests, and the one place to compare them with.

    Exactly one of `brokers` (with `topic`), `store` and `files` is given; the other two are None and ().
    """

    verb: ClassVar[str] = "verify"
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("brokers", "topic"), ("store",), ("files",))

    manifests: Annotated[
        tuple[Path, ...],
        BeforeValidator(_manifests),
        Flag(
            "manifests",
            "MANIFEST…",
            "Manifests of a run, or of all shards of one: loadgen_runs/<run id>.json.",
            WHAT,
            is_word=True,
            needed=NEEDED,
        ),
    ]
    brokers: Annotated[str | None, or_none(names.servers), shared.BROKERS] = None
    topic: shared.Topic = shared.DEFAULT_TOPIC
    kafka_option: shared.KafkaOption = Field(default_factory=KafkaOptions)
    kafka_config: shared.KafkaConfig = None
    store: Annotated[
        str | None,
        or_none(names.store),
        shared.STORE,
        Here("Folder that loadgen consume wrote: a path, file:///PATH or hdfs://HOST:PORT/PATH.", WHERE_FROM),
    ] = None
    files: Annotated[
        tuple[str, ...],
        BeforeValidator(names.path_texts),
        Flag("files", "PATH…", "JSON lines files, or folders of them.", WHERE_FROM),
    ] = ()

    repartitioned: Annotated[
        bool,
        BeforeValidator(values.switch),
        Flag("repartitioned", "", "Another system has put events into other partitions on purpose.", WHERE_FROM),
    ] = False

    show: Annotated[
        int,
        BeforeValidator(values.count(0, 1_000_000, "5")),
        Flag("show", "N", "How many events of each kind of difference are named.", AROUND),
    ] = 5
    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: shared.Quiet = False

    def broken_rules(self) -> Iterator[Problem]:
        return rules.of_verify(self)

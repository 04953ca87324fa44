"""RealismSettings: everything that `loadgen realism` can be told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from loadgen.config import names, rules
from loadgen.config.rules import Problem
from loadgen.config.secrets import KafkaOptions
from loadgen.config.settings import shared
from loadgen.config.settings.base import WHERE, WHERE_FROM, Flag, Here, Settings, or_none
from loadgen.config.values import BadValue

WHAT = "What they are held against"


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

    verb: ClassVar[str] = "realism"
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("stores",), ("brokers", "topic"))

    stores: Annotated[
        tuple[str, ...],
        BeforeValidator(names.stores),
        Flag(
            "stores",
            "FILE|STORE…",
            "Files of events (.jsonl, .jsonl.gz, .jsonl.zst, .parquet), or folders that loadgen consume or loadgen run "
            "wrote (a path, file:///PATH, hdfs://HOST:PORT/PATH). Default: music_events.",
            WHERE_FROM,
            is_word=True,
        ),
    ] = ()
    brokers: Annotated[str | None, or_none(names.servers), shared.BROKERS] = None
    topic: shared.Topic = shared.DEFAULT_TOPIC
    kafka_option: shared.KafkaOption = Field(default_factory=KafkaOptions)
    kafka_config: shared.KafkaConfig = None
    since_ms: shared.Since = None
    until_ms: shared.Until = None

    targets: Annotated[
        Path | None,
        or_none(names.path),
        Flag("targets", "FILE", "TOML file of targets in place of the shipped ones, which are its example.", WHAT),
    ] = None
    report: Annotated[
        Path | None,
        BeforeValidator(_picture),
        Flag("report", "FILE", "Curves over the published points: one page (.html), or one picture (.png).", WHERE),
    ] = None
    config: shared.Config = None
    json_summary: Annotated[
        shared.JsonSummary, Here("Print a JSON list to stdout, an object per number, in place of the report.")
    ] = False
    quiet: shared.Quiet = False

    def broken_rules(self) -> Iterator[Problem]:
        """One place; an interval with an inside."""
        if self.brokers and self.stores:
            yield Problem(
                "realism reads one place", {"brokers": self.brokers, "stores": self.stores}, "keep one of the two"
            )
        yield from rules.of_interval(self.since_ms, self.until_ms)

"""DashboardSettings: everything that `loadgen dashboard` can be told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from loadgen.config import names, values
from loadgen.config.rules import Problem
from loadgen.config.secrets import KafkaOptions
from loadgen.config.settings import shared
from loadgen.config.settings.base import WHERE_FROM, Flag, Here, Settings, or_none


def _default_store(given: dict[str, Any]) -> str | None:
    return None if given.get("brokers") else shared.DEFAULT_STORE


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
        Here("Kafka bootstrap servers: show the topic itself, seconds fresh, instead of what is stored."),
    ] = None
    topic: shared.Topic = shared.DEFAULT_TOPIC
    kafka_option: shared.KafkaOption = Field(default_factory=KafkaOptions)
    kafka_config: shared.KafkaConfig = None
    begin: Annotated[
        Literal["recent", "beginning", "end"],
        BeforeValidator(values.choice("recent", "beginning", "end")),
        Flag(
            "from",
            "recent|beginning|end",
            "Where in the topic to begin: with its last 100,000 messages, its first one, or what comes from now on.",
            WHERE_FROM,
        ),
    ] = "recent"
    store: Annotated[
        str | None,
        or_none(names.store),
        shared.STORE,
        Here(
            "Folder of the store: a path, file:///PATH or hdfs://HOST:PORT/PATH. Default: music_events, unless there "
            "is --brokers.",
            WHERE_FROM,
        ),
    ] = Field(default_factory=_default_store)

    flow: Annotated[
        Path | None,
        or_none(names.path),
        Flag(
            "flow",
            "FILE",
            "File in which a pipeline says how many events it has sent and stored, and its consumer lag, for the page "
            "to show; loadgen pipeline gives it to its own dashboard.",
            WHERE_FROM,
        ),
    ] = None

    port: shared.PagePort = shared.DEFAULT_PORT
    host: shared.PageHost = "127.0.0.1"

    config: shared.Config = None
    json_summary: Annotated[
        shared.JsonSummary, Here("Print where the page is as one JSON object to stdout, once it answers.")
    ] = False
    quiet: Annotated[shared.Quiet, Here("Say nothing but where the page is.")] = False

    @property
    def goes_on(self) -> bool:
        """Whether nothing but a signal ends it: always."""
        return True

    def broken_rules(self) -> Iterator[Problem]:
        """Not two places; no topic without brokers."""
        if self.brokers is not None and self.store is not None:
            places = {"brokers": self.brokers, "store": self.store}
            yield Problem("dashboard shows one place", places, "keep one of the two")
        if self.brokers is None and self.topic != type(self).model_fields["topic"].default:
            got = {"topic": self.topic, "brokers": self.brokers}
            yield Problem("a topic needs brokers", got, "add --brokers HOST:PORT, or leave out --topic")

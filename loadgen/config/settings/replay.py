"""The settings of `loadgen replay`: those of a run, except that its events are recorded, not simulated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core.core_schema import ValidationInfo

from loadgen.config import names, rules, values
from loadgen.config.crowds import of_crowds
from loadgen.config.rules import Problem
from loadgen.config.settings import shared
from loadgen.config.settings.base import HOW_MUCH, WHERE, WHERE_FROM, Flag, FlagOverride, RequiredMessage, or_none
from loadgen.config.settings.run import RunSettings
from loadgen.config.values import BadValue

NEEDED = RequiredMessage(
    "replay needs a source", "name files, a store, or a topic as kafka://HOST:PORT/TOPIC", "events.jsonl"
)
LONGEST_S = 86400 * 36500
LEAST_SPEED, MOST_SPEED = 0.000_001, 1_000_000


def _start(value: Any, info: ValidationInfo) -> float | int:
    """A moment as an int, ms since 1970; a length of time as a float, seconds."""
    length_s = values.duration_s(value, 1.0)
    if length_s is not None:
        if not 0 <= length_s <= LONGEST_S:
            raise BadValue("must be a length of time from 0 s on, or a moment", "write for example 10m")
        return float(length_s)
    try:
        return values.moment_ms(value, shared.now_ms(info))
    except BadValue:
        rule = "must be a moment between 1970 and 2200, or a length of time after the first event"
        raise BadValue(rule, "write for example 2026-03-01T18:00 or 10m") from None


def _speed(value: Any) -> float:
    number = values.read_number(value)
    if number is None or not LEAST_SPEED <= number <= MOST_SPEED:
        raise BadValue(f"must be a number {LEAST_SPEED:.6f}..{MOST_SPEED:,}", "write for example 2")
    return float(number)


def _say_start(start: float | int | None) -> str | None:
    if start is None:
        return None
    return values.say_moment(start) if isinstance(start, int) else values.say_duration(start)


class ReplaySettings(RunSettings):
    """The settings of `loadgen replay`.

    `start` is a float, seconds after the first event, or an int, ms since 1970. Fields without a flag are fixed.
    """

    command: ClassVar[str] = "replay"
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()
    inherited: ClassVar[frozenset[str] | None] = frozenset(
        (
            *("brokers", "topic", "create_topic", "partitions", "replication_factor", "kafka_option", "kafka_config"),
            *("output", "discard", "sink", "overwrite", "compress", "events", "max_lag_s"),
            *("watch_group", "watch_topic", "watch_brokers", "watch_late_s", "wait_caught_up_s"),
            *("threshold", "warm_up_s", "percentile_log", "report"),
            *("config", "json_summary", "quiet", "dry_run", "manifest"),
            *("metrics_port", "metrics_host", "drain_timeout_s"),
        )
    )

    sources: Annotated[
        tuple[str, ...],
        BeforeValidator(names.some(names.recordings, "must name at least one source", NEEDED.next_step)),
        Flag(
            "sources SOURCE…",
            "Files of JSON lines (also .gz, .zst), Parquet or Avro; folders of them and stores of loadgen consume (a "
            "path, hdfs://HOST:PORT/PATH); or one topic, kafka://HOST:PORT/TOPIC.",
            WHERE_FROM,
            is_positional=True,
            needed=NEEDED,
        ),
    ]
    time_field: Annotated[
        str | None,
        or_none(names.field_name),
        Flag(
            "time-field NAME",
            "Field with the time of an event: seconds, ms, µs or ns since 1970, or ISO 8601. Default: ts, or "
            "timestamp; of a topic its messages' timestamps.",
            WHERE_FROM,
        ),
    ] = None
    key_field: Annotated[
        str | None,
        or_none(names.field_name),
        Flag(
            "key-field NAME",
            "Field with the key of a message. Default: userId, or user; of a topic its messages' keys.",
            WHERE_FROM,
        ),
    ] = None
    message_time: Annotated[
        Literal["recorded", "now"],
        Flag("message-time recorded|now", "Timestamp of Kafka messages: the event's own, or when it is due.", WHERE),
    ] = "recorded"
    folder: Annotated[
        Path | None, Flag("folder DIR", "Lines by date in this folder; a run's own files, beside others.", WHERE)
    ] = None

    speed: Annotated[
        float,
        BeforeValidator(_speed),
        Flag("speed X", "Recorded seconds per wall-clock second.", HOW_MUCH),
    ] = 1.0
    start: Annotated[
        float | int | None,
        BeforeValidator(lambda value, info: None if value is None else _start(value, info)),
        PlainSerializer(_say_start),
        Flag("start T", "Skip events before this moment, or of this length of time: 2026-03-01T18:00, 10m.", HOW_MUCH),
    ] = None
    loop: Annotated[
        bool, Flag("loop", "Begin again at the end, with all times shifted, until something else ends it.", HOW_MUCH)
    ] = False
    duration_min: Annotated[
        shared.Duration,
        FlagOverride("Wall-clock time: 30m, 1m30s, 2h; a bare number is minutes. Default: to the end of the source."),
    ] = None

    workers: int = 1
    on_worker_death: Literal["restart", "fail"] = "fail"

    def broken_rules(self) -> Iterator[Problem]:
        yield from rules.of_replay(self)
        yield from of_crowds(self)  # there are none

    @property
    def goes_on(self) -> bool:
        return self.loop and self.events is None and self.duration_min is None

    @property
    def offset_s(self) -> float:
        """How much of the recording is skipped, seconds after its first event; 0 where `start` is a moment."""
        return self.start if isinstance(self.start, float) else 0.0

    @property
    def source(self) -> str:
        """The source in words."""
        return ", ".join(self.sources)

"""Asks Kafka, before a run starts, which event times the topic takes and keeps, and holds the run's against them.

In: how far from the clock the times of the run's events lie. Out: an error before the first event where the topic is
sure to refuse some, a note where it may, one where it would soon delete them, and one where a broker that restarts
would no longer know their producer. Who may not ask is told nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from loadgen.errors import SinkError
from loadgen.kafka.errors import FUTURE, out_of_the_future, set_topic
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_config import EXPIRY, config_of

NO_LIMIT = -1
RETENTION = "retention.ms"
MARGIN_MS = 60_000
"""The brokers' clock is not this one, and some time passes before the first event."""
UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far ahead of the clock the times of a run's events are when they are sent, in ms; negative is behind.

    Attributes:
        first_ms: of the first event.
        sure_ms: of some event, for sure.
        possible_ms: of no event more than this, unless all goes faster than can be expected; inf for a run without end.
    """

    first_ms: float
    sure_ms: float
    possible_ms: float


def check_times(settings: KafkaSettings, reach: Reach, note: Callable[[str], None]) -> None:
    """See whether the topic takes and keeps events of these times; where it says nothing, nothing is checked.

    Raises:
        SinkError: it is sure to refuse some.
    """
    config = config_of(settings)
    if config.get("message.timestamp.type") == "LogAppendTime":  # the broker puts its own time in
        return
    takes_ms = int(config.get(FUTURE, NO_LIMIT))
    if takes_ms != NO_LIMIT and reach.possible_ms > takes_ms:
        is_sure = reach.sure_ms > takes_ms + MARGIN_MS
        said = _of_the_future(settings, reach, takes_ms, is_sure)
        if is_sure:
            raise SinkError(said)
        note(f"note: {said}")
    keeps_ms = int(config.get(RETENTION, NO_LIMIT))
    if keeps_ms != NO_LIMIT and "delete" in config.get("cleanup.policy", "delete") and -reach.first_ms > keeps_ms:
        note(
            f"note: this run begins with events of {_about(-reach.first_ms)} ago, and topic {settings.topic!r} keeps "
            f"events for {_about(keeps_ms)}: Kafka deletes older ones soon after they arrive. To keep them:\n"
            f"  {set_topic(settings, RETENTION, NO_LIMIT)}"
        )
    known_ms = int(config.get(EXPIRY, UNITS_MS["d"]))  # a day is the brokers' own choice
    if config and -reach.first_ms > known_ms:
        note(
            f"note: this run begins with events of {_about(-reach.first_ms)} ago, and a broker that restarts no longer "
            f"knows who sent messages older than {_about(known_ms)} ({EXPIRY}): what is in flight at that moment may "
            "then be lost or be there twice, which loadgen verify finds; --timestamps wall or a later --start avoids it"
        )


def _of_the_future(settings: KafkaSettings, reach: Reach, takes_ms: int, is_sure: bool) -> str:
    gets = f"may reach {_about(reach.possible_ms)}" if math.isfinite(reach.possible_ms) else "gets ever further"
    return (
        f"simulated time {f'reaches {_about(reach.sure_ms)}' if is_sure else gets} ahead of the clock, and topic "
        f"{settings.topic!r} takes events up to {_about(takes_ms)} ahead of the brokers'; {out_of_the_future(settings)}"
    )


def _about(time_ms: float) -> str:
    """A length of time in its largest unit: 2.5 d."""
    unit = next((unit for unit, unit_ms in UNITS_MS.items() if time_ms >= unit_ms), "s")
    return f"{time_ms / UNITS_MS[unit]:.3g} {unit}"

"""Checks the configuration of a topic before a run starts: the largest batch, and the event times it takes and keeps.

In: how to reach the topic; how far from the clock the event times lie. Out: its configuration; an error if the topic is
certain to refuse events; notes if it may refuse them, would soon delete them, or if a restarted broker would no longer
know their producer. A user who may not describe the topic gets no notes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import PartitionMetadata

from loadgen.errors import SinkError
from loadgen.kafka.errors import FUTURE, METADATA_S, out_of_the_future, set_topic
from loadgen.kafka.monitor import admin_client
from loadgen.kafka.options import KafkaSettings

EXPIRY = "producer.id.expiration.ms"
MAX_BATCH = "max.message.bytes"
IN_SYNC = "min.insync.replicas"
BATCH_SIZE = "batch.size"
MESSAGE_MAX = "message.max.bytes"
"""Bounds a producer's batches as well as its messages."""
COMPRESSION = "compression.type"
OUR_COMPRESSION = "lz4"
OUR_BATCH_BYTES = 1_000_000
"""loadgen's own batch.size: a topic that takes as much needs no smaller one."""
OVERHEAD_BYTES = 512
"""What a batch may have besides its messages."""
SMALL_BYTES = 4096
"""The largest events of loadgen's formats have about a quarter of it."""


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """What does not suit a run; `is_fatal`: no event would be delivered."""

    said: str
    step: str
    is_fatal: bool = False


def check_config(settings: KafkaSettings, note: Callable[[str], None]) -> KafkaSettings:
    """Hold the topic's configuration against a run; where the brokers do not tell it, nothing is checked.

    Returns:
        The settings, with a batch.size that the topic takes.

    Raises:
        SinkError: the topic would take no event.
    """
    config, partitions = described(settings)
    for problem in problems(settings, config, partitions):
        if problem.is_fatal:
            raise SinkError(f"{problem.said}; {problem.step}")
        note(f"note: {problem.said}; {problem.step}")
    _note_recompression(settings, config, note)
    return _fitted(settings, config, note)


def problems(
    settings: KafkaSettings, config: dict[str, str], partitions: dict[int, PartitionMetadata]
) -> Iterator[TopicProblem]:
    """What of the topic's configuration does not suit a run."""
    topic = f"topic {settings.topic!r}"
    if "compact" in config.get("cleanup.policy", ""):
        yield TopicProblem(
            f"{topic} is compacted (cleanup.policy={config['cleanup.policy']}): Kafka keeps only the latest event of "
            "each listener, whose id is the key, so that verify and consume find the others missing",
            f"use another topic, or\n  {set_topic(settings, 'cleanup.policy', 'delete')}",
        )
    acks = settings.options.get("acks", settings.options.get("request.required.acks", "all"))
    if partitions and acks.lower() in ("all", "-1"):
        yield from _too_few_copies(settings, int(config.get(IN_SYNC, 1)), partitions)
    n_bytes = int(config.get(MAX_BATCH, OUR_BATCH_BYTES))
    if n_bytes < SMALL_BYTES:
        yield TopicProblem(
            f"{topic} takes messages of up to {n_bytes:,} bytes ({MAX_BATCH}), and single events may be larger",
            f"allow more with\n  {set_topic(settings, MAX_BATCH, OUR_BATCH_BYTES)}",
        )


def _too_few_copies(
    settings: KafkaSettings, n_wanted: int, partitions: dict[int, PartitionMetadata]
) -> Iterator[TopicProblem]:
    """With acks=all a broker refuses every event while too few replicas are in sync."""
    n_copies = min(len(partition.replicas) for partition in partitions.values())
    short = [number for number, partition in sorted(partitions.items()) if len(partition.isrs) < n_wanted]
    if n_copies < n_wanted:
        yield TopicProblem(
            f"topic {settings.topic!r} takes no events: {IN_SYNC} is {n_wanted}, and its partitions have "
            f"{n_copies} cop{'y' if n_copies == 1 else 'ies'}",
            f"add replicas with kafka-reassign-partitions.sh, or\n  {set_topic(settings, IN_SYNC, n_copies)}",
            is_fatal=True,
        )
    elif short:
        which = ", ".join(map(str, short[:5])) + ("…" if len(short) > 5 else "")
        yield TopicProblem(
            f"topic {settings.topic!r} takes no events in partition{'s' * (len(short) > 1)} {which} at the moment: "
            f"{IN_SYNC} is {n_wanted}, and fewer replicas are in sync",
            "see which broker is down; events wait until it is back",
        )


def _note_recompression(settings: KafkaSettings, config: dict[str, str], note: Callable[[str], None]) -> None:
    """A topic with a compression of its own has its brokers compress every batch once more."""
    theirs = config.get(COMPRESSION, "producer").replace("uncompressed", "none")
    ours = settings.options.get(COMPRESSION, settings.options.get("compression.codec", OUR_COMPRESSION))
    if theirs not in ("producer", ours):
        note(
            f"note: topic {settings.topic!r} stores batches as {theirs} ({COMPRESSION}), and gets them as {ours}, so "
            f"the brokers compress each once more; --kafka-option {COMPRESSION}={theirs} spares them that"
        )


def _fitted(settings: KafkaSettings, config: dict[str, str], note: Callable[[str], None]) -> KafkaSettings:
    """Batches of a size that the topic takes; librdkafka does not ask for it."""
    n_bytes = int(config.get(MAX_BATCH, OUR_BATCH_BYTES))
    chosen = int(settings.options.get(BATCH_SIZE, OUR_BATCH_BYTES))
    if min(chosen, int(settings.options.get(MESSAGE_MAX, OUR_BATCH_BYTES))) <= n_bytes:
        return settings
    if BATCH_SIZE in settings.options:
        note(
            f"note: {BATCH_SIZE}={chosen} is more than topic {settings.topic!r} takes ({MAX_BATCH}={n_bytes}), "
            f"so full batches will fail; leave {BATCH_SIZE} out, or lower it"
        )
        return settings
    fitting = max(1, n_bytes - OVERHEAD_BYTES)
    note(
        f"note: {BATCH_SIZE} is {fitting:,}, because topic {settings.topic!r} takes batches of up to {n_bytes:,} "
        f"bytes ({MAX_BATCH})"
    )
    return replace(settings, options={**settings.options, BATCH_SIZE: str(fitting)})


def smallest_batches(each: Sequence[KafkaSettings]) -> KafkaSettings:
    """Of the settings for several topics those whose batches all of the topics take."""
    return min(each, key=lambda settings: int(settings.options.get(BATCH_SIZE, OUR_BATCH_BYTES)))


def described(settings: KafkaSettings) -> tuple[dict[str, str], dict[int, PartitionMetadata]]:
    """The topic's configuration, broker defaults included, and its partitions; empty where the brokers do not tell."""
    admin = admin_client(settings)
    topic = ConfigResource(ConfigResource.Type.TOPIC, settings.topic)
    try:
        cluster = admin.list_topics(settings.topic, METADATA_S)
        if cluster.controller_id not in cluster.brokers:
            return {}, {}  # a test broker: the client would wait for a controller that never comes
        entries = admin.describe_configs([topic], request_timeout=METADATA_S)[topic].result()
    except KafkaException:
        return {}, {}
    config = {name: entry.value for name, entry in entries.items() if entry.value}
    return config | _expiry_of(admin, cluster.controller_id), cluster.topics[settings.topic].partitions


def _expiry_of(admin: AdminClient, broker_id: int) -> dict[str, str]:
    """When this broker forgets a producer; empty where it does not tell, which takes a right of its own."""
    broker = ConfigResource(ConfigResource.Type.BROKER, str(broker_id))
    try:
        entry = admin.describe_configs([broker], request_timeout=METADATA_S)[broker].result().get(EXPIRY)
    except KafkaException:
        return {}
    return {EXPIRY: entry.value} if entry and entry.value else {}


NO_LIMIT = -1
RETENTION = "retention.ms"
MARGIN_MS = 60_000
"""The brokers' clock is not this one, and some time passes before the first event."""
UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000}


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """How far ahead of the clock the times of a run's events are when they are sent, in ms; negative is behind.

    Attributes:
        first_ms: of the first event.
        sure_ms: of some event, for sure.
        possible_ms: of no event more than this, unless all goes faster than can be expected; inf for a run without end.
    """

    first_ms: float
    sure_ms: float
    possible_ms: float


def check_times(settings: KafkaSettings, reach: TimeBounds, note: Callable[[str], None]) -> None:
    """See whether the topic takes and keeps events of these times; where it says nothing, nothing is checked.

    Raises:
        SinkError: it is sure to refuse some.
    """
    config, _ = described(settings)
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


def _of_the_future(settings: KafkaSettings, reach: TimeBounds, takes_ms: int, is_sure: bool) -> str:
    gets = f"may reach {_about(reach.possible_ms)}" if math.isfinite(reach.possible_ms) else "gets ever further"
    return (
        f"simulated time {f'reaches {_about(reach.sure_ms)}' if is_sure else gets} ahead of the clock, and topic "
        f"{settings.topic!r} takes events up to {_about(takes_ms)} ahead of the brokers'; {out_of_the_future(settings)}"
    )


def _about(time_ms: float) -> str:
    """A length of time in its largest unit: 2.5 d."""
    unit = next((unit for unit, unit_ms in UNITS_MS.items() if time_ms >= unit_ms), "s")
    return f"{time_ms / UNITS_MS[unit]:.3g} {unit}"

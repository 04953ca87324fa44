"""The configuration of consumers, and the identity of a topic.

In: brokers, topic, group and any librdkafka options. Out: librdkafka's configuration; cluster id and topic id.
"""

from dataclasses import dataclass
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaException, TopicCollection

from loadgen.errors import UsageError
from loadgen.kafka.errors import METADATA_S, REFUSALS, refused, unreachable
from loadgen.kafka.monitor import Monitor, admin_client
from loadgen.kafka.options import KafkaSettings, chosen_options, usage_error

Begin = Literal["earliest", "latest"]

DEFAULTS = {
    "partition.assignment.strategy": "cooperative-sticky",
    "fetch.wait.max.ms": "100",  # a resumed partition waits for the fetch that is on its way
    "fetch.queue.backoff.ms": "10",  # its 1000 would leave the consumer without messages whenever the queue was full
    "fetch.max.bytes": "8388608",
    "queued.max.messages.kbytes": "8192",
    "queued.min.messages": "100000",
    "session.timeout.ms": "10000",  # how soon others take over after kill -9; heartbeats do not depend on the loop
    "statistics.interval.ms": "1000",
}
CLASSIC_ONLY = ("partition.assignment.strategy", "session.timeout.ms")
"""The brokers choose these if group.protocol=consumer."""
BROKERS_SESSION_MS = 45_000
"""The brokers' default of group.consumer.session.timeout.ms."""
CHOSEN = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "enable.partition.eof": "true",
    "auto.offset.reset": "error",
}
"""Exactly-once storing depends on these: the store decides where to read, and a gap is never skipped silently."""

REFUSED = {
    "bootstrap.servers": "use --brokers",
    "group.id": "use --group",
    "enable.auto.commit": "loadgen commits offsets itself, after the events are stored; leave it out",
    "enable.auto.offset.store": "loadgen commits offsets itself, after the events are stored; leave it out",
    "enable.partition.eof": "loadgen needs it; leave it out",
    "partition.assignment.strategy": "loadgen needs cooperative-sticky, so that rebalances stop no one; leave it out",
}
ALIASES = {
    "metadata.broker.list": "bootstrap.servers",
    "max.partition.fetch.bytes": "fetch.message.max.bytes",
    "auto.commit.enable": "enable.auto.commit",
}
BEGINNINGS: dict[str, Begin] = {
    "earliest": "earliest",
    "smallest": "earliest",
    "beginning": "earliest",
    "latest": "latest",
    "largest": "latest",
    "end": "latest",
}
MOCK = "mockCluster"
"""How the cluster ids of librdkafka's test brokers begin."""


def consumer_config(settings: KafkaSettings, group: str) -> dict[str, str]:
    """The configuration of a consumer: defaults, then the user's options, then those that they may not change.

    Raises:
        UsageError: an option that loadgen must choose itself, or an auto.offset.reset that means nothing here.
    """
    given = chosen_options(settings, ALIASES, REFUSED)
    begin_of(settings)
    config = {**DEFAULTS, **given, **CHOSEN, "bootstrap.servers": settings.brokers, "group.id": group}
    if config.get("group.protocol", "classic").lower() == "consumer":
        return {name: value for name, value in config.items() if name not in CLASSIC_ONLY}
    return config


def session_s(settings: KafkaSettings, group: str) -> float:
    """The session timeout: the group removes a consumer that sends no heartbeat for this long."""
    return int(consumer_config(settings, group).get("session.timeout.ms", BROKERS_SESSION_MS)) / 1000


def begin_of(settings: KafkaSettings) -> Begin:
    """Where to begin with a partition that has nothing stored yet; raises UsageError."""
    text = settings.options.get("auto.offset.reset", "earliest")
    if text not in BEGINNINGS:
        raise UsageError(
            f"Kafka option auto.offset.reset must be earliest or latest, got {text!r}; it says where to begin with a "
            "partition of which nothing is stored yet (--on-gap says what to do about a gap)"
        )
    return BEGINNINGS[text]


def check_consumer_options(settings: KafkaSettings, group: str) -> None:
    """Validate the options by creating a consumer with them; raises UsageError."""
    monitor = Monitor(settings.options)
    config: dict[str, Any] = {**consumer_config(settings, group), **monitor.callbacks()}
    try:
        Consumer(config, logger=monitor.logger).close()
    except KafkaException as error:
        raise usage_error(error, settings.options) from error


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a topic, which a topic of the same name that is created later does not have.

    Attributes:
        cluster_id: the brokers' own; a test broker's has its address added, because its ids repeat.
        topic_id: the topic's UUID; empty on a test broker, all zeros on brokers before 2.8.
    """

    cluster_id: str
    topic_id: str


def identity_of(settings: KafkaSettings, timeout_s: float = METADATA_S) -> Identity:
    """Ask the brokers; the topic is there.

    Raises:
        BrokerUnreachable: they did not answer in time. Nothing is guessed: another identity would store it all again.
        AccessRefused: an ACL said no.
    """
    admin = admin_client(settings)
    try:
        metadata = admin.list_topics(settings.topic, timeout_s)
        cluster_id = str(metadata.cluster_id)
        if cluster_id.startswith(MOCK):  # a test broker, which has no topic ids to ask for
            address = ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
            return Identity(f"{cluster_id}@{address}", "")
        asked = admin.describe_topics(TopicCollection([settings.topic]), request_timeout=timeout_s)
        return Identity(cluster_id, str(asked[settings.topic].result(timeout_s + 1.0).topic_id))
    except KafkaException as error:
        code, text = error.args[0].code(), error.args[0].str()
        kind = REFUSALS.get(code)
        raise (refused(settings, kind, text) if kind else unreachable(settings, timeout_s, text)) from error
    except TimeoutError as error:
        raise unreachable(settings, timeout_s, "they do not describe the topic") from error

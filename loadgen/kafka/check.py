"""Asks Kafka, before a run starts, whether it is going to take the events.

In: settings. Out: the number of the topic's partitions, or an error that says within ten seconds what to do.
"""

import re
import time
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.cimpl import NewTopic

from loadgen.errors import BrokerUnreachable, LoadgenError, SinkError, TopicMissing
from loadgen.kafka.errors import (
    ANY_MS,
    FUTURE,
    METADATA_S,
    MISSING,
    REFUSALS,
    n_partitions_of,
    refused,
    topic_missing,
    unreachable,
)
from loadgen.kafka.monitor import Monitor, admin_client
from loadgen.kafka.options import KafkaSettings, client_config
from loadgen.kafka.topic_config import RETENTION

NO_ANSWER = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT)
ANY_TIME = {FUTURE: str(ANY_MS)}
HOUR_MS = 3_600_000
WEEK_MS = 168 * HOUR_MS
"""Kafka's default retention."""
ASK_S = 0.5
ALL_DOWN_S = 3.0
"""Longest wait if every address refuses the connection."""


def check_topic(settings: KafkaSettings, timeout_s: float = METADATA_S) -> int:
    """The number of the topic's partitions; never creates it.

    Raises:
        UsageError: librdkafka does not take the options.
        BrokerUnreachable: no broker answered in time, or what answers does not speak Kafka.
        AccessRefused: TLS, SASL or an ACL said no.
        TopicMissing: the topic is not there.
    """
    try:
        return n_partitions_of(_metadata(settings, timeout_s), settings)
    except TopicMissing:
        raise topic_missing(settings, _topics(settings)) from None


def _topics(settings: KafkaSettings) -> list[str]:
    """The topics that this user may see; none where the cluster does not say."""
    try:
        return list(_metadata(settings, ALL_DOWN_S, every_topic=True).topics)
    except LoadgenError:
        return []


def create_topic(
    settings: KafkaSettings,
    partitions: int,
    replication_factor: int,
    timeout_s: float = METADATA_S,
    *,
    or_fewer: bool = False,
    behind_ms: float = 0.0,
) -> int:
    """Make the topic; one that is there already is fine if it has as many partitions.

    It takes events of any time: simulated time can run far ahead of the brokers' clock, and Kafka's default is an hour.
    It keeps events of the past, too, for a week after they arrive: Kafka goes by their own time, and would delete them.

    Args:
        or_fewer: make fewer copies where there are fewer brokers.
        behind_ms: how far behind the clock the first event is.

    Returns:
        The number of copies made, which may be lower than what was asked for.

    Raises:
        SinkError: it cannot be made so, or is there with another number of partitions; and as `check_topic`.
    """
    deadline_s = time.monotonic() + timeout_s
    metadata = _metadata(settings, timeout_s)
    topic = metadata.topics[settings.topic]
    if topic.error is not None and topic.error.code() in MISSING:
        copies = min(replication_factor, len(metadata.brokers)) if or_fewer else replication_factor
        # the brokers' default of retention is best where all events are of now
        keeps = {RETENTION: str(int(behind_ms) + WEEK_MS)} if behind_ms > HOUR_MS else {}
        _create(settings, NewTopic(settings.topic, partitions, copies, config={**ANY_TIME, **keeps}), deadline_s)
        _wait_for_topic(settings, deadline_s)
        return copies
    n_partitions = n_partitions_of(metadata, settings)
    if n_partitions != partitions:
        raise SinkError(
            f"topic {settings.topic!r} is there with {n_partitions} partitions, asked for were {partitions}; "
            f"leave --create-topic out, say --partitions {n_partitions}, or name another topic"
        )
    return replication_factor


def _metadata(settings: KafkaSettings, timeout_s: float, *, every_topic: bool = False) -> ClusterMetadata:
    """What the cluster says of the topic, or of all. A consumer asks: asking as a producer would make the topic."""
    monitor = Monitor(settings.options)
    config = {**client_config(settings), "group.id": "loadgen-check", **monitor.callbacks()}
    consumer = Consumer(config, logger=monitor.logger)
    start_s = time.monotonic()
    try:
        while (waited_s := time.monotonic() - start_s) < timeout_s:
            try:
                topic = None if every_topic else settings.topic
                metadata: ClusterMetadata = consumer.list_topics(topic, min(ASK_S, timeout_s - waited_s))
                return metadata
            except KafkaException as error:
                if error.args[0].code() not in NO_ANSWER:
                    monitor.on_error(error.args[0])
            consumer.poll(0)  # calls the monitor
            _raise_if_refused(settings, monitor)
            if KafkaError._ALL_BROKERS_DOWN in monitor.texts and waited_s >= ALL_DOWN_S:
                break
        raise unreachable(settings, time.monotonic() - start_s, _complaint(monitor))
    finally:
        consumer.close()


def _raise_if_refused(settings: KafkaSettings, monitor: Monitor) -> None:
    for text in monitor.last_errors:
        if "SSL handshake failed" in text or "SSL_HANDSHAKE" in text:  # come with the code of a broken connection
            raise refused(settings, "TLS", text)
    for code, kind in REFUSALS.items():
        if code in monitor.texts:
            raise refused(settings, kind, monitor.texts[code])


def _complaint(monitor: Monitor) -> str:
    """The most telling of librdkafka's complaints."""
    texts = [text for text in monitor.last_errors if "brokers are down" not in text]
    for text in texts:
        size = re.search(r"Invalid response size (\d+)", text)
        if size:
            answer = int(size.group(1)).to_bytes(4, "big").decode("ascii", "replace")
            return f"what listens there does not speak Kafka: its answer begins with {answer!r}"
    return texts[-1] if texts else ""


def _create(settings: KafkaSettings, topic: NewTopic, deadline_s: float) -> None:
    admin = admin_client(settings)
    wait_s = max(1.0, deadline_s - time.monotonic())
    future = admin.create_topics([topic], operation_timeout=wait_s, request_timeout=wait_s)[settings.topic]
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.INVALID_CONFIG and topic.config:  # brokers before 3.6 have no such limit
            _create(settings, NewTopic(topic.topic, topic.num_partitions, topic.replication_factor), deadline_s)
            return
        raise _not_created(settings, topic, error.args[0]) from error


def _not_created(settings: KafkaSettings, topic: NewTopic, error: KafkaError) -> SinkError:
    if error.code() in REFUSALS:
        return refused(settings, REFUSALS[error.code()], error.str())
    steps = {
        KafkaError.INVALID_REPLICATION_FACTOR: "say --replication-factor N with N up to the number of brokers",
        KafkaError.INVALID_PARTITIONS: "say --partitions N with N of 1 or more",
        KafkaError.TOPIC_EXCEPTION: "use letters, digits, dots, - and _ in --topic",
        KafkaError.POLICY_VIOLATION: "ask the administrators of the brokers what they allow",
    }
    if "collides" in error.str():  # in the names of metrics, . and _ are the same
        steps[KafkaError.TOPIC_EXCEPTION] = "choose a --topic that differs from it in more than . and _"
    step = steps.get(error.code() or 0, "make it with kafka-topics.sh, and leave --create-topic out")
    return SinkError(
        f"topic {settings.topic!r} could not be made with {topic.num_partitions} partitions and replication factor "
        f"{topic.replication_factor}: {error.str()}; {step}"
    )


def _wait_for_topic(settings: KafkaSettings, deadline_s: float) -> None:
    """Wait until every broker knows the new topic, because the next request may go to any of them."""
    while True:
        brokers = _metadata(settings, METADATA_S).brokers.values()
        if all(_knows_topic(replace(settings, brokers=f"{broker.host}:{broker.port}")) for broker in brokers):
            return
        if time.monotonic() > deadline_s:
            why = "was made but does not appear; look at the brokers' log, then run again"
            raise SinkError(f"topic {settings.topic!r} {why}")
        time.sleep(0.1)


def _knows_topic(settings: KafkaSettings) -> bool:
    """Ask one broker; one that does not answer counts as knowing it."""
    try:
        return _metadata(settings, ALL_DOWN_S).topics[settings.topic].error is None
    except BrokerUnreachable:
        return True

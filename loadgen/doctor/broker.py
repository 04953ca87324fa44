"""Checks Kafka and a topic, and creates and removes a topic of the doctor's own.

In: how to reach it. Out: findings; a topic on which the broker writes its own time.
"""

import time
from dataclasses import dataclass, replace

from confluent_kafka import KafkaError, KafkaException, libversion
from confluent_kafka.cimpl import NewTopic

from loadgen.doctor.checks import Finding, Mark, bad, good, untried
from loadgen.doctor.round_trip import SESSION_S
from loadgen.errors import LoadgenError, TopicMissing
from loadgen.event import DAY_MS
from loadgen.kafka.check import check_topic
from loadgen.kafka.monitor import admin_client
from loadgen.kafka.options import KafkaSettings, hide_secrets
from loadgen.kafka.topic_config import MAX_BATCH, OUR_BATCH_BYTES, described, problems

ASK_S = 5.0
GROUP_S = SESSION_S + 3.0
AGAIN_S = 0.5
NOT_MADE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED)
"""How Kafka says that there is nothing to remove, or that it was not this user who could have made it."""
START_STEP = "start one, or name another with --brokers HOST:PORT"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What answers; `missing` is the error if the topic is not there."""

    n_brokers: int
    missing: TopicMissing | None


def reached(kafka: KafkaSettings) -> tuple[Finding, Cluster | None]:
    """Whether Kafka answers, and lets this user in."""
    missing = None
    try:
        check_topic(kafka)
    except TopicMissing as error:
        missing = error
    except LoadgenError as error:
        return bad("kafka", "Kafka", error, START_STEP), None
    try:
        cluster = admin_client(kafka).list_topics(timeout=ASK_S)
    except KafkaException as error:
        return bad("kafka", "Kafka", LoadgenError(_reason(kafka, error)), START_STEP), None
    n_brokers = len(cluster.brokers)
    said = f"Kafka: {n_brokers} broker{'s' * (n_brokers != 1)} at {kafka.brokers} (librdkafka {libversion()[0]})"
    return good("kafka", said), Cluster(n_brokers, missing)


def looked_at(kafka: KafkaSettings, cluster: Cluster) -> Finding:
    """The topic: partitions, copies, how long events are kept."""
    if cluster.missing is not None:
        return bad("topic", "topic", cluster.missing)
    try:
        partitions = admin_client(kafka).list_topics(kafka.topic, ASK_S).topics[kafka.topic].partitions
    except KafkaException as error:
        return bad("topic", f"topic {kafka.topic}", LoadgenError(_reason(kafka, error)), "look at the broker's log")
    config, _ = described(kafka)
    found = list(problems(kafka, config, partitions))
    n_copies = min((len(partition.replicas) for partition in partitions.values()), default=0)
    said = f"topic {kafka.topic}: {len(partitions)} partitions, {n_copies} cop{'y' if n_copies == 1 else 'ies'} of each"
    if found:
        said = "; ".join([said, *(problem.said for problem in found)])
        return Finding("topic", Mark.BAD, said, "\n".join(problem.step for problem in found))
    return good("topic", said + _kept(config) + _taken(config))


def _taken(config: dict[str, str]) -> str:
    n_bytes = int(config.get(MAX_BATCH, OUR_BATCH_BYTES))
    return f", takes batches of up to {n_bytes:,} bytes (batch.size is fitted)" if n_bytes < OUR_BATCH_BYTES else ""


def _kept(config: dict[str, str]) -> str:
    if "retention.ms" not in config:
        return ""
    kept_ms = int(config["retention.ms"])
    if kept_ms < 0:
        return ", kept for ever"
    unit, unit_ms = ("days", DAY_MS) if kept_ms >= DAY_MS else ("hours", DAY_MS // 24)
    return f", kept {kept_ms / unit_ms:g} {unit} (consume before that)"


def make_topic(kafka: KafkaSettings, name: str, n_brokers: int) -> KafkaSettings:
    """Make a topic of one partition, on which the broker writes its own time.

    Raises:
        LoadgenError: this user may not, or no broker answers.
    """
    admin = admin_client(kafka)  # kept until the answer is there
    topic = NewTopic(name, 1, min(3, n_brokers), config={"message.timestamp.type": "LogAppendTime"})
    try:
        admin.create_topics([topic], operation_timeout=ASK_S, request_timeout=ASK_S)[name].result(2 * ASK_S)
    except (KafkaException, TimeoutError) as error:
        raise LoadgenError(_reason(kafka, error)) from error
    return replace(kafka, topic=name)


def remove_topic(kafka: KafkaSettings) -> None:
    """Remove the topic again; raises LoadgenError."""
    admin = admin_client(kafka)
    try:
        futures = admin.delete_topics([kafka.topic], operation_timeout=ASK_S, request_timeout=ASK_S)
        futures[kafka.topic].result(2 * ASK_S)
    except KafkaException as error:
        if error.args[0].code() not in NOT_MADE:
            raise LoadgenError(f"topic {kafka.topic} could not be removed: {_reason(kafka, error)}") from error
    except TimeoutError as error:
        raise LoadgenError(f"topic {kafka.topic} could not be removed: no answer") from error


def remove_group(kafka: KafkaSettings, group: str) -> None:
    """Remove a consumer group, one that never came to be too; of a consumer that was killed, once its session is over.

    Raises:
        LoadgenError: it is not removed after GROUP_S.
    """
    admin, deadline_s = admin_client(kafka), time.monotonic() + GROUP_S
    while True:
        try:
            admin.delete_consumer_groups([group], request_timeout=ASK_S)[group].result(2 * ASK_S)
            return
        except (KafkaException, TimeoutError) as error:
            code = error.args[0].code() if isinstance(error, KafkaException) else None
            if code == KafkaError.GROUP_ID_NOT_FOUND:
                return
            if code != KafkaError.NON_EMPTY_GROUP or time.monotonic() > deadline_s:
                raise LoadgenError(f"group {group} could not be removed: {_reason(kafka, error)}") from error
        time.sleep(AGAIN_S)


def _reason(kafka: KafkaSettings, error: Exception) -> str:
    if isinstance(error, KafkaException):
        return hide_secrets(error.args[0].str(), kafka.options)
    return "no answer in time"


def clock(skew_s: float | None, wait_s: float) -> Finding:
    """How far the broker's clock is from this one.

    Args:
        skew_s: by how much the broker's is ahead; None if unknown.
        wait_s: how long the answer took: the difference is not known better than that.
    """
    if skew_s is None:
        return untried("clock", "clock: not compared, there is no other one to compare it with")
    said = f"clock: {abs(skew_s):.2f} s {'behind' if skew_s > 0 else 'ahead of'} the broker's (± {wait_s:.2f} s)"
    if abs(skew_s) > 2.0 + wait_s:
        return Finding("clock", Mark.BAD, said, "let both be set by NTP: what is late is judged by these clocks")
    return good("clock", said)

"""What Kafka refuses, said in words: which error of loadgen's it is, and the next step.

In: librdkafka's errors and metadata. Out: SinkErrors to raise. Secrets are taken out of every message.
"""

from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaError
from confluent_kafka.admin._metadata import ClusterMetadata

from loadgen.config.values import nearest
from loadgen.errors import AccessRefused, BrokerUnreachable, SinkError, TopicMissing, TopicRecreated
from loadgen.kafka.options import KafkaSettings, hide_secrets

METADATA_S = 10.0
"""Longest wait for an unreachable broker."""

TRANSACTIONAL_ID = "loadgen-"
"""How the transactional ids of all runs begin."""

INVALID_TIMESTAMP = "Invalid timestamp"
"""What librdkafka calls that error, also inside the text of another one."""
FUTURE = "message.timestamp.after.max.ms"
ANY_MS = 2**63 - 1

REFUSALS = {
    KafkaError._SSL: "TLS",
    KafkaError._AUTHENTICATION: "SASL",
    KafkaError.SASL_AUTHENTICATION_FAILED: "SASL",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "SASL",
    KafkaError.ILLEGAL_SASL_STATE: "SASL",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "ACL",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "ACL",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "ACL",
}
NEXT_STEPS = {
    "TLS": "check security.protocol, ssl.ca.location and the port in --kafka-option or --kafka-config",
    "SASL": "check security.protocol, sasl.mechanisms, sasl.username and sasl.password in --kafka-config",
    "ACL": "let this user describe and write the topic, e.g. kafka-acls.sh --add --producer --topic NAME",
}
READING_STEP = (
    "let this user describe and read the topic, and use the group, "
    "e.g. kafka-acls.sh --add --consumer --topic NAME --group GROUP"
)


def stopped(settings: KafkaSettings, error: KafkaError, topics: Sequence[str]) -> SinkError:
    """The error that ends a run to these topics in its middle."""
    reason = hide_secrets(error.str(), settings.options)
    step = "look at the broker's log, then run again"
    if INVALID_TIMESTAMP in reason:
        step = f"the topic takes no events so far ahead of the brokers' clock: {out_of_the_future(settings)}"
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        step = "the topic's max.message.bytes is below the size of a batch: lower --kafka-option batch.size=N"
    names = f"topic{'s' * (len(topics) > 1)} {', '.join(map(repr, topics))}"
    return SinkError(f"Kafka takes no more events of {names}: {reason}; {step}")


def fenced(settings: KafkaSettings, transactional_id: str) -> SinkError:
    """Another producer has the transactional id now."""
    return SinkError(
        f"the producer with transactional.id {transactional_id!r} was fenced by {settings.brokers}: another producer "
        "has begun with this id, or a transaction was open for longer than transaction.timeout.ms; end the other one, "
        "or raise that --kafka-option, then run again"
    )


def no_transactions(settings: KafkaSettings, transactional_id: str, error: KafkaError) -> SinkError:
    """The brokers do not let a producer begin with transactions."""
    if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        step = (
            "let this user use its ids, e.g. kafka-acls.sh --add --producer --topic NAME "
            f"--transactional-id {TRANSACTIONAL_ID} --resource-pattern-type prefixed"
        )
        return refused(settings, "ACL", error.str(), step)
    reason = hide_secrets(error.str(), settings.options)
    return SinkError(
        f"{settings.brokers} takes no transactions of {transactional_id!r}: {reason}; are there as many brokers as "
        "transaction.state.log.replication.factor and transaction.state.log.min.isr ask for (3 and 2 by default)?"
    )


def out_of_the_future(settings: KafkaSettings) -> str:
    """The ways out where a topic takes no events of the future."""
    return f"--timestamps wall, an earlier --start, or\n  {set_topic(settings, FUTURE, ANY_MS)}"


def set_topic(settings: KafkaSettings, name: str, value: int | str) -> str:
    """The command that changes a setting of the topic."""
    return (
        f"kafka-configs.sh --alter --topic {settings.topic} --add-config {name}={value} "
        f"--bootstrap-server {settings.brokers}"
    )


def unreachable(settings: KafkaSettings, waited_s: float, complaint: str) -> BrokerUnreachable:
    """No broker answered; the complaint is librdkafka's own, or empty."""
    why = f" ({complaint})" if complaint else ""
    without = "" if settings.reading else ", or --brokers embedded to try without one"
    return BrokerUnreachable(
        f"no broker answered at {settings.brokers} within {waited_s:.0f} s{why}: is one listening there? "
        f"Name another with --brokers HOST:PORT{without}"
    )


def refused(settings: KafkaSettings, kind: str, reason: str, acl_step: str = "") -> AccessRefused:
    """TLS, SASL or an ACL said no; acl_step: what to do about an ACL, where it is not the topic's."""
    reason = hide_secrets(reason, settings.options)
    step = NEXT_STEPS[kind]
    if kind == "ACL":
        step = acl_step or (READING_STEP if settings.reading else step)
    return AccessRefused(f"{settings.brokers} refused access ({kind}): {reason}; {step}")


def topic_missing(settings: KafkaSettings, topics: Iterable[str] = ()) -> TopicMissing:
    """The topic is not there; the nearest of those that are is named."""
    near = nearest(settings.topic, topics)
    meant = f" did you mean {near}? Otherwise" if near else ""
    first = "produce to it with loadgen run --create-topic" if settings.reading else "add --create-topic"
    return TopicMissing(
        f"topic {settings.topic!r} is not on {settings.brokers};{meant} {first}, or make it with\n"
        f"  kafka-topics.sh --create --topic {settings.topic} --partitions 12 --bootstrap-server {settings.brokers}"
    )


def topic_gone(settings: KafkaSettings) -> TopicMissing:
    """The topic was there at the start, and was deleted since."""
    what = "nothing more can be read of it" if settings.reading else "the events in it are gone, and it takes no more"
    return TopicMissing(
        f"topic {settings.topic!r} was deleted from {settings.brokers} in the meantime: {what}; "
        "find out who deleted it, create it again, then start again"
    )


def topic_recreated(settings: KafkaSettings) -> TopicRecreated:
    """A topic of this name is there, but another one than at the start."""
    what = "the events that this run had delivered are gone"
    if settings.reading:
        what = "its offsets begin again, and nothing of the new topic is taken for the old one's"
    step = "start again to read the new one from its beginning" if settings.reading else "start the run again"
    return TopicRecreated(
        f"topic {settings.topic!r} on {settings.brokers} was deleted and created again in the meantime: {what}; {step}"
    )


def n_partitions_of(metadata: ClusterMetadata, settings: KafkaSettings) -> int:
    """The number of the topic's partitions.

    Raises:
        TopicMissing: it is not there.
        AccessRefused: this user may not see it.
    """
    topic = metadata.topics.get(settings.topic)
    if topic is None or (topic.error is not None and topic.error.code() in MISSING):
        raise topic_missing(settings)
    if topic.error is not None and topic.error.code() in REFUSALS:
        raise refused(settings, REFUSALS[topic.error.code()], topic.error.str())
    return len(topic.partitions)


MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)

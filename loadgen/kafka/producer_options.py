"""The producer's settings: loadgen's defaults, the user's own, and what follows from the two.

In: brokers, topic and any librdkafka options. Out: the configuration for a producer, and whether it allows counting by
watermarks (see sink/in_flight.py).
"""

from confluent_kafka import KafkaException, Producer

from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, chosen_options, usage_error

DEFAULTS = {
    "linger.ms": "20",
    "batch.size": "1000000",
    "batch.num.messages": "10000",
    "queue.buffering.max.messages": "200000",
    "queue.buffering.max.kbytes": "1048576",
    "compression.type": "lz4",
    "acks": "all",
    "enable.idempotence": "true",
    "enable.gapless.guarantee": "true",
    "message.timeout.ms": "0",
    "message.max.bytes": "1000000",
    "statistics.interval.ms": "1000",
}
ALIASES = {
    "request.required.acks": "acks",
    "delivery.timeout.ms": "message.timeout.ms",
    "queue.buffering.max.ms": "linger.ms",
    "compression.codec": "compression.type",
    "metadata.broker.list": "bootstrap.servers",
    "message.send.max.retries": "retries",
    "max.in.flight": "max.in.flight.requests.per.connection",
}
"""Two names of one option: the second is used here, so that a user's choice replaces the default of either name."""

REFUSED = {
    "bootstrap.servers": "use --brokers",
    "transactional.id": "loadgen chooses one for each worker; add --transactional",
    "delivery.report.only.error": "it hides the delivery reports that events are counted by; leave it out",
    "partitioner": "loadgen chooses partitions as the Java client does (murmur2_random); leave it out",
}


TRANSACTION_TIMEOUT_MS = "60000"
"""Kafka's default; longer than that no transaction stays open, nor does a message wait."""


def producer_config(settings: KafkaSettings, transactional_id: str = "") -> dict[str, str]:
    """The configuration of the producer: defaults, then the user's options.

    Args:
        settings: where, and the user's options.
        transactional_id: of a producer that sends transactions.

    Raises:
        UsageError: an option that loadgen must choose itself.
    """
    is_ours = settings.options.get("partitioner", "").startswith("murmur2")
    refused = {name: why for name, why in REFUSED.items() if not (name == "partitioner" and is_ours)}
    if transactional_id:
        refused |= _refused_in_transactions(settings)
    chosen = chosen_options(settings, ALIASES, refused)
    if transactional_id:
        timeout_ms = chosen.get("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS)
        mine = {"message.timeout.ms": timeout_ms, "enable.gapless.guarantee": "false"}
        mine |= {"transactional.id": transactional_id, "transaction.timeout.ms": timeout_ms}
        return {**DEFAULTS, **mine, **chosen, "bootstrap.servers": settings.brokers}
    return {**DEFAULTS, **_without_guarantees(chosen), **chosen, "bootstrap.servers": settings.brokers}


def _refused_in_transactions(settings: KafkaSettings) -> dict[str, str]:
    """What a transaction needs cannot be given up."""
    given = {ALIASES.get(name, name): value for name, value in settings.options.items()}
    refused = {}
    if given.get("acks", "all").lower() not in ("all", "-1"):
        refused["acks"] = "a transaction is acknowledged by all replicas; leave it out, or --transactional"
    if not _is_true(given.get("enable.idempotence", "true")):
        refused["enable.idempotence"] = "a transaction needs it; leave it out, or --transactional"
    return refused


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "t", "1")


def _without_guarantees(chosen: dict[str, str]) -> dict[str, str]:
    """What else has to be given up where the user wants less than the defaults promise; librdkafka insists on it."""
    less: dict[str, str] = {}
    if chosen.get("acks", "all").lower() not in ("all", "-1"):
        less["enable.idempotence"] = "false"
    is_idempotent = _is_true({**DEFAULTS, **less, **chosen}["enable.idempotence"])
    if not is_idempotent or int(chosen.get("message.timeout.ms", 0)) > 0:
        less["enable.gapless.guarantee"] = "false"
    return less


def counts_by_watermark(config: dict[str, str]) -> bool:
    """Whether this configuration guarantees that a partition's messages are delivered as a prefix."""
    return (
        _is_true(config["enable.idempotence"])
        and _is_true(config["enable.gapless.guarantee"])
        and int(config["message.timeout.ms"]) == 0
        and config["acks"].lower() in ("all", "-1")
    )


def check_options(settings: KafkaSettings, transactional_id: str = "") -> None:
    """Let librdkafka judge the options by making a producer with them; raises UsageError."""
    monitor = Monitor(settings.options)
    try:
        Producer({**producer_config(settings, transactional_id), **monitor.callbacks()}, logger=monitor.logger)
    except KafkaException as error:
        raise usage_error(error, settings.options) from error

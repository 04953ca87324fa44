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
    "transactional.id": "loadgen does not use transactions; leave it out",
    "delivery.report.only.error": "it hides the delivery reports that events are counted by; leave it out",
    "partitioner": "loadgen chooses partitions as the Java client does (murmur2_random); leave it out",
}


def producer_config(settings: KafkaSettings) -> dict[str, str]:
    """The configuration of the producer: defaults, then the user's options.

    Raises:
        UsageError: an option that loadgen must choose itself.
    """
    is_ours = settings.options.get("partitioner", "").startswith("murmur2")
    refused = {name: why for name, why in REFUSED.items() if not (name == "partitioner" and is_ours)}
    chosen = chosen_options(settings, ALIASES, refused)
    return {**DEFAULTS, **_without_guarantees(chosen), **chosen, "bootstrap.servers": settings.brokers}


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


def check_options(settings: KafkaSettings) -> None:
    """Let librdkafka judge the options by making a producer with them; raises UsageError."""
    monitor = Monitor(settings.options)
    try:
        Producer({**producer_config(settings), **monitor.callbacks()}, logger=monitor.logger)
    except KafkaException as error:
        raise usage_error(error, settings.options) from error

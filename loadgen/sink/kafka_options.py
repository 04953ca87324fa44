"""The producer's settings: loadgen's defaults, the user's own, and what follows from the two.

In: brokers, topic and any librdkafka options. Out: the configuration for a client, and whether it allows counting by
watermarks (see lanes.py). Secrets never leave this file in a message.
"""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from loadgen.config.secrets import is_secret
from loadgen.errors import UsageError

if TYPE_CHECKING:
    from loadgen.config import RunSettings

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

NUMBERS = ("message.timeout.ms", "queue.buffering.max.messages", "queue.buffering.max.kbytes")
"""Options that loadgen itself reads."""

REFUSED = {
    "bootstrap.servers": "use --brokers",
    "transactional.id": "loadgen does not use transactions; leave it out",
    "delivery.report.only.error": "it hides the delivery reports that events are counted by; leave it out",
    "partitioner": "loadgen chooses partitions as the Java client does (murmur2_random); leave it out",
}
CLIENT_PREFIXES = ("ssl.", "sasl.", "https.", "socket.", "broker.", "client.", "metadata.", "reconnect.")
CLIENT_OPTIONS = ("security.protocol", "enable.ssl.certificate.verification", "debug", "api.version.request")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where to produce to, and how.

    Attributes:
        brokers: "HOST:PORT,…".
        topic: its name.
        options: librdkafka's own, by name; they replace the defaults. May hold secrets, so it is not in the repr.
    """

    brokers: str
    topic: str
    options: dict[str, str] = field(default_factory=dict, repr=False)


def producer_config(settings: KafkaSettings) -> dict[str, str]:
    """The configuration of the producer: defaults, then the user's options.

    Raises:
        UsageError: an option that loadgen must choose itself, or one that it reads and that is no number.
    """
    chosen = {ALIASES.get(name, name): value for name, value in settings.options.items()}
    problems = [*_not_theirs(chosen), *_no_numbers(chosen)]
    if problems:
        raise UsageError("\n".join(problems))
    return {**DEFAULTS, **_without_guarantees(chosen), **chosen, "bootstrap.servers": settings.brokers}


def _not_theirs(chosen: dict[str, str]) -> list[str]:
    return [
        f"Kafka option {name} is not yours to set, got {chosen[name]!r}: {REFUSED[name]}"
        for name in REFUSED
        if name in chosen and not (name == "partitioner" and chosen[name].startswith("murmur2"))
    ]


def _no_numbers(chosen: dict[str, str]) -> list[str]:
    return [
        f"Kafka option {name} must be a number, 0 or more, got {chosen[name]!r}; the default is {DEFAULTS[name]}"
        for name in NUMBERS
        if not chosen.get(name, "0").isdecimal()
    ]


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


def client_config(settings: KafkaSettings) -> dict[str, str]:
    """The part of the configuration that any client needs to reach the same brokers: addresses, TLS, SASL."""
    mine = {
        name: value
        for name, value in settings.options.items()
        if name.startswith(CLIENT_PREFIXES) or name in CLIENT_OPTIONS
    }
    return {**mine, "bootstrap.servers": settings.brokers}


def kafka_options_of(settings: "RunSettings") -> dict[str, str]:
    """All options the user gave: those of --kafka-config, and over them those of --kafka-option.

    Raises:
        UsageError: see `read_kafka_config`.
    """
    from_file = read_kafka_config(settings.kafka_config) if settings.kafka_config is not None else {}
    return {**from_file, **settings.kafka_option}


def hide_secrets(text: str, options: dict[str, str]) -> str:
    """The text without the values of secret options."""
    for name, value in options.items():
        if value and is_secret(name):
            text = text.replace(value, "***")
    return text


def usage_error(error: KafkaException, options: dict[str, str]) -> UsageError:
    """What to show for a configuration that librdkafka refuses: the option, the reason, the nearest good name."""
    reason = hide_secrets(error.args[0].str(), options)
    unknown = re.search(r'No such configuration property: "([^"]*)"', reason)
    if not unknown:
        return UsageError(f"Kafka does not take these options: {reason}; look at --kafka-option and --kafka-config")
    name = unknown.group(1)
    near = difflib.get_close_matches(name, KNOWN_OPTIONS, n=1)
    hint = f"did you mean {near[0]}?" if near else "see librdkafka's CONFIGURATION.md"
    return UsageError(f"Kafka has no option {name!r}; {hint}")


def read_kafka_config(path: str | Path) -> dict[str, str]:
    """Read a properties file: `name=value` a line, `#` begins a comment line.

    Raises:
        UsageError: the file cannot be read, or a line has no `=`; all such lines are named.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the Kafka configuration {str(path)!r}: {error}; check --kafka-config") from error
    options, problems = {}, []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        name, equals, value = line.partition("=")
        if not line or line.startswith(("#", "!")):
            continue
        if not equals or not name.strip():
            problems.append(f"{path}, line {number}: must be name=value, or begin with #")  # the line may be a secret
        options[name.strip()] = value.strip()
    if problems:
        raise UsageError("\n".join(problems))
    return options


KNOWN_OPTIONS = tuple(
    """
    acks allow.auto.create.topics api.version.request batch.num.messages batch.size broker.address.family
    broker.address.ttl client.dns.lookup client.id client.rack compression.codec compression.level compression.type
    connections.max.idle.ms debug delivery.timeout.ms enable.gapless.guarantee enable.idempotence
    enable.metrics.push enable.random.seed enable.ssl.certificate.verification internal.termination.signal
    linger.ms log.connection.close log_level max.in.flight max.in.flight.requests.per.connection
    message.copy.max.bytes message.max.bytes message.send.max.retries message.timeout.ms metadata.max.age.ms
    metadata.recovery.strategy partitioner queue.buffering.backpressure.threshold queue.buffering.max.kbytes
    queue.buffering.max.messages queue.buffering.max.ms receive.message.max.bytes reconnect.backoff.max.ms
    reconnect.backoff.ms request.required.acks request.timeout.ms retries
    retry.backoff.max.ms retry.backoff.ms sasl.jaas.config sasl.kerberos.keytab sasl.kerberos.kinit.cmd
    sasl.kerberos.min.time.before.relogin sasl.kerberos.principal sasl.kerberos.service.name sasl.mechanism
    sasl.mechanisms sasl.oauthbearer.client.id sasl.oauthbearer.client.secret sasl.oauthbearer.config
    sasl.oauthbearer.extensions sasl.oauthbearer.method sasl.oauthbearer.scope sasl.oauthbearer.token.endpoint.url
    sasl.password sasl.username security.protocol socket.connection.setup.timeout.ms socket.keepalive.enable
    socket.max.fails socket.nagle.disable socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms
    ssl.ca.certificate.stores ssl.ca.location ssl.ca.pem ssl.certificate.location ssl.certificate.pem
    ssl.cipher.suites ssl.crl.location ssl.curves.list ssl.endpoint.identification.algorithm ssl.engine.id
    ssl.engine.location ssl.key.location ssl.key.password ssl.key.pem ssl.keystore.location ssl.keystore.password
    ssl.providers ssl.sigalgs.list statistics.interval.ms sticky.partitioning.linger.ms
    topic.metadata.propagation.max.ms topic.metadata.refresh.interval.ms topic.metadata.refresh.sparse
    """.split()  # noqa: SIM905  one name a line would be 90 lines
)
"""Names to suggest from; librdkafka itself decides which exist."""

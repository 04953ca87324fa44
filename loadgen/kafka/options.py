"""How to reach Kafka: addresses, and the user's librdkafka options, which TLS and SASL are among.

In: brokers, topic and any librdkafka options. Out: the configuration that any client needs. Secrets never leave this
file in a message.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException

from loadgen.config.secrets import is_secret
from loadgen.errors import UsageError

CLIENT_PREFIXES = ("ssl.", "sasl.", "https.", "socket.", "broker.", "client.", "metadata.", "reconnect.")
CLIENT_OPTIONS = ("security.protocol", "enable.ssl.certificate.verification", "debug", "api.version.request")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where to produce to or to read from, and how.

    Attributes:
        brokers: "HOST:PORT,…".
        topic: its name.
        options: librdkafka's own, by name; they replace the defaults. May hold secrets, so it is not in the repr.
        reading: the topic is read; messages then name other next steps.
    """

    brokers: str
    topic: str
    options: dict[str, str] = field(default_factory=dict, repr=False)
    reading: bool = False


def client_config(settings: KafkaSettings) -> dict[str, str]:
    """The part of the configuration that any client needs to reach the same brokers: addresses, TLS, SASL."""
    mine = {
        name: value
        for name, value in settings.options.items()
        if name.startswith(CLIENT_PREFIXES) or name in CLIENT_OPTIONS
    }
    return {**mine, "bootstrap.servers": settings.brokers}


def options_of(given: Mapping[str, str], file: Path | None) -> dict[str, str]:
    """All options the user gave: those of --kafka-config, and over them those of --kafka-option.

    Raises:
        UsageError: see `read_kafka_config`.
    """
    return {**(read_kafka_config(file) if file is not None else {}), **given}


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

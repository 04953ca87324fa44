"""How to reach Kafka: addresses, and the user's librdkafka options, which TLS and SASL are among.

In: brokers, topic and any librdkafka options. Out: the configuration that any client needs. Secrets never leave this
file in a message.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException

from loadgen.config.kafka_options import KafkaOptions
from loadgen.config.masks import hidden, is_secret
from loadgen.config.options import Options, is_option_name
from loadgen.errors import UsageError

CLIENT_PREFIXES = ("ssl.", "sasl.", "https.", "socket.", "broker.", "client.", "metadata.", "reconnect.")
CLIENT_OPTIONS = (
    "security.protocol",
    "enable.ssl.certificate.verification",
    "enable.sasl.oauthbearer.unsecure.jwt",
    "debug",
    "api.version.request",
)


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where to produce to or to read from, and how.

    Attributes:
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


def chosen_options(settings: KafkaSettings, aliases: Mapping[str, str], refused: Mapping[str, str]) -> dict[str, str]:
    """The user's options, each by one name.

    Args:
        aliases: another name of an option → the one that loadgen uses.
        refused: an option that loadgen must choose itself → why, and what to do.

    Raises:
        UsageError: one of them is given.
    """
    given = {aliases.get(name, name): value for name, value in settings.options.items()}
    problems = [
        f"Kafka option {name} is not yours to set, got {hidden(repr(given[name]))}: {why}"
        for name, why in refused.items()
        if name in given
    ]
    if problems:
        raise UsageError("\n".join(problems))
    return given


def options_of(given: Options, file: Path | None) -> dict[str, str]:
    """All options the user gave: those of --kafka-config, and over them those of --kafka-option.

    Raises:
        UsageError: see `read_options`.
    """
    return {**(read_options(file, type(given)) if file is not None else {}), **given}


def hide_secrets(text: str, options: dict[str, str]) -> str:
    """The text without the values of secret options."""
    for name, value in options.items():
        if value and is_secret(name):
            text = text.replace(value, "***")
    return text


def usage_error(error: KafkaException, options: dict[str, str]) -> UsageError:
    """What to show for a configuration that librdkafka refuses although each option is right by itself."""
    reason = hide_secrets(error.args[0].str(), options)
    return UsageError(f"Kafka does not take these options: {reason}; look at --kafka-option and --kafka-config")


def read_options(path: str | Path, kind: type[Options] = KafkaOptions) -> dict[str, str]:
    """Read a properties file: `name=value` a line, `#` or `!` begins a comment line, `\\` at the end continues a line.

    Raises:
        UsageError: the file cannot be read, a line has no `=`, or an option is wrong; all such lines are named.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the options in {str(path)!r}: {error}; check --{kind.flag}") from error
    options: dict[str, str] = {}
    problems: list[str | None] = []
    for number, line in _logical_lines(text):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not is_option_name(name):
            problems.append(f"{path}, line {number}: must be name=value, or begin with #")  # the line may be a secret
            continue
        problems.append(kind.problem(name, value, f"{path}, line {number}"))
        options[name] = value
    if any(problems):
        raise UsageError("\n".join(filter(None, problems)))
    return options


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, each with its number, that of its first line where it goes on in the next ones."""
    begun, said = 0, ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = line.strip() if said else line.lstrip()
        if not said and (not line.strip() or line.startswith(("#", "!"))):
            continue
        begun, said = (begun, said) if said else (number, "")
        goes_on = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        said += line[:-1] if goes_on else line
        if not goes_on:
            yield begun, said.strip()
            said = ""
    if said:
        yield begun, said.strip()

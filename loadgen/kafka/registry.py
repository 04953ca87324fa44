"""A schema registry: registers, looks up and compares schemas, and reads them by their ids.

In: its URL, options of confluent-kafka's own client, schemas. Out: ids and schemas, each within DEADLINE_S, or a
RegistryError with the URL, the reason and the next step. Secrets never leave this file in a message.

confluent-kafka's client has no deadline of its own: it waits for ever for an answer, and for minutes between its
attempts. What it needs besides Kafka's client is the extra `registry`, so it is imported only with the first registry.
"""

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from loadgen.calls import Calls
from loadgen.config.masks import MASK, is_secret, without_logins
from loadgen.config.names import EncodingName, SubjectStrategy
from loadgen.errors import LoadgenError, RegistryError, RegistryUnreachable, SchemaMissing, UsageError

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

T = TypeVar("T")
SchemaKind = Literal["AVRO", "PROTOBUF", "JSON"]
KINDS: dict[EncodingName, SchemaKind] = {"avro": "AVRO", "protobuf": "PROTOBUF", "jsonschema": "JSON"}

DEADLINE_S = 9.0
"""For an answer, all attempts included."""
ATTEMPTS = {"timeout": 4.0, "max.retries": 2, "retries.wait.ms": 200, "retries.max.wait.ms": 500}
SHOWN_LETTERS = 300
"""Of a registry's own words."""
MISSING = 40400
"""A registry's own codes of what is missing are above this; a server's 404 for a wrong path is not."""
LOGIN_STEP = "give basic.auth.user.info or bearer.auth.token in --registry-config, or in LOADGEN_REGISTRY_OPTION_…"
URL_STEP = "correct --schema-registry; with Apicurio the URL ends in /apis/ccompat/v7"
NOT_RUNNING = "start it, or name another with --schema-registry"


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Where a schema registry is, and how to reach it.

    Attributes:
        url: "http://HOST:PORT", without a login; several with commas between them.
        options: of confluent-kafka's client, by name. May hold secrets, so it is not in the repr.
    """

    url: str
    options: dict[str, str] = field(default_factory=dict, repr=False)


def subject_of(strategy: SubjectStrategy, topic: str, record: str) -> str:
    """The subject of the schema of a topic's values, as Confluent's serializers name it.

    Args:
        strategy: "topic" allows one schema per topic, "record" one per record everywhere.
        topic: its name.
        record: the full name of the record or message.
    """
    return {"topic": f"{topic}-value", "record": record, "topic-record": f"{topic}-{record}"}[strategy]


class Registry:
    """A client, for the threads of one process."""

    def __init__(self, settings: RegistrySettings) -> None:
        """Nothing is asked yet.

        Raises:
            LoadgenError: the extra is not installed.
            UsageError: the options contradict each other, or name a file that cannot be read.
        """
        self._url, self._options = settings.url, settings.options
        try:
            from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
        except ImportError as error:
            step = "pip install 'loadgen[registry]'"
            raise LoadgenError(f"a schema registry needs {error.name}, which is not installed; {step}") from None
        self._schema_class = Schema
        try:
            self._client = SchemaRegistryClient({"url": self._url, **ATTEMPTS, **_completed(self._options)})
        except (ValueError, OSError) as error:  # of TLS, too
            reason, step = self._without_secrets(str(error)), "look at --registry-option and --registry-config"
            raise UsageError(f"the schema registry's client does not take these options: {reason}; {step}") from None
        self._calls = Calls()

    def register(self, subject: str, text: str, kind: SchemaKind) -> int:
        """The id of a schema, registered under a subject where it is not yet.

        Raises:
            RegistryError: it is incompatible with those before it, is no schema, or there is no answer.
        """
        schema = self._schema_class(text, kind)
        doing = f"register a schema under {subject!r}"
        return self._ask(doing, lambda client: _id(client.register_schema(subject, schema)))

    def look_up(self, subject: str, text: str, kind: SchemaKind) -> int:
        """The id of a schema that is registered under a subject.

        Raises:
            SchemaMissing: it is not.
            RegistryError: as of `register`.
        """
        schema = self._schema_class(text, kind)
        doing = f"look up a schema under {subject!r}"
        return self._ask(doing, lambda client: _id(client.lookup_schema(subject, schema).schema_id))

    def is_compatible(self, subject: str, text: str, kind: SchemaKind) -> bool:
        """Whether a schema could be registered after the latest one of a subject.

        Raises:
            SchemaMissing: there is no such subject.
            RegistryError: as of `register`.
        """
        schema = self._schema_class(text, kind)
        doing = f"compare a schema with the latest of {subject!r}"
        return self._ask(doing, lambda client: bool(client.test_compatibility(subject, schema)))

    def schema(self, schema_id: int) -> "Schema":
        """The schema with an id, asked for once: the client keeps it.

        Raises:
            SchemaMissing: there is none.
            RegistryError: there is no answer.
        """
        return self._ask(f"get schema {schema_id}", lambda client: _whole(client.get_schema(schema_id)))

    def remove(self, subject: str) -> None:
        """Remove a subject with all its schemas for good; one that is not there too.

        Raises:
            RegistryError: it is not removed.
        """
        for permanent in (False, True):  # it must be marked as deleted before it can be deleted
            with suppress(SchemaMissing):
                self._ask(f"remove subject {subject!r}", partial(_delete, subject, permanent))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _ask(self, doing: str, call: "Callable[[SchemaRegistryClient], T]") -> T:
        try:
            return self._calls.make(lambda: call(self._client), DEADLINE_S)
        except Exception as error:
            raise self._explained(doing, error) from None  # what a library says may hold secrets

    def _explained(self, doing: str, error: Exception) -> RegistryError:
        where, kinds = f"cannot {doing}: the schema registry at {self._url}", _class_names(error)
        if "SchemaRegistryError" in kinds:
            return self._refused(where, error)
        if kinds & {"Unanswered", "TimeoutException"}:
            return RegistryUnreachable(f"{where} does not answer within {DEADLINE_S:g} s; {NOT_RUNNING}")
        reason = self._without_secrets(str(error)) or type(error).__name__
        if "TransportError" in kinds:
            step = "name its CA in --registry-option ssl.ca.location=FILE" if "CERTIFICATE" in reason else NOT_RUNNING
            return RegistryUnreachable(f"{where} cannot be reached ({reason}); {step}")
        return RegistryError(f"{where} answers what no registry does; {URL_STEP}")

    def _refused(self, where: str, error: Any) -> RegistryError:
        """The error for an HTTP status; the registry's own words are in it only where it has given them as such."""
        status, code = error.http_status_code, error.error_code
        is_its_own = isinstance(code, int) and code > 0
        reason = f"HTTP {status}: {self._without_secrets(str(error.error_message))}" if is_its_own else f"HTTP {status}"
        for statuses, kind, said, step in _ANSWERS:
            if status in statuses and (status != 404 or (is_its_own and code > MISSING)):
                return kind(f"{where} {said} ({reason}); {step}")
        return RegistryError(f"{where} answers what no registry does ({reason}); {URL_STEP}")

    def _without_secrets(self, text: str) -> str:
        """What a library or the registry says, on one line, shortened, without this client's secrets."""
        for secret in sorted(_secrets(self._options), key=len, reverse=True):
            text = text.replace(secret, MASK)
        text = without_logins(" ".join(text.split())).replace("; ", ", ")  # what follows a ; is the next step
        return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}…"


_ANSWERS: tuple[tuple[Any, type[RegistryError], str, str], ...] = (
    (range(300, 400), RegistryError, "is elsewhere", "name its final URL by --schema-registry: no login is sent on"),
    ((401,), RegistryError, "wants a login, or does not know this one", LOGIN_STEP),
    ((403,), RegistryError, "does not allow this user to do so", "let it be allowed, or give another user's login"),
    ((404,), SchemaMissing, "has none", "register it, or name the registry that has it"),
    (
        (409,),
        RegistryError,
        "finds it incompatible with the schemas before it",
        "send a compatible one, or change the compatibility level of the subject",
    ),
    ((422,), RegistryError, "takes it for no valid schema", "correct the schema"),
    ((408, 429, *range(500, 600)), RegistryUnreachable, "fails", "look at its log, and try again"),
)
"""What an HTTP status means: its error, the fact, the next step."""


def _secrets(options: dict[str, str]) -> Iterator[str]:
    """The secrets among the options, in each form in which they are sent."""
    for name, value in options.items():
        if value and is_secret(name):
            yield value
            yield base64.b64encode(value.encode()).decode()
            yield from filter(None, value.split(":", 1)[1:])  # the password of USER:PASSWORD


def _completed(options: dict[str, str]) -> dict[str, str]:
    """The options with what the client wants besides; raises ValueError for a file that cannot be read."""
    for name, value in options.items():
        if name.endswith(".location") and not os.access(value, os.R_OK):
            raise ValueError(f"{name} must be a file that can be read, got {value!r}")
    found = dict(options)
    if "ssl.certificate.location" in found:
        found.setdefault("ssl.key.password", "")  # OpenSSL would ask for it on the terminal
    if any(name.startswith("bearer.") for name in found):
        found["bearer.auth.credentials.source"] = "STATIC_TOKEN"
        found.setdefault("bearer.auth.logical.cluster", "")
    return found


def _class_names(error: Exception) -> set[str]:
    """The names of the error's classes: the client takes its HTTP from one of two packages, httpx or httpx2."""
    return {kind.__name__ for kind in type(error).__mro__}


def _delete(subject: str, permanent: bool, client: "SchemaRegistryClient") -> object:
    return client.delete_subject(subject, permanent)


def _id(found: Any) -> int:
    """The id of a schema in an answer; raises ValueError where the answer has none."""
    if not isinstance(found, int):
        raise ValueError("an answer without the id of a schema")
    return found


def _whole(schema: "Schema") -> "Schema":
    """A schema in an answer; raises ValueError where the answer has none."""
    if not isinstance(schema.schema_str, str):
        raise ValueError("an answer without a schema")
    return schema

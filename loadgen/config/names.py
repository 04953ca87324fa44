"""Parsers of names: files, brokers, topics, stores, hosts.

In: a text from a flag or a variable, or a value from TOML. Out: the value of the setting, or BadValue. Only the form is
checked, not whether the name leads anywhere.
"""

import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from loadgen.config.masks import MASK, is_secret
from loadgen.config.values import OBJECT, BadValue, Parser, wire_format
from loadgen.extensions import name_of

_BROKER = re.compile(
    r"(?:[A-Za-z_]+://)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?"
)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
STORE_KINDS = ("file", "hdfs")
_LOGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^/]*@")
"""The start of a URL with a user name in it."""
_REGISTRY = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%/-]*)?")
OWN_SINKS = ("kafka", "stream", "files", "null")
_EXTENSION = re.compile(r"[A-Za-z_][\w.-]*(?::[A-Za-z_][\w.]*)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


KeyType = Literal["text", "int64", "avro"]
EncodingName = Literal["json", "avro", "protobuf", "jsonschema"]
SubjectStrategy = Literal["topic", "record", "topic-record"]
Profile = Literal["default", "k-pop-release-day", "sleepy-sunday"]
"""The listener profiles included; each but the first is a file in simulate/profiles/."""


def path(value: Any) -> Path:
    """A path; ~ is the home folder."""
    text = str(value) if isinstance(value, str | Path) else ""
    if not text or "\0" in text or not is_utf8(text):
        raise BadValue("must be the path of a file or folder, in UTF-8", "write for example ./events.jsonl")
    if _LOGIN.match(text):
        raise BadValue("must be a path without a user name or a password", "write for example ./events.jsonl")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise BadValue("must not name the home folder of an unknown user", "write the whole path") from None


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, str):
        return value.splitlines()
    return value if isinstance(value, list | tuple) else [value]


def path_text(value: Any) -> str:
    """A path as text, or what has the form of one: the name of an extension."""
    return str(path(value))


def store(value: Any) -> str:
    """The location of a store: a path, file:///PATH or hdfs://HOST:PORT/PATH; ~ is the home folder."""
    kind, scheme, rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    if not scheme:
        return str(path(value))
    if _LOGIN.match(value):
        step = "leave them out, and set HADOOP_USER_NAME to be another user"
        raise BadValue("must have no user name and no password in it", step)
    if kind.lower() not in STORE_KINDS or not rest.strip("/") or not rest.isprintable() or not is_utf8(rest):
        rule = "must be a folder, file:///PATH or hdfs://HOST:PORT/PATH"
        raise BadValue(rule, "write for example hdfs://localhost:8020/music_events")
    return str(value)


def each(parse: Parser) -> Parser:
    """A parser of a list, or of a text with one value per line."""
    return lambda value: tuple(map(parse, _parts(value)))


def some(parse: Parser, rule: str, next_step: str, n: int | None = None) -> Parser:
    """A parser of as many values, or of at least one."""

    def parse_some(value: Any) -> Any:
        found = parse(value)
        if not found or len(found) != (n or len(found)):
            raise BadValue(rule, next_step)
        return found

    return parse_some


paths, path_texts, stores = each(path), each(path_text), each(store)


def sinks(value: Any) -> tuple[Any, ...]:
    """Sinks, each as text, `module:Class?key=value&…` or `entry_point?…`, or an object; or a text with many lines."""
    rule = f"must be package.module:Class, or an entry point's name other than {', '.join(OWN_SINKS)}"
    found = tuple(_extension(part, "start", rule, "my_package:MySink?path=events") for part in _parts(value))
    bare = [name_of(sink) for sink in found]
    if len(set(bare)) < len(bare):
        raise BadValue("must name each sink once", "give a second sink a class of its own", secret=True)
    return found


def pacer(value: Any) -> Any:
    """A pacer as text, `module:OBJECT?key=value&…` or `entry_point?…`, or as an object."""
    return _extension(value, "invert", "must be package.module:OBJECT, or an entry point's name", "my_package:MyPacer")


def _extension(value: Any, method: str, rule: str, example: str) -> Any:
    """A text of the right form, or an object or a class that has this method."""
    if callable(getattr(value, method, None)):
        return value
    text, example = value if isinstance(value, str) else "", f"write for example {example}"
    name, question, query = text.partition("?")
    if not _EXTENSION.fullmatch(name) or name in OWN_SINKS:
        raise BadValue(rule, example, secret=bool(question))
    if question:
        try:
            parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        except ValueError:
            raise BadValue("must have options key=value&… behind the ?", example, secret=True) from None
    return text


def public_extensions(extensions: Sequence[Any]) -> list[str]:
    """Extensions as text, see `public_extension`."""
    return [public_extension(one) for one in extensions]


def event_fields(value: Any) -> tuple[Any, ...]:
    """Fields of events, by name, as tables or as `Field` objects: a list, or a text with a name on each line."""
    return tuple(_event_field(part) for part in _parts(value))


def _event_field(value: Any) -> Any:
    from loadgen.extensions import names
    from loadgen.formats import Field, field_of  # costs time that other values need not spend

    if isinstance(value, Mapping):
        try:
            return field_of(value)
        except ValueError as error:
            raise BadValue(
                f"must be the definition of a field ({error})", "see the README, Fields of your own"
            ) from None
    if isinstance(value, Field) or (isinstance(value, str) and (OBJECT.fullmatch(value) or value in names("field"))):
        return value
    known = ", ".join(names("field")) or "none is installed"
    raise BadValue(
        f"must be a field of an installed package ({known}), or MODULE:OBJECT", "write for example mine:PLAN"
    )


def public_fields(fields: Sequence[Any]) -> list[Any]:
    """The names of fields, or the definitions of those that have no name."""
    return [field if isinstance(field, str) else field.definition for field in fields]


def wire_formats(value: Any) -> tuple[str, ...]:
    """Names of wire formats: a list, or a text with one on each line."""
    return tuple(wire_format(part) for part in _parts(value))


def public_extension(extension: Any) -> str:
    """An extension as text, with the values of secret options as ***; of an object only MODULE:CLASS is known."""
    _, question, query = extension.partition("?") if isinstance(extension, str) else ("", "", "")
    options = (option.partition("=") for option in query.split("&"))
    return (
        name_of(extension)
        + question
        + "&".join(f"{key}{eq}{MASK if is_secret(key) else text}" for key, eq, text in options)
    )


def is_utf8(text: str) -> bool:
    """Whether the text is valid UTF-8; invalid bytes of a command line arrive as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def brokers(value: Any) -> str:
    """`embedded`, or HOST:PORT,… without spaces, from a text or a list."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    names = [part.strip() if isinstance(part, str) else "?" for part in parts if part]
    if names == ["embedded"] or (names and all(_is_broker(name) for name in names)):
        return ",".join(names)
    if any("@" in name for name in names):
        step = "leave them out, and set sasl.username and sasl.password in --kafka-config"
        raise BadValue("must be HOST:PORT,… without a user name and a password", step)
    raise BadValue("must be embedded or HOST:PORT,…", "write for example localhost:9092 or kafka1:9092,kafka2:9092")


def servers(value: Any) -> str:
    """HOST:PORT,… as `brokers`, but not `embedded`, which other processes do not reach."""
    try:
        found = brokers(value)
    except BadValue as bad:
        raise BadValue("must be HOST:PORT,…", bad.next_step) from None
    if found == "embedded":
        step = "that broker belongs to the loadgen run that started it, which prints its address: name that"
        raise BadValue("must be HOST:PORT,…", step)
    return found


def registry(value: Any) -> str:
    """URLs of a schema registry, with commas between them, each without a / at its end."""
    urls = [part.strip().rstrip("/") for part in value.split(",")] if isinstance(value, str) else [""]
    if any(_LOGIN.match(url) for url in urls):
        step = "leave them out, and set basic.auth.user.info in --registry-config"
        raise BadValue("must have no user name and no password in it", step)
    if not all(_REGISTRY.fullmatch(url) for url in urls):
        raise BadValue("must be http://HOST:PORT or https://HOST:PORT", "write for example http://localhost:8081")
    return ",".join(urls)


def _is_broker(name: str) -> bool:
    match = _BROKER.fullmatch(name)
    return match is not None and name != "embedded" and (match[1] is None or 1 <= int(match[1]) <= 65535)


def topic(value: Any) -> str:
    """A legal name of a Kafka topic."""
    if isinstance(value, str) and _TOPIC.fullmatch(value) and value not in (".", ".."):
        return value
    rule = "must be 1..249 of the letters a-z A-Z 0-9 . _ - and not . or .."
    raise BadValue(rule, "write for example music-streaming-events")


OTHER_PAGES = "*"
"""In a topic map: every page that it does not name."""


KAFKA = "kafka://"


def recording(value: Any) -> str:
    """Where recorded events are: a file, a store, or a topic as kafka://HOST:PORT,…/TOPIC."""
    if not isinstance(value, str) or not value.lower().startswith(KAFKA):
        return store(value)
    at, _, name = value[len(KAFKA) :].rpartition("/")
    if not at:
        raise BadValue("must name brokers and a topic", "write for example kafka://localhost:9092/plays", secret=True)
    return f"{KAFKA}{servers(at)}/{topic(name)}"


recordings = each(recording)


def topic_place(source: str) -> tuple[str, str] | None:
    """The brokers and the topic of such a source; None for files and stores."""
    if not source.startswith(KAFKA):
        return None
    at, _, name = source[len(KAFKA) :].rpartition("/")
    return at, name


def field_name(value: Any) -> str:
    """The name of a field of recorded events."""
    if isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable() and is_utf8(value):
        return value
    raise BadValue("must be the name of a field", "write for example ts")


def topic_map(value: Any) -> str:
    """PAGE=TOPIC,…, each page once; the page * is all others."""
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else [""]
    step = "write for example 'NextSong=plays,*=activity'"
    pairs = [(page.strip(), name.strip()) for page, _, name in (part.rpartition("=") for part in parts)]
    if not all(page for page, _ in pairs) or not is_utf8(str(value)):
        raise BadValue("must be PAGE=TOPIC,… with * for all other pages", step)
    pages = [page for page, _ in pairs]
    if twice := next((page for page in pages if pages.count(page) > 1), None):
        raise BadValue(f"must name each page once, and {twice} is there twice", "keep one of its topics")
    for _, name in pairs:
        try:
            topic(name)
        except BadValue as bad:
            raise BadValue(f"must name topics of Kafka, and {name!r} {bad.rule}", step) from None
    return ",".join(f"{page}={name}" for page, name in pairs)


def page_topics(text: str) -> dict[str, str]:
    """Page → topic of a topic map, in its order."""
    return {page: name for page, _, name in (part.rpartition("=") for part in text.split(","))}


def message_key(value: Any) -> str:
    """What the keys of messages are: user, session, artist, track, none, or the name of a field."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.-]{0,63}", value, re.ASCII):
        return value
    rule = "must be user, session, artist, track, none or the name of a field"
    raise BadValue(rule, "write for example session")


def headers(value: Any) -> tuple[str, ...]:
    """Headers NAME=VALUE of messages: a list, or a text with one on each line."""
    return tuple(_header(part) for part in _parts(value))


def _header(value: Any) -> str:
    rule, step = "must be NAME=VALUE, and fields in it in braces", "write for example trace={sessionId}-{itemInSession}"
    name, equals, text = value.partition("=") if isinstance(value, str) else ("", "", "")
    if not name or not equals or not is_utf8(value):
        raise BadValue(rule, step)
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise BadValue(rule, step) from None
    if any(field == "" or form or conversion for _, field, form, conversion in parts):
        raise BadValue(rule, step)
    return str(value)


def groups(value: Any) -> tuple[str, ...]:
    """Names of consumer groups: a list, or a text with one on each line; each once."""
    return tuple(dict.fromkeys(group(part) for part in _parts(value)))


def group(value: Any) -> str:
    """The name of a Kafka consumer group."""
    if isinstance(value, str) and 1 <= len(value) <= 249 and value.isprintable() and value.strip() == value:
        return value
    raise BadValue("must be 1..249 printable characters", "write for example loadgen-consume")


def name(value: Any) -> str:
    """A name that is also a safe file name."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise BadValue("must begin with a letter or digit, then a-z A-Z 0-9 . _ -", "write for example my-catalogue")


def host(value: Any) -> str:
    """A host name or address to listen on."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", value):
        return value
    raise BadValue("must be a host name or address", "write for example 127.0.0.1 or 0.0.0.0")


def url(listening: str, port: int) -> str:
    """The address of a server for a browser on this machine."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listening, listening)
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"

"""The wire formats as data: the fields of a record, their names, their order, and the pages that have them.

What depends on a format is derived from its `Format`: the encoder, the hash of an event, the columns of Arrow, Parquet
and DuckDB, and the readers. A further field is one line here, a further format one object.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Literal

from loadgen.errors import UsageError
from loadgen.event import TRACK_PAGES, Page
from loadgen.extensions import load
from loadgen.extensions import names as installed

FieldType = Literal["integer", "float", "text"]


class Source(StrEnum):
    """Where the value of a field comes from."""

    TIME_MS = "time_ms"
    """The event's time: milliseconds since 1970 (UTC)."""
    TIME_ISO = "time_iso"
    """The event's time: ISO 8601 with microseconds and offset, in UTC."""
    USER_ID = "user_id"
    SESSION_ID = "session_id"
    ITEM = "item"
    """Position in the session, from 1."""
    PAGE = "page"
    METHOD = "method"
    STATUS = "status"
    LEVEL = "level"
    ACTION = "action"
    USER_NAME = "user_name"
    LOCATION = "location"
    COUNTRY = "country"
    AGE = "age"
    PLATFORM = "platform"
    DEVICE = "device"
    ARTIST = "artist"
    TITLE = "title"
    LENGTH = "length"
    """Of the track, in seconds."""
    TIER = "tier"
    POPULARITY = "popularity"
    GENRE = "genre"


OF_TRACK = {Source.ARTIST, Source.TITLE, Source.LENGTH, Source.TIER, Source.POPULARITY, Source.GENRE}
"""Sources with a value only where the event is about a track."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_IDS = {Source.USER_ID, Source.SESSION_ID, Source.ITEM}
_TIME_NAMES = {Source.TIME_MS: "ts", Source.TIME_ISO: "timestamp"}
TIMES = (Source.TIME_MS, Source.TIME_ISO)
_INTEGERS = {
    Source.TIME_MS,
    Source.USER_ID,
    Source.SESSION_ID,
    Source.ITEM,
    Source.STATUS,
    Source.AGE,
    Source.POPULARITY,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a format.

    Attributes:
        name: its key in a record.
        source: where its value comes from.
        pages: the pages whose events have it; None: all have it, and it is null where it has no value.
    """

    name: str
    source: Source
    pages: tuple[Page, ...] | None = None

    @property
    def type(self) -> FieldType:
        """The type of its values."""
        return "integer" if self.source in _INTEGERS else "float" if self.source is Source.LENGTH else "text"

    @property
    def is_nullable(self) -> bool:
        """Whether it can be null where it is present."""
        return self.source in OF_TRACK and not set(self.pages or Page) <= set(TRACK_PAGES)

    @property
    def is_keyed(self) -> bool:
        """Whether its term depends on the run's key; that of the popularity is kept with the catalogue."""
        return self.source is not Source.POPULARITY

    def is_on(self, page: int) -> bool:
        """Whether the events of this page have it."""
        return self.pages is None or page in self.pages


@dataclass(frozen=True)
class Format:
    """A wire format: what the records of a run look like.

    Attributes:
        name: as in `--format`.
        fields: in the order of the record.
    """

    name: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        always = {field.source for field in self.fields if field.pages is None}
        n_times = sum(field.source in TIMES for field in self.fields)
        wrong = [name for name in names if not _NAME.fullmatch(name) or names.count(name) > 1]
        if wrong:
            raise ValueError(
                f"a field's name must match {_NAME.pattern} and be unique, got {wrong[0]!r} in {self.name}"
            )
        if not names or self.fields[0].pages is not None:
            raise ValueError(f"the first field of format {self.name} must be on every page; move it behind another")
        if n_times != 1 or self.time.pages is not None or self.time.name != _TIME_NAMES[self.time.source]:
            raise ValueError(
                f"format {self.name} must have the time once, on every page: Field('ts', Source.TIME_MS) or "
                "Field('timestamp', Source.TIME_ISO), where consume and analyze look for it"
            )
        if not (always >= _IDS or {Source.USER_NAME, Source.TIME_ISO} <= always):
            raise ValueError(
                f"format {self.name} must tell events apart on every page: by Source.USER_ID, SESSION_ID and "
                "ITEM, or by Source.USER_NAME and TIME_ISO"
            )

    @cached_property
    def shapes(self) -> tuple[tuple[Field, ...], ...]:
        """The different lists of fields that its records have, those without optional fields first."""
        found = {tuple(field for field in self.fields if field.is_on(page)) for page in Page}
        return tuple(sorted(found, key=len))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of its fields, in order."""
        return tuple(field.name for field in self.fields)

    @property
    def time(self) -> Field:
        """The field with the event's time."""
        return next(field for field in self.fields if field.source in TIMES)

    @property
    def has_ids(self) -> bool:
        """Whether its records tell listener, session and item; else the user name and the time tell events apart."""
        return {field.source for field in self.fields if field.pages is None} >= _IDS


def _song(*pages: Page) -> tuple[Field, ...]:
    return (
        Field("artist", Source.ARTIST, pages),
        Field("song", Source.TITLE, pages),
        Field("length", Source.LENGTH, pages),
        Field("artist_tier", Source.TIER, pages),
        Field("song_popularity", Source.POPULARITY, pages),
    )


_VISIT = (
    Field("ts", Source.TIME_MS),
    Field("userId", Source.USER_ID),
    Field("sessionId", Source.SESSION_ID),
    Field("page", Source.PAGE),
    Field("method", Source.METHOD),
    Field("status", Source.STATUS),
    Field("level", Source.LEVEL),
    Field("itemInSession", Source.ITEM),
    Field("location", Source.LOCATION),
    Field("age", Source.AGE),
)
_CLIENT = (
    Field("platform", Source.PLATFORM),
    Field("device", Source.DEVICE),
    Field("action", Source.ACTION),
    Field("country", Source.COUNTRY),
)
ACTIVITY = Format("activity", (*_VISIT, *_song(Page.NEXT_SONG)))
LISTEN = Format(
    "listen",
    (
        Field("user", Source.USER_NAME),
        Field("artist", Source.ARTIST),
        Field("track", Source.TITLE),
        Field("timestamp", Source.TIME_ISO),
        Field("genre", Source.GENRE),
        Field("duration", Source.LENGTH),
        *_CLIENT,
    ),
)
FULL = Format(
    "full",
    (*_VISIT, *_song(*TRACK_PAGES), Field("user", Source.USER_NAME), Field("genre", Source.GENRE), *_CLIENT),
)
BUILT_IN = {wire_format.name: wire_format for wire_format in (ACTIVITY, LISTEN, FULL)}
FORMATS = tuple(BUILT_IN)
_LOADED: dict[str, Format] = {}


def known_formats() -> tuple[Format, ...]:
    """The formats that readers of this process tell apart: those of loadgen, then others that were asked for."""
    return (*BUILT_IN.values(), *_LOADED.values())


def format_named(name: str) -> Format:
    """The format of this name.

    Args:
        name: one of loadgen's, that of an entry point, or MODULE:OBJECT.

    Raises:
        UsageError: there is none, or it cannot be used.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name not in _LOADED:
        if ":" not in name and name not in installed("format"):
            known = ", ".join(BUILT_IN)
            step = "name an entry point of an installed package, or write MODULE:OBJECT"
            raise UsageError(f"format must be one of {known}, got {name!r}; {step}")
        found = load("format", name)
        if not isinstance(found, Format):
            raise UsageError(f"format {name!r} must be a loadgen.Format, got {type(found).__name__}; mend the module")
        _check_names(name, found)
        _LOADED[name] = found
    return _LOADED[name]


def _check_names(name: str, wire_format: Format) -> None:
    """Raises UsageError where a name means something else in another format: readers could not tell them apart."""
    known = fields_by_name(known_formats())
    for field in wire_format.fields:
        other = known.get(field.name)
        if other is not None and other.source is not field.source:
            raise UsageError(
                f"field {field.name!r} of format {name!r} must come from {other.source}, as in other formats, "
                f"got {field.source}; give it another name"
            )


def fields_by_name(formats: Iterable[Format]) -> dict[str, Field]:
    """Every field of these formats; a name has one source in all of them."""
    return {field.name: field for wire_format in formats for field in wire_format.fields}


def marks(shapes: Sequence[tuple[Field, ...]]) -> tuple[str, ...]:
    """Names of fields that tell these shapes apart by being there: one of each set that occurs together."""
    found: dict[tuple[bool, ...], str] = {}
    for name in dict.fromkeys(field.name for shape in shapes for field in shape):
        there = tuple(any(field.name == name for field in shape) for shape in shapes)
        if not any(field.is_nullable for shape in shapes for field in shape if field.name == name):
            found.setdefault(there, name)
    return tuple(found.values())


def marked(shape: tuple[Field, ...], names: Sequence[str]) -> int:
    """Which of these marks a shape has, as bits."""
    return sum(any(field.name == name for field in shape) << bit for bit, name in enumerate(names))

"""The wire formats as data: the fields of a record, their names, their order, and the pages that have them.

What depends on a format is derived from its `Format`: the encoder, the hash of an event, the columns of Arrow, Parquet
and DuckDB, and the readers. A further field is one line here, a further format one object.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

from loadgen.drawn import Drawn, FieldType
from loadgen.errors import UsageError
from loadgen.event import TRACK_PAGES, Page
from loadgen.extensions import load
from loadgen.extensions import names as installed


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
_TIME_NAMES: dict[Source | Drawn, str] = {Source.TIME_MS: "ts", Source.TIME_ISO: "timestamp"}
TIMES = (Source.TIME_MS, Source.TIME_ISO)
INTEGERS = {
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
    source: Source | Drawn
    pages: tuple[Page, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or self.name.lower() == "raw":
            rule = f"match {_NAME.pattern} and not be 'raw', a column of consume"
            raise ValueError(f"a field's name must {rule}, got {self.name!r}; write for example 'plan'")
        if type(self.source) not in (Source, Drawn):
            step = "write for example Source.AGE or Drawn.choice(['a', 'b'])"
            raise ValueError(
                f"the source of field {self.name!r} must be a Source or a Drawn, got {self.source!r}; {step}"
            )
        if self.pages is not None and (not self.pages or not set(self.pages) <= set(Page)):
            step = "write for example (Page.HOME,), or leave them out"
            raise ValueError(f"pages of field {self.name!r} must be some of Page, got {self.pages!r}; {step}")

    @property
    def type(self) -> FieldType:
        """The type of its values."""
        if isinstance(self.source, Drawn):
            return self.source.type
        return "integer" if self.source in INTEGERS else "float" if self.source is Source.LENGTH else "text"

    @property
    def is_nullable(self) -> bool:
        """Whether it can be null where it is present."""
        return self.source in OF_TRACK and not set(self.pages or Page) <= set(TRACK_PAGES)

    @property
    def is_optional(self) -> bool:
        """Whether a record can be without a value for it: null, or not there."""
        return self.pages is not None or self.is_nullable

    @property
    def is_keyed(self) -> bool:
        """Whether its term depends on the run's key; that of the popularity is kept with the catalogue."""
        return self.source is not Source.POPULARITY

    @property
    def drawn_as(self) -> str:
        """The name on which drawn values depend."""
        return self.name

    @property
    def origin(self) -> str:
        """Where its values come from, in a word or two."""
        return f"a drawn {self.source.kind}" if isinstance(self.source, Drawn) else f"Source.{self.source.name}"

    @property
    def definition(self) -> dict[str, Any]:
        """What it is, as JSON has it: `field_of` gives it back."""
        source = self.source.definition if isinstance(self.source, Drawn) else {"source": str(self.source)}
        pages = {} if self.pages is None else {"pages": [page.name.lower() for page in self.pages]}
        return {"name": self.name, **source, **pages}

    def is_on(self, page: int) -> bool:
        """Whether the events of this page have it."""
        return self.pages is None or page in self.pages


def field_of(definition: Mapping[str, Any]) -> Field:
    """The field of a definition, see `Field.definition`; raises ValueError where it is none."""
    given = dict(definition)
    name, pages = given.pop("name", None), given.pop("pages", None)
    try:
        source = Drawn.of(given) if "drawn" in given else Source(given.pop("source", None))
        if "drawn" not in definition and given:
            raise ValueError(f"it has no {sorted(given)[0]!r}")
        on = None if pages is None else tuple(Page[page.upper()] for page in pages)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"field {name!r}: {error}") from error
    return Field(name, source, on)


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
        names = [field.name.lower() for field in self.fields]
        always = {field.source for field in self.fields if field.pages is None}
        n_times = sum(field.source in TIMES for field in self.fields)
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(
                f"a field's name must be unique in its format, got {twice[0]!r} twice in {self.name}; rename one"
            )
        if not names or self.fields[0].pages is not None:
            raise ValueError(f"the first field of format {self.name} must be on every page; move it behind another")
        if n_times != 1 or self.time.pages is not None or _TIME_NAMES.get(self.time.source) != self.time.name:
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
    def definition(self) -> list[dict[str, Any]]:
        """Its fields as JSON has them, with a digest of the values that are drawn."""
        return [
            field.definition | ({"digest": field.source.digest(field.name)} if isinstance(field.source, Drawn) else {})
            for field in self.fields
        ]

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


@dataclass(frozen=True, eq=False)
class KnownFormats:
    """What readers understand.

    Attributes:
        formats: the formats of records.
        fields: further fields that may follow those of a format, in the order of their names.
    """

    formats: tuple[Format, ...] = tuple(BUILT_IN.values())
    fields: tuple[Field, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Every field; a name has one source in all formats."""
        return fields_by_name(self.formats) | {field.name: field for field in self.fields}

    def with_format(self, wire_format: Format, origin: str) -> "KnownFormats":
        """These, and one more; raises UsageError where one of its names has another meaning already."""
        self._check(wire_format.fields, origin)
        return KnownFormats((*self.formats, wire_format), self.fields)

    def with_field(self, field: Field, origin: str) -> "KnownFormats":
        """These, and a further field; raises as `with_format`, and where it may be null."""
        if field.is_nullable:
            step = "give it pages=TRACK_PAGES, or some of them"
            raise UsageError(
                f"{origin}: field {field.name!r} must have a value wherever it is, got one of a track; {step}"
            )
        self._check((field,), origin)
        return self if field in self.fields else KnownFormats(self.formats, (*self.fields, field))

    def _check(self, fields: Iterable[Field], origin: str) -> None:
        """Readers could not tell two meanings apart; SQL does not know capital letters from small ones."""
        known = {name.lower(): field for name, field in self.by_name.items()}
        for field in fields:
            other = known.get(field.name.lower(), field)
            if (other.name, other.source, other.type) != (field.name, field.source, field.type):
                raise UsageError(
                    f"{origin}: field {field.name!r} must be from {other.origin}, as {other.name!r} is elsewhere, "
                    f"got {field.origin}; give it another name"
                )


OWN = KnownFormats()
"""Those of loadgen itself."""


def format_of(name: str, fields: Iterable[str | Field] = ()) -> Format:
    """The format of a run.

    Args:
        name: one of loadgen's, that of an entry point, or MODULE:OBJECT.
        fields: further fields, or their names; they come last, in the order of their names.

    Raises:
        UsageError: there is no such format or field, or it cannot be used.
    """
    base = _format_of(name)
    known = OWN if name in BUILT_IN else OWN.with_format(base, f"--format {name}")
    added = [field if isinstance(field, Field) else _loaded("field", field, Field) for field in fields]
    for field in added:
        known = known.with_field(field, f"--field {field.name}")
    try:
        return Format(base.name, (*base.fields, *sorted(added, key=lambda field: field.name)))
    except ValueError as error:
        raise UsageError(f"--field: {error}") from error


def known_formats(
    formats: Iterable[str] = (), fields: Iterable[str | Field] = (), note: Callable[[str], None] = lambda text: None
) -> KnownFormats:
    """What a reader understands: loadgen's formats, those that are named, and those of installed packages.

    Args:
        formats, fields: names, as in `format_of`.
        note: says which installed ones cannot be used, and why; they are left out.

    Raises:
        UsageError: one that is named cannot be used.
    """
    known = OWN
    for name in formats:
        known = known if name in BUILT_IN else known.with_format(_format_of(name), f"--format {name}")
    for one in fields:
        field = one if isinstance(one, Field) else _loaded("field", one, Field)
        known = known.with_field(field, f"--field {field.name}")
    for name in installed("format"):
        try:
            known = known.with_format(_format_of(name), f"installed format {name}")
        except UsageError as error:
            note(f"{error}; it is left out")
    for name in installed("field"):
        try:
            known = known.with_field(_loaded("field", name, Field), f"installed field {name}")
        except UsageError as error:
            note(f"{error}; it is left out")
    return known


def _format_of(name: str) -> Format:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if ":" not in name and name not in installed("format"):
        known = ", ".join(BUILT_IN)
        step = "name an entry point of an installed package, or write MODULE:OBJECT"
        raise UsageError(f"format must be one of {known}, got {name!r}; {step}")
    return _loaded("format", name, Format)


T = TypeVar("T")


def _loaded(kind: str, name: str, wanted: type[T]) -> T:
    found = load(kind, name)
    if not isinstance(found, wanted):
        step = "mend the module"
        raise UsageError(f"--{kind} {name} must be a loadgen.{wanted.__name__}, got {type(found).__name__}; {step}")
    return found


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

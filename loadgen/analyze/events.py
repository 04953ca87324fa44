"""The three wire formats as the rows of one table, for DuckDB.

In: records of `activity`, `listen` and `full`, also mixed: JSON lines, or rows of the Parquet files that the consumer
writes. Out: one row per record, with the columns of ROW; NULL where a format does not say. A record from which no time
can be read is no event: its `ts_ms` is NULL.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from loadgen.drawn import FieldType
from loadgen.event import PAGES
from loadgen.formats import FULL, OWN, TIMES, Format, KnownFormats, Source, fields_by_name

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES: dict[FieldType, str] = {"integer": "BIGINT", "float": "DOUBLE", "text": "VARCHAR"}
_UNREAD = {Source.METHOD, Source.STATUS, Source.AGE, Source.POPULARITY}
_FIELDS = {name: field for name, field in fields_by_name((FULL, *OWN.formats)).items() if field.source not in _UNREAD}
FIELDS = {name: "UBIGINT" if field.source is Source.USER_ID else _TYPES[field.type] for name, field in _FIELDS.items()}
"""What is read of a record; a value that is not of this type counts as NULL."""

_ACTIONS = " ".join(f"WHEN '{name}' THEN '{action}'" for name, action in zip(PAGES.names, PAGES.actions, strict=True))
_ACTION_OF_PAGE = f"CASE {{0}} {_ACTIONS} ELSE lower(replace({{0}}, ' ', '_')) END"
"""That of a page that a behaviour adds is its name, unless the behaviour says otherwise."""


def _of(source: Source, how: str = "{}") -> str:
    """The SQL of what a record says in a field of this source, whatever its name; how: the SQL around the field."""
    return ", ".join(how.format(f'"{name}"') for name, field in _FIELDS.items() if field.source is source)


def _any_of(source: Source) -> str:
    """The SQL of the value that a record has in a field of this source."""
    found = _of(source)
    return f"coalesce({found})" if "," in found else found


_NAME_HASH = "CASE WHEN {0} IS NOT NULL THEN hash({0}) END"
_TIME = f"coalesce({_of(Source.TIME_MS)}, {_of(Source.TIME_ISO, 'epoch_ms(try_cast({} AS TIMESTAMPTZ))')})"
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_LENGTH = f"coalesce({_of(Source.LENGTH)})"
LONGEST_S = 1_000_000
"""What claims to last longer is no track."""
IS_PLAY = f"({_any_of(Source.PAGE)} = 'NextSong' OR {_any_of(Source.ACTION)} IN ('play', 'skip'))"
"""Whether a track was started: both start one; a skip says that the one before was cut short."""

_COUNTRY = "nullif(regexp_extract({}, ', ([A-Z]{{2}})$', 1), '')"
ROW = {
    "ts_ms": f"CASE WHEN {_TIME} BETWEEN 0 AND {_LAST_MS} THEN {_TIME} END",
    "listener": f"coalesce({_of(Source.USER_ID)}, {_of(Source.USER_NAME, _NAME_HASH)})",
    "session": _any_of(Source.SESSION_ID),
    "item": _any_of(Source.ITEM),
    "action": f"coalesce({_of(Source.ACTION)}, {_of(Source.PAGE, _ACTION_OF_PAGE)})",
    "artist": _any_of(Source.ARTIST),
    "title": _any_of(Source.TITLE),
    "tier": _any_of(Source.TIER),
    "genre": _any_of(Source.GENRE),
    "platform": _any_of(Source.PLATFORM),
    "device": _any_of(Source.DEVICE),
    "country": f"coalesce({_of(Source.COUNTRY)}, {_of(Source.LOCATION, _COUNTRY)})",
    "level": _any_of(Source.LEVEL),
    "duration_s": f"CASE WHEN {IS_PLAY} AND {_LENGTH} BETWEEN 0 AND {LONGEST_S} THEN {_LENGTH} END",
}
"""Column → SQL: ts_ms (ms since 1970, UTC) · listener (UBIGINT: the same listener, the same number, within one format)
· session, item (NULL in `listen`) · action ('play', 'skip', 'like' …, also where a record only says its page) · artist,
title (of the track that the event is about) · tier · genre · platform · device · country · level · duration_s (the
track's length, where one was started)."""

MORE = {"name": '"user"'}
"""Columns that are part of a row only where they are asked for: the listener's name (NULL in `activity`)."""

RECORD_BYTES = 16 << 20
"""The most bytes of a line; a file with a line of more than twice as many cannot be read."""


_IN_MEMORY = count()


def connect(memory_bytes: int = 512 << 20, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory that fetches nothing from the network, and says every time in UTC.

    Args:
        memory_bytes: what DuckDB may hold; a little more comes on top.
        spill: the folder for what does not fit; None where all must.
    """
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "memory_limit": f"{memory_bytes}B",
        "temp_directory": "" if spill is None else str(spill),
    }
    connection = duckdb.connect(config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def rows_of_lines(
    connection: duckdb.DuckDBPyConnection,
    lines: bytes,
    columns: Sequence[str] = tuple(ROW),
    known: KnownFormats = OWN,
) -> "pa.Table":
    """The events in these lines of JSON, in order, with these columns of ROW and MORE; what is no event is left out.

    Args:
        connection: from `connect`, or a cursor of it; not one that another thread uses at the same time.
        lines: whole lines, each ending in a newline; the last may lack it.
        columns: with `ts_ms` among them.
        known: the formats of the records.
    """
    with as_file(connection, lines) as path:
        rows = f"SELECT * FROM ({select(from_json([path], known=known), columns)}) WHERE ts_ms IS NOT NULL"
        found: pa.Table = connection.sql(rows).to_arrow_table()
        return found


@contextmanager
def as_file(connection: duckdb.DuckDBPyConnection, lines: bytes) -> Iterator[str]:
    """The path under which this connection can read these lines, as long as that lasts."""
    from fsspec.implementations.memory import MemoryFileSystem

    files = MemoryFileSystem()
    if not connection.filesystem_is_registered("memory"):
        connection.register_filesystem(files)
    path = f"/loadgen/{next(_IN_MEMORY)}.jsonl"
    files.pipe_file(path, lines)
    try:
        yield "memory://" + path
    finally:
        files.rm_file(path)


def select(source: str, columns: Sequence[str] = tuple(ROW)) -> str:
    """The SQL that gives these columns of a source that has FIELDS."""
    return f"SELECT {', '.join(f'{(ROW | MORE)[name]} AS {name}' for name in columns)} FROM {source}"


def aliases(fields: Mapping[str, str], known: KnownFormats) -> dict[str, list[str]]:
    """Field → the fields in which records of other formats have the same."""
    own = {name: field for name, field in OWN.by_name.items() if name in fields}
    found: dict[str, list[str]] = {}
    for field in known.by_name.values():
        same = next((name for name, one in own.items() if one.source == field.source), None)
        if same is not None and field.name not in OWN.by_name:
            found.setdefault(same, []).append(field.name)
    return found


def read_columns(known: KnownFormats, fields: Mapping[str, str] = FIELDS) -> list[str]:
    """The names of all columns from which `from_table` reads these fields."""
    return [*fields, *chain.from_iterable(aliases(fields, known).values())]


def from_json(paths: Sequence[str], fields: Mapping[str, str] = FIELDS, known: KnownFormats = OWN) -> str:
    """The SQL of a source: these fields of these files of JSON lines (.gz and .zst by name).

    Args:
        paths: the files.
        fields: what is read of a record, by the names that loadgen's formats have.
    """
    others = aliases(fields, known)
    read = {**fields, **{other: fields[name] for name, found in others.items() for other in found}}
    source = (
        f"read_json({_texts(paths)}, format = 'newline_delimited', ignore_errors = true, "
        f"maximum_object_size = {RECORD_BYTES}, columns = {_struct(read)})"
    )
    if not others:
        return source
    named = ", ".join(f'{_first(map(_quoted, (name, *others.get(name, ()))))} AS "{name}"' for name in fields)
    return f"(SELECT {named} FROM {source})"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _first(values: Iterable[str]) -> str:
    """The SQL of the first of these values that is not NULL."""
    found = list(values)
    return f"coalesce({', '.join(found)})" if len(found) > 1 else found[0]


def _texts(texts: Sequence[str]) -> str:
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"


def _struct(fields: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in fields.items()) + "}"


def from_table(
    name: str,
    present: Sequence[str],
    fields: Mapping[str, str] = FIELDS,
    known: KnownFormats = OWN,
    *,
    beside_texts: bool = False,
) -> str:
    """The SQL of a source: a table, a view or Parquet files of the consumer, of which these columns are there.

    Args:
        name: of the table, or what SQL reads of files.
        present: its columns.
        fields: what is read of a record, by the names that loadgen's formats have.
        beside_texts: whether there are rows of `raw` too, the texts of records that are not exactly one of the formats.
            They are left out, as they are to be read as lines: SQL would hold many long texts at once. They are told by
            the columns that each format fills, because a look at `raw` itself would read all texts.
    """
    others = aliases(fields, known)

    def column(field: str, kind: str) -> str:
        found = [_quoted(one) for one in (field, *others.get(field, ())) if one in present]
        return f'{_first(f"try_cast({one} AS {kind})" for one in found or ["NULL"])} AS "{field}"'

    columns = ", ".join(column(field, kind) for field, kind in fields.items())
    of_others = [_always_there(wire_format) for wire_format in known.formats if wire_format not in OWN.formats]
    told = [f'"{field}" IS NOT NULL' for field in ("page", "user", "action", *of_others) if field in present]
    where = f" WHERE {' OR '.join(told)}" if beside_texts and told else ""
    return f"(SELECT {columns} FROM {name}{where})"


def _always_there(wire_format: Format) -> str:
    """The name of a field, other than the time, that every record of this format has."""
    always = (field for field in wire_format.fields if field.pages is None and not field.is_nullable)
    return next(field.name for field in always if field.source not in TIMES)


def parquet(paths: Sequence[str]) -> str:
    """The SQL of all rows of these Parquet files."""
    return f"read_parquet({_texts(paths)}, union_by_name = true, hive_partitioning = false)"


def groups_with_texts(paths: Sequence[str]) -> str:
    """The SQL that tells which row groups of these Parquet files have rows of `raw`: file name, number."""
    return (
        f"SELECT DISTINCT file_name, row_group_id FROM parquet_metadata({_texts(paths)}) WHERE path_in_schema = 'raw' "
        "AND coalesce(stats_null_count < num_values, true) ORDER BY ALL"
    )

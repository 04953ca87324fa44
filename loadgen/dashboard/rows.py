"""Records as normalised rows.

In: lines of JSON, or tables of Parquet. Out: pieces, each with rows of `loadgen.analyze.events` and the hashes of their
listeners, artists and tracks. A record that is not an event is counted; it is not an error.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from loadgen.analyze.events import RECORD_BYTES, ROW, connect, from_table, read_columns, rows_of_lines, select
from loadgen.event import UInt64s
from loadgen.formats import OWN, KnownFormats
from loadgen.store.read import lines_of_texts
from loadgen.store.table import RAW

LAST_MS = 253_402_300_799_999
"""The end of the year 9999; the consumer refuses later events, too."""
IS_EVENT = f"ts_ms BETWEEN 0 AND {LAST_MS}"
MEMORY_BYTES = 256 << 20
COLUMNS = (*ROW, "name")


@dataclass(frozen=True, slots=True)
class EventPiece:
    """Some events, normalised.

    Attributes:
        rows: pyarrow table, COLUMNS of `loadgen.analyze.events`; `ts_ms` is never null.
        listeners, artists, tracks: uint64, hashes of the different ones.
        n_unreadable: records that are not events.
    """

    rows: pa.Table
    listeners: UInt64s
    artists: UInt64s
    tracks: UInt64s
    n_unreadable: int


class Normaliser:
    """Turns records into pieces; belongs to one thread."""

    def __init__(self, known: KnownFormats = OWN) -> None:
        """Open a database in memory; known: the formats of the records."""
        self._known = known
        self._connection = connect(MEMORY_BYTES)
        self._connection.execute("SET threads = 1")  # leaves a core to the answering process

    def of_lines(self, lines: bytes) -> list[EventPiece]:
        """Pieces of lines of JSON, each ending in a newline.

        Halves the lines to find those that make DuckDB refuse all of them, such as one of more than 16 MB."""
        n_lines = _count_lines(lines)
        try:
            return [self._piece(rows_of_lines(self._connection, lines, COLUMNS, self._known), n_lines)]
        except duckdb.Error:
            if n_lines <= 1:
                return [self._piece(_no_rows(), n_lines)]
        middle = lines.find(b"\n", len(lines) // 2) + 1
        if middle in (0, len(lines)):
            middle = lines.rfind(b"\n", 0, len(lines) - 1) + 1
        return [*self.of_lines(lines[:middle]), *self.of_lines(lines[middle:])]

    def of_table(self, table: pa.Table) -> list[EventPiece]:
        """Pieces of rows with some columns of `loadgen.store.table`; records kept as text are read as lines."""
        if RAW not in table.column_names:
            return [self._of_rows(table)]
        is_row = table[RAW].is_null()
        texts = table[RAW].drop_null().cast(pa.large_binary())
        of_texts = (self.of_lines(lines) for lines in lines_of_texts((text.as_py() for text in texts), RECORD_BYTES))
        return [self._of_rows(table.drop_columns([RAW]).filter(is_row)), *chain.from_iterable(of_texts)]

    def _of_rows(self, table: pa.Table) -> EventPiece:
        records = table.select([name for name in read_columns(self._known) if name in table.column_names])
        query = select(from_table("records", records.column_names, known=self._known), COLUMNS)
        self._connection.register("records", records)
        try:
            rows = self._connection.sql(query).to_arrow_table()
        finally:
            self._connection.unregister("records")
        return self._piece(rows, table.num_rows)

    def _piece(self, rows: pa.Table, n_records: int) -> EventPiece:
        self._connection.register("rows", rows)
        try:
            times = self._connection.sql(f"SELECT count(*) FROM rows WHERE {IS_EVENT}").fetchall()
            if times[0][0] != rows.num_rows:
                rows = self._connection.sql(f"SELECT * FROM rows WHERE {IS_EVENT}").to_arrow_table()
                self._connection.register("rows", rows)
            listeners = self._distinct("listener", "listener")
            artists = self._distinct("hash(artist)", "artist")
            tracks = self._distinct("hash(artist, title)", "title")
        finally:
            self._connection.unregister("rows")
        return EventPiece(rows, listeners, artists, tracks, n_records - rows.num_rows)

    def _distinct(self, expression: str, present: str) -> UInt64s:
        found: Any = self._connection.sql(f"SELECT DISTINCT {expression} AS h FROM rows WHERE {present} IS NOT NULL")
        hashes: UInt64s = found.to_arrow_table()["h"].to_numpy().astype(np.uint64, copy=False)
        return hashes


def _count_lines(lines: bytes) -> int:
    """The number of lines that are not blank."""
    n_lines = lines.count(b"\n")
    if b"\n\n" in lines or lines[:1] == b"\n" or b"\r" in lines or b" \n" in lines:
        return sum(map(bool, map(bytes.strip, lines.split(b"\n"))))
    return n_lines


def _no_rows() -> pa.Table:
    kinds = {"BIGINT": pa.int64(), "UBIGINT": pa.uint64(), "DOUBLE": pa.float64()}
    numbers = {"ts_ms": "BIGINT", "listener": "UBIGINT", "session": "BIGINT", "item": "BIGINT", "duration_s": "DOUBLE"}
    return pa.schema([(name, kinds.get(numbers.get(name, ""), pa.string())) for name in COLUMNS]).empty_table()

"""What decoding gives: a table of the records that can be read, and the faults of the others."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.cursor import ALL, Bools, Cursor, Rows
from loadgen.event import Int64s

UTC_MS, UTC_US = pa.timestamp("ms", "UTC"), pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded records.

    Attributes:
        table: a row for each record without a fault, in order.
        rows: int64[len(table)], which records these are.
        faults: by row, why its record could not be read: what it "ends within" or "has".
    """

    table: pa.Table
    rows: Int64s
    faults: dict[int, str]

    @classmethod
    def of(cls, columns: dict[str, pa.Array], cursor: Cursor) -> "Decoded":
        """Keep what is good of columns that have a value for each record."""
        is_good, table = cursor.is_good, pa.table(columns)
        table = table if is_good.all() else table.filter(pa.array(is_good))
        return cls(table, np.flatnonzero(is_good), cursor.faults)


def scattered(values: npt.NDArray[Any], rows: Rows, n: int) -> npt.NDArray[Any]:
    """n values: these in these rows, zero elsewhere."""
    if rows is ALL:
        return values
    found = np.zeros(n, values.dtype)
    found[rows] = values
    return found


def mask_of(rows: Rows, n: int) -> Bools:
    """Which of n rows these are."""
    found = np.zeros(n, np.bool_)
    found[rows] = True
    return found


def rows_where(mask: Bools) -> Rows:
    """The rows of a mask."""
    return ALL if mask.all() else np.flatnonzero(mask)


def strings(cursor: Cursor, spans: tuple[Int64s, Int64s], is_there: Bools, what: str) -> pa.StringArray:
    """The texts of spans, one for each record; a record with one that is not UTF-8 has a fault."""
    found = cursor.binary(*spans, is_there)
    try:
        return found.cast(pa.string())
    except pa.ArrowInvalid:
        # a loop over records, but only where one of them is broken
        decoded = [_decoded(data) for data in found.to_pylist()]
        is_wrong = is_there & np.array([text is None for text in decoded])
        cursor.fail(ALL, is_wrong, f"has bytes that are not UTF-8 in {what}")
        return pa.array(decoded, pa.string())


def _decoded(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def as_stored(table: pa.Table) -> pa.Table:
    """The table with times as in JSON: `ts` in milliseconds since 1970, others as ISO 8601."""
    for at, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            times = table[column.name].combine_chunks()
            is_ms = column.name == "ts"
            as_json = times.cast(UTC_MS, safe=False).cast(pa.int64()) if is_ms else _iso(times)
            table = table.set_column(at, column.name, as_json)
    return table


def _iso(times: pa.Array) -> pa.StringArray:
    """ISO 8601 with microseconds and offset, in UTC."""
    text = times.cast(pa.timestamp("us")).cast(pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "+00:00", "")

"""Reads a user's own table of tracks and turns its columns into clean Arrow and NumPy arrays.

In goes a Parquet or CSV file; out come its columns, found under any of their usual names. Whatever is wrong with the
file becomes a CatalogError that names the file, the column and the first rows concerned (counted from 1, without
the header).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from loadgen.errors import CatalogError

Floats = npt.NDArray[np.float64]
MAX_ROWS = 50_000_000
_NUMBER = r"^-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?$"
_SHOWN_ROWS = 5


@dataclass(frozen=True, slots=True)
class Source:
    """A table as it was read.

    Attributes:
        path: the file, for messages.
        table: its columns, in any type; CSV columns are strings.
    """

    path: Path
    table: pa.Table

    def __len__(self) -> int:
        return len(self.table)

    def refuse(self, rule: str, got: str, step: str) -> NoReturn:
        """Raise a CatalogError about this file."""
        raise CatalogError(f"{self.path.name}: {rule}, got {got}; {step}")

    def find(self, names: Sequence[str]) -> str | None:
        """The file's own name of the first of these columns that it has; case, spaces and dashes do not matter."""
        present = {_plain(name): name for name in reversed(self.table.column_names)}
        return next((present[name] for name in names if name in present), None)

    def column(self, name: str) -> Any:
        """A column in one piece, by the file's own name."""
        return _one_piece(self.table.column(self.table.column_names.index(name)))

    def texts(self, name: str) -> pa.StringArray:
        """A column as text without blanks around it; null where there is none."""
        column = self.column(name)
        try:
            text = pc.utf8_trim_whitespace(_one_piece(column.cast(pa.string())))
        except pa.ArrowException:
            self.refuse(f"column {name} must hold text", f"{column.type}", "convert it, one value per row")
        return pc.if_else(pc.equal(text, ""), None, text)

    def required_texts(self, name: str) -> pa.StringArray:
        """As `texts`, but each row must have one."""
        text = self.texts(name)
        self.refuse_rows(text.is_null(), f"column {name} must have a value in each row", "nothing", text)
        return text

    def numbers(self, name: str, low: float, high: float) -> Floats:
        """A column as float64, nan where there is none; each value must be low..high."""
        column = self.column(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            column = self._parsed(name)
        value = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        wrong = (value < low) | (value > high)
        self.refuse_rows(pa.array(wrong), f"column {name} must be {low:,.0f}..{high:,.0f}", "", pa.array(value))
        return np.asarray(value)

    def _parsed(self, name: str) -> Any:
        text = self.texts(name)
        wrong = pc.invert(pc.fill_null(pc.match_substring_regex(text, _NUMBER), True))
        self.refuse_rows(wrong, f"column {name} must hold numbers", "", text)
        return text

    def refuse_rows(self, wrong: Any, rule: str, got: str, values: Any) -> None:
        """Raise a CatalogError if any row is wrong, with the first rows and what the first of them holds."""
        rows = np.flatnonzero(wrong.to_numpy(zero_copy_only=False))
        if len(rows) == 0:
            return
        shown = ", ".join(str(row + 1) for row in rows[:_SHOWN_ROWS]) + (" …" if len(rows) > _SHOWN_ROWS else "")
        value = got or repr(values[int(rows[0])].as_py())[:60]
        self.refuse(rule, f"{value} in {len(rows):,} row(s): {shown}", "correct or remove them")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _one_piece(column: Any) -> Any:
    """One array instead of chunks."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def read_source(path: Path) -> Source:
    """Read the file.

    Raises:
        CatalogError: not a Parquet or CSV file by its name, unreadable, damaged, or without a row.
    """
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise CatalogError(f"the file to import must end in .parquet or .csv, got {path.name!r}; convert it first")
    try:
        source = Source(path, readers[path.suffix.lower()](path))
        source.table.validate(full=True)
    except (OSError, pa.ArrowException, UnicodeError) as problem:
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        raise CatalogError(
            f"{path} must be a readable {path.suffix[1:].upper()} file in UTF-8, got: {reason}; check the file"
        ) from problem
    if not 1 <= len(source) <= MAX_ROWS:
        source.refuse(f"the file must have 1..{MAX_ROWS:,} rows", f"{len(source):,}", "give one row per track")
    return source


def _read_parquet(path: Path) -> pa.Table:
    return pyarrow.parquet.ParquetFile(path).read()


def _read_csv(path: Path) -> pa.Table:
    """All columns as text: what a column holds is judged here, with row numbers, not guessed from its beginning."""
    with path.open("rb") as file:
        header = file.readline(1_000_000)
    delimiter = max(",;\t", key=lambda mark: header.count(mark.encode()))
    parse = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    names = pyarrow.csv.open_csv(path, parse_options=parse).schema.names
    convert = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[])
    return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)

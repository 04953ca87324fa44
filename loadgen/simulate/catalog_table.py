"""Reads a user's own table of tracks, Parquet or CSV, into clean Arrow and NumPy arrays.

In: a file. Out: its columns, found under any of their usual names. A fault of the whole file raises CatalogError;
faults of single rows are collected by `Wrong`, and such rows can be left out. Rows are named by the line of a CSV file,
and by their number, from 1, in Parquet.

CSV is read strictly: a quote that is not closed, or is out of place, is refused with its line, because a reader that
guesses would take everything up to the next quote for one title and lose the rows in between.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from loadgen.errors import CatalogError
from loadgen.event import Float64s, Int64s

ROWS_AT_ONCE = 50_000
_HEADER_BYTES = 1_000_000
_DELIMITERS = ",;\t"


class BadLine(Exception):
    """The file cannot be understood from a line on; the text names the line, and says why."""


def _batch(schema: pa.Schema, rows: list[list[str]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], schema)


def _numbered(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line where it begins."""
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as problem:
            raise BadLine(_described(str(problem), line, reader.line_num)) from problem
        if row is None:
            return
        if row:
            yield line, row


def _described(problem: str, first: int, last: int) -> str:
    step = 'close it, and write a quote inside a value twice ("")'
    if "unexpected end" in problem or "field larger" in problem:
        return f"a quote that is opened in the row of line {first} is not closed; {step}"
    where = f"line {first}" if first == last else f"the row of lines {first} to {last}"
    return f"{where} has a stray quote; {step}"


def _delimiter_of(path: Path) -> str:
    with path.open("rb") as file:
        header = file.readline(_HEADER_BYTES)
    return max(_DELIMITERS, key=lambda mark: header.count(mark.encode()))


def _first_line_not_utf8(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0


MAX_ROWS = 50_000_000
_NUMBER = r"^-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?$"
_SHOWN_ROWS = 5


@dataclass(frozen=True, slots=True)
class Wrong:
    """Rows that break a rule.

    Attributes:
        rows: int64, which ones; at least one.
        got: what the first of them has.
    """

    rule: str
    rows: Int64s
    got: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that were not taken: how many, why, and where the first of them are."""

    rule: str
    got: str
    n_rows: int
    where: str

    def __str__(self) -> str:
        return f"{self.rule}, got {self.got} in {self.n_rows:,} row{'s' * (self.n_rows > 1)} ({self.where})"


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table as it was read.

    Attributes:
        table: its columns, in any type; CSV columns are strings.
        lines: int64, where each row is in the file.
        unit: what `lines` count: "line" or "row".
        left_out: rows that are not in the table, by reason; n_left_out: how many rows these are.
    """

    path: Path
    table: pa.Table
    lines: Int64s
    unit: str
    left_out: tuple[LeftOut, ...] = ()
    n_left_out: int = 0

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

    def numbers(self, name: str) -> Float64s:
        """A column as float64, nan where there is no number."""
        column = self.column(name)
        if not _is_numeric(column):
            text = self.texts(name)
            column = pc.if_else(_is_no_number(text), None, text)
        value = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        return np.asarray(value)

    def without_value(self, name: str) -> Iterator[Wrong]:
        """Rows that have nothing in this column."""
        yield from _wrong(f"column {name} must have a value", self.texts(name).is_null(), "nothing", None)

    def not_numbers(self, name: str, low: float, high: float) -> Iterator[Wrong]:
        """Rows that have something in this column which is no number, or one that is not low..high."""
        if not _is_numeric(self.column(name)):
            text = self.texts(name)
            yield from _wrong(f"column {name} must hold numbers", _is_no_number(text), "", text)
        value = self.numbers(name)
        is_out = pa.array((value < low) | (value > high))
        yield from _wrong(f"column {name} must be {low:,.0f}..{high:,.0f}", is_out, "", pa.array(value))

    def not_among(self, name: str, words: Sequence[str]) -> Iterator[Wrong]:
        """Rows that have none of these words in this column; case does not matter."""
        text = self.texts(name)
        is_other = pc.index_in(pc.utf8_lower(text), pa.array(words)).is_null()
        yield from _wrong(f"column {name} must be one of {', '.join(words)}", is_other, "", text)

    def without(self, wrong: Iterable[Wrong]) -> "TableSource":
        """This table without these rows."""
        found = list(wrong)
        if not found:
            return self
        is_taken = np.ones(len(self), np.bool_)
        is_taken[np.concatenate([one.rows for one in found])] = False
        left_out = tuple(
            LeftOut(
                one.rule, one.got, len(one.rows), where(self.unit, self.lines[one.rows[: _SHOWN_ROWS + 1]].tolist())
            )
            for one in found
        )
        return replace(
            self,
            table=self.table.filter(pa.array(is_taken)),
            lines=self.lines[is_taken],
            left_out=(*self.left_out, *left_out),
            n_left_out=self.n_left_out + len(self) - int(is_taken.sum()),
        )


def where(unit: str, lines: Sequence[int]) -> str:
    """Lines in words: the first few of them."""
    shown = ", ".join(map(str, lines[:_SHOWN_ROWS]))
    return f"{unit}{'s' * (len(lines) > 1)} {shown}{' …' * (len(lines) > _SHOWN_ROWS)}"


def _wrong(rule: str, is_wrong: Any, got: str, values: Any) -> Iterator[Wrong]:
    rows = np.flatnonzero(is_wrong.to_numpy(zero_copy_only=False))
    if len(rows):
        yield Wrong(rule, rows, got or repr(values[int(rows[0])].as_py())[:60])


def _is_numeric(column: Any) -> bool:
    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _is_no_number(text: pa.StringArray) -> Any:
    return pc.invert(pc.fill_null(pc.match_substring_regex(text, _NUMBER), True))


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _one_piece(column: Any) -> Any:
    """One array instead of chunks."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def read_source(path: Path) -> TableSource:
    """Read the file; rows with too many or too few values are left out.

    Raises:
        CatalogError: not a Parquet or CSV file by its name, unreadable, damaged, or without a row.
    """
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise CatalogError(f"the file to import must end in .parquet or .csv, got {path.name!r}; convert it first")
    try:
        source = readers[path.suffix.lower()](path)
        source.table.validate(full=True)
    except BadLine as problem:
        raise CatalogError(f"{path}: {problem}") from problem
    except (OSError, pa.ArrowException, UnicodeError) as problem:
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        raise CatalogError(
            f"{path} must be a readable {path.suffix[1:].upper()} file in UTF-8, got: {reason}; check the file"
        ) from problem
    if not 1 <= len(source) + source.n_left_out <= MAX_ROWS:
        source.refuse(f"the file must have 1..{MAX_ROWS:,} rows", f"{len(source):,}", "give one row per track")
    return source


def _read_parquet(path: Path) -> TableSource:
    table = pyarrow.parquet.ParquetFile(path).read()
    return TableSource(path, table, np.arange(1, len(table) + 1), "row")


def _read_csv(path: Path) -> TableSource:
    """All columns as text: what a column holds is judged here, with line numbers, not guessed from its beginning."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _of_rows(path, _numbered(file, _delimiter_of(path)))
    except UnicodeDecodeError as problem:
        raise BadLine(f"line {_first_line_not_utf8(path)} is not UTF-8; save the file as UTF-8") from problem


def _of_rows(path: Path, rows: Iterator[tuple[int, list[str]]]) -> TableSource:
    _, names = next(rows, (1, []))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadLine(f"line 1 names the column {twice!r} twice; rename one")
    schema = pa.schema([(name, pa.string()) for name in names])
    batches, lines = [], []
    uneven: list[tuple[int, int]] = []
    held: list[list[str]] = []
    for line, row in rows:
        if len(row) != len(names):
            uneven.append((line, len(row)))
            continue
        held.append(row)
        lines.append(line)
        if len(held) == ROWS_AT_ONCE:
            batches.append(_batch(schema, held))
            held = []
    table = pa.Table.from_batches([*batches, _batch(schema, held)], schema)
    left_out = []
    if uneven:
        shown = where("line", [line for line, _ in uneven[: _SHOWN_ROWS + 1]])
        rule = f"each row must have a value for each of {len(names)} columns"
        left_out.append(LeftOut(rule, f"{uneven[0][1]}", len(uneven), shown))
    return TableSource(path, table, np.array(lines, np.int64), "line", tuple(left_out), len(uneven))

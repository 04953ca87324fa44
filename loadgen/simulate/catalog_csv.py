"""Reads a CSV file of tracks strictly: a quote that is not closed, or stands where none may, is refused with its line.

In: a file. Out: its columns as text, with the file's line of each row; rows with too many or too few values apart.
A reader that guesses would take everything up to the next quote for one title, and the rows in between would be gone.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROWS_AT_ONCE = 50_000
_HEADER_BYTES = 1_000_000
_DELIMITERS = ",;\t"


class BadLine(Exception):
    """The file cannot be understood from a line on; the text names the line, and says why."""


@dataclass(frozen=True, slots=True)
class CsvRows:
    """What is in a file.

    Attributes:
        table: string columns; an empty value is an empty string.
        lines: int64, the line of the file where each row begins, counted from 1.
        uneven: rows that do not have as many values as the header: their lines, and how many values.
    """

    table: pa.Table
    lines: npt.NDArray[np.int64]
    uneven: list[tuple[int, int]]


def read_csv(path: Path) -> CsvRows:
    """Read all rows.

    Raises:
        BadLine: a quote is not closed or stray, two columns have one name, or a line is not UTF-8.
        OSError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows_of(file, _delimiter_of(path))
    except UnicodeDecodeError as problem:
        raise BadLine(f"line {_first_line_not_utf8(path)} is not UTF-8; save the file as UTF-8") from problem


def _rows_of(file: TextIO, delimiter: str) -> CsvRows:
    rows = _numbered(file, delimiter)
    _, names = next(rows, (1, []))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadLine(f"line 1 names the column {twice!r} twice; rename one")
    schema = pa.schema([(name, pa.string()) for name in names])
    batches, lines, uneven = [], [], []
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
    batches.append(_batch(schema, held))
    return CsvRows(pa.Table.from_batches(batches, schema), np.array(lines, np.int64), uneven)


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

"""Reads events from a store or from plain files: JSON lines, compressed or not, Parquet and Avro.

In: a store, or paths as a user gives them. Out: a `EventSource`, in the order of days, Kafka partitions and offsets;
plain files in the order given. Dead letters of a store count as found: their values are what the topic held.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa

from loadgen.container import row_tables
from loadgen.errors import StoreError, UsageError
from loadgen.event import Int64s
from loadgen.store import Store, StoredFile
from loadgen.store.json_lines import is_document, is_named_by_loadgen, why_not_lines
from loadgen.store.layout import DEAD, OF_ROWS, BatchName, PublishedFile, day_of, published
from loadgen.store.local import LocalStore
from loadgen.store.read import read_lines
from loadgen.store.table import lines_of
from loadgen.verifier.source import CHUNK_BYTES, SourceBlock
from loadgen.verifier.spill import NUMBER_MASK, PLACE_BITS

_ENDINGS = (".jsonl", ".json", ".ndjson", ".gz", ".zst", *OF_ROWS)
Contents = Iterator[tuple[bytes | list[bytes] | pa.Table, list[bytes | None] | None]]
"""What a file holds, piece by piece, with Kafka keys where it has some."""
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Unit:
    """One file.

    Attributes:
        store, file: where it is.
        shown: its name for a person.
        order: files of equal `order` continue each other.
        is_dead: it holds dead letters.
    """

    store: Store
    file: StoredFile | PublishedFile
    shown: str
    order: tuple[object, ...]
    is_dead: bool = False


class FileSource:
    """Files, one after another."""

    def __init__(self, name: str, units: list[Unit]) -> None:
        """Prepare to read."""
        self.name = name
        self.notes: list[str] = [] if units else [f"{name}: there is no file to read"]
        self._units = units
        self._n_bytes = max(1, sum(unit.file.length_bytes for unit in units))
        self._n_read = 0
        self._cut_off: set[str] | None = None

    def blocks(self) -> Iterator[SourceBlock]:
        """Everything in all files."""
        for number, unit in enumerate(self._units):
            before = self._n_read
            for content, keys in self._contents(unit):
                yield SourceBlock(content, number, None if keys is None else keys.__getitem__)
                if isinstance(content, bytes):  # compressed ones seem to go too fast, but never beyond their end
                    self._n_read = min(self._n_read + len(content), before + unit.file.length_bytes)
            self._n_read = before + unit.file.length_bytes
        self.notes += [f"{name} is cut off at its end" for name in sorted(self._cut_off or ())]

    def expect_torn_ends(self) -> None:
        """Runs were killed while they wrote these files: what is not a whole line at an end is no event."""
        self._cut_off = set()

    def _contents(self, unit: Unit) -> Contents:
        if self._cut_off is None:
            return _contents(unit)
        cut_off = self._cut_off
        return _contents(unit, lambda: cut_off.add(unit.shown))

    def share(self) -> float:
        """How much of them has been read, by their lengths."""
        return self._n_read / self._n_bytes

    def groups(self) -> Int64s:
        """Files that continue each other have the same number."""
        numbers: dict[tuple[object, ...], int] = {}
        return np.array([numbers.setdefault(unit.order, len(numbers)) for unit in self._units], np.int64)

    def partitions(self) -> tuple[Int64s, Int64s]:
        """What the names of files of a store say."""
        batches = [None if unit.is_dead else BatchName.parse(unit.file.path.rpartition("/")[2]) for unit in self._units]
        topics: dict[str, int] = {}
        found = [
            (-1, -1) if batch is None else (topics.setdefault(batch.source, len(topics)), batch.partition)
            for batch in batches
        ]
        topic, partition = np.array(found, np.int64).reshape(-1, 2).T
        return topic, partition

    def where(self, place: int) -> str:
        """FILE:LINE, lines counted from 1; for Parquet and Avro the row."""
        return f"{self._units[place >> PLACE_BITS].shown}:{(place & NUMBER_MASK) + 1}"

    def texts(self, places: Iterable[int]) -> dict[int, bytes]:
        """The lines at these places; the files are read again as far as needed."""
        wanted: dict[int, list[int]] = {}
        for place in sorted(set(places)):
            wanted.setdefault(place >> PLACE_BITS, []).append(place & NUMBER_MASK)
        found = {}
        for unit, numbers in wanted.items():
            for number, line in _lines_at(self._contents(self._units[unit]), numbers):
                found[unit << PLACE_BITS | number] = line
        return found


def store_source(store: Store) -> FileSource:
    """Everything that is published in a store, and its dead letters."""
    return FileSource(store.url, list(_units_of(store, "")))


def part_source(store: Store, source: str, first: Mapping[int, int]) -> FileSource:
    """What is published of one topic from some offsets on, without dead letters.

    Args:
        store: where it is.
        source: the tag of the topic, see BatchName.
        first: partition → offset; a file that has it within is read as a whole.
    """

    def is_part(unit: Unit) -> bool:
        batch = None if unit.is_dead else BatchName.parse(unit.file.path.rpartition("/")[2])
        return batch is not None and batch.source == source and batch.last >= first.get(batch.partition, 0)

    return FileSource(store.url, [unit for unit in _units_of(store, "") if is_part(unit)])


def files_source(paths: Iterable[str]) -> FileSource:
    """Plain files and folders, in the order given.

    Raises:
        UsageError: a file or folder is not there.
        StoreError: a file is something else than JSON lines.
    """
    given = list(paths)
    units = [unit for path in given for unit in _units_at(Path(path))]
    for unit in units:
        _refuse_if_not_lines(unit)
    shown = given[0] if len(given) == 1 else f"{len(given)} files and folders"
    return FileSource(shown, units)


def _units_at(path: Path) -> Iterator[Unit]:
    if path.is_dir():
        store = LocalStore(path.absolute())
        yield from _units_of(store, f"{path}/")
        others = [file for file in store.files() if day_of(file.path) is None and file.path.endswith(_ENDINGS)]
        others = [file for file in others if not is_document(store, file.path)]
        for file in sorted(others, key=lambda file: _by_number(file.path)):
            yield Unit(store, file, f"{path}/{file.path}", ())
        return
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(
            f"--files {str(path)!r} must be a file or folder that can be read: {error.strerror}; check the path"
        ) from error
    file = StoredFile(path.name, status.st_size, status.st_mtime)
    batch = BatchName.parse(path.name)
    order = (str(path.parent), *batch.origin) if batch else ()
    yield Unit(LocalStore(path.absolute().parent), file, str(path), order)


def _refuse_if_not_lines(unit: Unit) -> None:
    """Raise StoreError for a JSON array and the like, in which every event would count as lost."""
    path = unit.file.path
    if unit.is_dead or is_named_by_loadgen(path):
        return
    if (why := why_not_lines(unit.store, path)) is not None:
        raise StoreError(why)


def _units_of(store: Store, prefix: str) -> Iterator[Unit]:
    for file in published(store):
        order = (file.day, *file.batch.origin) if file.batch else (file.day, file.path)
        yield Unit(store, file, prefix + file.path, order)
    for dead in store.files(DEAD):
        yield Unit(store, dead, prefix + dead.path, (DEAD, dead.path), is_dead=True)


def _by_number(path: str) -> list[tuple[int, str]]:
    """Sorts part-2 before part-10."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in _DIGITS.split(path)]


def _contents(unit: Unit, cut_off: Callable[[], None] | None = None) -> Contents:
    """What a file holds, with Kafka keys where it has some."""
    if unit.is_dead:
        for data in read_lines(unit.store, unit.file, CHUNK_BYTES):
            letters = [_opened(unit, line) for line in data.splitlines()]
            yield [value for value, _ in letters], [key for _, key in letters]
    elif unit.file.path.endswith(OF_ROWS):
        for table in row_tables(unit.store, unit.file):
            yield table, None
    else:
        for data in read_lines(unit.store, unit.file, CHUNK_BYTES, cut_off):
            yield data, None


def _opened(unit: Unit, line: bytes) -> tuple[bytes, bytes | None]:
    """Value and key of a dead letter."""
    try:
        letter = orjson.loads(line)
        value, key = letter["value"], letter["key"]
        return b64decode(value or "", validate=True), None if key is None else b64decode(key, validate=True)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{unit.shown} holds a line that is no dead letter of loadgen consume ({error}); move the file away"
        ) from error


def _lines_at(contents: Contents, numbers: list[int]) -> Iterator[tuple[int, bytes]]:
    """The lines (or values) with these numbers, ascending."""
    wanted, at = iter(numbers), 0
    number = next(wanted, None)
    for content, _ in contents:
        lines = _as_lines(content)
        while number is not None and number < at + len(lines):
            yield number, lines[number - at]
            number = next(wanted, None)
        if number is None:
            return
        at += len(lines)


def _as_lines(content: bytes | list[bytes] | pa.Table) -> list[bytes]:
    if isinstance(content, bytes):
        return content.split(b"\n")[:-1]
    return content if isinstance(content, list) else lines_of(content)

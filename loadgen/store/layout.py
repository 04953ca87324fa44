"""The paths of a store: which are allowed, what their names say, and which files a reader has to read.

In: days, batches, a store. Out: `year=2025/month=07/day=03/batch_20250703_143015_p003_<first>_<last>_<source>.jsonl`,
and back; the published files, each event in one of them only.

A compacted batch file has the range of offsets of those that it replaces, which remain for a while. So within a day, a
batch whose range lies inside that of another one of the same source and partition is left out of listings.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain
from typing import Literal, Protocol, Self, TypeVar

from loadgen.store import Store, StoredFile


def checked(path: str) -> str:
    """The path, relative, with no empty part and none that leads out of the store.

    Raises:
        ValueError: it is not such a path.
    """
    if "\0" in path or {"", ".", ".."} & set(path.split("/")):
        raise ValueError(f"a path in a store is relative, without '.', '..' or empty parts, got {path!r}")
    return path


def is_hidden(name: str) -> bool:
    """Whether listings leave this file or folder out."""
    return name.startswith(("_", "."))


TMP = "_tmp"
COMMITS = "_commits"
DEAD = "_dead_letters"
"""Folders of files that are being written, of commit records, and of records that are no events."""

Suffix = Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "avro"]

OF_ROWS = (".parquet", ".avro")
"""How the names of files end that hold rows with columns, not lines."""

_EPOCH = date(1970, 1, 1).toordinal()
_DAY_FOLDER = re.compile(r"year=(\d{4})/month=(\d\d)/day=(\d\d)(?:/|$)", re.ASCII)
_BATCH = re.compile(
    r"batch_(\d{8}_\d{6})_p(\d{3,})_(\d{20})_(\d{20})_([0-9a-f]{8})\.(jsonl|jsonl\.gz|jsonl\.zst|parquet|avro)",
    re.ASCII,
)
_MOST_DAYS = 366
"""Up to this many days are listed one by one; for more, the whole store is."""


@dataclass(frozen=True, slots=True)
class BatchName:
    """What the name of a batch file says.

    Attributes:
        stamp_s: when it was made, whole seconds since 1970 (UTC).
        first: the first Kafka offset of the range that it stands for; not every one in it need be in this file.
        last: the last one, inclusive.
        source: 8 hexadecimal digits, the tag of the topic.
    """

    stamp_s: int
    partition: int
    first: int
    last: int
    source: str
    suffix: Suffix

    @property
    def text(self) -> str:
        """The file's name."""
        stamp = datetime.fromtimestamp(self.stamp_s, UTC).strftime("%Y%m%d_%H%M%S")
        return f"batch_{stamp}_p{self.partition:03}_{self.first:020}_{self.last:020}_{self.source}.{self.suffix}"

    @classmethod
    def parse(cls, file_name: str) -> Self | None:
        """The batch of this file name, without folders; None for the name of something else."""
        found = _BATCH.fullmatch(file_name)
        if found is None:
            return None
        try:
            stamp = datetime.strptime(found[1], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
        except ValueError:  # the 30th of February
            return None
        suffix: Suffix = found[6]  # type: ignore[assignment]  # the pattern has just these
        batch = cls(int(stamp.timestamp()), int(found[2]), int(found[3]), int(found[4]), found[5], suffix)
        return batch if batch.first <= batch.last and batch.text == file_name else None

    @property
    def origin(self) -> tuple[str, int]:
        """The topic's tag and the Kafka partition, of which it has offsets."""
        return self.source, self.partition

    def covers(self, other: "BatchName") -> bool:
        """Whether a reader leaves `other` out for this one, where both are in the same day's folder."""
        inside = self.origin == other.origin and self.first <= other.first and other.last <= self.last
        return inside and _rank(self) < _rank(other)


class HasBatch(Protocol):
    """A file of which the name is parsed."""

    @property
    def batch(self) -> BatchName | None:
        """What its name says; None where loadgen did not choose it."""


Named = TypeVar("Named", bound=HasBatch)


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file that readers may rely on.

    Attributes:
        day: of its folder, days since 1970.
        batch: what its name says; None where it is not ours, such as one that `loadgen run --folder` wrote.
    """

    path: str
    length_bytes: int
    day: int
    batch: BatchName | None


def day_folder(day: int) -> str:
    """The folder of a day.

    Args:
        day: days since 1970 (UTC).

    Raises:
        ValueError: there is no such day between the years 1 and 9999.
    """
    year, month, day_of_month = date.fromordinal(_EPOCH + day).isoformat().split("-")
    return f"year={year}/month={month}/day={day_of_month}"


def day_of(path: str) -> int | None:
    """The day of a path in the store, days since 1970 (UTC); None where it is in no day's folder."""
    found = _DAY_FOLDER.match(path)
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).toordinal() - _EPOCH
    except ValueError:
        return None


def published(store: Store, since_day: int | None = None, until_day: int | None = None) -> list[PublishedFile]:
    """The files to read, by day, source, partition, first offset and path; those of others come first in a day.

    Args:
        since_day: the first day, days since 1970.
        until_day: the last day, inclusive.

    Raises:
        StoreError: it cannot be listed.
    """
    if since_day is None or until_day is None or until_day - since_day >= _MOST_DAYS:
        listed = store.files()
    else:
        listed = chain.from_iterable(store.files(day_folder(day)) for day in range(since_day, until_day + 1))
    first, last = -math.inf if since_day is None else since_day, math.inf if until_day is None else until_day
    return [file for file in published_of(listed) if first <= file.day <= last]


def published_of(listed: Iterable[StoredFile]) -> list[PublishedFile]:
    """The files to read among these, in the order of `published`."""
    found = []
    for file in listed:
        day = day_of(file.path)
        if day is not None:
            found.append(
                PublishedFile(file.path, file.length_bytes, day, BatchName.parse(file.path.rpartition("/")[2]))
            )
    return list(uncovered(sorted(found, key=_order), lambda file: file.day))


def _rank(batch: BatchName) -> tuple[int, int, str]:
    """Of two batches, one inside the other, the one with the smaller rank is read: the wider, then the newer."""
    return batch.first - batch.last, -batch.stamp_s, batch.suffix


def _order(file: PublishedFile) -> tuple[int, str, int, int, str]:
    batch = file.batch
    return (file.day, *batch.origin, batch.first, file.path) if batch else (file.day, "", -1, -1, file.path)


def uncovered(files: Iterable[Named], folder_of: Callable[[Named], object] = lambda _: None) -> Iterator[Named]:
    """The files that readers read: those that no other one in their folder covers, in the order given.

    Args:
        files: of any folders; files that loadgen did not name, or did not write, are all read.
        folder_of: tells files of one folder from those of others.
    """
    files = list(files)
    by_partition: dict[object, list[int]] = {}
    for position, file in enumerate(files):
        if file.batch is not None:
            by_partition.setdefault((folder_of(file), file.batch.origin), []).append(position)
    covered = set()
    for positions in by_partition.values():
        last = -1
        for position in sorted(positions, key=lambda at: _widest_first(files[at])):  # before those inside them
            batch = files[position].batch
            assert batch is not None
            if batch.last > last:
                last = batch.last
            else:
                covered.add(position)
    return (file for position, file in enumerate(files) if position not in covered)


def _widest_first(file: HasBatch) -> tuple[int, int, int, str]:
    assert file.batch is not None
    return file.batch.first, *_rank(file.batch)

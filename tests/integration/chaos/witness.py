"""A second witness besides `loadgen verify`, which knows nothing of manifests: topic and store, record for record.

In: a topic and a store. Out: nothing, or an AssertionError that says what is wrong. A file has to hold exactly the
events of its day whose offsets are in the range of its name, in their order; every event has to be in one file.
"""

import base64
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.store import Store
from loadgen.store.layout import DEAD, PublishedFile, published
from tests.sink.topic import read_topic

DAY_MS = 86_400_000
SHOWN = 5
_COMPRESSION = {"jsonl.gz": "gzip", "jsonl.zst": "zstd"}

Place = tuple[int, int]
"""A Kafka partition and an offset."""


@dataclass
class Found:
    """What is wrong with the store."""

    repeated: list[Place] = field(default_factory=list)
    wrong_files: list[str] = field(default_factory=list)
    seen: set[Place] = field(default_factory=set)

    def see(self, places: list[Place]) -> None:
        """Count events of a file, or a dead letter."""
        self.repeated += self.seen.intersection(places)
        self.seen.update(places)


def assert_same(brokers: str, topic: str, store: Store) -> int:
    """Every record of the topic is in the store once, in its file and its place; the number of records."""
    messages: list[Any] = read_topic(brokers, topic)
    values = {(message.partition(), message.offset()): message.value() for message in messages}
    lanes = _by_lane(values)
    found = Found()
    for file in published(store):
        _look_at(store, file, lanes, found)
    for place, value in _dead_letters(store):
        found.see([place])
        if values.get(place) != value:
            found.wrong_files.append(f"dead letter {place}")
    lost = sorted(values.keys() - found.seen)
    wrong = [*lost, *found.repeated, *found.wrong_files]
    assert not wrong, (
        f"{len(lost)} lost: {lost[:SHOWN]}, {len(found.repeated)} repeated: {found.repeated[:SHOWN]}, "
        f"{len(found.wrong_files)} files that hold something else: {found.wrong_files[:SHOWN]}"
    )
    return len(values)


def lines_of(store: Store, file: PublishedFile) -> list[bytes]:
    """The lines of a file, without newlines; of a Parquet file, the same as JSON with its keys in order."""
    suffix = file.path.partition(".")[2]
    data = store.read(file.path)
    if suffix == "parquet":
        return [_row_as_line(row) for row in pq.read_table(pa.BufferReader(data)).to_pylist()]
    if suffix in _COMPRESSION:
        data = pa.CompressedInputStream(pa.BufferReader(data), _COMPRESSION[suffix]).read()
    assert data.endswith(b"\n"), f"{file.path} ends within a line"
    return data.split(b"\n")[:-1]


def _by_lane(values: dict[Place, bytes]) -> dict[Place, list[Place]]:
    """The events of each partition and day, in order; with their values, as a file has to hold them."""
    lanes: dict[Any, list[Any]] = defaultdict(list)
    for (partition, offset), value in values.items():
        day = _day_of(value)
        if day is not None:
            lanes[partition, day].append((offset, value))
    return lanes


def _day_of(value: bytes | None) -> int | None:
    try:
        return int(orjson.loads(value or b"")["ts"]) // DAY_MS
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _look_at(store: Store, file: PublishedFile, lanes: dict[Any, list[Any]], found: Found) -> None:
    batch = file.batch
    if batch is None:
        found.wrong_files.append(file.path)
        return
    within = [pair for pair in lanes[batch.partition, file.day] if batch.first <= pair[0] <= batch.last]
    wanted = [value for _, value in within]
    if batch.suffix == "parquet":
        wanted = [_row_as_line(orjson.loads(value)) for value in wanted]
    if lines_of(store, file) != wanted:
        found.wrong_files.append(file.path)
    found.see([(batch.partition, offset) for offset, _ in within])


def _row_as_line(row: dict[str, Any]) -> bytes:
    if row.get("raw"):
        row = orjson.loads(row["raw"])
    return orjson.dumps({name: value for name, value in row.items() if value is not None}, option=orjson.OPT_SORT_KEYS)


def _dead_letters(store: Store) -> Iterator[tuple[Place, bytes | None]]:
    for file in store.files(DEAD):
        for line in store.read(file.path).splitlines():
            letter = orjson.loads(line)
            value = letter["value"]
            yield (letter["partition"], letter["offset"]), None if value is None else base64.b64decode(value)

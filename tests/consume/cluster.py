"""Topics of a mock cluster for the consumer's tests: filled, consumed by the real program, compared with the store.

In: values by partition. Out: what the store has of them, and assertions that each record is there once.
"""

import base64
import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from loadgen.container import row_tables
from loadgen.event import DAY_MS
from loadgen.store.layout import DEAD, OF_ROWS, day_of, published
from loadgen.store.local import LocalStore
from loadgen.store.read import read_lines
from loadgen.store.table import lines_of
from tests.mock_cluster import MockCluster
from tests.runner.program import Program, do_here, start_program

DAY = 20_000


def event(number: int, day: int = DAY) -> bytes:
    """An event that no other one equals."""
    return b'{"ts":%d,"userId":%d,"text":"%s"}' % (day * DAY_MS + number, number, b"x" * (number % 50))


def events(n_events: int, first: int = 0, n_days: int = 2) -> list[bytes]:
    """Events of some days, in turn."""
    return [event(number, DAY + number % n_days) for number in range(first, first + n_events)]


def fill(address: str, values: Mapping[int, Sequence[bytes | None]], topic: str = "t") -> None:
    """Append values to partitions."""
    producer = Producer({"bootstrap.servers": address, "message.max.bytes": 20_000_000, "log_level": 0})
    for partition, batch in values.items():
        for value in batch:
            producer.produce(topic, value, b"key", partition=partition, timestamp=1_700_000_000_000)
    assert producer.flush(20) == 0


def spread(values: Sequence[bytes], n_partitions: int = 4) -> dict[int, Sequence[bytes]]:
    """Values dealt out to partitions."""
    return {partition: values[partition::n_partitions] for partition in range(n_partitions)}


@contextmanager
def filled_cluster(values: Mapping[int, Sequence[bytes | None]], partitions: int = 4) -> Iterator[MockCluster]:
    """A cluster with these values in topic t."""
    with MockCluster("t", partitions) as cluster:
        fill(cluster.address, values)
        yield cluster


def consume_bare(folder: Path, address: str, *flags: str, **options: Any) -> "subprocess.Popen[Any]":
    """Start `loadgen consume` of topic t into folder/store; options are those of Popen."""
    return start_program(folder, *_words(address), *flags, text=True, **options)


def consume_here(folder: Path, address: str, *flags: str) -> tuple[int, dict[str, Any], str]:
    """`loadgen consume --json` in this process: exit code, summary, what was shown."""
    return do_here(folder, *_words(address), "--json", *flags)


def _words(address: str) -> tuple[str, ...]:
    return ("consume", "--brokers", address, "--topic", "t", "--store", "store", "--metrics-port", "0")


def consume(folder: Path, address: str, *flags: str) -> Program:
    """Start `loadgen consume --json`."""
    return Program(consume_bare(folder, address, "--json", *flags))


def stored(folder: Path) -> Counter[tuple[int, bytes]]:
    """How often each (day, line) is in folder/store for a reader."""
    store = LocalStore(str(folder / "store"))
    found: Counter[tuple[int, bytes]] = Counter()
    for file in published(store):
        if file.path.endswith(OF_ROWS):
            lines = [line for table in row_tables(store, file) for line in lines_of(table)]
        else:
            lines = b"".join(read_lines(store, file)).split(b"\n")[:-1]
        found.update((file.day, line) for line in lines)
    return found


def published_files(folder: Path) -> list[Path]:
    """Of folder/store."""
    return sorted((folder / "store").glob("year=*/**/batch_*"))


def dead_letters(folder: Path) -> list[dict[str, Any]]:
    """All dead letters of folder/store, with their values as bytes."""
    files = sorted((folder / "store" / DEAD).rglob("*.jsonl"))
    letters = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
    for letter in letters:
        letter["value"] = None if letter["value"] is None else base64.b64decode(letter["value"])
    return letters


def days_of(values: Sequence[bytes]) -> Counter[tuple[int, bytes]]:
    """What `stored` gives where each of these events is stored once."""
    return Counter((json.loads(value)["ts"] // DAY_MS, value) for value in values)


def assert_stored_once(folder: Path, values: Sequence[bytes]) -> None:
    """Each event is in its day's folder, once, and nothing else is."""
    found, expected = stored(folder), days_of(values)
    assert found - expected == Counter(), "stored more than once, or never sent"
    assert expected - found == Counter(), "not stored"


def day_folders(folder: Path) -> set[int | None]:
    """The days that have files."""
    store = folder / "store"
    return {day_of(str(path.relative_to(store))) for path in store.glob("year=*/**/*.jsonl")}

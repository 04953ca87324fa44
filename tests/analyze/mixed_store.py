"""A store with everything in it that `loadgen analyze` reads: formats, kinds of files, days, compaction, junk.

In: a store. Out: its files, and the lines that count.
"""

import io
import json

import pyarrow.parquet as pq

from loadgen.files import compressed
from loadgen.store import Store
from loadgen.store.layout import BatchName, day_folder
from loadgen.store.table import table_of
from tests.analyze.reading import LINES

DAY_MS = 86_400_000
FIRST_DAY = 20_458
NO_EVENTS = [b"not json", b"{}", b'{"page":"Home"}']


def shifted(lines: list[bytes], days: int) -> list[bytes]:
    """These events, so many days later."""
    later = []
    for record in map(json.loads, lines):
        if "ts" in record:
            record["ts"] += days * DAY_MS
        else:
            record["timestamp"] = record["timestamp"].replace("2026-01-05", f"2026-01-{5 + days:02}")
        later.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
    return later


def fill(store: Store) -> list[bytes]:
    """Write three days of files; returns every line that is to be counted, once."""
    days = [[line for lines in LINES.values() for line in shifted(lines, day)] for day in range(3)]
    as_text = [line.replace(b'":', b'": ') for line in days[2][:300]]  # other spaces: kept as text in Parquet
    _put(store, 0, (0, 0), "jsonl", _joined(days[0][:1000]))
    _put(store, 0, (1, 1), "jsonl", _joined(days[0][1000:2000]))
    _put(store, 0, (0, 1), "jsonl.zst", _packed(days[0][:2000], "zst"))  # stands for the two before
    _put(store, 0, (2, 2), "jsonl.gz", _packed(days[0][2000:], "gz"))
    store.write(f"{day_folder(FIRST_DAY + 1)}/of others.jsonl", _joined([*NO_EVENTS, *days[1]]))
    _put(store, 2, (3, 3), "parquet", _rows([*as_text, *days[2][300:]]))
    store.write("_dead_letters/topic/0/x.jsonl", _joined(days[0]))
    return [*days[0], *NO_EVENTS, *days[1], *days[2]]


def _put(store: Store, day: int, offsets: tuple[int, int], suffix: str, content: bytes) -> None:
    batch = BatchName(1_767_600_000, 0, *offsets, "0123abcd", suffix)  # type: ignore[arg-type]
    store.write(f"{day_folder(FIRST_DAY + day)}/{batch.text}", content)


def _joined(lines: list[bytes]) -> bytes:
    return b"\n".join(lines) + b"\n"


def _packed(lines: list[bytes], how: str) -> bytes:
    """Two pieces, as the consumer writes many."""
    halves = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    return b"".join(bytes(compressed(_joined(half), how)) for half in halves)  # type: ignore[arg-type]


def _rows(lines: list[bytes]) -> bytes:
    file = io.BytesIO()
    pq.write_table(table_of(lines), file)
    return file.getvalue()

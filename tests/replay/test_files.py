"""Files of every kind give the same events, each once, in order."""

import gzip
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadgen.container import blocks, header
from loadgen.errors import NotThere, StoreError, UsageError
from loadgen.files import compressed
from loadgen.replay.files import Files
from loadgen.replay.merge import merged
from loadgen.replay.records import KEY_FIELDS, TIME_FIELDS, FieldReader, ReadCounts

FIRST_MS = 1_767_571_200_000
SYNC = bytes(16)
EVENTS = [{"ts": FIRST_MS + k * 1000, "userId": k % 3, "page": "Home"} for k in range(100)]
LINES = [orjson.dumps(event) for event in EVENTS]


def events_in(*names: Path, since_ms: int | None = None) -> tuple[list[bytes], ReadCounts]:
    """The values in order, without newlines."""
    counts = ReadCounts()
    parts = Files(tuple(map(str, names)), since_ms).parts(FieldReader(TIME_FIELDS, KEY_FIELDS, counts))
    return [value[:-1] for some in merged(parts, counts) for value in some.value.to_pylist()], counts


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "avro"])
def test_files_of_each_kind_that_share_the_events_are_merged_by_time(tmp_path: Path, kind: str) -> None:
    for name, part in (("a", LINES[::2]), ("b", LINES[1::2])):
        path = tmp_path / f"{name}.{kind}"
        data = b"\n".join(part)
        table = pa.Table.from_pylist([orjson.loads(line) for line in part])
        if kind == "parquet":
            pq.write_table(table, path)
        elif kind == "avro":
            path.write_bytes(header(table.schema, None, SYNC) + b"".join(blocks(table, None, SYNC)))
        elif kind == "jsonl":
            path.write_bytes(data)
        else:
            path.write_bytes(gzip.compress(data) if kind.endswith("gz") else compressed(data, "zst"))
    assert events_in(tmp_path)[0] == LINES
    assert events_in(tmp_path / f"a.{kind}")[0] == LINES[::2]


def test_days_of_a_store_before_the_start_are_not_read(tmp_path: Path) -> None:
    for day, part in ((4, LINES[:50]), (5, LINES[50:])):
        folder = tmp_path / f"year=2026/month=01/day=0{day}"
        folder.mkdir(parents=True)
        (folder / "events_x.jsonl").write_bytes(b"\n".join(part))
    assert events_in(tmp_path)[0] == LINES
    assert events_in(tmp_path, since_ms=FIRST_MS)[1].read == 50


def test_the_end_of_a_file_that_is_cut_off_is_counted_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(LINES)[:-5])
    found, counts = events_in(tmp_path / "a.jsonl")
    assert found == LINES[:-1]
    assert (counts.read, counts.broken, counts.named[0].endswith("a.jsonl: cut off at its end")) == (100, 1, True)


def test_what_is_not_there_is_empty_or_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "array.json").write_bytes(b'[{"ts":1}]')
    for name, error in (("none.jsonl", NotThere), ("empty.jsonl", StoreError), ("array.json", UsageError)):
        with pytest.raises(error, match=name):
            events_in(tmp_path / name)

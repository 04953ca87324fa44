"""Files are read piece by piece, and what is wrong with them is said."""

import io
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import NotThere, StoreError
from loadgen.files import Compression, compressed
from loadgen.store import Store, StoredFile
from loadgen.store.local import LocalStore
from loadgen.store.read import CHUNK_BYTES, kept_texts, lines_of_texts, parquet_tables, read_lines

LINES = b"".join(b'{"n":%d}\n' % number for number in range(50_000))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def stored(store: LocalStore, name: str, data: bytes) -> StoredFile:
    store.write(name, data)
    return StoredFile(name, len(data), 0.0)


class Memory(LocalStore):
    """A store with one file."""

    def __init__(self, data: bytes) -> None:
        super().__init__("memory")
        self._data = data

    def open(self, path: str) -> io.BytesIO:
        return io.BytesIO(self._data)


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.integers(1, 20))
def test_chunks_are_whole_lines_and_together_they_are_the_file(lines: list[bytes], chunk_bytes: int) -> None:
    text = b"".join(line + b"\n" for line in lines)
    chunks = list(read_lines(Memory(text), StoredFile("a.jsonl", 0, 0.0), chunk_bytes))
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    assert b"".join(chunks) == text


def test_a_last_line_without_a_newline_gets_one(store: LocalStore) -> None:
    assert list(read_lines(store, stored(store, "a.jsonl", b"1\n2"), 2)) == [b"1\n", b"2\n"]


def test_memory_does_not_grow_with_the_file(store: LocalStore) -> None:
    file = stored(store, "a.jsonl.zst", b"".join(bytes(compressed(LINES, "zst")) for _ in range(20)))
    chunks = [len(chunk) for chunk in read_lines(store, file, 1 << 16)]
    assert sum(chunks) == 20 * len(LINES)
    assert max(chunks) < 2 << 16


@pytest.mark.parametrize("how", ["gz", "zst"])
@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:2] + b"????" + data[6:]])
def test_a_damaged_file_is_named(store: LocalStore, how: Compression, damage: Callable[[bytes], bytes]) -> None:
    whole = bytes(compressed(LINES, how))
    file = stored(store, f"a.jsonl.{how}", damage(whole))
    with pytest.raises(StoreError, match=rf"cannot read 'a\.jsonl\.{how}' in .*; is it damaged, or not whole\?"):
        list(read_lines(store, file))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not parquet at all" * 10])
def test_what_is_no_parquet_is_named(store: LocalStore, data: bytes) -> None:
    with pytest.raises(StoreError, match=r"cannot read 'a\.parquet' in .*is it damaged, or not whole"):
        list(parquet_tables(store, stored(store, "a.parquet", data)))


def test_damage_inside_a_parquet_file_is_named(store: LocalStore) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"n": [str(number) for number in range(10_000)]}), buffer, row_group_size=1_000)
    data = bytearray(buffer.getvalue())
    data[200:5_000] = bytes(4_800)
    with pytest.raises(StoreError, match=r"cannot read 'a\.parquet'"):
        list(parquet_tables(store, stored(store, "a.parquet", bytes(data))))


@pytest.mark.parametrize("read", [read_lines, parquet_tables])
def test_a_file_that_is_gone_is_not_there(
    store: LocalStore, read: Callable[[Store, StoredFile], Iterator[object]]
) -> None:
    with pytest.raises(NotThere):
        list(read(store, StoredFile("a.jsonl", 1, 0.0)))


def test_texts_of_a_large_row_group_are_not_all_held_at_once(store: LocalStore, tmp_path: Path) -> None:
    texts = [str(number) + "x" * (1 << 20) for number in range(64)]
    pq.write_table(pa.table({"raw": texts}), tmp_path / "a.parquet", row_group_size=64)
    tracemalloc.start()
    sizes = [len(lines) for lines in kept_texts(store, "a.parquet", [0], 2 << 20)]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == sum(map(len, texts)) + 64
    assert peak_bytes < 5 * CHUNK_BYTES


def test_texts_become_lines_some_at_a_time_and_one_too_long_stands_as_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.store.read.CHUNK_BYTES", 8)
    found = list(lines_of_texts([b"{}", b"{\n}", b"x" * 20, b'{"a":5}', b"[]"], most_bytes=19))
    assert found == [b'{}\n{ }\n?\n{"a":5}\n', b"[]\n"]
    assert list(lines_of_texts([], most_bytes=19)) == []

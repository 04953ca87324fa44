"""What every store promises; a test file of each kind of store runs all of it.

In: a `store` fixture, empty. Out: the same assertions for a folder and for HDFS.
"""

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadgen.errors import AlreadyThere, NotThere, StoreRefused
from loadgen.files import Compression, compressed
from loadgen.store import Store, StoredFile
from loadgen.store.layout import day_folder, published
from loadgen.store.read import parquet_tables, read_lines

BIG_BYTES = 30_000_000


def _won_rename(store: Store, start: threading.Barrier, target: str, source: str) -> bool:
    """Rename at the same moment as the others; whether this one came first."""
    start.wait()
    try:
        store.rename(source, target)
    except AlreadyThere:
        return False
    return True


def write_all(store: Store, files: dict[str, bytes]) -> None:
    """Write many files at once: HDFS takes half a second for each."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(store.write, files, files.values()))


def paths(files: Iterator[StoredFile]) -> list[str]:
    """The names only."""
    return [file.path for file in files]


def comes_true(is_so: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Whether it is so soon."""
    deadline_s = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(0.05)
    return True


class StoreContract:
    """All promises of `Store` and `Writer`."""

    def test_a_closed_file_holds_what_was_written_in_pieces(self, store: Store) -> None:
        writer = store.create("a/b.jsonl")
        for piece in (b"one\n", bytearray(b"two\n"), memoryview(b"_three\n_")[1:-1], b""):
            writer.write(piece)
        writer.close()
        assert store.read("a/b.jsonl") == b"one\ntwo\nthree\n"
        assert store.length("a/b.jsonl") == 14
        assert paths(store.files()) == ["a/b.jsonl"]

    def test_an_empty_store_has_nothing_and_says_so(self, store: Store) -> None:
        assert list(store.files(hidden=True)) == []
        assert list(store.files("a/b")) == []
        assert store.length("a/b") is None
        store.remove("a/b")
        for read in (store.read, store.open):
            with pytest.raises(NotThere, match="a/b"):
                read("a/b")

    def test_a_file_may_be_empty(self, store: Store) -> None:
        store.write("empty", b"")
        assert store.length("empty") == 0
        assert store.read("empty") == b""
        store.rename("empty", "still empty")
        assert paths(store.files()) == ["still empty"]

    def test_a_file_that_is_written_again_is_replaced(self, store: Store) -> None:
        store.write("a", b"a long first text")
        store.write("a", b"short")
        assert store.read("a") == b"short"

    def test_names_may_have_spaces_and_letters_of_any_script(self, store: Store) -> None:
        names = ["with space", "per%20cent", "naïve", "한국", "a=b,c", "q?x#y"]
        write_all(store, {f"f/{name}": name.encode() for name in names})
        assert paths(store.files()) == sorted(f"f/{name}" for name in names)
        assert {name: store.read(f"f/{name}").decode() for name in names} == dict(zip(names, names, strict=True))

    def test_rename_moves_a_file_into_folders_that_it_makes(self, store: Store) -> None:
        store.write("_tmp/x", b"content")
        store.rename("_tmp/x", "year=2025/month=07/day=03/y")
        assert store.length("_tmp/x") is None
        assert store.read("year=2025/month=07/day=03/y") == b"content"

    def test_rename_never_replaces_a_file(self, store: Store) -> None:
        write_all(store, {"new": b"new", "old": b"the old one"})
        with pytest.raises(AlreadyThere, match="old"):
            store.rename("new", "old")
        assert (store.read("new"), store.read("old")) == (b"new", b"the old one")

    def test_renaming_what_is_not_there_changes_nothing(self, store: Store) -> None:
        with pytest.raises(NotThere, match="missing"):
            store.rename("missing", "a/b/c")
        store.write("a/file", b"")
        with pytest.raises(NotThere, match="missing"):
            store.rename("missing", "a/b")
        assert paths(store.files(hidden=True)) == ["a/file"]

    def test_of_many_renames_to_one_name_at_once_exactly_one_wins(self, store: Store) -> None:
        for target in ("f/1", "f/2", "f/3"):
            sources = [f"_tmp/{number}" for number in range(16)]
            write_all(store, {source: source.encode() for source in sources})
            rename = partial(_won_rename, store, threading.Barrier(16), target)
            with ThreadPoolExecutor(16) as pool:
                has_won = list(pool.map(rename, sources))
            won = [source for source, first in zip(sources, has_won, strict=True) if first]
            lost = [source for source, first in zip(sources, has_won, strict=True) if not first]
            assert len(won) == 1
            assert len(lost) == 15
            assert store.read(target) == won[0].encode()
            assert paths(store.files("_tmp")) == sorted(f"{source}" for source in lost)

    def test_a_listing_is_in_the_order_of_paths_and_says_length_and_time(self, store: Store) -> None:
        began_s = time.time()
        files = {"b/2": b"22", "b/10": b"1", "a/z/y": b"333", "a-b": b"", "a.c": b"4444", "b/1/x": b""}
        write_all(store, files)
        listed = list(store.files())
        assert [file.path for file in listed] == sorted(files) == ["a-b", "a.c", "a/z/y", "b/1/x", "b/10", "b/2"]
        assert {file.path: file.length_bytes for file in listed} == {path: len(data) for path, data in files.items()}
        assert all(began_s - 2 <= file.modified_s <= time.time() + 2 for file in listed)
        assert paths(store.files("b")) == ["b/1/x", "b/10", "b/2"]

    def test_hidden_files_are_listed_only_when_asked_for_or_named(self, store: Store) -> None:
        names = ["_tmp/x", "_tmp/.y", ".z", "a/_w/v", "a/u", "a/.t"]
        write_all(store, dict.fromkeys(names, b""))
        assert paths(store.files()) == ["a/u"]
        assert paths(store.files(hidden=True)) == sorted(names)
        assert paths(store.files("_tmp")) == ["_tmp/x"]
        assert paths(store.files("a/_w")) == ["a/_w/v"]
        assert paths(store.files("a", hidden=True)) == ["a/.t", "a/_w/v", "a/u"]

    def test_a_removed_file_is_gone(self, store: Store) -> None:
        write_all(store, {"a/b": b"x", "a/c": b"y"})
        store.remove("a/b")
        store.remove("a/b")
        assert paths(store.files()) == ["a/c"]

    def test_an_open_file_can_be_read_from_any_place(self, store: Store) -> None:
        store.write("a", bytes(range(256)))
        with store.open("a") as file:
            assert file.read(3) == b"\0\1\2"
            assert file.seek(-2, io.SEEK_END) == 254
            assert file.read() == b"\xfe\xff"
            assert file.read() == b""
            assert file.seek(10) == 10
            assert file.seek(5, io.SEEK_CUR) == file.tell() == 15
            assert file.read(1) == b"\x0f"
            assert file.seek(1000) == 1000
            assert file.read(1) == b""

    def test_an_abandoned_file_is_never_published(self, store: Store) -> None:
        writer = store.create("_tmp/half")
        writer.write(b"half a li")
        writer.abandon()
        writer.abandon()
        assert comes_true(lambda: store.length("_tmp/half") is None)
        assert list(store.files(hidden=True)) == []

    def test_a_file_is_closed_once(self, store: Store) -> None:
        writer = store.create("a")
        writer.close()
        for again in (writer.close, lambda: writer.write(b"x")):
            with pytest.raises(ValueError, match="is closed"):
                again()

    def test_abandoning_a_closed_file_leaves_it_alone(self, store: Store) -> None:
        writer = store.create("a")
        writer.write(b"whole")
        writer.close()
        writer.abandon()
        time.sleep(0.1)
        assert store.read("a") == b"whole"

    def test_a_folder_is_no_file_and_a_file_no_folder(self, store: Store) -> None:
        write_all(store, {"folder/x": b"x", "file": b"y"})
        attempts: tuple[Callable[[], object], ...] = (
            lambda: store.read("folder"),
            lambda: store.open("folder"),
            lambda: store.length("folder"),
            lambda: store.remove("folder"),
            lambda: store.write("folder", b""),
            lambda: store.write("file/x", b""),
            lambda: store.rename("file", "folder/x/y"),
            lambda: store.rename("file", "folder"),
            lambda: list(store.files("file")),
        )
        for attempt in attempts:
            with pytest.raises(StoreRefused, match=r"folder|file"):
                attempt()
        assert [store.read("file"), store.read("folder/x")] == [b"y", b"x"]

    def test_a_path_does_not_lead_out_of_the_store(self, store: Store) -> None:
        for path in ("", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "a\0b"):
            for call in (store.create, store.read, store.open, store.length, store.remove):
                with pytest.raises(ValueError, match="a path in a store is relative"):
                    call(path)
            with pytest.raises(ValueError, match="a path in a store is relative"):
                store.rename("a", path)
        with pytest.raises(ValueError, match="a path in a store is relative"):
            list(store.files("../x"))

    def test_many_threads_may_write_and_list_at_once(self, store: Store) -> None:
        files = {f"f{number:02}": bytes([number]) * 10_000 * number for number in range(32)}
        with ThreadPoolExecutor(4) as pool:
            listings = [pool.submit(lambda: list(store.files())) for _ in range(20)]
            write_all(store, files)
            assert all(set(paths(iter(listing.result()))) <= files.keys() for listing in listings)
        assert {file.path: store.read(file.path) for file in store.files()} == files

    def test_a_big_file_comes_back_as_it_was_and_in_any_order(self, store: Store) -> None:
        data = np.random.default_rng(1).bytes(BIG_BYTES)
        writer = store.create("big")
        for start in range(0, BIG_BYTES, 1 << 20):
            writer.write(data[start : start + (1 << 20)])
        writer.close()
        assert store.length("big") == BIG_BYTES
        with store.open("big") as file:
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(3_000_000), b""):
                digest.update(piece)
            assert digest.digest() == hashlib.sha256(data).digest()
            for start in (BIG_BYTES - 5, 12_345_678, 0):
                file.seek(start)
                assert file.read(1000) == data[start : start + 1000]

    @pytest.mark.parametrize("how", [None, "gz", "zst"])
    def test_lines_come_back_whole_whatever_the_compression(self, store: Store, how: Compression | None) -> None:
        suffix = f"jsonl.{how}" if how else "jsonl"
        lines = [b'{"n":%d}\n' % number for number in range(200_000)]
        pieces = [b"".join(lines[start : start + 30_000]) for start in range(0, len(lines), 30_000)]
        store.write(f"{day_folder(20_272)}/x.{suffix}", b"".join(compressed(p, how) if how else p for p in pieces))
        (file,) = published(store)
        chunks = list(read_lines(store, file, chunk_bytes=100_000))
        assert len(chunks) > 10
        assert all(chunk.endswith(b"\n") for chunk in chunks)
        assert b"".join(chunks) == b"".join(lines)

    def test_parquet_comes_back_by_row_groups(self, store: Store) -> None:
        table = pa.table({"n": np.arange(10_000), "day": ["2025-07-03"] * 10_000})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, row_group_size=4_000)
        store.write(f"{day_folder(20_272)}/x.parquet", buffer.getvalue())
        tables = list(parquet_tables(store, published(store)[0]))
        assert [len(part) for part in tables] == [4_000, 4_000, 2_000]
        assert pa.concat_tables(tables) == table

    def test_closing_twice_is_allowed(self, store: Store) -> None:
        store.length("a")
        store.close()
        store.close()

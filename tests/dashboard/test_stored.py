"""Everything in a store is counted exactly once: through compaction, growth, cutting back, outages."""

import random
from collections.abc import Generator, Iterator
from pathlib import Path

import orjson
import pytest

from loadgen.dashboard.stored import SHRUNK_S, UNENDED_S
from loadgen.errors import StoreUnreachable
from loadgen.files import compressed
from loadgen.store import StoredFile
from loadgen.store.layout import day_folder
from loadgen.store.local import LocalStore
from tests.dashboard.reader import DAY, Reader, append, batch_name, expected, put, put_batch, reader_of, rows_of
from tests.dashboard.records import record, some
from tests.rows import ROWS

SUFFIXES = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet", "avro")
GROWING = f"{day_folder(DAY)}/events_run_m0w0.jsonl"


def merge(root: Path, first: int, last: int, suffix: str) -> None:
    """What a compactor makes of the batch files in this range."""
    put_batch(root, first, last, suffix) if suffix in ROWS else put(
        root, batch_name(first, last, suffix), b"".join(path.read_bytes() for path in parts(root, first, last))
    )


def parts(root: Path, first: int, last: int) -> list[Path]:
    """The batch files inside this range, but not of all of it."""
    found = []
    for path in sorted((root / day_folder(DAY)).glob("batch_*")):
        begin, end = map(int, path.name.split("_")[4:6])
        if first <= begin and end <= last and (begin, end) != (first, last):
            found.append(path)
    return found


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_file_is_read_once_and_new_ones_when_they_come(tmp_path: Path, suffix: str) -> None:
    put_batch(tmp_path, 0, 9, suffix)
    reader = reader_of(tmp_path).look()
    assert reader.items == expected(0, 9)
    put_batch(tmp_path, 10, 19, suffix)
    assert reader.look().look().items == expected(0, 19)
    assert (reader.status, reader.n_unreadable, reader.n_anew) == ("ok", 0, 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_merged_file_brings_nothing_twice_whenever_it_is_seen(tmp_path: Path, suffix: str) -> None:
    put_batch(tmp_path, 0, 9, suffix)
    early = reader_of(tmp_path).look()
    put_batch(tmp_path, 10, 19, suffix)
    put_batch(tmp_path, 25, 29, suffix)
    between = reader_of(tmp_path).look()
    everything = expected(0, 19) + expected(25, 29)
    if suffix in ROWS:
        put(tmp_path, batch_name(0, 29, suffix), rows_of(some(0, 19) + some(25, 29), suffix))
    else:
        merge(tmp_path, 0, 29, suffix)
    late = reader_of(tmp_path).look()
    assert [one.look().items for one in (early, between, late)] == [everything] * 3
    for path in parts(tmp_path, 0, 29):
        path.unlink()
    last = reader_of(tmp_path).look()
    assert [one.look().look().items for one in (early, between, late, last)] == [everything] * 4
    assert [one.n_anew for one in (early, between, late, last)] == [0] * 4


def test_a_merged_file_whose_other_parts_were_never_seen_is_counted_anew(tmp_path: Path) -> None:
    put_batch(tmp_path, 0, 9)
    reader = reader_of(tmp_path).look()
    put_batch(tmp_path, 10, 19)
    merge(tmp_path, 0, 19, "jsonl")
    for path in parts(tmp_path, 0, 19):
        path.unlink()
    for _ in range(5):
        reader.look()
    assert (reader.items, reader.n_anew, reader.status) == (expected(0, 19), 1, "ok")


@pytest.mark.parametrize("seed", range(12))
def test_publishing_merging_and_removing_in_any_order_counts_each_event_once(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    reader, end, merged = reader_of(tmp_path), 0, 0
    for _ in range(25):
        step = dice.choice(["publish", "publish", "merge", "remove", "look", "quick"])
        if step == "publish":
            size = dice.randint(1, 6)
            put_batch(tmp_path, end, end + size - 1)
            end += size
        elif step == "merge" and end > merged + 1 and len(parts(tmp_path, merged, end - 1)) > 1:
            merge(tmp_path, merged, end - 1, "jsonl")
            merged = end
        elif step == "remove":
            for path in sorted((tmp_path / day_folder(DAY)).glob("batch_*")) if merged else []:
                first, last = map(int, path.name.split("_")[4:6])
                if any(other != path for other in covering(tmp_path, first, last)):
                    path.unlink()
        elif step in ("look", "quick"):
            reader.look(3.0 if step == "look" else 1.1)
    for _ in range(6):
        reader.look()
    assert reader.items == expected(0, end - 1)


def covering(root: Path, first: int, last: int) -> Iterator[Path]:
    """The batch files of a wider range."""
    for path in (root / day_folder(DAY)).glob("batch_*"):
        begin, end = map(int, path.name.split("_")[4:6])
        if begin <= first and last <= end and (begin, end) != (first, last):
            yield path


def test_a_file_that_grows_is_read_on_from_its_last_whole_line(tmp_path: Path) -> None:
    data = some(0, 9)
    append(tmp_path, GROWING, data[:700])
    reader = reader_of(tmp_path).look()
    n_whole = data[:700].count(b"\n")
    assert reader.items == expected(0, n_whole - 1)
    append(tmp_path, GROWING, data[700:705])
    assert reader.look().items == expected(0, n_whole - 1)
    append(tmp_path, GROWING, data[705:])
    assert reader.look(1.1).items == expected(0, 9)
    assert (reader.n_unreadable, reader.n_anew) == (0, 0)


@pytest.mark.parametrize("how", ["gz", "zst"])
def test_a_compressed_file_that_grows_is_read_piece_by_piece(tmp_path: Path, how: str) -> None:
    pieces = [bytes(compressed(some(first, first + 4), how)) for first in (0, 5, 10)]  # type: ignore[arg-type]
    path = f"{GROWING}.{how}"
    append(tmp_path, path, pieces[0] + pieces[1][:20])
    reader = reader_of(tmp_path).look()
    assert reader.items == expected(0, 4)
    append(tmp_path, path, pieces[1][20:])
    assert reader.look().items == expected(0, 9)
    append(tmp_path, path, pieces[2])
    assert reader.look().items == expected(0, 14)
    assert (reader.n_unreadable, reader.events.state.reason) == (0, "")


def test_a_file_cut_back_and_written_on_with_the_same_events_counts_each_once(tmp_path: Path) -> None:
    data = some(0, 19)
    append(tmp_path, GROWING, data)
    reader = reader_of(tmp_path).look()
    with (tmp_path / GROWING).open("r+b") as file:
        file.truncate(len(data) // 2)
    assert reader.look().items == expected(0, 19)
    append(tmp_path, GROWING, data[len(data) // 2 :] + some(20, 29))
    assert reader.look().items == expected(0, 29)
    assert reader.n_anew == 0


def test_a_file_rewritten_with_other_events_is_counted_anew(tmp_path: Path) -> None:
    append(tmp_path, GROWING, some(0, 9))
    reader = reader_of(tmp_path).look()
    (tmp_path / GROWING).write_bytes(some(100, 139))
    assert reader.look().look().items == expected(100, 139)
    assert reader.n_anew == 1


def test_a_file_that_stays_shorter_is_counted_anew(tmp_path: Path) -> None:
    data = some(0, 9)
    append(tmp_path, GROWING, data)
    reader = reader_of(tmp_path).look()
    (tmp_path / GROWING).write_bytes(some(0, 4))
    assert reader.look().items == expected(0, 9)
    assert reader.look(SHRUNK_S + 1).look().items == expected(0, 4)


def test_another_store_in_the_same_place_is_counted_anew(tmp_path: Path) -> None:
    append(tmp_path, GROWING, some(0, 9))
    reader = reader_of(tmp_path).look()
    (tmp_path / GROWING).unlink()
    assert reader.look().items == expected(0, 9)
    assert reader.status == "stale"
    append(tmp_path, GROWING.replace("run", "other"), some(50, 54))
    assert reader.look(1.1).look(1.1).look().look().items == expected(50, 54)
    assert (reader.n_anew, reader.status) == (1, "ok")


def test_a_last_line_without_a_newline_counts_once_nobody_writes_any_more(tmp_path: Path) -> None:
    append(tmp_path, GROWING, some(0, 3)[:-1])
    reader = reader_of(tmp_path).look().look()
    assert reader.items == expected(0, 2)
    assert reader.look(UNENDED_S + 1).look().items == expected(0, 3)
    append(tmp_path, GROWING, b"\n" + some(4, 5))
    assert reader.look().items == expected(0, 5)
    assert (reader.n_unreadable, reader.n_anew) == (0, 0)


def test_lines_that_are_no_events_are_counted_apart(tmp_path: Path) -> None:
    append(tmp_path, GROWING, some(0, 1) + b"torn{\n\n" + orjson.dumps({"a": 1}) + b"\n" + some(2, 2))
    reader = reader_of(tmp_path).look()
    assert (reader.items, reader.n_unreadable) == (expected(0, 2), 2)


def test_formats_and_files_may_be_mixed(tmp_path: Path) -> None:
    for number, suffix in enumerate(SUFFIXES):
        put_batch(tmp_path, 10 * number, 10 * number + 9, suffix)
    append(tmp_path, GROWING, some(50, 54))
    put(tmp_path, f"{day_folder(DAY)}/README.txt", b"no events\n")
    put(tmp_path, "_dead_letters/x.jsonl", b"no events\n")
    put(tmp_path, "elsewhere.jsonl", some(90, 91))
    reader = reader_of(tmp_path).look()
    assert (reader.items, reader.n_unreadable) == (expected(0, 54), 0)


@pytest.mark.parametrize("suffix", ROWS)
def test_records_that_rows_keep_as_text_are_read_too(tmp_path: Path, suffix: str) -> None:
    odd = orjson.dumps({**record(1), "extra": 1}) + b"\n"
    put(tmp_path, batch_name(0, 2, suffix), rows_of(some(0, 0) + odd + some(2, 2), suffix))
    assert reader_of(tmp_path).look().items == expected(0, 2)


@pytest.mark.parametrize("suffix", ROWS)
def test_long_records_that_rows_keep_as_text_are_read_within_memory(tmp_path: Path, suffix: str) -> None:
    odd = [orjson.dumps({**record(number), "extra": "x" * (10 << 20)}) + b"\n" for number in range(1, 4)]
    put(tmp_path, batch_name(0, 4, suffix), rows_of(some(0, 0) + b"".join(odd) + some(4, 4), suffix))
    reader = reader_of(tmp_path).look()
    assert (reader.items, reader.n_unreadable) == (expected(0, 4), 0)


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_a_damaged_file_is_named_and_does_not_stop_the_others(tmp_path: Path, suffix: str) -> None:
    put(tmp_path, batch_name(0, 9, suffix), b"\x1f\x8b damaged, of course" * 9)
    put_batch(tmp_path, 10, 19)
    reader = reader_of(tmp_path).look().look()
    assert (reader.items, reader.status) == (expected(10, 19), "ok")
    assert batch_name(0, 9, suffix) in reader.events.state.reason or "compressed" in reader.events.state.reason


def test_what_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    reader = reader_of(tmp_path / "later").look().look(1.1)
    assert (reader.status, reader.items) == ("waiting", {})
    put_batch(tmp_path / "later", 0, 9)
    assert (reader.look().items, reader.status) == (expected(0, 9), "ok")


def test_a_store_moved_away_and_back_loses_and_repeats_nothing(tmp_path: Path) -> None:
    put_batch(tmp_path / "store", 0, 9)
    append(tmp_path / "store", GROWING, some(10, 19))
    reader = reader_of(tmp_path / "store").look()
    (tmp_path / "store").rename(tmp_path / "away")
    assert (reader.look().look(1.1).status, reader.items) == ("stale", expected(0, 19))
    (tmp_path / "away").rename(tmp_path / "store")
    append(tmp_path / "store", GROWING, some(20, 24))
    assert (reader.look().items, reader.status, reader.n_anew) == (expected(0, 24), "ok", 0)


class Failing(LocalStore):
    """A store that does not answer while `fails`; reading fails in the middle of a file where `after` says so."""

    fails = False
    n_listed = 0

    def files(self, folder: str = "", *, hidden: bool = False) -> Iterator[StoredFile]:
        if self.fails:
            raise StoreUnreachable("the store does not answer; start it")
        self.n_listed += 1
        yield from super().files(folder, hidden=hidden)


def test_a_store_that_does_not_answer_is_said_to_be_stale_and_recovers(tmp_path: Path) -> None:
    store = Failing(tmp_path)
    put_batch(tmp_path, 0, 9)
    reader = Reader(store).look()
    store.fails = True
    assert (reader.look().status, reader.events.state.reason) == ("stale", "the store does not answer; start it")
    store.fails = False
    put_batch(tmp_path, 10, 19)
    assert (reader.look().items, reader.status) == (expected(0, 19), "ok")


def test_a_store_that_never_answered_is_waited_for(tmp_path: Path) -> None:
    store = Failing(tmp_path)
    store.fails = True
    reader = Reader(store).look()
    assert (reader.status, reader.events.state.reason) == ("waiting", "the store does not answer; start it")


def test_reading_that_was_interrupted_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.dashboard.reading.CHUNK_BYTES", 1000)
    put_batch(tmp_path, 0, 99)
    store = LocalStore(tmp_path)
    reader = Reader(store)
    interrupted = reader.events.contents()
    assert isinstance(interrupted, Generator)
    reader.now_s += 3
    first = next(interrupted)
    assert isinstance(first, bytes)
    interrupted.close()
    reader.items.update(orjson.loads(line)["itemInSession"] for line in first.splitlines())
    assert reader.look().items == expected(0, 99)


def test_progress_is_shown_while_everything_stored_is_read(tmp_path: Path) -> None:
    for first in range(0, 100, 10):
        put_batch(tmp_path, first, first + 9)
    reader = reader_of(tmp_path)
    shares = []
    for _ in reader.events.contents():
        assert reader.status == "reading"
        shares.append(reader.events.state.share)
    assert len(shares) == 10
    assert shares == sorted(shares, key=lambda share: share or 0.0)
    assert shares[-1] == pytest.approx(1.0, abs=0.01)


def test_nothing_is_listed_more_often_than_it_is_due(tmp_path: Path) -> None:
    store = Failing(tmp_path)
    put_batch(tmp_path, 0, 9)
    reader = Reader(store).look()
    before = store.n_listed
    for _ in range(20):
        reader.look(0.04)
    assert store.n_listed == before


def test_a_file_that_goes_while_it_is_read_is_counted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.dashboard.reading.CHUNK_BYTES", 1000)
    put_batch(tmp_path, 100, 109)
    reader = reader_of(tmp_path).look()
    put_batch(tmp_path, 0, 49)
    put_batch(tmp_path, 50, 99)
    reader.now_s += 3
    interrupted = reader.events.contents()
    assert isinstance(interrupted, Generator)
    first = next(interrupted)
    assert isinstance(first, bytes)
    interrupted.close()
    reader.items.update(orjson.loads(line)["itemInSession"] for line in first.splitlines())
    listed = list(LocalStore(tmp_path).files())
    merge(tmp_path, 0, 99, "jsonl")
    for path in parts(tmp_path, 0, 99):
        path.unlink()
    with monkeypatch.context() as stale:  # a listing from before the files went
        stale.setattr(LocalStore, "files", lambda *_, **__: iter(listed))
        reader.look()
    for _ in range(4):
        reader.look()
    assert (reader.items, reader.n_anew) == (expected(0, 109), 1)


def test_a_json_array_is_named_until_lines_are_in_its_place(tmp_path: Path) -> None:
    lines = some(0, 9)
    put(tmp_path, GROWING, b"[" + lines.rstrip().replace(b"\n", b",\n") + b"]")
    put_batch(tmp_path, 10, 19, "jsonl")
    reader = reader_of(tmp_path).look()
    assert reader.items == expected(10, 19)
    assert "it is a JSON array; convert it with: jq" in reader.events.state.reason
    put(tmp_path, GROWING, lines)
    reader.look()
    assert (reader.items, reader.events.state.reason) == (expected(0, 19), "")

"""Names say what is in a file, and readers see each event once."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.store import StoredFile, layout
from loadgen.store.layout import BatchName, PublishedFile, day_folder, day_of, published
from loadgen.store.local import LocalStore

DAY = 20_272
"""3 July 2025."""
STAMP_S = int(datetime(2025, 7, 3, 14, 30, 15, tzinfo=UTC).timestamp())

offsets = st.integers(0, 10**20 - 1)
batches = st.builds(
    BatchName,
    stamp_s=st.integers(0, 253_402_300_799),
    partition=st.integers(0, 99_999),
    first=st.just(0),
    last=offsets,
    source=st.text("0123456789abcdef", min_size=8, max_size=8),
    suffix=st.sampled_from(["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "avro"]),
)


def batch(first: int, last: int, stamp_s: int = STAMP_S, partition: int = 3, source: str = "0123abcd") -> BatchName:
    return BatchName(stamp_s, partition, first, last, source, "jsonl")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def put(store: LocalStore, *names: BatchName | str, day: int = DAY) -> None:
    for name in names:
        store.write(f"{day_folder(day)}/{name if isinstance(name, str) else name.text}", b"x")


def listed(store: LocalStore, since_day: int | None = None, until_day: int | None = None) -> list[BatchName | str]:
    return [file.batch or file.path.rpartition("/")[2] for file in published(store, since_day, until_day)]


def test_a_day_has_its_folder() -> None:
    assert day_folder(DAY) == "year=2025/month=07/day=03"
    assert day_folder(0) == "year=1970/month=01/day=01"
    assert day_folder(date(9999, 12, 31).toordinal() - date(1970, 1, 1).toordinal()) == "year=9999/month=12/day=31"
    with pytest.raises(ValueError, match=r"ordinal|year"):
        day_folder(10_000_000)


@given(st.integers(-719_162, 2_932_896))
def test_a_folder_tells_its_day(day: int) -> None:
    assert day_of(day_folder(day)) == day_of(f"{day_folder(day)}/a/b.jsonl") == day


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "year=2025/month=07",
        "year=2025/month=07/day=031",
        "year=2025/month=02/day=30",
        "year=2025/month=7/day=3",
        "_tmp/year=2025/month=07/day=03/a",
        "year=２０25/month=07/day=03",
        "year=0000/month=07/day=03",
    ],
)
def test_other_paths_have_no_day(path: str) -> None:
    assert day_of(path) is None


def test_a_batch_name_reads_as_people_expect() -> None:
    text = "batch_20250703_143015_p003_00000000000000000100_00000000000000000250_0123abcd.jsonl"
    assert batch(100, 250).text == text
    assert BatchName.parse(text) == batch(100, 250)


@given(batches)
def test_a_name_is_parsed_back_to_what_it_was(name: BatchName) -> None:
    assert BatchName.parse(name.text) == name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch_", "Batch_"),
        ("20250703", "20250230"),
        ("143015", "250000"),
        ("p003", "p03"),
        ("p003", "p0003"),
        ("00000000000000000100_", "100_"),
        ("0250_", "0050_"),
        ("0123abcd", "0123ABCD"),
        (".jsonl", ".csv"),
        (".jsonl", ".jsonl.gz.tmp"),
        (".jsonl", ".jsonl\n"),
    ],
)
def test_a_name_that_is_not_exactly_ours_is_not_taken_for_ours(old: str, new: str) -> None:
    assert BatchName.parse(batch(100, 250).text.replace(old, new)) is None


def test_files_of_others_are_published_too_and_hidden_ones_are_not(store: LocalStore) -> None:
    put(store, batch(5, 9), "events_x_w03.jsonl", "_SUCCESS", ".crc", "deeper/file.jsonl", "_tmp/file.jsonl")
    store.write("elsewhere.jsonl", b"")
    store.write("_tmp/year=2025/month=07/day=03/a.jsonl", b"")
    assert published(store) == [
        PublishedFile(f"{day_folder(DAY)}/deeper/file.jsonl", 1, DAY, None),
        PublishedFile(f"{day_folder(DAY)}/events_x_w03.jsonl", 1, DAY, None),
        PublishedFile(f"{day_folder(DAY)}/{batch(5, 9).text}", 1, DAY, batch(5, 9)),
    ]


def test_files_come_by_day_source_partition_and_offset(store: LocalStore) -> None:
    wanted = [
        batch(0, 9, source="aaaaaaaa", partition=2, stamp_s=STAMP_S + 5),
        batch(10, 19, source="aaaaaaaa", partition=2),
        batch(5, 7, source="aaaaaaaa", partition=11),
        batch(0, 3, source="bbbbbbbb", partition=1),
    ]
    put(store, *reversed(wanted))
    put(store, "a.jsonl", day=DAY - 1)
    put(store, batch(0, 1), day=DAY + 1)
    assert listed(store) == ["a.jsonl", *wanted, batch(0, 1)]


@pytest.mark.parametrize(
    ("since_day", "until_day", "days"),
    [(None, None, [1, 2, 3, 4]), (2, None, [2, 3, 4]), (None, 2, [1, 2]), (2, 3, [2, 3]), (3, 3, [3]), (4, 2, [])],
)
@pytest.mark.parametrize("most_days", [0, 366])
def test_only_the_days_asked_for_are_listed(
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    most_days: int,
    since_day: int | None,
    until_day: int | None,
    days: list[int],
) -> None:
    monkeypatch.setattr(layout, "_MOST_DAYS", most_days)
    for day in (1, 2, 3, 4):
        put(store, f"{day}", day=day)
    assert [file.day for file in published(store, since_day, until_day)] == days


def test_files_that_a_compacted_one_replaces_are_left_out(store: LocalStore) -> None:
    compacted = batch(0, 29, stamp_s=STAMP_S + 60)
    after, other = batch(30, 39), batch(10, 19, partition=4)
    put(store, batch(0, 9), batch(10, 19), batch(20, 29), compacted, after, other)
    assert listed(store) == [compacted, after, other]


def test_a_compacted_file_leaves_other_days_and_sources_alone(store: LocalStore) -> None:
    put(store, batch(0, 29), batch(5, 9, source="ffffffff"))
    put(store, batch(5, 9), day=DAY + 1)
    assert listed(store) == [batch(0, 29), batch(5, 9, source="ffffffff"), batch(5, 9)]


def test_of_the_same_range_the_newest_is_read(store: LocalStore) -> None:
    put(store, batch(0, 9), batch(0, 9, stamp_s=STAMP_S + 1), batch(0, 9, stamp_s=STAMP_S - 1))
    assert listed(store) == [batch(0, 9, stamp_s=STAMP_S + 1)]


def test_ranges_that_overlap_without_one_inside_the_other_are_both_read(store: LocalStore) -> None:
    put(store, batch(0, 9), batch(5, 14))
    assert listed(store) == [batch(0, 9), batch(5, 14)]


spans = st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(0, 3), st.integers(0, 1)).map(
    lambda span: batch(span[0], span[0] + span[1], stamp_s=STAMP_S + span[2], partition=span[3])
)


def is_covered(name: BatchName, others: Iterable[BatchName]) -> bool:
    """The definition, without regard to cost."""
    return any(other.covers(name) for other in others)


class Listing(LocalStore):
    """A store that only lists."""

    def __init__(self, names: list[BatchName]) -> None:
        super().__init__("listing")
        self._names = names

    def files(self, folder: str = "", *, hidden: bool = False) -> Iterator[StoredFile]:
        return (StoredFile(f"{day_folder(DAY)}/{name.text}", 1, 0.0) for name in self._names)


@given(st.lists(spans, max_size=12, unique=True))
def test_what_is_left_out_is_what_another_file_covers_and_nothing_is_missing(names: list[BatchName]) -> None:
    kept = [file.batch for file in published(Listing(names)) if file.batch is not None]
    assert len(kept) == len(list(published(Listing(names))))
    assert kept == sorted(kept, key=lambda name: (name.partition, name.first, name.text))
    assert set(kept) == {name for name in names if not is_covered(name, names)}
    for name in set(names) - set(kept):
        assert is_covered(name, kept), "what covers it is read itself"

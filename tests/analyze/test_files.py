"""Which files are read: no event twice, no dead letter, and no more days than needed."""

from pathlib import Path

import pytest

from loadgen.errors import NotThere, UsageError
from loadgen.store.event_files import Interval, batches
from loadgen.store.layout import BatchName, day_folder
from tests.analyze.reading import LINES, figures_of, wrote
from tests.analyze.recompute import figures_of_lines

DAY_MS = 86_400_000
DAY = 20_458
"""The day of the golden events."""
FULL = LINES["full"]


def batch(first: int, last: int, *, stamp_s: int = 1_767_600_000, suffix: str = "jsonl") -> str:
    """A file name of loadgen consume."""
    return BatchName(stamp_s, 3, first, last, "0123abcd", suffix).text  # type: ignore[arg-type]


def stored(root: Path, day: int, name: str, lines: list[bytes]) -> Path:
    """A file of a store."""
    return wrote(root / day_folder(day) / name, lines)


def paths(*names: object, since_ms: int | None = None, until_ms: int | None = None) -> list[str]:
    """The names of the files that are read, without their folders."""
    found = batches([str(name) for name in names], Interval(since_ms, until_ms))
    return sorted(file.path.rpartition("/")[2] for one in found for file in one.files)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three days: one with small files and the large one that they were merged into, two with a file each."""
    root = tmp_path / "music_events"
    stored(root, DAY, batch(0, 9), FULL[:300])
    stored(root, DAY, batch(10, 19), FULL[300:600])
    stored(root, DAY, batch(0, 19, stamp_s=1_767_700_000), FULL[:600])
    stored(root, DAY + 1, "events.jsonl", FULL[600:800])
    stored(root, DAY + 2, batch(20, 29), FULL[800:])
    wrote(root / "_dead_letters/topic/3/dead.jsonl", FULL)
    wrote(root / "_tmp/x.jsonl", FULL)
    wrote(root / day_folder(DAY) / ".hidden.jsonl", FULL)
    return root


def test_what_was_compacted_counts_once_and_what_is_hidden_not_at_all(store: Path) -> None:
    assert figures_of(store) == figures_of_lines(FULL)


@pytest.mark.parametrize("url", ["file://{}", "{}/", "{}/../music_events"])
def test_a_store_has_many_names(url: str, store: Path) -> None:
    assert len(paths(url.format(store), store)) == 3


def test_a_folder_in_a_store_is_the_part_of_it(store: Path) -> None:
    assert paths(store / "year=2026/month=01") == paths(store)
    assert paths(store / day_folder(DAY)) == [batch(0, 19, stamp_s=1_767_700_000)]


def test_what_is_named_file_by_file_is_not_counted_twice_either(store: Path) -> None:
    named = [file for file in store.rglob("[!.]*.jsonl") if "_" not in file.relative_to(store).parts[0]]
    assert len(named) == 5
    assert figures_of(*named) == figures_of(*named, store, *named) == figures_of_lines(FULL)


def test_loose_files_of_one_folder_are_told_apart_by_their_names(store: Path, tmp_path: Path) -> None:
    for file in (store / day_folder(DAY)).iterdir():
        wrote(tmp_path / "loose" / file.name, file.read_bytes().splitlines())
    wrote(tmp_path / "loose" / "notes.txt", FULL)
    assert paths(tmp_path / "loose") == [batch(0, 19, stamp_s=1_767_700_000)]


@pytest.mark.parametrize(
    ("since_ms", "until_ms", "n_files"),
    [
        (None, None, 3),
        (DAY * DAY_MS, (DAY + 1) * DAY_MS, 1),
        (DAY * DAY_MS, (DAY + 1) * DAY_MS + 1, 2),
        ((DAY + 1) * DAY_MS - 1, None, 3),
        ((DAY + 1) * DAY_MS, None, 2),
        (None, DAY * DAY_MS, 0),
        ((DAY + 3) * DAY_MS, None, 0),
    ],
)
def test_only_the_days_of_the_interval_are_read(
    since_ms: int | None, until_ms: int | None, n_files: int, store: Path
) -> None:
    assert len(paths(store, since_ms=since_ms, until_ms=until_ms)) == n_files


def test_days_that_are_not_needed_are_not_even_opened(store: Path) -> None:
    for path in (f"{day_folder(DAY + 1)}/events.jsonl", f"{day_folder(DAY + 2)}/{batch(20, 29)}"):
        (store / path).write_bytes(b"no event\n")
    found = figures_of(store, since_ms=DAY * DAY_MS, until_ms=(DAY + 1) * DAY_MS)
    assert (found["events"], found["unreadable"]) == (600, 0)


def test_what_is_not_there_is_said_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="loadgen run --duration 1"):
        batches([str(tmp_path / "none")], Interval())
    with pytest.raises(UsageError, match="hdfs://namenode:8020/music_events"):
        batches(["hdfs://x"], Interval())

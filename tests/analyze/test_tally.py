"""Reading while others write: compaction, removal, damage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.analyze import figures
from loadgen.analyze.tally import CombinationCounts
from loadgen.files import compressed
from loadgen.store import event_files
from loadgen.store.event_files import File, FilesBatch, Interval, batches
from loadgen.store.layout import day_folder
from loadgen.store.local import LocalStore
from tests.analyze.reading import LINES, wrote
from tests.analyze.test_files import DAY, FULL, batch, stored


@pytest.fixture
def tally(tmp_path: Path) -> Iterator[CombinationCounts]:
    """One that counts everything."""
    (tmp_path / "spill").mkdir()
    tally = CombinationCounts(Interval(), tmp_path / "spill")
    yield tally
    tally.close()


def n_events(tally: CombinationCounts) -> int:
    """How many were counted."""
    tally.finish()
    return figures.figures_of(tally.ask, 10).events


def test_files_that_compaction_takes_away_are_read_in_its_result(tally: CombinationCounts, tmp_path: Path) -> None:
    small = [stored(tmp_path / "s", DAY, batch(10 * n, 10 * n + 9), FULL[100 * n : 100 * n + 100]) for n in range(5)]
    other = stored(tmp_path / "s", DAY + 1, "x.jsonl", FULL[500:])
    listed = batches([str(tmp_path / "s")], Interval())
    stored(tmp_path / "s", DAY, batch(0, 49, stamp_s=1_767_700_000), FULL[:500])
    for path in small:
        path.unlink()
    tally.read(listed)
    assert (n_events(tally), tally.reading.failed, other.exists()) == (1000, {}, True)


def test_a_day_is_read_again_alone(tally: CombinationCounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_files, "BATCH_BYTES", 1)
    for day in range(3):
        stored(tmp_path / "s", DAY + day, batch(day, day), FULL[100 * day : 100 * day + 100])
    listed = batches([str(tmp_path / "s")], Interval())
    assert [[file.day for file in one.files] for one in listed] == [[DAY], [DAY + 1], [DAY + 2]]
    (tmp_path / "s" / day_folder(DAY + 1) / batch(1, 1)).unlink()
    stored(tmp_path / "s", DAY + 1, batch(0, 5), FULL[100:200])
    tally.read(listed)
    assert (n_events(tally), tally.reading.n_files) == (300, 3)


def test_a_file_that_cannot_be_read_is_named_and_the_others_count_once(
    tally: CombinationCounts, tmp_path: Path
) -> None:
    whole = bytes(compressed(b"\n".join(LINES["listen"]), "gz"))
    for name, content in {"a.gz": whole, "b.gz": b"no gzip", "c.gz": whole[:5000], "d.gz": whole}.items():
        (tmp_path / name).write_bytes(content)
    store = LocalStore(tmp_path)
    names = ("a.gz", "b.gz", "c.gz", "d.gz", "gone.jsonl")
    tally.read([FilesBatch(tuple(File(store, name, 1) for name in names))])
    assert sorted(path.rpartition("/")[2] for path in tally.reading.failed) == ["b.gz", "c.gz", "gone.jsonl"]
    assert (n_events(tally), tally.reading.n_files) == (2000, 2)


def test_the_share_goes_from_none_to_all(tally: CombinationCounts, tmp_path: Path) -> None:
    assert tally.share() == 0.0
    tally.read(batches([str(wrote(tmp_path / "x.jsonl", FULL))], Interval()))
    assert tally.share() == 1.0

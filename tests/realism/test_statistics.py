"""The statistics are what targets.toml says they are, for each format, and from any kind of file."""

import gzip
from pathlib import Path

import pytest

from loadgen.config import RealismSettings
from loadgen.realism import look
from loadgen.realism.statistics import STATISTICS, Value, statistics_of
from loadgen.terminal import Terminal
from tests.realism import recompute
from tests.realism.sample import lines_of

NOT_IN_LISTEN = {name for name in STATISTICS if name.startswith("paid_")} | {
    "skip_teens",
    "skip_thirties",
    "skip_teens_less_thirties",
    "skip_free",
    "skip_paid",
}
SAME_IN_LISTEN = {"repeats", "likes", "dislikes", "plays_mean", "plays_gini", "artists_gini", "length_mean_s"}


def statistics_in(*files: Path) -> dict[str, Value]:
    """What the program computes from these files."""
    seen, failed = look(RealismSettings(stores=tuple(map(str, files))), Terminal(quiet=True))
    assert failed == {}
    return statistics_of(seen)


@pytest.fixture(scope="module")
def of_activity(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Value]:
    file = tmp_path_factory.mktemp("activity") / "events.jsonl"
    file.write_bytes(lines_of("activity"))
    return statistics_in(file)


def test_every_statistic_is_the_one_that_pandas_computes(of_activity: dict[str, Value]) -> None:
    expected = recompute.statistics(lines_of("activity"))
    assert expected.keys() == STATISTICS.keys()
    assert of_activity == pytest.approx(expected, rel=1e-9)


def test_full_tells_the_same_as_activity(of_activity: dict[str, Value], tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(lines_of("full"), 1))
    assert statistics_in(file) == pytest.approx(of_activity, rel=1e-12)


def test_listen_tells_what_it_can(of_activity: dict[str, Value], tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(lines_of("listen"))
    found = statistics_in(file)
    assert {name for name, value in found.items() if value is None} == NOT_IN_LISTEN
    same = {name: found[name] for name in SAME_IN_LISTEN}
    assert same == pytest.approx({name: of_activity[name] for name in SAME_IN_LISTEN}, rel=1e-4)
    for name in ("session_mean", "skip_end", "evening_over_night"):
        assert found[name] == pytest.approx(of_activity[name], rel=0.15)


def test_the_order_of_the_lines_does_not_matter(of_activity: dict[str, Value], tmp_path: Path) -> None:
    lines = lines_of("activity").splitlines(keepends=True)
    for part in range(3):
        (tmp_path / f"{part}.jsonl").write_bytes(b"".join(lines[::-1][part::3]))
    assert statistics_in(tmp_path) == pytest.approx(of_activity, rel=1e-12)


def test_events_without_a_play_tell_nothing_of_plays(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(line for line in lines_of("activity").splitlines(True)[:500] if b"NextSong" not in line))
    found = statistics_in(file)
    assert {name for name, value in found.items() if value is not None} <= {
        "paid_listeners", "paid_16_24", "paid_35_44", "paid_45_54", "paid_55_64", "paid_steps_down",
        "plays_mean", "plays_median", "plays_of_events",
    }  # fmt: skip
    assert found["plays_mean"] == 0

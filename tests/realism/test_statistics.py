"""The statistics are what targets.toml says they are, for each format, and from any kind of file."""

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.config import RealismSettings
from loadgen.realism import look
from loadgen.realism.facts import Facts
from loadgen.realism.observed import seen_in
from loadgen.realism.statistics import STATISTICS, Value, statistics_of
from loadgen.store.event_files import Interval
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


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["NextSong", "play", "skip", "paid", "Seoul, KR", "KR", "mega", "2026-01-05T00:00:00Z", [], {}]),
)


@settings(max_examples=30)
@given(st.lists(st.dictionaries(st.sampled_from(sorted(Facts.fields)), ODD), max_size=8))
def test_whatever_records_hold_no_statistic_fails(records: list[dict[str, object]]) -> None:
    facts = Facts(Interval(), None)
    try:
        facts.take(json.dumps(record).encode() for record in records)
        facts.finish()
        found = statistics_of(seen_in(facts))
    finally:
        facts.close()
    assert found.keys() == STATISTICS.keys()
    assert all(value is None or math.isfinite(value) for value in found.values())


def test_events_without_a_play_tell_nothing_of_plays(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(line for line in lines_of("activity").splitlines(True)[:500] if b"NextSong" not in line))
    found = statistics_in(file)
    assert {name for name, value in found.items() if value is not None} <= {
        "paid_listeners", "paid_16_24", "paid_35_44", "paid_45_54", "paid_55_64", "paid_steps_down",
        "plays_mean", "plays_median", "plays_of_events",
    }  # fmt: skip
    assert found["plays_mean"] == 0

"""Figures against a plain computation of the same definitions over the same lines."""

import json
import tempfile
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.analyze import read
from loadgen.config import AnalyzeSettings
from loadgen.files import compressed
from loadgen.store.table import record_schema, table_of
from loadgen.terminal import Terminal
from tests.analyze.reading import LINES, MIXED, figures_of, wrote
from tests.analyze.recompute import figures_of_lines
from tests.rows import ROWS, as_file

JUNK = [b"not json", b"{}", b'{"page":"Home"}', b"\xff\xfe", b"[]", b'{"ts":5', b"   "]


@pytest.mark.parametrize("lines", [*LINES.values(), MIXED], ids=[*LINES, "mixed"])
def test_the_figures_are_those_of_a_plain_computation(lines: list[bytes], tmp_path: Path) -> None:
    assert figures_of(wrote(tmp_path / "x.jsonl", lines)) == figures_of_lines(lines)


def test_lines_that_are_no_events_are_counted_and_nothing_else(tmp_path: Path) -> None:
    found = figures_of(wrote(tmp_path / "x.jsonl", [*JUNK, *MIXED, *JUNK]))
    assert found == figures_of_lines(MIXED) | {"unreadable": 2 * (len(JUNK) - 1)}


def test_a_last_line_without_its_end_is_unreadable_and_the_others_count(tmp_path: Path) -> None:
    path = wrote(tmp_path / "x.jsonl", MIXED)
    path.write_bytes(path.read_bytes() + MIXED[0][:50])
    assert figures_of(path) == figures_of_lines(MIXED) | {"unreadable": 1}


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_compressed_files_of_many_pieces_give_the_same_figures(ending: Any, tmp_path: Path) -> None:
    halves = [b"\n".join(part) + b"\n" for part in (MIXED[:1000], MIXED[1000:])]
    path = tmp_path / f"x.jsonl.{ending}"
    path.write_bytes(b"".join(bytes(compressed(half, ending)) for half in halves))
    assert figures_of(path) == figures_of_lines(MIXED)


@pytest.mark.parametrize("suffix", ROWS)
def test_rows_give_the_same_figures_also_those_kept_as_text(tmp_path: Path, suffix: str) -> None:
    as_text = [json.dumps(json.loads(line), ensure_ascii=False).encode() for line in MIXED[:900]]
    table = table_of([*as_text, *MIXED[900:]])
    assert table["raw"].null_count == len(MIXED) - 900
    (tmp_path / f"x.{suffix}").write_bytes(as_file(table, suffix))
    assert figures_of(tmp_path / f"x.{suffix}") == figures_of_lines(MIXED)


def test_lines_and_rows_of_many_files_add_up(tmp_path: Path) -> None:
    pq.write_table(table_of(LINES["full"][:600]), tmp_path / "a.parquet")
    wrote(tmp_path / "b [1]*?.jsonl", LINES["full"][600:])
    wrote(tmp_path / "it's.jsonl", LINES["listen"])
    (tmp_path / "c.jsonl.gz").write_bytes(bytes(compressed(b"\n".join(LINES["activity"]), "gz")))
    assert figures_of(tmp_path) == figures_of_lines([*LINES["full"], *LINES["listen"], *LINES["activity"]])


def test_parquet_of_others_with_other_types_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    table = pa.table({"ts": [5.0, 6.0], "userId": ["7", "x"], "page": ["Home", "NextSong"]})
    pq.write_table(table, tmp_path / "x.parquet")
    found = figures_of(tmp_path / "x.parquet")
    assert (found["events"], found["listeners"], found["plays"]) == (2, 1, 1)


def test_an_interval_has_its_beginning_in_it_and_its_end_not(tmp_path: Path) -> None:
    path = wrote(tmp_path / "x.jsonl", MIXED)
    times = sorted(json.loads(line)["ts"] for line in LINES["full"])
    since_ms, until_ms = times[300], times[700]
    found = figures_of(path, since_ms=since_ms, until_ms=until_ms)
    assert found == figures_of_lines(MIXED, since_ms=since_ms, until_ms=until_ms)
    assert found["first_ms"] == since_ms
    assert found["last_ms"] < until_ms


def test_nothing_has_figures_too(tmp_path: Path) -> None:
    assert figures_of(wrote(tmp_path / "x.jsonl", [])) == figures_of_lines([])


def test_lists_are_as_long_as_asked(tmp_path: Path) -> None:
    found = figures_of(wrote(tmp_path / "x.jsonl", MIXED), top=3)
    assert found == figures_of_lines(MIXED, top=3)
    assert len(found["top_artists"]) == len(found["top_tracks"]) == 3


names = st.sampled_from(
    ["ts", "timestamp", "userId", "sessionId", "page", "artist", "song", "length", "genre", "action", "location"]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["play", "NextSong", "A, US"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
records = st.dictionaries(names, values, max_size=6).map(lambda record: json.dumps(record).encode())
any_lines = st.lists(records | st.binary(max_size=40) | st.sampled_from(MIXED[:9]), max_size=12)


@given(lines=any_lines)
@settings(max_examples=20, deadline=None)
def test_any_lines_at_all_have_figures(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = figures_of(wrote(Path(folder, "x.jsonl"), lines))
    known = sum(line in MIXED for line in lines)
    assert found["events"] >= known
    assert found["events"] + found["unreadable"] <= len(b"\n".join(lines).splitlines()) + len(lines)
    assert sum(found["hours"]) == found["events"]


def test_only_plays_count_as_plays_though_other_events_of_full_name_their_track(tmp_path: Path) -> None:
    about = [line for line in LINES["full"] if b'"song":' in line and b'"page":"NextSong"' not in line]
    of_full, of_activity = (figures_of(wrote(tmp_path / f"{name}.jsonl", LINES[name])) for name in ("full", "activity"))
    assert about
    for name in ("plays", "durations_s", "played_s", "duration_bins", "over_time"):
        assert of_full[name] == of_activity[name]
    for name in ("top_artists", "top_tracks"):
        assert [(one["name"], one["plays"]) for one in of_full[name]] == [
            (one["name"], one["plays"]) for one in of_activity[name]
        ]
    assert sum(one["events"] - one["plays"] for one in of_full["genres"]) == len(about)


def odd(number: int, n_bytes: int) -> bytes:
    """An event with a field of its own, which Parquet keeps as text."""
    record = json.loads(LINES["full"][number])
    return json.dumps(record | {"extra": "x" * n_bytes}, separators=(",", ":")).encode()


def test_parquet_with_records_of_ten_megabytes_is_counted_within_the_memory_of_others(tmp_path: Path) -> None:
    long = [odd(number, 10 << 20) for number in range(3)]
    pq.write_table(table_of([*LINES["full"][:200], *long, *LINES["full"][200:]]), tmp_path / "a.parquet")
    short = [odd(number, 1) for number in range(3)]
    assert figures_of(tmp_path) == figures_of_lines([*LINES["full"], *short])


def test_records_kept_as_text_in_some_row_groups_and_files_count_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadgen.store.read.CHUNK_BYTES", 5000)
    pieces = [LINES["full"][:100], [odd(number, 1) for number in range(100)], LINES["listen"][:100], MIXED[300:400]]
    pieces.append([line for pair in zip(pieces[1], LINES["activity"], strict=False) for line in pair])
    with pq.ParquetWriter(tmp_path / "a [1]*?.parquet", record_schema()) as writer:
        for piece in pieces:
            writer.write_table(table_of(piece))
    pq.write_table(table_of(LINES["full"]), tmp_path / "b.parquet")
    pq.write_table(table_of(pieces[1]), tmp_path / "c.parquet")
    lines = [line for piece in pieces for line in piece]
    assert figures_of(tmp_path) == figures_of_lines([*lines, *LINES["full"], *pieces[1]])


def test_files_of_avro_are_counted_some_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.analyze.tally.AVRO_ROWS", 300)
    monkeypatch.setattr("loadgen.store.read.CHUNK_BYTES", 5000)
    pieces = [LINES["full"][:200], [odd(number, 1) for number in range(100)], LINES["listen"][:100], MIXED[300:400]]
    for number, piece in enumerate(pieces):
        (tmp_path / f"{number} [1]*?.avro").write_bytes(as_file(table_of(piece), "avro", "zst"))
    fields = [{"name": "ts", "type": "long"}, {"name": "page", "type": "string"}]
    rows = [{"ts": 1_767_600_000_000 + number, "page": "Home"} for number in range(70)]
    with (tmp_path / "own.avro").open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "Own", "fields": fields}, rows)
    lines = [line for piece in pieces for line in piece]
    assert figures_of(tmp_path) == figures_of_lines([*lines, *(json.dumps(row).encode() for row in rows)])


def test_an_avro_file_that_is_not_whole_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    whole = as_file(table_of(LINES["full"]), "avro")
    (tmp_path / "a.avro").write_bytes(whole)
    (tmp_path / "b.avro").write_bytes(whole[:-1])
    given = AnalyzeSettings(stores=(str(tmp_path),), out=tmp_path, quiet=True)
    figures, reading, _ = read(given, Terminal(quiet=True))
    assert figures.as_json() == figures_of(tmp_path / "a.avro")
    ((name, why),) = reading.failed.items()
    assert name.endswith("b.avro")
    assert "it ends within a block; is it damaged, or not whole?" in why

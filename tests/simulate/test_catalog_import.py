"""A user's own table becomes a catalogue, or an error that says which column and row to mend."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.errors import CatalogError
from loadgen.simulate.catalog import Catalog, CatalogSettings, open_catalog, open_imported
from loadgen.simulate.catalog_export import export_catalog
from loadgen.simulate.catalog_import import Imported, cleaned, contents_of, import_catalog, tiers_by_rank
from loadgen.simulate.catalog_table import read_source

Columns = Mapping[str, Sequence[Any]]


def write(path: Path, columns: Columns) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table(dict(columns)), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture(params=[".parquet", ".csv"])
def ending(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def imported(tmp_path: Path, ending: str, columns: Columns) -> Catalog:
    import_catalog(write(tmp_path / f"songs{ending}", columns), tmp_path / "cache", "mine")
    return open_imported("mine", tmp_path / "cache")


def row_of(catalog: Catalog, title: str) -> dict[str, Any]:
    return next(row for row in catalog.tracks.to_pylist() if row["title"] == title)


def test_an_exported_catalogue_is_imported_unchanged(tmp_path: Path, ending: str) -> None:
    built = open_catalog(CatalogSettings(n_tracks=15_000), tmp_path)
    export_catalog(built, tmp_path / f"x{ending}")
    import_catalog(tmp_path / f"x{ending}", tmp_path, "copy")
    copy = open_imported("copy", tmp_path)
    for name in ("title", "artist", "album", "length_ms", "release_year", "popularity", "play_count", "likes"):
        assert copy.tracks[name].equals(built.tracks[name]), name
    for name in ("name", "tier", "first_track", "n_tracks"):
        assert copy.artists[name].equals(built.artists[name]), name
    assert copy.artist_weight == pytest.approx(built.artist_weight, rel=1e-3)
    genres = [[c.genres[code] for code in c.tracks["genre"].to_pylist()] for c in (copy, built)]
    assert genres[0] == genres[1]


def test_artist_and_title_are_enough(tmp_path: Path, ending: str) -> None:
    catalog = imported(tmp_path, ending, {"Artist": ["B", "A", "B"], "Track": ["x", "y", "z"]})
    assert (catalog.n_artists, catalog.n_tracks, catalog.genres) == (2, 3, ("Unknown",))
    assert catalog.tracks["title"].to_pylist() == ["x", "z", "y"]  # the first row is the most played
    assert catalog.tracks["album"].to_pylist() == ["x", "z", "y"]
    assert catalog.tracks["release_year"].to_pylist() == [0, 0, 0]
    assert catalog.length_ms.min() >= 60_000
    assert catalog.tracks["popularity"].to_pylist()[0] == 100


@pytest.mark.parametrize("name", ["song", "TITLE", "Track Name", "track-title"])
def test_a_title_column_is_found_under_its_usual_names(tmp_path: Path, ending: str, name: str) -> None:
    assert imported(tmp_path, ending, {name: ["x"], "artist_name": ["A"]}).n_tracks == 1


def test_all_columns_are_taken_over(tmp_path: Path, ending: str) -> None:
    columns: Columns = {
        "artist": ["Ünal"], "title": ['"Hi", 봄'], "album": ["LP"], "genre": ["Pop"], "tier": ["Famous"],
        "duration": [201.5], "year": ["1999-05-01"], "popularity": [61], "streams": [1000], "likes": [7],
    }  # fmt: skip
    row = row_of(imported(tmp_path, ending, columns), '"Hi", 봄')
    assert row == {
        "title": '"Hi", 봄', "artist": 0, "album": "LP", "genre": 0, "length_ms": 201_500, "release_year": 1999,
        "popularity": 61, "play_count": 1000, "likes": 7,
    }  # fmt: skip


def test_milliseconds_are_told_from_seconds_by_the_name_of_the_column(tmp_path: Path, ending: str) -> None:
    catalog = imported(tmp_path, ending, {"artist": ["A"], "title": ["x"], "duration_ms": [187_042]})
    assert catalog.length_ms.tolist() == [187_042]


def test_plays_follow_from_popularity_where_they_are_missing(tmp_path: Path, ending: str) -> None:
    catalog = imported(tmp_path, ending, {"artist": ["A", "B"], "title": ["x", "y"], "popularity": [20, 60]})
    assert row_of(catalog, "x")["play_count"] == 10_000
    assert row_of(catalog, "y")["play_count"] == 1_000_000
    assert row_of(catalog, "y")["likes"] == 19_200
    assert catalog.artists["name"].to_pylist() == ["B", "A"]


def test_a_missing_value_in_a_row_is_derived(tmp_path: Path) -> None:
    columns: Columns = {
        "artist": ["A", "A"],
        "title": ["x", "y"],
        "popularity": [50, None],
        "plays": [None, 10],
        "genre": ["Pop", None],
    }
    catalog = imported(tmp_path, ".parquet", columns)
    assert row_of(catalog, "x")["play_count"] == round(1000 * 10**2.5 - 0.5)
    assert row_of(catalog, "y")["popularity"] == 1
    assert catalog.genres == ("Pop", "Unknown")


def test_an_artist_has_the_tier_of_its_rank() -> None:
    tier = tiers_by_rank(np.arange(12_000.0))
    assert np.bincount(tier).tolist() == [8, 50, 500, 12_000 - 558]
    assert (np.diff(tier.astype(int)) <= 0).all()


@pytest.mark.parametrize("n", [4, 100, 559, 5000, 10_557])
def test_no_tier_is_empty_in_a_small_catalogue(n: int) -> None:
    sizes = np.bincount(tiers_by_rank(np.arange(float(n))), minlength=4)
    assert sizes.min() >= 1
    assert (sizes[:3] <= [8, 50, 500]).all()


def test_the_rarest_of_too_many_genres_are_merged(tmp_path: Path) -> None:
    genres = [f"genre {i}" for i in range(300)] + ["genre 299"] * 5
    catalog = imported(
        tmp_path, ".csv", {"artist": ["A"] * 305, "title": [f"t{i}" for i in range(305)], "genre": genres}
    )
    assert len(catalog.genres) == 250
    assert catalog.genres[0] == "genre 299"
    assert catalog.genres[-1] == "Other"
    assert (catalog.tracks["genre"].to_numpy() == 249).sum() == 300 - 249


def test_importing_again_replaces_what_was_there(tmp_path: Path) -> None:
    first = import_catalog(write(tmp_path / "a.csv", {"artist": ["A"], "title": ["x"]}), tmp_path, "mine").path
    derived = first.with_name(f"{first.stem}-song-v1.arrow")
    derived.touch()
    second = import_catalog(write(tmp_path / "b.csv", {"artist": ["B"], "title": ["y"]}), tmp_path, "mine").path
    assert list(second.parent.iterdir()) == [second]
    assert open_imported("mine", tmp_path).tracks["title"].to_pylist() == ["y"]


def test_importing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", {"artist": ["A"], "title": ["x"]})
    assert import_catalog(source, tmp_path, "mine") == import_catalog(source, tmp_path, "mine")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"artist": ["A"]}, r"title missing, got artist;"),
        ({"x": ["A"]}, r"artist and title missing, got x;"),
        ({"artist": ["A"] * 9, "title": [" "] * 9}, r"column title must have a value, got nothing in 9 rows"),
        ({"artist": ["A"], "title": ["x"], "length": [-3]}, r"column length must be 1..86,400, got -3.0 in 1 row"),
        ({"artist": ["A"], "title": ["x"], "popularity": [101]}, r"column popularity must be 0..100, got 101.0"),
        ({"artist": ["A"], "title": ["x"], "plays": ["many"]}, r"column plays must hold numbers, got 'many' in 1 row"),
        ({"artist": ["A"], "title": ["x"], "Tier": ["huge"]}, r"column Tier must be one of mega, top.*got 'huge'"),
        ({"artist": [], "title": []}, r"must have 1..50,000,000 rows, got 0"),
    ],
)
def test_a_file_of_which_no_row_can_be_taken_is_refused(
    tmp_path: Path, ending: str, columns: Columns, message: str
) -> None:
    with pytest.raises(CatalogError, match=message) as caught:
        imported(tmp_path, ending, columns)
    assert f"songs{ending}" in str(caught.value)


def test_rows_that_cannot_be_taken_are_left_out_and_told_with_reason_and_place(tmp_path: Path, ending: str) -> None:
    columns: Columns = {
        "artist": ["A", "", "A", "B", "B", "B", "B"],
        "title": ["x", "y", None, "z", "u", "v", "w"],
        "length": [100, 100, 100, 0, 90_000, 100, 100],
        "tier": ["mega", "mega", "mega", "indie", "indie", "huge", "indie"],
    }
    file = write(tmp_path / f"songs{ending}", columns)
    found = import_catalog(file, tmp_path / "cache", "mine")
    assert (found.n_artists, found.n_tracks, found.n_left_out) == (2, 2, 5)
    unit, shift = ("line", 1) if ending == ".csv" else ("row", 0)
    places = [[2], [3], [4, 5], [6]]
    assert [one.where for one in found.left_out] == [
        f"{unit}{'s' * (len(rows) > 1)} {', '.join(str(row + shift) for row in rows)}" for rows in places
    ]
    assert [one.rule.partition(" must")[0] for one in found.left_out] == [
        *("column artist", "column title", "column length", "column tier")
    ]
    assert open_imported("mine", tmp_path / "cache").tracks["title"].to_pylist() == ["x", "w"]
    with pytest.raises(CatalogError, match=r"artist must have a value, got nothing in 1 row .*without --strict"):
        import_catalog(file, tmp_path / "cache", "mine", strict=True)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_of_a_csv_file_is_recognised(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f'\ufeffartist{separator}title\nA{separator}"two\nlines"\n', encoding="utf-8")
    import_catalog(path, tmp_path, "mine")
    assert open_imported("mine", tmp_path).tracks["title"].to_pylist() == ["two\nlines"]


def taken_from(tmp_path: Path, text: str) -> Imported:
    (tmp_path / "x.csv").write_text(text, encoding="utf-8", newline="")
    return import_catalog(tmp_path / "x.csv", tmp_path, "mine")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('A,"One\nB,Two\nC,Three\n', r"a quote that is opened in the row of line 2 is not closed"),
        ('A,One\nB,"Two\nC,Three', r"row of line 3 is not closed"),
        ('A,One\nB,"Two\nC,"Three"\n', r"the row of lines 3 to 4 has a stray quote"),
        ('A,One\n\nB,"Two"s\n', r"line 4 has a stray quote"),
        ('A,"One""\nB,Two\n', r"row of line 2 is not closed"),
        ('A,"' + "One\nB,Two" * 20_000 + '"\n', r"row of line 2 is not closed"),
    ],
)
def test_a_quote_that_is_not_closed_or_stray_is_refused_with_its_line(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(CatalogError, match=rf"x\.csv: .*{message}; close it, and write a quote inside a value twice"):
        taken_from(tmp_path, "artist,title\n" + rows)


def test_quotes_where_they_may_stand_are_taken(tmp_path: Path) -> None:
    found = taken_from(tmp_path, 'artist,title\r\nA,"One ""1"""\r\n"B, C",12" Mix\r\n"D","two\r\nlines"\r\n')
    assert (found.n_tracks, found.n_left_out) == (3, 0)
    titles = open_imported("mine", tmp_path).tracks["title"].to_pylist()
    assert titles == ['One "1"', '12" Mix', "two\r\nlines"]


def test_lines_are_those_of_the_file_also_after_values_of_several_lines(tmp_path: Path) -> None:
    found = taken_from(tmp_path, 'artist,title\nA,"one\ntwo"\n\nB\nC,x,y\n,z\nD,w\n')
    assert [str(one) for one in found.left_out] == [
        "each row must have a value for each of 2 columns, got 1 in 2 rows (lines 5, 6)",
        "column artist must have a value, got nothing in 1 row (line 7)",
    ]
    assert (found.n_tracks, found.n_left_out) == (2, 3)


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("artist,title\nA,x\nMünch,y\n".encode("latin-1"))
    with pytest.raises(CatalogError, match=r"line 3 is not UTF-8; save the file as UTF-8"):
        import_catalog(tmp_path / "x.csv", tmp_path, "mine")


def test_more_rows_than_are_held_at_once_are_all_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.simulate.catalog_table.ROWS_AT_ONCE", 3)
    found = taken_from(tmp_path, "artist,title\n" + "".join(f"A,t{i}\n" for i in range(10)))
    assert found.n_tracks == 10
    assert open_imported("mine", tmp_path).tracks["title"].to_pylist() == [f"t{i}" for i in range(10)]


@pytest.mark.parametrize(
    "text", ["", "\n", "artist,title\nA,x,y\n", "artist,artist,title\nA,B,x\n", "artist,title\nA,\xff\n", "\0\0"]
)
def test_a_csv_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CatalogError):
        import_catalog(path, tmp_path, "mine")


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogError, match="must be a readable"):
        import_catalog(tmp_path / name, tmp_path, "mine")
    (tmp_path / name).mkdir()
    with pytest.raises(CatalogError, match="must be a readable"):
        import_catalog(tmp_path / name, tmp_path, "mine")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"must end in \.parquet or \.csv, got 'x\.xlsx'"):
        import_catalog(tmp_path / "x.xlsx", tmp_path, "mine")


@given(
    st.binary(max_size=400), st.sampled_from([".parquet", ".csv"]), st.sampled_from([b"", b"artist,title\n", b"PAR1"])
)
@settings(max_examples=400)
def test_arbitrary_bytes_give_a_catalogue_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, ending: str, start: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"arbitrary{ending}"
    path.write_bytes(start + data + (b"PAR1" if start == b"PAR1" else b""))
    try:
        contents = contents_of(cleaned(read_source(path)))
    except CatalogError:
        return
    assert len(contents.tracks) >= 1


NAMES = st.sampled_from(
    ["artist", "title", "song", "tier", "genre", "length", "length_ms", "popularity", "plays", "likes", "year", "album"]
)
ODD_TEXTS = ["1e99", "+5", "5.", ".5", "1_0", "٣", "9" * 40, "nan", "inf", "0x1", "mega", "-1", "50", " 7 ", "1999-1"]
ODD_VALUES = [
    st.text(max_size=8),
    st.sampled_from(ODD_TEXTS),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 100),
    st.floats(),
    st.dates() | st.datetimes(),
    st.binary(max_size=4),
    st.booleans(),
    st.decimals(-1000, 1000, places=2),
    st.lists(st.text(max_size=2), max_size=2),
]
VALUES = st.one_of([st.lists(st.none() | value, min_size=3, max_size=3) for value in ODD_VALUES])


@given(st.dictionaries(NAMES, VALUES, max_size=3))
@settings(max_examples=400)
def test_odd_columns_give_a_sound_catalogue_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, columns: dict[str, list[Any]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.parquet"
    try:
        table = pa.table({"artist": ["a", "b", "a"], "title": ["x", "y", "z"]} | columns)
        pyarrow.parquet.write_table(table, path)
    except (pa.ArrowException, TypeError, OverflowError):
        return  # no such table can exist
    try:
        contents = contents_of(cleaned(read_source(path)))
    except CatalogError:
        return
    assert all(column.null_count == 0 for column in (*contents.tracks.columns, *contents.artists.columns))
    assert contents.artists["weight"].to_numpy().sum() == pytest.approx(1.0)
    popularity = contents.tracks["popularity"].to_numpy()
    assert ((popularity >= 1) & (popularity <= 100)).all()
    assert (contents.tracks["length_ms"].to_numpy() >= 1000).all()
    assert (contents.tracks["play_count"].to_numpy() >= 0).all()

"""An exported catalogue holds every track, in forms that others read."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from loadgen.errors import CatalogError
from loadgen.event import TIERS
from loadgen.simulate.catalog import Catalog, CatalogSettings, open_catalog
from loadgen.simulate.catalog_export import export_catalog

COLUMNS = ["artist", "title", "album", "genre", "tier", "length", "release_year", "popularity", "play_count", "likes"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return open_catalog(CatalogSettings(n_tracks=60_000), tmp_path_factory.mktemp("cache"))


def read(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)
    if path.suffix == ".csv":
        return pyarrow.csv.read_csv(path)
    return pa.Table.from_pylist([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.jsonl", "X.CSV"])
def test_each_row_is_the_track_with_its_artist(catalog: Catalog, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    export_catalog(catalog, path)
    table = read(path.rename(path.with_name(path.name.lower())))
    assert table.column_names == COLUMNS
    artist = catalog.tracks["artist"].to_pylist()
    names = catalog.artists["name"].to_pylist()
    assert table["title"].to_pylist() == catalog.tracks["title"].to_pylist()
    assert table["artist"].to_pylist() == [names[row] for row in artist]
    assert table["tier"].to_pylist() == [TIERS[catalog.artist_tier[row]] for row in artist]
    assert table["genre"].to_pylist() == [catalog.genres[code] for code in catalog.tracks["genre"].to_pylist()]
    assert table["length"].to_pylist() == [length / 1000 for length in catalog.tracks["length_ms"].to_pylist()]
    assert table["likes"].to_pylist() == catalog.tracks["likes"].to_pylist()


def test_an_unknown_ending_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"must end in \.parquet, \.csv, \.jsonl, got 'x\.xlsx'"):
        export_catalog(catalog, tmp_path / "x.xlsx")


def test_a_folder_that_is_not_there_is_named(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"none/x\.csv must be writable, got No such file or directory"):
        export_catalog(catalog, tmp_path / "none" / "x.csv")


def test_a_failed_export_leaves_what_was_there(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("before")

    def full(*_arguments: object, **_options: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loadgen.simulate.catalog_export.orjson.dumps", full)
    with pytest.raises(CatalogError, match="No space left on device"):
        export_catalog(catalog, path)
    assert [file.name for file in tmp_path.iterdir()] == ["x.jsonl"]
    assert path.read_text() == "before"

"""The catalogue's file: what is read is what was written, and a damaged file is an error with a next step."""

import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.errors import CatalogError
from loadgen.simulate import catalog_file
from loadgen.simulate.catalog import CatalogSettings, build, open_catalog, open_imported
from loadgen.simulate.catalog_file import ARTISTS, TRACKS, Contents, digest_of, load, save

SETTINGS = CatalogSettings(n_tracks=12_000)


@pytest.fixture(scope="module")
def contents() -> Contents:
    return build(SETTINGS)


@pytest.fixture
def saved(contents: Contents, tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "catalog.arrow"
    save(contents, path)
    return path


def test_what_is_loaded_is_what_was_saved(contents: Contents, saved: Path) -> None:
    catalog = load(saved)
    assert catalog.path == saved
    assert catalog.tracks.equals(contents.tracks)
    assert catalog.artists.equals(contents.artists)
    assert catalog.genres == contents.genres
    assert (catalog.first_names, catalog.last_names) == (contents.first_names, contents.last_names)
    assert (catalog.origin, catalog.digest) == (contents.origin, digest_of(contents))


def test_arrays_have_the_promised_types_and_agree_with_the_tables(saved: Path) -> None:
    catalog = load(saved)
    assert (catalog.n_artists, catalog.n_tracks) == (10_558, 12_000)
    assert catalog.artist_tier.dtype == catalog.artist_genre.dtype == np.dtype(np.uint8)
    assert catalog.length_ms.dtype == catalog.first_track.dtype == np.dtype(np.int32)
    assert catalog.artist_weight.dtype == np.dtype(np.float64)
    assert len(catalog.first_track) == 10_559
    assert (np.repeat(np.arange(10_558), np.diff(catalog.first_track)) == catalog.tracks["artist"].to_numpy()).all()
    assert (catalog.length_ms == catalog.tracks["length_ms"].to_numpy()).all()
    assert catalog.tracks.schema.equals(TRACKS)
    assert catalog.artists.schema.equals(ARTISTS)


def test_the_tracks_are_not_copied_into_memory(saved: Path) -> None:
    before = pa.total_allocated_bytes()
    catalog = load(saved)
    assert pa.total_allocated_bytes() - before < catalog.tracks.nbytes / 4 + catalog.artists.nbytes * 2
    assert not catalog.length_ms.flags.owndata
    assert not catalog.length_ms.flags.writeable


def test_the_digest_does_not_change_with_the_layout(contents: Contents) -> None:
    tracks = pa.concat_tables([contents.tracks.slice(0, 7), contents.tracks.slice(7)])
    assert digest_of(replace(contents, tracks=tracks)) == digest_of(contents)


def with_another_last_value(table: pa.Table, name: str) -> pa.Table:
    column = table.combine_chunks().column(name)
    other = pa.array([next(value for value in column.to_pylist() if value != column[-1].as_py())], column.type)
    changed = pa.chunked_array([*column.slice(0, len(column) - 1).chunks, other])
    return table.set_column(table.column_names.index(name), table.schema.field(name), changed)


@pytest.mark.parametrize(
    ("part", "column"), [("tracks", name) for name in TRACKS.names] + [("artists", name) for name in ARTISTS.names]
)
def test_the_digest_changes_with_any_value(contents: Contents, part: str, column: str) -> None:
    changed = with_another_last_value(getattr(contents, part), column)
    assert digest_of(replace(contents, **{part: changed})) != digest_of(contents)


@pytest.mark.parametrize("part", ["genres", "first_names", "last_names"])
def test_the_digest_changes_with_any_word(contents: Contents, part: str) -> None:
    changed: dict[str, Any] = {part: (*getattr(contents, part)[:-1], "other")}
    assert digest_of(replace(contents, **changed)) != digest_of(contents)


def test_no_temporary_file_remains(saved: Path) -> None:
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_file_that_was_cut_short_is_refused_and_built_anew(saved: Path, kept: float, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    cached = tmp_path / SETTINGS.file_name
    cached.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CatalogError, match=r"must be one that this version of loadgen wrote, whole"):
        load(cached)
    assert open_catalog(SETTINGS, tmp_path).digest == load(saved).digest


@pytest.mark.parametrize("place", [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
def test_a_file_that_was_overwritten_in_the_middle_is_built_anew(saved: Path, place: float, tmp_path: Path) -> None:
    damaged = bytearray(saved.read_bytes())
    start = int(len(damaged) * place)
    damaged[start : start + 4096] = bytes(4096)
    cached = tmp_path / SETTINGS.file_name
    cached.write_bytes(damaged)
    with pytest.raises(CatalogError, match=r"must be one that this version of loadgen wrote, whole"):
        load(cached)
    assert open_catalog(SETTINGS, tmp_path).digest == load(saved).digest


def changed_in_two_words(path: Path, target: Path, column: pa.ChunkedArray) -> Path:
    """A copy in which two values of this column are one more and one less: each sum of words is as before."""
    whole = bytearray(path.read_bytes())
    place = whole.find(column.chunk(0).to_numpy()[:64].tobytes())
    assert place > 0
    words = np.frombuffer(whole, np.int64, 64, place).copy()
    words[3] += 1
    words[9] -= 1
    whole[place : place + words.nbytes] = words.tobytes()
    target.write_bytes(whole)
    return target


def test_two_values_that_were_changed_and_keep_their_sum_are_refused(saved: Path, tmp_path: Path) -> None:
    good = load(saved)
    cached = changed_in_two_words(saved, tmp_path / SETTINGS.file_name, good.tracks["play_count"])
    with pytest.raises(CatalogError, match=rf"contents with digest [0-9a-f]{{32}} instead of {good.digest}"):
        load(cached)
    assert open_catalog(SETTINGS, tmp_path).digest == good.digest
    assert load(cached).tracks.equals(good.tracks)


def test_an_imported_catalogue_that_was_changed_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "imported" / "mine"
    folder.mkdir(parents=True)
    changed_in_two_words(saved, folder / "catalog-0123456789ab.arrow", load(saved).tracks["likes"])
    with pytest.raises(CatalogError, match="remove it and build or import it again"):
        open_imported("mine", tmp_path)


def test_a_worker_does_not_compute_the_digest_that_its_coordinator_found(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = load(saved).digest
    monkeypatch.setattr(catalog_file, "digest_of", lambda _: "another one")
    assert load(saved, digest).digest == digest
    with pytest.raises(CatalogError, match="another one instead of"):
        load(saved, "0" * 32)


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=200)
def test_arbitrary_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, looks_right: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.arrow"
    path.write_bytes(b"ARROW1\0\0" + data + b"ARROW1" if looks_right else data)
    with pytest.raises(CatalogError):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="build or import it again"):
        load(tmp_path / "none.arrow")


def test_an_arrow_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.arrow"
    table = pa.table({"x": [1]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(CatalogError):
        load(path)


def test_a_file_of_another_version_is_refused(
    contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.arrow"
    monkeypatch.setattr(catalog_file, "FILE_VERSION", 0)
    save(contents, path)
    monkeypatch.undo()
    with pytest.raises(CatalogError, match="version 0 instead of 2"):
        load(path)


@pytest.mark.parametrize("column", ["n_tracks", "first_track", "tier", "genre"])
def test_artists_that_do_not_fit_their_tracks_are_refused(contents: Contents, tmp_path: Path, column: str) -> None:
    values = contents.artists[column].to_numpy().copy()
    values[5] = 99
    position = contents.artists.column_names.index(column)
    artists = contents.artists.set_column(position, ARTISTS.field(column), pa.array(values))
    path = tmp_path / "odd.arrow"
    save(Contents(contents.tracks, artists, contents.genres, ("a",), ("b",), "test"), path)
    with pytest.raises(CatalogError):
        load(path)


def test_a_folder_that_cannot_be_made_is_named(contents: Contents, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match=r"must be writable, got .*file.*LOADGEN_CACHE"):
        save(contents, tmp_path / "file" / "catalog.arrow")


def test_a_failed_write_leaves_the_old_file_and_no_other(
    contents: Contents, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loadgen.simulate.catalog_file.os.fsync", full)
    with pytest.raises(CatalogError, match="No space left on device"):
        save(contents, saved)
    assert list(saved.parent.iterdir()) == [saved]
    assert saved.read_bytes() == before


def _open_in_process(folder: Path) -> str:
    return open_catalog(SETTINGS, folder).digest


def test_processes_that_build_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        digests = pool.map(_open_in_process, [tmp_path] * 2, chunksize=1)
    assert len(set(digests)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS.file_name]

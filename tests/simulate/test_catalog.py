"""The catalogue as a whole: exact numbers, the cache, and what `catalog show` tells."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loadgen.digest import digest_of_runs
from loadgen.errors import CatalogError
from loadgen.event import TIERS
from loadgen.simulate.catalog import (
    Catalog,
    CatalogSettings,
    cache_folder,
    open_catalog,
    open_imported,
    summary,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def catalog(cache: Path) -> Catalog:
    """The default catalogue, built once for this file."""
    return open_catalog(CatalogSettings(), cache)


def test_the_default_catalogue_has_exactly_the_promised_artists(catalog: Catalog) -> None:
    assert np.bincount(catalog.artist_tier).tolist() == [8, 50, 500, 10_000]
    assert catalog.n_artists == len(catalog.artists) == 10_558


def test_the_default_catalogue_has_about_800_000_tracks(catalog: Catalog) -> None:
    assert catalog.n_tracks == len(catalog.tracks) == 800_000 >= 790_000


def test_few_tracks_are_of_mega_artists_and_most_of_indie_ones(catalog: Catalog) -> None:
    per_artist = np.diff(catalog.first_track)
    tier = catalog.artist_tier
    assert per_artist[tier == 0].sum() < 0.005 * catalog.n_tracks
    assert per_artist[tier == 3].sum() > 0.85 * catalog.n_tracks
    assert 150 <= per_artist[tier == 0].mean() <= 350
    assert per_artist[tier == 3].mean() == pytest.approx(75, abs=5)


def test_artists_are_sorted_by_tier_and_falling_weight(catalog: Catalog) -> None:
    assert (np.diff(catalog.artist_tier.astype(int)) >= 0).all()
    assert (np.diff(catalog.artist_weight) <= 0).all()
    assert catalog.artist_weight.sum() == pytest.approx(1.0, abs=1e-9)


def test_the_default_file_is_smaller_than_130_megabytes(catalog: Catalog) -> None:
    assert catalog.path.stat().st_size < 130_000_000


def test_opening_a_cached_catalogue_costs_little_more_than_the_digest_of_its_file(
    catalog: Catalog, cache: Path
) -> None:
    """The digest takes 25 ms on two cores (see loadgen/digest.py); how fast a machine is does not matter here."""

    def cpu_s(do: Callable[[], object]) -> float:
        start = time.process_time()
        do()
        return time.process_time() - start

    data = max(cache.glob("catalog-*.arrow"), key=lambda path: path.stat().st_size).read_bytes()
    pairs = [
        (cpu_s(lambda: open_catalog(CatalogSettings(), cache)), cpu_s(lambda: digest_of_runs([data]))) for _ in range(9)
    ]
    assert min(ours / digest for ours, digest in pairs) < 1.5


def test_opening_a_cached_catalogue_does_not_import_faker(catalog: Catalog, cache: Path) -> None:
    program = (
        "import sys, pathlib; from loadgen.simulate.catalog import *; "
        "catalog = open_catalog(CatalogSettings(), pathlib.Path(sys.argv[1])); "
        "print(len(catalog.first_names) >= 300, 'faker' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(cache)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_progress_goes_from_nothing_towards_all_and_is_silent_when_cached(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    settings = CatalogSettings(n_tracks=11_000)
    open_catalog(settings, tmp_path, lambda done, doing: told.append((done, doing)))
    shares = [done for done, _ in told]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    told.clear()
    open_catalog(settings, tmp_path, lambda done, doing: told.append((done, doing)))
    assert told == []


def test_other_settings_have_another_file(tmp_path: Path) -> None:
    names = {CatalogSettings(n, seed).file_name for n in (20_000, 20_001) for seed in (1, 2)}
    assert len(names) == 4


@pytest.mark.parametrize("n_tracks", [-1, 0, 10_557, 20_000_001])
def test_a_number_of_tracks_out_of_range_is_refused(n_tracks: int) -> None:
    with pytest.raises(CatalogError, match=r"tracks must be 10,558..20,000,000.*--tracks 800k"):
        CatalogSettings(n_tracks=n_tracks)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(CatalogError, match="seed must be 0 or more, got -1"):
        CatalogSettings(seed=-1)


def test_the_smallest_catalogue_has_one_track_per_artist(tmp_path: Path) -> None:
    catalog = open_catalog(CatalogSettings(n_tracks=10_558), tmp_path)
    assert (np.diff(catalog.first_track) == 1).all()


def test_the_cache_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOADGEN_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"


@pytest.mark.parametrize(
    ("platform", "variable", "folder"),
    [
        ("linux", "", ".cache/loadgen"),
        ("linux", "XDG_CACHE_HOME", "chosen/loadgen"),
        ("darwin", "", "Library/Caches/loadgen"),
        ("win32", "LOCALAPPDATA", "chosen/loadgen"),
    ],
)
def test_the_cache_is_where_the_platform_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, folder: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / folder


def test_an_unknown_imported_catalogue_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "imported" / "mine").mkdir(parents=True)
    with pytest.raises(CatalogError, match=r"'yours' must have been imported \(there are: mine\)"):
        open_imported("yours", tmp_path)


@pytest.mark.parametrize("name", ["", "../mine", "a/b", ".hidden", "x" * 101])
def test_a_name_that_is_no_safe_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="must begin with a letter or digit"):
        open_imported(name, tmp_path)


def test_the_summary_adds_up(catalog: Catalog) -> None:
    told = json.loads(json.dumps(summary(catalog)))
    assert [tier["tier"] for tier in told["tiers"]] == list(TIERS)
    for part in ("tiers", "genres"):
        assert sum(row["artists"] for row in told[part]) == told["artists"] == 10_558
        assert sum(row["tracks"] for row in told[part]) == told["tracks"] == 800_000
    assert sum(tier["plays_share"] for tier in told["tiers"]) == pytest.approx(1.0)
    assert told["size_bytes"] == Path(told["path"]).stat().st_size


def test_the_summary_shows_the_most_played_artists_and_every_script(catalog: Catalog) -> None:
    told = summary(catalog)
    assert [artist["plays_share"] for artist in told["top_artists"]] == pytest.approx(catalog.artist_weight[:10])
    assert told["top_artists"][0]["artist"] == catalog.artists["name"][0].as_py()
    assert all(len(examples) == 3 for examples in told["examples"].values())

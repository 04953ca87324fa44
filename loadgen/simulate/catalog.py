"""The music catalogue: opened from the cache folder, and built there first where it is missing.

In go the settings (number of tracks, seed) or the name of an imported catalogue; out comes a `Catalog`. What a listener
can hear follows from these alone: the run's own seed does not change it.
"""

import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loadgen.errors import CatalogError
from loadgen.event import TIERS
from loadgen.simulate.catalog_file import FILE_VERSION, Catalog, Contents, load, save

__all__ = [
    "Catalog",
    "CatalogSettings",
    "build",
    "cache_folder",
    "imported_folder",
    "load",
    "open_catalog",
    "open_imported",
    "save",
    "summary",
]

MIN_TRACKS, MAX_TRACKS = 10_558, 20_000_000
"""Each artist has a track at least; text columns of more tracks would not fit Arrow's 2 GiB."""
RECIPE = 2
"""Raised whenever the same settings give another catalogue."""
Progress = Callable[[float, str], None]
"""Called with the share that is done (0..1) and what is being done."""

_IMPORTED = re.compile(r"catalog-[0-9a-f]{12}\.arrow")  # what else there is was derived from it

_SCRIPTS = {
    "Latin": r"[A-Za-z]",
    "accented Latin": r"[À-ÖØ-öø-ɏ]",
    "Korean": r"[가-힣]",
    "Japanese": r"[ぁ-ヿ]",
    "Chinese characters": r"[一-鿿]",
}


@dataclass(frozen=True, slots=True)
class CatalogSettings:
    """What a built catalogue depends on; `n_tracks`: MIN_TRACKS..MAX_TRACKS."""

    n_tracks: int = 800_000
    seed: int = 1

    def __post_init__(self) -> None:
        if not MIN_TRACKS <= self.n_tracks <= MAX_TRACKS:
            raise CatalogError(
                f"tracks must be {MIN_TRACKS:,}..{MAX_TRACKS:,} (each of {MIN_TRACKS:,} artists has one at least), "
                f"got {self.n_tracks:,}; give for example --tracks 800k"
            )
        if self.seed < 0:
            raise CatalogError(f"the catalogue's seed must be 0 or more, got {self.seed}; leave it out for 1")

    @property
    def file_name(self) -> str:
        """The name of the file in the cache: another one whenever the contents would differ."""
        words = files("loadgen.simulate").joinpath("words.toml").read_bytes()
        made_from = f"{FILE_VERSION}.{RECIPE} {self.n_tracks} {self.seed} {version('faker')}".encode() + words
        return f"catalog-{self.n_tracks}-{hashlib.blake2b(made_from, digest_size=6).hexdigest()}.arrow"


def cache_folder() -> Path:
    """LOADGEN_CACHE where it is set, else the folder that the platform has for such files.

    Raises:
        CatalogError: the user has no home folder.
    """
    if chosen := os.environ.get("LOADGEN_CACHE"):
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError as problem:
        raise CatalogError("the cache needs a home folder, got none; set LOADGEN_CACHE to a folder") from problem
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "loadgen"
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return Path(base or home / ".cache") / "loadgen"


def open_catalog(settings: CatalogSettings, cache_dir: Path, progress: Progress | None = None) -> Catalog:
    """Open the catalogue; build it first where the cache has none, or a damaged one.

    Args:
        progress: told about the building; not called where there is nothing to build.

    Raises:
        CatalogError: the cache folder cannot be written, or the disk is full.
    """
    path = cache_dir / settings.file_name
    try:
        return load(path)
    except CatalogError:  # not there yet, or cut short: build it
        contents = build(settings, progress)
        if progress:
            progress(0.95, "writing the file")
        save(contents, path)
        if progress:
            progress(1.0, "done")
    pa.default_memory_pool().release_unused()
    return load(path)


def build(settings: CatalogSettings, progress: Progress | None = None) -> Contents:
    """Make the catalogue in memory (800,000 tracks take about a second)."""
    from loadgen.simulate import catalog_build  # imports Faker, which an opened catalogue does without

    return catalog_build.build_contents(settings.n_tracks, settings.seed, progress)


def imported_folder(cache_dir: Path, name: str) -> Path:
    """The folder of the imported catalogue of this name. Raises CatalogError: the name is not fit for a folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise CatalogError(
            f"a catalogue's name must begin with a letter or digit, then a-z A-Z 0-9 . _ -, got {name!r}; "
            "write for example my-catalogue"
        )
    return cache_dir / "imported" / name


def open_imported(name: str, cache_dir: Path) -> Catalog:
    """Open the catalogue that was imported under this name. Raises CatalogError: there is none, or it is damaged."""
    found = [path for path in imported_folder(cache_dir, name).glob("*.arrow") if _IMPORTED.fullmatch(path.name)]
    if not found:
        known = ", ".join(sorted(path.name for path in (cache_dir / "imported").glob("*"))) or "none yet"
        raise CatalogError(
            f"catalogue {name!r} must have been imported (there are: {known}); "
            f"run `loadgen catalog import FILE --name {name}`"
        )
    return load(max(found, key=lambda path: path.stat().st_mtime_ns))


def summary(catalog: Catalog) -> dict[str, Any]:
    """What there is to know about a catalogue at a glance: plain values, fit for JSON."""
    per_artist = np.diff(catalog.first_track)
    return {
        "path": str(catalog.path),
        "size_bytes": catalog.path.stat().st_size,
        "digest": catalog.digest,
        "origin": catalog.origin,
        "artists": catalog.n_artists,
        "tracks": catalog.n_tracks,
        "tiers": [_tier(catalog, tier, per_artist) for tier in range(len(TIERS))],
        "genres": _genres(catalog),
        "top_artists": _top_artists(catalog),
        "examples": _examples(catalog),
    }


def _tier(catalog: Catalog, tier: int, per_artist: Any) -> dict[str, Any]:
    rows = catalog.artist_tier == tier
    share = float(catalog.artist_weight[rows].sum())
    return {
        "tier": TIERS[tier],
        "artists": int(rows.sum()),
        "tracks": int(per_artist[rows].sum()),
        "plays_share": share,
    }


def _genres(catalog: Catalog) -> list[dict[str, Any]]:
    artists = Counter(catalog.artist_genre.tolist())
    tracks = np.bincount(catalog.tracks["genre"].to_numpy(), minlength=len(catalog.genres))
    return [
        {"genre": name, "artists": artists[code], "tracks": int(tracks[code])}
        for code, name in enumerate(catalog.genres)
    ]


def _top_artists(catalog: Catalog, n: int = 10) -> list[dict[str, Any]]:
    rows = np.argsort(-catalog.artist_weight, kind="stable")[:n]
    names = catalog.artists["name"]
    return [
        {
            "artist": names[int(row)].as_py(),
            "tier": TIERS[catalog.artist_tier[row]],
            "genre": catalog.genres[catalog.artist_genre[row]],
            "plays_share": float(catalog.artist_weight[row]),
            "top_track": catalog.tracks["title"][int(catalog.first_track[row])].as_py(),
        }
        for row in rows
    ]


def _examples(catalog: Catalog, n: int = 3) -> dict[str, list[str]]:
    """Some "artist – title" of each script, from the most popular tracks of every artist."""
    firsts = pa.array(catalog.first_track[:-1])
    titles = catalog.tracks["title"].take(firsts).to_pylist()
    names = catalog.artists["name"].to_pylist()
    found: dict[str, list[str]] = {script: [] for script in _SCRIPTS}
    for name, title in zip(names, titles, strict=True):
        for script, letters in _SCRIPTS.items():
            if len(found[script]) < n and re.search(letters, name) and re.search(letters, title):
                found[script].append(f"{name} – {title}")
    return found

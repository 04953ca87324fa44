"""The parts of tracks beside the catalogue are those that were written, or are made anew."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from loadgen.encode import tracks
from loadgen.encode.tracks import TrackParts, make_track_parts, open_track_parts
from loadgen.formats import ACTIVITY, BUILT_IN, FULL, Format
from tests.encode.world import TinyCatalog


@dataclass(frozen=True)
class CachedCatalog(TinyCatalog):
    """Eight tracks with a place in a cache."""

    path: Path = Path()
    digest: str = "0123456789abcdef"


@pytest.fixture
def catalog(tmp_path: Path) -> CachedCatalog:
    return CachedCatalog(path=tmp_path / "catalog.arrow")


def are_equal(one: TrackParts, other: TrackParts) -> bool:
    pieces = all(a.equals(b) for a, b in zip(one.pieces, other.pieces, strict=True))
    return (
        pieces
        and all((a == b).all() for a, b in zip(one.hashes, other.hashes, strict=True))
        and (one.genre == other.genre).all()
    )


def damage_text(whole: bytearray) -> None:
    at = whole.index(b"215.3")
    whole[at : at + 5] = b"115.4"


def damage_hashes(whole: bytearray, hashes: np.ndarray) -> None:
    at = whole.index(hashes.tobytes())
    words = np.frombuffer(whole, np.uint64, len(hashes), at).copy()
    words[1] += np.uint64(1)
    words[2] -= np.uint64(1)
    whole[at : at + words.nbytes] = words.tobytes()


@pytest.mark.parametrize("wire_format", BUILT_IN.values(), ids=BUILT_IN)
@pytest.mark.parametrize("what", ["text", "hashes", "cut"])
def test_parts_that_were_changed_in_the_cache_are_made_anew(
    catalog: CachedCatalog, wire_format: Format, what: str
) -> None:
    expected = make_track_parts(catalog, wire_format)
    assert are_equal(open_track_parts(catalog, wire_format), expected)
    (file,) = catalog.path.parent.iterdir()
    good = file.read_bytes()
    whole = bytearray(good)
    if what == "text":
        damage_text(whole)
    elif what == "hashes":
        damage_hashes(whole, expected.hashes[0])
    else:
        del whole[len(whole) // 2 :]
    file.write_bytes(whole)
    assert are_equal(open_track_parts(catalog, wire_format), expected)
    assert file.read_bytes() == good


def test_parts_are_made_once_and_their_digest_is_not_computed_again_by_a_worker(
    catalog: CachedCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_track_parts(catalog, FULL)
    monkeypatch.setattr(tracks, "make_track_parts", lambda *_: pytest.fail("made again"))
    open_track_parts(catalog, FULL)
    monkeypatch.setattr(tracks, "digest_of_runs", lambda _: pytest.fail("computed again"))
    open_track_parts(catalog, FULL, is_checked=True)


def test_formats_with_the_same_fields_of_tracks_share_their_parts(catalog: CachedCatalog) -> None:
    for wire_format in (ACTIVITY, FULL):
        open_track_parts(catalog, wire_format)
    assert len(list(catalog.path.parent.iterdir())) == 1

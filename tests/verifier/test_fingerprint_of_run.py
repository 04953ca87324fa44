"""The manifest's fingerprint is that of what was written, computed anew from the parsed fields."""

import json
from pathlib import Path

import orjson
import pytest

from loadgen.fingerprint import run_key
from loadgen.record import FingerprintRecord
from tests.runner.program import lines_in, run_here
from tests.verifier.recompute import fingerprint_of, hashes_of

FLAGS = ("--users", "300", "--workers", "2", "--events", "3000", "--rate", "max", "--start", "2026-03-01")


@pytest.mark.parametrize("wire_format", ["activity", "full"])
def test_the_manifest_holds_the_fingerprint_of_the_files(tmp_path: Path, wire_format: str) -> None:
    _, summary, _ = run_here(tmp_path, "--folder", "out", "--format", wire_format, *FLAGS)
    manifest = json.loads((tmp_path / summary["manifest"]).read_text())
    lines = lines_in(tmp_path / "out")
    assert (
        manifest["sinks"]["files"]["fingerprint"]
        == FingerprintRecord.from_fingerprint(fingerprint_of(lines, run_key(manifest["seed"]))).model_dump()
    )
    spoilt = [lines[0].replace(b'"status":200', b'"status":201'), *lines[1:]]
    assert (
        manifest["sinks"]["files"]["fingerprint"]
        != FingerprintRecord.from_fingerprint(fingerprint_of(spoilt, run_key(manifest["seed"]))).model_dump()
    )


def test_the_format_without_user_ids_has_the_same_sum_over_all_slices(tmp_path: Path) -> None:
    _, summary, _ = run_here(tmp_path, "--folder", "out", "--format", "listen", *FLAGS)
    manifest = json.loads((tmp_path / summary["manifest"]).read_text())
    hashes = hashes_of([orjson.loads(line) for line in lines_in(tmp_path / "out")], run_key(manifest["seed"]))
    totals = [int(total, 16) for total in manifest["sinks"]["files"]["fingerprint"]["total"]]
    assert sum(totals) % 2**64 == int(hashes.sum())

"""A pacer of the caller goes to the workers as an object."""

import json
from pathlib import Path
from typing import Any

import pytest

import loadgen
from tests.outside.my_package.pacer import Doubling
from tests.runner.program import TRACKS


def test_the_library_takes_a_pacer_as_an_object(tmp_path: Path) -> None:
    given: dict[str, Any] = {"users": 100, "events": 1500, "workers": 2, "tracks": TRACKS, "discard": True}
    result = loadgen.run(**given, pacer=Doubling(1000, 0.5), manifest=tmp_path / "m.json")
    assert result.summary["delivered"] == 1500
    assert result.summary["elapsed_s"] > 0.8  # log2(1 + 1500 · ln 2 / 500) times half a second
    manifest = json.loads((tmp_path / "m.json").read_bytes())
    assert manifest["settings"]["pacer"] == "tests.outside.my_package.pacer:Doubling"


def test_a_pacer_that_cannot_be_sent_to_workers_is_refused_in_words() -> None:
    class Local(Doubling):
        """Has no place in a module, so that it cannot be pickled."""

    with pytest.raises(
        loadgen.UsageError, match=r"pacer .*Local must be picklable for the workers, got .*local object"
    ):
        loadgen.run(users=100, events=10, tracks=TRACKS, discard=True, pacer=Local())

"""A thousand events of each format are, byte for byte, what they were."""

import pytest

from loadgen.formats import FORMATS
from tests.golden.golden import N_EVENTS, golden_path, made_now


@pytest.mark.parametrize("wire_format", FORMATS)
def test_the_events_are_those_of_the_golden_file(wire_format: str) -> None:
    found = made_now(wire_format)
    assert found.count(b"\n") == N_EVENTS
    assert found == golden_path(wire_format).read_bytes()

"""A long test with Locust keeps its memory: TEST_SOAK_MIN=30 .venv/bin/pytest -m slow --timeout 0 tests/scenarios"""

import os
from pathlib import Path

import pytest

from tests.integration.locusts import QUIET, Locusts, adds_up

MINUTES = float(os.environ.get("TEST_SOAK_MIN", "1.5"))
MOST_GROWN_MB = 4.0
"""In the second half of the test. Half an hour of it is then at most 16 MB an hour."""


@pytest.mark.slow
@pytest.mark.timeout(int(MINUTES * 60) + 120)
def test_memory_does_not_grow(tmp_path: Path) -> None:
    locusts = Locusts(tmp_path)
    try:
        load = ("-u", "500", "-t", f"{MINUTES * 60:.0f}s", "--shape", "soak", "--cohort", "10", "--speed", "30")
        locusts.start("soak", *QUIET, *load, "--processes", "2", "--ledger", "ledger.json")
        assert locusts.end("soak", MINUTES * 60 + 100) == 0
    finally:
        locusts.stop_all()
    ledger = locusts.ledger()
    assert adds_up(ledger["summary"])
    for worker in ledger["workers"]:
        assert worker["memory"]["growth_mb_per_hour"] * MINUTES / 60 / 2 < MOST_GROWN_MB

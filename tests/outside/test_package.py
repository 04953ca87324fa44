"""Each extension of an installed package goes the whole way, and nothing of loadgen knows of it."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.kafka.embedded import AT_ONCE, EmbeddedBroker
from tests.outside.journey import N_EVENTS, TOPIC, journey, loadgen

CONSUME = [word for name, value in AT_ONCE.items() for word in ("--kafka-option", f"{name}={value}")]
FAST = ("--rate", "max")


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of a broker with an empty topic."""
    with EmbeddedBroker(TOPIC) as embedded:
        yield embedded.address


def test_a_sink_keeps_each_event_that_the_topic_keeps(tmp_path: Path, installed: Path, broker: str) -> None:
    journey(tmp_path, installed, broker, (*FAST, "--sink", f"table?folder={tmp_path}"), *CONSUME)
    tables = [sqlite3.connect(path) for path in tmp_path.glob("events-0-*.db")]
    lines = [line for table in tables for (line,) in table.execute("SELECT line FROM events")]
    stored = [line for path in tmp_path.glob("store/year=*/**/*.jsonl") for line in path.read_bytes().splitlines(True)]
    assert len(tables) == 2
    assert sorted(lines) == sorted(stored)


def test_a_format_is_read_back_by_all(tmp_path: Path, installed: Path, broker: str) -> None:
    journey(tmp_path, installed, broker, (*FAST, "--format", "visits"), *CONSUME)


@pytest.mark.parametrize("timestamps", ["simulated", "wall"])
def test_a_pacer_says_when_events_are_due_and_verify_needs_none(
    tmp_path: Path, installed: Path, broker: str, timestamps: str
) -> None:
    flags = ("--pacer", "doubling?per_s=1000&every_s=1", "--timestamps", timestamps)
    journey(tmp_path, installed, broker, flags, *CONSUME)
    (stored, *_) = tmp_path.glob("store/year=*/**/*.jsonl")
    text = stored.read_bytes()
    stored.write_bytes(text[text.index(b"\n") + 1 :])
    proof = loadgen(tmp_path, tmp_path / "without", "verify", "m.json", "--store", "store", code=1)
    assert (proof["verdict"], proof["lost"]) == ("not proved", 1)
    manifest = json.loads((tmp_path / "m.json").read_bytes())
    assert manifest["settings"]["pacer"] == "doubling?per_s=1000&every_s=1"
    windows = [window for window in manifest["history"] if window["scheduled"]]
    assert manifest["summary"]["elapsed_s"] == pytest.approx(1.62, abs=0.4)  # log2(1 + 3000 · ln 2 / 1000)
    assert sum(window["scheduled"] for window in windows) == pytest.approx(N_EVENTS, rel=0.01)

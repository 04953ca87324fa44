"""The way of some events from `loadgen run` through a topic and a store to `loadgen analyze`, with the package."""

from pathlib import Path
from typing import Any

from tests.outside.conftest import HERE
from tests.runner.program import TRACKS, Program, start_program

TOPIC = "outside"
N_EVENTS = 3000
FLAGS = ("--users", "100", "--workers", "2", "--start", "2026-01-05", "--events", str(N_EVENTS), "--tracks", TRACKS)


def loadgen(folder: Path, installed: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """What `loadgen --json` with these words says at its end; it finds the package only where it is installed."""
    path = f"{installed}:{HERE.parents[1]}"
    found, said, shown = Program(start_program(folder, *words, "--json", env={"PYTHONPATH": path}, text=True)).end()
    assert found == code, shown
    return said


def journey(folder: Path, installed: Path, brokers: str, flags: tuple[str, ...], *consume: str) -> dict[str, Any]:
    """Run, consume, verify topic and store, analyze; what analyze says."""
    kafka = ("--brokers", brokers, "--topic", TOPIC)
    made = loadgen(folder, installed, "run", *kafka, *FLAGS, "--manifest", "m.json", "--metrics-port", "0", *flags)
    assert {sink["delivered"] for sink in made["sinks"].values()} == {N_EVENTS}
    stored = ("--store", "store", "--until-idle", "0.5", "--metrics-port", "0")
    assert loadgen(folder, installed, "consume", *kafka, *stored, *consume)["events"] == N_EVENTS
    for place in (kafka, ("--store", "store")):
        proof = loadgen(folder, installed, "verify", "m.json", *place)
        assert (proof["verdict"], proof["found"]) == ("proved", N_EVENTS)
    found = loadgen(folder, installed, "analyze", "store", "--no-charts", "--out", "analysis")
    assert found["events"] == N_EVENTS
    return found

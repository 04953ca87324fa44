"""The way of some events from `loadgen run` through a topic and a store to `loadgen analyze`, with the package."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.runner.program import TRACKS, Program, start_program

HERE = Path(__file__).parent
TOPIC = "outside"
N_EVENTS = 3000
FLAGS = ("--users", "100", "--workers", "2", "--start", "2026-01-05", "--events", str(N_EVENTS), "--tracks", TRACKS)
PACER = "doubling?per_s=1000&every_s=1"
LEAST_S = 1.6  # log2(1 + 3000 · ln 2 / 1000)


def install(folder: Path) -> Path:
    """Install the package into a folder, as its users would."""
    words = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--target")
    subprocess.run([sys.executable, "-m", "pip", "install", *words, str(folder), str(HERE)], check=True, timeout=50)
    return folder


def loadgen(folder: Path, installed: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """What `loadgen --json` with these words says at its end; it finds the package only where it is installed."""
    path = f"{installed}:{HERE.parents[1]}"
    found, said, shown = Program(start_program(folder, *words, "--json", env={"PYTHONPATH": path}, text=True)).end()
    assert found == code, shown
    return said


def journey(
    folder: Path, installed: Path, brokers: str, run: tuple[str, ...] = (), consume: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run with all of the package, consume, verify topic and store, analyze; all say the same.

    Args:
        folder: where everything is written.
        installed: where the package is.
        brokers: of the topic.
        run, consume: further flags.

    Returns:
        How many events of each page were delivered.
    """
    kafka, stored = ("--brokers", brokers, "--topic", TOPIC), ("--store", "store", "--until-idle", "0.5")
    own = ("--sink", f"table?folder={folder}", "--format", "visits", "--behaviour", "lyrics", "--pacer", PACER)
    fields = ("--field", "plan", "--field", "buffering_s")
    flags = (*kafka, *FLAGS, *own, *fields, "--manifest", "m.json", "--metrics-port", "0")
    loadgen(folder, installed, "run", *flags, *run)
    manifest = json.loads((folder / "m.json").read_bytes())
    pages: dict[str, Any] = manifest["sinks"]["kafka"]["by_page"]["delivered"]
    assert pages == manifest["sinks"]["table"]["by_page"]["delivered"]
    assert sum(pages.values()) == N_EVENTS
    assert pages["Lyrics"] > 0
    assert manifest["settings"]["pacer"] == PACER
    assert manifest["summary"]["elapsed_s"] > LEAST_S
    assert loadgen(folder, installed, "consume", *kafka, *stored, "--metrics-port", "0", *consume)["events"] == N_EVENTS
    for place in (kafka, ("--store", "store")):
        proof = loadgen(folder, installed, "verify", "m.json", *place)
        assert (proof["verdict"], proof["found"]) == ("proved", N_EVENTS)
    found = loadgen(folder, installed, "analyze", "store", "--no-charts", "--out", "analysis")
    actions = {one["name"]: one["events"] for one in found["actions"]}
    assert (found["events"], found["listeners"], actions["lyrics"]) == (N_EVENTS, 100, pages["Lyrics"])
    assert actions["play"] + actions["skip"] == pages["NextSong"]
    return pages


def lines_of_tables(folder: Path) -> list[bytes]:
    """The lines in the tables that the sink has filled, one for each worker."""
    tables = [sqlite3.connect(path) for path in folder.glob("events-0-*.db")]
    assert len(tables) == 2
    return [line for table in tables for (line,) in table.execute("SELECT line FROM events")]

"""The way of some events from `loadgen run` through a topic and a store to `loadgen analyze`, with the package."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

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
    folder: Path, installed: Path, brokers: str, make: tuple[str, ...] = (), consume: tuple[str, ...] = ()
) -> None:
    """Run with all of the package, consume, verify topic and store, analyze; each says the same.

    Args:
        folder: where everything is written.
        installed: where the package is.
        brokers: of the topic.
        make: flags of run that make it.
        consume: flags of consume.
    """
    kafka = ("--brokers", brokers, "--topic", TOPIC)
    own = ("--sink", f"table?folder={folder}", "--format", "visits", "--behaviour", "lyrics", "--pacer", PACER)
    loadgen(folder, installed, "run", *kafka, *make, *FLAGS, "--manifest", "m.json", "--metrics-port", "0", *own)
    manifest = json.loads((folder / "m.json").read_bytes())
    by_page = manifest["sinks"]["kafka"]["by_page"]["delivered"]
    assert by_page == manifest["sinks"]["table"]["by_page"]["delivered"]
    assert sum(by_page.values()) == N_EVENTS
    assert manifest["settings"]["pacer"] == PACER
    assert manifest["summary"]["elapsed_s"] > LEAST_S
    stored = ("--store", "store", "--until-idle", "0.5", "--metrics-port", "0")
    assert loadgen(folder, installed, "consume", *kafka, *stored, *consume)["events"] == N_EVENTS
    lines = [line for path in folder.glob("store/year=*/**/*.jsonl") for line in path.read_bytes().splitlines(True)]
    assert sorted(lines) == sorted(_rows(folder))
    assert sum(orjson.loads(line)["what"] == "lyrics" for line in lines) == by_page["Lyrics"] > 0
    for place in (kafka, ("--store", "store")):
        proof = loadgen(folder, installed, "verify", "m.json", *place)
        assert (proof["verdict"], proof["found"]) == ("proved", N_EVENTS)
    found = loadgen(folder, installed, "analyze", "store", "--no-charts", "--out", "analysis")
    assert found["events"] == N_EVENTS


def _rows(folder: Path) -> list[bytes]:
    """The lines in the tables of the sink."""
    tables = [sqlite3.connect(path) for path in folder.glob("events-0-*.db")]
    assert len(tables) == 2
    return [line for table in tables for (line,) in table.execute("SELECT line FROM events")]

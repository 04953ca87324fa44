"""Locust against `loadgen run`, and two Locust workers against one: rate and CPU per event, on one embedded broker.

The broker, in the process of the benchmark, takes a core of its own while it is busy. So two workers can be nearly
twice as fast as one only where there are four cores; elsewhere what they cost per event must stay the same.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadgen.kafka.embedded import EmbeddedBroker
from tests.bench.measure import ROOT, environment, loadgen, scratch
from tests.bench.rows import Row

LOCUSTFILE = str(ROOT / "loadgen" / "scenarios" / "locustfile.py")
TOPIC = "bench"
N_PAIRS = 5
LENGTH_S, WARM_UP = 12, "2"
CORES_OF_TWO = 4
LOAD = ("--rate", "max", "--warm-up", WARM_UP, "--timestamps", "wall")
USERS = ("--users", "500", "--cohort", "100", "--spawn-rate", "500")
"""50,000 listeners."""


@dataclass(frozen=True)
class Cost:
    """Events per second, and seconds of CPU per event (of the processes that have an engine)."""

    per_s: float
    cpu_s: float


def locust() -> Iterator[Row]:
    """Medians of the ratios of runs in turn, after one turn that does not count."""
    with scratch() as folder, EmbeddedBroker(TOPIC) as broker:
        where = ("--brokers", broker.address, "--topic", TOPIC, *LOAD)
        turns = [_turn(folder, where) for _ in range(N_PAIRS + 1)][1:]
    rates = [one.per_s / run.per_s for run, one, _ in turns]
    yield Row.at_least("Locust, one process / loadgen run, 1 worker, rate", statistics.median(rates), "x", 0.5)
    cpu = statistics.median(one.cpu_s / run.cpu_s for run, one, _ in turns)
    yield Row("Locust, one process / loadgen run, 1 worker, CPU per event", cpu, "x")
    name, rate = (
        "Locust, two workers / one process, rate",
        statistics.median(two.per_s / one.per_s for _, one, two in turns),
    )
    yield Row.at_least(name, rate, "x", 1.8) if len(os.sched_getaffinity(0)) >= CORES_OF_TWO else Row(name, rate, "x")
    cpu = statistics.median(two.cpu_s / one.cpu_s for _, one, two in turns)
    yield Row.at_most("Locust, two workers / one process, CPU per event", cpu, "x", 1.1)
    yield Row("Locust, one process, CPU per event", statistics.median(one.cpu_s for _, one, _ in turns) * 1e6, "us")


def _turn(folder: str, where: tuple[str, ...]) -> tuple[Cost, Cost, Cost]:
    """`loadgen run` with a worker; Locust in one process; Locust with two workers."""
    run = loadgen(folder, "--users", "50000", "--workers", "1", "--duration", f"{LENGTH_S}s", *where)
    alone = Cost(run["achieved_per_s"], run["cpu_s"] / run["delivered"])
    return alone, _locust(folder, *where), _locust(folder, *where, "--processes", "2")


def _locust(folder: str, *words: str) -> Cost:
    command = [sys.executable, "-m", "locust", "-f", LOCUSTFILE, "--headless", "--only-summary", *USERS]
    more = ("--run-time", f"{LENGTH_S}s", "--ledger", "ledger.json", *words)
    ended = subprocess.run(
        [*command, *more], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"Locust failed:\n{ended.stderr}")
    summary = json.loads(Path(folder, "ledger.json").read_text())["summary"]
    return Cost(summary["achieved_per_s"], summary["cpu_s"] / summary["delivered"])

"""`make bench`: what an event costs, as ratios against simple loops measured in the same run.

Prints a table, and writes build/bench.json (name → value, unit, goal, met) and tests/bench/RESULTS.md.
"""

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from loadgen.kafka.embedded import EmbeddedBroker
from tests.bench.analyze import analyze
from tests.bench.consume import consume
from tests.bench.dashboard import dashboard
from tests.bench.formats import formats
from tests.bench.library import library
from tests.bench.locust import locust
from tests.bench.measure import (
    ROOT,
    baseline,
    environment,
    loadgen,
    median_ratio,
    pss_bytes,
    scratch,
    seconds_to_first_event,
)
from tests.bench.metrics_cost import metrics_cost
from tests.bench.pacing import pacing
from tests.bench.real_broker import real_broker
from tests.bench.rows import LeftOut, Row
from tests.bench.stages import stage_costs

N_EVENTS = 1_500_000
N_LOOP_EVENTS = 500_000
N_ROUNDS = 4
N_PAIRS = 5
USERS = ("--users", "50000", "--workers", "1", "--rate", "max")
TOPIC = "bench"
WIDTH = 64


def file_path() -> Iterator[Row]:
    """Simulation, encoding and writing against the dict loop: events per second of wall-clock time."""
    with scratch() as folder:
        lines = Path(folder, "lines.jsonl")
        loadgen(folder, *USERS, "--events", str(N_LOOP_EVENTS), "--output", str(lines))

        def ours() -> float:
            shutil.rmtree(Path(folder, "out"), ignore_errors=True)
            return float(loadgen(folder, *USERS, "--events", str(N_EVENTS), "--folder", "out")["achieved_per_s"])

        def theirs() -> float:
            loop = baseline("dicts", str(lines), str(Path(folder, "loop.jsonl")))
            return float(loop["events"] / loop["wall_s"])

        yield Row.at_least("file path / dict loop, rate", median_ratio(ours, theirs, N_PAIRS), "x", 2.0)


def kafka_path() -> Iterator[Row]:
    """Simulation, encoding and producing against a bare produce loop: CPU per delivered event, and rate."""
    with scratch() as folder, EmbeddedBroker(TOPIC) as broker:
        lines = Path(folder, "lines.jsonl")
        loadgen(folder, *USERS, "--events", str(N_LOOP_EVENTS), "--output", str(lines))
        flags = (*USERS, "--events", str(N_LOOP_EVENTS * N_ROUNDS), "--brokers", broker.address, "--topic", TOPIC)
        rates: list[tuple[float, float]] = []

        def ours() -> float:
            run = loadgen(folder, *flags)
            rates.append((run["achieved_per_s"], 0.0))
            return float(run["cpu_s"] / run["delivered"])

        def theirs() -> float:
            loop = baseline("produce", broker.address, TOPIC, str(lines), str(N_ROUNDS))
            rates[-1] = (rates[-1][0], loop["events"] / loop["wall_s"])
            return float(loop["cpu_s"] / loop["events"])

        yield Row.at_most(
            "Kafka path / bare produce loop, CPU per event", median_ratio(ours, theirs, N_PAIRS), "x", 1.0
        )
        ratios = sorted(ours_per_s / theirs_per_s for ours_per_s, theirs_per_s in rates)
        yield Row("Kafka path / bare produce loop, rate", ratios[len(ratios) // 2], "x", "", None)


def growth() -> Iterator[Row]:
    """CPU per event of simulation and encoding: 10 million listeners against 10 thousand."""
    with scratch() as folder:

        def cost(users: str, events: str) -> float:
            flags = ("--users", users, "--workers", "1", "--rate", "max", "--discard", "--events", events)
            run = loadgen(folder, *flags)
            return float(run["cpu_s"] / run["planned"])

        ratio = median_ratio(lambda: cost("10M", "4000000"), lambda: cost("10000", "2000000"), 2)
        yield Row.at_most("cost per event, 10 M / 10 k listeners", ratio, "x", 1.3)


def startup() -> Iterator[Row]:
    """Seconds to the first event of the main job."""
    main_job = ("--users", "50000", "--workers", "8", "--duration", "1")
    with scratch() as folder, tempfile.TemporaryDirectory() as cache:
        fresh = {**environment(), "LOADGEN_CACHE": cache}
        yield Row.at_most("first event, no catalogue yet", seconds_to_first_event(folder, fresh, *main_job), "s", 6.0)
        times = sorted(seconds_to_first_event(folder, fresh, *main_job) for _ in range(N_PAIRS))
        yield Row.at_most("first event, catalogue cached", times[N_PAIRS // 2], "s", 1.5)


def memory() -> Iterator[Row]:
    """Proportional set size of the main job, all processes."""
    with scratch() as folder:
        pss = pss_bytes(folder, 12.0, "--users", "50000", "--workers", "8", "--duration", "1")
        yield Row.at_most("memory, 50,000 listeners x 8 workers", pss / 1e9, "GB PSS", 1.0)


def stages() -> Iterator[Row]:
    """CPU per event of single stages, in one process."""
    for name, us in stage_costs().items():
        yield Row(f"{name}, CPU per event", us, "us", "", None)


SECTIONS: tuple[Callable[[], Iterator[Row]], ...] = (
    stages,
    file_path,
    kafka_path,
    formats,
    real_broker,
    locust,
    consume,
    analyze,
    dashboard,
    growth,
    startup,
    memory,
    pacing,
    metrics_cost,
    library,
)


def machine() -> str:
    """What this was measured on."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}"


def main(wanted: list[str]) -> None:
    """Measure all sections, or those named, and write down what was found."""
    rows: list[Row] = []
    notes: list[str] = []
    print(f"{machine()}\n{'figure':<{WIDTH}}{'value':>10} {'unit':<8}{'goal':<10}met")
    for section in SECTIONS:
        if wanted and section.__name__ not in wanted:
            continue
        try:
            for row in section():
                rows.append(row)
                met = {True: "yes", False: "NO", None: ""}[row.met]
                print(f"{row.name:<{WIDTH}}{row.value:>10.3f} {row.unit:<8}{row.goal:<10}{met}", flush=True)
        except LeftOut as reason:
            notes.append(f"Left out: {section.__name__} ({reason}).")
            print(notes[-1], flush=True)
    (ROOT / "build").mkdir(exist_ok=True)
    found = {row.name: {"value": row.value, "unit": row.unit, "goal": row.goal, "met": row.met} for row in rows}
    (ROOT / "build" / "bench.json").write_text(json.dumps(found, indent=2) + "\n")
    if not wanted:
        (ROOT / "tests" / "bench" / "RESULTS.md").write_text(_markdown(rows, notes))


def _markdown(rows: list[Row], notes: list[str]) -> str:
    lines = [f"| {row.name} | {row.value:.3g} {row.unit} | {row.goal} | {_mark(row.met)} |" for row in rows]
    head = f"# Measured by `make bench`\n\nMedians of pairs measured in turn, in one run, on {machine()}."
    table = "\n".join(["| figure | value | goal | met |", "|---|---|---|---|", *lines])
    return "\n\n".join([head, table, *notes]) + "\n"


def _mark(met: bool | None) -> str:
    return {True: "yes", False: "no", None: "–"}[met]


if __name__ == "__main__":
    main(sys.argv[1:])

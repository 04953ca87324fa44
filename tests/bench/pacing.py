"""How exactly the offered load follows its schedule: every shape, at half of what a worker can do.

Nothing is written, so that no disk has a part in it. Of each run: the window of 2 s in which the events that were
offered differ most from those that the shape asked for, and the 99th percentile of the schedule lag; of the runs of a
shape, the median.
"""

import json
import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench.measure import loadgen, scratch
from tests.bench.rows import Row

N_EVENTS = 12_000_000
"""What a worker makes in about the time of a shape: in its first second it is faster than it can go on."""
LENGTH_S, WINDOW_S = 12, 2.0
N_ROUNDS = 5
SHORT_S = 0.3
"""The windows of a history are a second long, give or take this."""
FLAGS = ("--users", "50000", "--workers", "1", "--discard")
SERIES = "seconds,events_per_s\n0,100\n2,400\n3,350\n5,900\n6,1000\n7,500\n9,800\n12,200\n"
SHAPES = ("constant", "ramp", "step", "spike", "sine", "series.csv")


def pacing() -> Iterator[Row]:
    """Rate and lag of a worker whose shape is as high as half of what it can do."""
    with scratch() as folder:
        capacity_per_s = loadgen(folder, *FLAGS, "--rate", "max", "--events", str(N_EVENTS))["achieved_per_s"]
        Path(folder, "series.csv").write_text(SERIES)
        for shape in SHAPES:
            errors, lags_ms = zip(*(_run(folder, capacity_per_s / 2, shape) for _ in range(N_ROUNDS)), strict=True)
            name = f"pacing, {shape.partition('.')[0]} up to half of capacity"
            yield Row.at_most(f"{name}: rate off by", statistics.median(errors) * 100, "%", 0.5)
            yield Row.at_most(f"{name}: schedule lag p99", statistics.median(lags_ms), "ms", 20.0)


def _run(folder: str, peak_per_s: float, shape: str) -> tuple[float, float]:
    """The largest error of a run, and the 99th percentile of its schedule lag in ms."""
    flags = ("--rate", str(int(peak_per_s)), "--duration", f"{LENGTH_S}s", "--shape", shape)
    run = loadgen(folder, *FLAGS, *flags)
    history = json.loads(Path(folder, run["manifest"]).read_text())["history"]
    return largest_error(history), run["schedule_lag_ms"]["p99"]


def largest_error(history: list[dict[str, Any]]) -> float:
    """The largest |offered / asked for - 1| of any window of 2 s."""
    errors = [abs(planned / scheduled - 1) for planned, scheduled in windows(history)]
    return max(errors)


def windows(history: list[dict[str, Any]]) -> Iterator[tuple[float, float]]:
    """Events offered and asked for in windows of 2 s; what is left at the end belongs to the last of them."""
    edges = [history[0]["start_s"]]
    for window in history:
        if window["end_s"] - edges[-1] >= WINDOW_S - SHORT_S:
            edges.append(window["end_s"])
    for start_s, end_s in pairwise([*edges[:-1], float("inf")]):
        part = [window for window in history if start_s <= window["start_s"] < end_s]
        yield sum(window["planned"] for window in part), sum(window["scheduled"] for window in part)

"""The library: ten million events as Arrow record batches, with all fields, in a process of its own."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import loadgen
from tests.bench.measure import ROOT, environment
from tests.bench.rows import Row

N_EVENTS = 10_000_000


def library() -> Iterator[Row]:
    """CPU time of an event, and the memory that the process takes at most."""
    done = subprocess.run(
        [sys.executable, "-m", __name__], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    yield Row.at_most("library: CPU per event as record batches", found["us"], "us", 0.45)
    yield Row.at_most("library: memory, ten million events", found["mb"], "MB", 400)


def iterate() -> dict[str, float]:
    """Iterate; the first batch, which opens the catalogue and draws the listeners, is not counted."""
    stream = loadgen.events(users=50_000, seed=1, start="2026-01-05", events=N_EVENTS)
    next(iter(stream))
    began_s = time.process_time()
    n_events = sum(batch.num_rows for batch in stream)
    spent_s = time.process_time() - began_s
    return {"us": spent_s / n_events * 1e6, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    print(json.dumps(iterate()))

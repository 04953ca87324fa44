"""`loadgen analyze` against DuckDB alone, which does one aggregate over the same files.

In: nothing; ten million events are made. Out: rows. Both run as processes of their own, from start to end, in turn. The
baseline counts the events of each artist, and reads no other field:

    python -m tests.bench.analyze FILE…
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadgen.event import Format
from tests.bench.measure import ROOT, PeakMemory, environment, loadgen, scratch
from tests.bench.rows import Row

N_EVENTS = 10_000_000
N_PAIRS = 3
N_FILES = 4
USERS = ("--users", "50000", "--workers", "2", "--rate", "max")
FORMATS: tuple[Format, ...] = ("full", "activity")
BASELINE = """\
SELECT artist, count(*)
FROM read_json({}, format = 'newline_delimited', columns = {{artist: 'VARCHAR'}})
GROUP BY artist"""


@dataclass(frozen=True)
class Cost:
    """What a process did.

    Attributes:
        elapsed_s: from its start to its end.
        peak_bytes: the most memory that it had.
        said: the last line on its stdout, a JSON object.
    """

    elapsed_s: float
    peak_bytes: int
    said: dict[str, Any]


def one_aggregate(paths: list[str]) -> None:
    """What DuckDB alone takes."""
    import duckdb

    n_artists = len(duckdb.execute(BASELINE.format(paths)).fetchall())
    print(json.dumps({"artists": n_artists}))


def _cost(*words: str) -> Cost:
    """Run Python with these words."""
    began_s = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        memory = PeakMemory(process.pid)
        said = process.stdout.read()
        process.wait()
        elapsed_s = time.monotonic() - began_s
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return Cost(elapsed_s, memory.result(), json.loads(said.splitlines()[-1]))


def analyze() -> Iterator[Row]:
    """Time and memory, for each format that says more than `listen`."""
    for name in FORMATS:
        with scratch() as folder:
            paths = list(_made(Path(folder), name))
            pairs = [_pair(folder, paths) for _ in range(N_PAIRS)]
        gigabytes = pairs[0][0].said["bytes"] / 1e9
        what = f"analyze, {N_EVENTS / 1e6:g} M events of {name} ({gigabytes:.1f} GB)"
        ratio = statistics.median(ours.elapsed_s / theirs.elapsed_s for ours, theirs in pairs)
        reading = statistics.median(ours.said["reading_s"] / theirs.elapsed_s for ours, theirs in pairs)
        yield Row.at_most(f"{what} / DuckDB, one aggregate", ratio, "x", 1.5)
        yield Row(f"{what} / DuckDB, without report and charts", reading, "x")
        yield Row(f"{what}: time", statistics.median(ours.elapsed_s for ours, _ in pairs), "s")
        yield Row.at_most(f"{what}: memory", max(ours.peak_bytes for ours, _ in pairs) / 1e6, "MB", 1000.0)


def _made(folder: Path, name: Format) -> Iterator[str]:
    """Files of these events, in equal parts."""
    for number in range(N_FILES):
        path = folder / f"{number}.jsonl"
        flags = ("--events", str(N_EVENTS // N_FILES), "--seed", str(number), "--format", name, "--output", str(path))
        loadgen(str(folder), *USERS, *flags)
        yield str(path)


def _pair(folder: str, paths: list[str]) -> tuple[Cost, Cost]:
    theirs = _cost("-m", "tests.bench.analyze", *paths)
    ours = _cost("-m", "loadgen", "analyze", *paths, "--json", "--quiet", "--out", f"{folder}/out")
    if (ours.said["events"], ours.said["artists"]) != (N_EVENTS, theirs.said["artists"] - 1):  # NULL is no artist
        raise SystemExit(f"{ours.said['events']} events of {N_EVENTS}, {ours.said['artists']} artists")
    return ours, theirs


if __name__ == "__main__":
    one_aggregate(sys.argv[1:])

"""`loadgen analyze` against DuckDB alone, which does one aggregate over the same files.

In: nothing; ten million events are made. Out: rows. All run as processes of their own, from start to end, in turn. The
aggregate is one that the report has, too: the plays of each track. For comparison, the cheapest one there is: the
events of each artist. Each reads no other field than it needs:

    python -m tests.bench.analyze tracks|artists FILE…
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

from tests.bench.measure import ROOT, PeakMemory, environment, loadgen, scratch
from tests.bench.rows import Row

N_EVENTS = 10_000_000
N_ROUNDS = 3
N_FILES = 4
USERS = ("--users", "50000", "--workers", "2", "--rate", "max")
FORMATS: tuple[str, ...] = ("full", "activity")
FIELDS_OF = {"tracks": ("artist", "song"), "artists": ("artist",)}
"""Aggregate → the fields that it counts the combinations of."""


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


def one_aggregate(name: str, paths: list[str]) -> None:
    """What DuckDB alone takes."""
    import duckdb

    fields = FIELDS_OF[name]
    columns = ", ".join(f"{field}: 'VARCHAR'" for field in fields)
    found = duckdb.execute(
        f"SELECT {', '.join(fields)}, count(*) FROM read_json({paths}, format = 'newline_delimited', "
        f"columns = {{{columns}}}) GROUP BY {', '.join(fields)}"
    ).fetchall()
    print(json.dumps({"found": len(found) - 1}))  # NULL is none


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
            rounds = [_round(folder, paths) for _ in range(N_ROUNDS)]
        gigabytes = rounds[0]["ours"].said["bytes"] / 1e9
        what = f"analyze {N_EVENTS / 1e6:g} M of {name} ({gigabytes:.1f} GB)"
        yield Row.at_most(f"{what} / DuckDB, plays by track", _ratio(rounds, "tracks"), "x", 1.5)
        yield Row(f"{what} / DuckDB, events by artist", _ratio(rounds, "artists"), "x")
        yield Row(f"{what}: time", statistics.median(one["ours"].elapsed_s for one in rounds), "s")
        reading = statistics.median(one["ours"].said["reading_s"] for one in rounds)
        yield Row(f"{what}: time of reading and counting", reading, "s")
        yield Row.at_most(f"{what}: memory", max(one["ours"].peak_bytes for one in rounds) / 1e6, "MB", 1000.0)


def _ratio(rounds: list[dict[str, Cost]], other: str) -> float:
    return statistics.median(one["ours"].elapsed_s / one[other].elapsed_s for one in rounds)


def _made(folder: Path, name: str) -> Iterator[str]:
    """Files of these events, in equal parts."""
    for number in range(N_FILES):
        path = folder / f"{number}.jsonl"
        flags = ("--events", str(N_EVENTS // N_FILES), "--seed", str(number), "--format", name, "--output", str(path))
        loadgen(str(folder), *USERS, *flags)
        yield str(path)


def _round(folder: str, paths: list[str]) -> dict[str, Cost]:
    costs = {name: _cost("-m", "tests.bench.analyze", name, *paths) for name in FIELDS_OF}
    costs["ours"] = _cost("-m", "loadgen", "analyze", *paths, "--json", "--quiet", "--out", f"{folder}/out")
    ours, artists = costs["ours"].said, costs["artists"].said["found"]
    if (ours["events"], ours["artists"]) != (N_EVENTS, artists):
        raise SystemExit(f"{ours['events']} events of {N_EVENTS}, {ours['artists']} artists of {artists}")
    return costs


if __name__ == "__main__":
    one_aggregate(sys.argv[1], sys.argv[2:])

"""CPU time per event of the single stages of a worker, in one process: step, encode, and the loop they replace."""

import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import open_track_parts
from loadgen.event import EventBatch, Int64s
from loadgen.formats import ACTIVITY, format_of
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.catalog import CatalogSettings, cache_folder, open_catalog
from loadgen.simulate.feed import MAX_BATCH, window_for
from loadgen.simulate.population import user_names
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import SimulationSettings, labels
from tests.bench.baseline import columns_of, dicts

N_BATCHES = 40
START_MS = 1_767_571_200_000


def stage_costs() -> dict[str, float]:
    """Microseconds of CPU time per event by stage; the best of a few rounds."""
    catalog = open_catalog(CatalogSettings(), cache_folder())
    behaviour = Behaviour.load(None)
    settings = SimulationSettings(50_000, 1, START_MS, "online", behaviour)
    shard = Shard(settings, catalog, np.arange(50_000))
    window_ms = window_for(shard.events_per_s, MAX_BATCH)
    batches: list[EventBatch] = []

    def step() -> int:
        batches[:] = [shard.step(shard.now_ms + window_ms) for _ in range(N_BATCHES)]
        return sum(map(len, batches))

    found = {"step": _best(step)}
    words = labels(catalog, behaviour)

    def names(user_ids: Int64s) -> pa.Array:
        return user_names(user_ids, 1, words)

    for wire_format in ("activity", "full", "listen"):
        parts = open_track_parts(catalog, format_of(wire_format))
        encoder = Encoder(format_of(wire_format), parts, words, shard.listeners, names)

        def encode() -> int:
            return sum(len(encoder.encode(batch)[0]) for batch in batches)  # noqa: B023

        found[f"encode {wire_format}"] = _best(encode)
    lines, _ = Encoder(ACTIVITY, open_track_parts(catalog, ACTIVITY), words, shard.listeners, names).encode(batches[0])
    columns = columns_of(lines.to_pylist())

    def loop() -> int:
        dicts(columns, "/dev/null")
        return len(lines)

    found["dict + orjson loop, to /dev/null"] = _best(loop)
    return found


def _best(stage: Callable[[], int], rounds: int = 3) -> float:
    costs = []
    for _ in range(rounds):
        began = time.process_time()
        n_events = stage()
        costs.append((time.process_time() - began) / n_events * 1e6)
    return min(costs)

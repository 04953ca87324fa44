"""A sample of everyday listening as files of events: what the tests of `loadgen realism` read."""

from functools import cache

import numpy as np

from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import make_track_parts
from loadgen.event import Int64s
from loadgen.formats import format_of
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.catalog import MIN_TRACKS, CatalogSettings, cache_folder, open_catalog
from loadgen.simulate.population import user_names
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import SimulationSettings, labels
from tests.realism.simulated import DAY_MS, START_MS

USERS, DAYS = 250, 10


@cache
def lines_of(wire_format: str) -> bytes:
    """The events of USERS listeners in DAYS days, as lines of JSON."""
    catalog = open_catalog(CatalogSettings(MIN_TRACKS), cache_folder())
    behaviour = Behaviour.load(None)
    shard = Shard(SimulationSettings(USERS, 5, START_MS, "everyday", behaviour), catalog, np.arange(USERS))
    words = labels(catalog, behaviour)

    def names(user_ids: Int64s) -> object:
        return user_names(user_ids, 5, words)

    parts = make_track_parts(catalog, format_of(wire_format))
    encoder = Encoder(format_of(wire_format), parts, words, shard.listeners, names)
    batches = (shard.step(START_MS + day * DAY_MS) for day in range(1, DAYS + 1))
    return b"".join(line for batch in batches for line in encoder.encode(batch)[0].to_pylist())

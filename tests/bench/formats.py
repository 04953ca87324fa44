"""What an event costs in each encoding: from the simulation to the producer against JSON; encoding alone against a loop
of the encoding's library over the same records, which has no hash for verify to compare.
"""

import io
import json
import time
from collections.abc import Callable, Iterator
from functools import partial

import fastavro
import numpy as np
import orjson
import pyarrow as pa

from loadgen.config.names import EncodingName
from loadgen.encode.encodings import encoding_named, schema_text
from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import open_track_parts
from loadgen.event import EventBatch, Int64s
from loadgen.formats import FORMATS, format_of
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.catalog import CatalogSettings, cache_folder, open_catalog
from loadgen.simulate.feed import MAX_BATCH, window_for
from loadgen.simulate.population import user_names
from loadgen.simulate.shard import Shard
from loadgen.simulate.world import SimulationSettings, labels
from tests.bench.measure import loadgen, median_ratio, scratch
from tests.bench.rows import Row
from tests.bench.stages import START_MS
from tests.encode.proto import message_class
from tests.kafka.fake_registry import running

LOOP_GOALS: dict[EncodingName, float] = {"avro": 8.0, "protobuf": 5.0}
GOALS = {"avro": 1.0, "protobuf": 1.1, "jsonschema": 1.05}
N_EVENTS = 2_000_000
N_PAIRS = 5
N_BATCHES = 10
TOPIC = "bench"


def formats() -> Iterator[Row]:
    """CPU per delivered event of a run to the broker in memory."""
    with scratch() as folder, EmbeddedBroker(TOPIC) as broker, running() as registry:

        def cost(encoding: str) -> float:
            world = ("--users", "50000", "--workers", "1", "--rate", "max", "--events", str(N_EVENTS))
            where = ("--brokers", broker.address, "--topic", TOPIC, "--schema-registry", registry.url)
            run = loadgen(folder, *world, *where, "--encoding", encoding)
            return float(run["cpu_s"] / run["delivered"])

        for encoding, goal in GOALS.items():
            ratio = median_ratio(partial(cost, encoding), partial(cost, "json"), N_PAIRS)
            yield Row.at_most(f"Kafka path, {encoding} / json, CPU per event", ratio, "x", goal)
    yield from _against_loops()


def _against_loops() -> Iterator[Row]:
    """Records per second of CPU time against a loop, which gets its records as dictionaries."""
    catalog, behaviour = open_catalog(CatalogSettings(), cache_folder()), Behaviour.load(None)
    shard = Shard(SimulationSettings(50_000, 1, START_MS, "online", behaviour), catalog, np.arange(50_000))
    words = labels(catalog, behaviour)
    window_ms = window_for(shard.events_per_s, MAX_BATCH)
    batches = [shard.step(shard.now_ms + window_ms) for _ in range(N_BATCHES)]

    def names(user_ids: Int64s) -> pa.Array:
        return user_names(user_ids, 1, words)

    def encoder(wire_format: str, name: EncodingName) -> Encoder:
        of_run, encoding = format_of(wire_format), encoding_named(name)
        parts = open_track_parts(catalog, of_run, encoding)
        return Encoder(of_run, parts, words, shard.listeners, names, encoding=encoding)

    for wire_format in FORMATS:
        records = [orjson.loads(line) for line in encoder(wire_format, "json").encode(batches[0])[0].to_pylist()]
        for name, goal in LOOP_GOALS.items():
            ours = partial(_encode, encoder(wire_format, name), batches)
            loop = _loop(name, schema_text(name, format_of(wire_format)) or "", records)
            ratio = 1 / median_ratio(partial(_cpu_s, ours), partial(_cpu_s, loop), N_PAIRS)
            yield Row.at_least(f"encoding {wire_format}, {name} / a loop", ratio, "x", goal)


def _encode(encoder: Encoder, batches: list[EventBatch]) -> int:
    for batch in batches:
        encoder.records(batch)
    return sum(map(len, batches))


def _loop(name: EncodingName, schema: str, records: list[dict[str, object]]) -> Callable[[], int]:
    if name == "protobuf":
        message = message_class(schema)
        fields = [{key: value for key, value in record.items() if value is not None} for record in records]
        return lambda: len([message(**one).SerializeToString() for one in fields])
    parsed, times = fastavro.parse_schema(json.loads(schema)), {"timestamp": START_MS}
    rows = [record | times if "timestamp" in record else record for record in records]

    def write() -> int:
        for row in rows:
            fastavro.schemaless_writer(io.BytesIO(), parsed, row)
        return len(rows)

    return write


def _cpu_s(work: Callable[[], int]) -> float:
    """Per record."""
    began_s = time.process_time()
    n_records = work()
    return (time.process_time() - began_s) / n_records

"""What an event costs in each encoding, from the simulation to the producer, against JSON."""

from collections.abc import Iterator
from functools import partial

from loadgen.kafka.embedded import EmbeddedBroker
from tests.bench.measure import loadgen, median_ratio, scratch
from tests.bench.rows import Row
from tests.kafka.fake_registry import running

GOALS = {"avro": 1.0, "protobuf": 1.1, "jsonschema": 1.05}
N_EVENTS = 2_000_000
N_PAIRS = 5
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

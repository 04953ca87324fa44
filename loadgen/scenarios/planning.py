"""The number of machines for a load: `python -m loadgen.scenarios.planning 1M 10M 100M` prints a table.

In: events per second, and the CPU per event as measured by `make bench`. Out: cores that produce, brokers, partitions,
consumers, and the first bottleneck. This is arithmetic, not a measurement: nothing was run beyond what two cores do.
Its assumption that partitions and shards get equal parts is tested on simulated listeners.

    cores       = events/s × CPU per event / share of a core that may be used
    brokers     = the most of: CPU, network in and out, disk; each times the replication factor
    partitions  = the most of: consumers, and what one partition takes; a multiple of the brokers
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from loadgen.config.values import count


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost and the size of an event.

    Attributes:
        produce_s, consume_s: CPU of `loadgen run` (or Locust), and of `loadgen consume` to HDFS.
        broker_s: CPU of a broker per copy of the event.
        value_bytes: of an event with its key and overhead, before compression.
        compression: lz4, of batches of some hundred.
        per_listener_s: events of a listener online at speed 1.
    """

    produce_s: float = 3.1e-6
    consume_s: float = 3.6e-6
    broker_s: float = 0.83e-6
    value_bytes: float = 285.0
    compression: float = 3.4
    per_listener_s: float = 0.01


@dataclass(frozen=True, slots=True)
class Machine:
    """The capacity of a machine, and the usable share of it; the rest is for spikes and for catching up.

    Attributes:
        cores: of each.
        network_bytes_per_s: each way.
        disk_bytes_per_s: written.
        producing, brokering, consuming: shares of the cores; wired: of network and disk.
        partition_per_s: events that one partition takes: one thread of a broker appends, one consumer reads.
    """

    cores: int = 16
    network_bytes_per_s: float = 1.25e9
    disk_bytes_per_s: float = 1.0e9
    producing: float = 0.7
    brokering: float = 0.5
    consuming: float = 0.5
    wired: float = 0.5
    partition_per_s: float = 50_000.0


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """The resources for a load.

    Attributes:
        events_per_s: the load.
        listeners: online at speed 1.
        producers, consumers: cores; a process each.
        by_need: brokers that each resource would take alone.
        brokers: the most of them, at least as many as there are copies.
        partitions: a multiple of the brokers.
        disk_bytes_per_h: on all brokers, compressed, all copies.
    """

    events_per_s: float
    listeners: int
    producers: int
    consumers: int
    by_need: dict[str, float]
    brokers: int
    partitions: int
    disk_bytes_per_h: float

    @property
    def first(self) -> str:
        """The bottleneck of the brokers."""
        return max(self.by_need, key=lambda need: self.by_need[need])


def plan(
    events_per_s: float, costs: Costs | None = None, machine: Machine | None = None, copies: int = 3
) -> CapacityPlan:
    """The resources for a load whose events are each read once."""
    costs, machine = costs or Costs(), machine or Machine()
    stored_bytes = events_per_s * costs.value_bytes / costs.compression
    consumers = math.ceil(events_per_s * costs.consume_s / machine.consuming)
    wired = machine.network_bytes_per_s * machine.wired
    by_need = {
        "CPU": events_per_s * costs.broker_s * copies / (machine.cores * machine.brokering),
        "network": stored_bytes * copies / wired,  # out: to followers and one reader; in: from producers and leaders
        "disk": stored_bytes * copies / (machine.disk_bytes_per_s * machine.wired),
    }
    brokers = max(copies, math.ceil(max(by_need.values())))
    least = max(consumers, math.ceil(events_per_s / machine.partition_per_s))
    return CapacityPlan(
        events_per_s=events_per_s,
        listeners=round(events_per_s / costs.per_listener_s),
        producers=math.ceil(events_per_s * costs.produce_s / machine.producing),
        consumers=consumers,
        by_need=by_need,
        brokers=brokers,
        partitions=math.ceil(least / brokers) * brokers,
        disk_bytes_per_h=stored_bytes * copies * 3600,
    )


def table(loads: list[float]) -> Iterator[str]:
    """A Markdown table with a row per load."""
    cores = Machine().cores
    yield "| events/s | listeners online | producing cores | brokers | partitions | consumers | disk an hour | first |"
    yield "|---|---|---|---|---|---|---|---|"
    for found in map(plan, loads):
        producers = f"{found.producers} ({math.ceil(found.producers / cores)} × {cores})"
        consumers = f"{found.consumers} ({math.ceil(found.consumers / cores)} × {cores})"
        disk = f"{found.disk_bytes_per_h / 1e12:.1f} TB"
        numbers = f"{found.brokers} | {found.partitions} | {consumers} | {disk} | {found.first}"
        yield f"| {found.events_per_s / 1e6:g} M | {found.listeners / 1e6:,g} M | {producers} | {numbers} |"


if __name__ == "__main__":
    print("\n".join(table([float(count(1, 10**12, "1M")(word)) for word in sys.argv[1:] or ["1M", "10M", "100M"]])))

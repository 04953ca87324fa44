"""What the metrics cost a run, as a share of its CPU time: latencies of every event, and the Prometheus endpoint.

In: nothing; a run at full speed to the embedded broker says what an event costs. Out: a row. What is done for metrics
is measured alone, in this process: differences of whole runs are noisier than the share that is sought.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from loadgen.histogram import Histogram
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.ledger import Tally
from loadgen.metrics import RUN_INFO
from loadgen.run.endpoint import RunCollector
from loadgen.run.totals import Totals
from tests.bench.measure import loadgen, scratch
from tests.bench.rows import Row

N_EVENTS = 1_500_000
BATCH = 8192
N_ROUNDS = 200
WATCHES_PER_S = 20
SCRAPES_PER_S = 1
"""Five times as often as ours asks."""
TOPIC = "bench"
FLAGS = ("--users", "50000", "--workers", "1", "--rate", "max", "--events", str(N_EVENTS), "--topic", TOPIC)


def metrics() -> Iterator[Row]:
    """CPU time for metrics / CPU time of the run."""
    with scratch() as folder, EmbeddedBroker(TOPIC) as broker:
        run = loadgen(folder, *FLAGS, "--brokers", broker.address)
    of_run_s = run["cpu_s"] / run["delivered"]
    of_endpoint_s = endpoint_s() / run["achieved_per_s"]
    share = (recording_s() + of_endpoint_s) / of_run_s
    yield Row.at_most("metrics, share of a run's CPU", share * 100, "%", 2.0)


def recording_s() -> float:
    """Seconds of CPU for the three latencies of one event: each is due at its own time, a batch is sent at one."""
    due_s = np.random.default_rng(1).uniform(0.0, 0.02, BATCH)
    at_once_s = np.full(BATCH, 0.003)
    lag, ack, intended = Histogram(), Histogram(), Histogram()

    def record() -> None:
        lag.record(due_s)
        ack.record(at_once_s)
        intended.record(due_s + at_once_s)

    return _best_s(record) / BATCH


def endpoint_s() -> float:
    """Seconds of CPU that the endpoint takes in a second."""
    collector, registry = RunCollector(_Nobody(), ("",) * len(RUN_INFO.labels), dict), CollectorRegistry()  # type: ignore[arg-type]
    registry.register(collector)
    totals = Totals({"kafka": Tally(), "files": Tally()})
    watch_s = _best_s(lambda: collector.watch(totals, 1.0))
    return WATCHES_PER_S * watch_s + SCRAPES_PER_S * _best_s(lambda: generate_latest(registry))


class _Nobody:
    """A team without members."""

    members: tuple[()] = ()


def _best_s(work: Callable[[], object], rounds: int = 3) -> float:
    """CPU seconds of one call, the best of some rounds."""
    costs = []
    for _ in range(rounds):
        began_s = time.process_time()
        for _ in range(N_ROUNDS):
            work()
        costs.append((time.process_time() - began_s) / N_ROUNDS)
    return min(costs)

"""loadgen on a real broker, against a bare produce loop and against Kafka's own producer performance tool.

In: nothing; a broker of its own is started by deploy/local, on the cores that the producers use too. Out: rows. The
same for all: topic settings, acks=all, idempotence, lz4, linger, batch size, and the bytes of the events. Not the same:
Kafka's tool sends no keys and no timestamps of its own, picks its partitions batch by batch, and simulates nothing.
"""

import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.bench.measure import baseline, loadgen, scratch
from tests.bench.perf_tool import PerfTool
from tests.bench.rows import LeftOut, Row
from tests.integration.local import Local

N_LINES = 500_000
N_PASSES = 3
N_EVENTS = N_LINES * N_PASSES
N_WARM_UP = 1_000_000
N_ROUNDS = 5
USERS = ("--users", "50000", "--rate", "max")
HEAP = "1g"
"""What Kafka's own scripts give a broker."""
TOPIC_CONFIG = {
    "message.timestamp.after.max.ms": str(2**63 - 1),
    "retention.ms": "-1",
    "file.delete.delay.ms": "1000",  # the disk is free again before the next run
}
ONE, TWO, LOOP, TOOL = "loadgen, 1 worker", "loadgen, 2 workers", "bare produce loop", "ProducerPerformance"


@dataclass(frozen=True)
class Cost:
    """What a producer did.

    Attributes:
        per_s: events per second of wall-clock time, from its first event to its last delivery report.
        cpu_s: seconds of CPU per event, all threads and workers, without start-up.
        broker_cpu_s: seconds of the broker's CPU per event.
    """

    per_s: float
    cpu_s: float
    broker_cpu_s: float


class Contest:
    """The producers, each of which sends its events to a topic of its own."""

    def __init__(self, folder: str, local: Local) -> None:
        """Make the events that the other producers send."""
        self._folder, self._local = folder, local
        self._lines = Path(folder, "lines.jsonl")
        self._broker = psutil.Process(local.pids()["kafka-1"])
        self._tool = PerfTool(local.brokers, self._lines, N_WARM_UP, N_EVENTS)
        loadgen(folder, *USERS, "--events", str(N_LINES), "--output", str(self._lines))

    def round(self) -> dict[str, Cost]:
        """All producers in turn."""
        return {
            ONE: self._measure(lambda topic: self._loadgen(topic, "1")),
            TOOL: self._measure(self._tool.cost, N_WARM_UP + N_EVENTS),
            TWO: self._measure(lambda topic: self._loadgen(topic, "2")),
            LOOP: self._measure(self._loop),
        }

    def _measure(self, produce: Callable[[str], tuple[float, float]], n_sent: int = N_EVENTS) -> Cost:
        """Have it produce to a fresh topic, which goes away afterwards."""
        topic, admin = "bench", AdminClient({"bootstrap.servers": self._local.brokers, "log_level": 3})
        admin.create_topics([NewTopic(topic, 12, 1, config=TOPIC_CONFIG)])[topic].result(30)
        before_s = self._broker_cpu_s()
        per_s, cpu_s = produce(topic)
        broker_cpu_s = self._broker_cpu_s() - before_s
        admin.delete_topics([topic])[topic].result(30)
        return Cost(per_s, cpu_s, broker_cpu_s / n_sent)

    def _broker_cpu_s(self) -> float:
        times = self._broker.cpu_times()
        return float(times.user + times.system)

    def _loadgen(self, topic: str, workers: str) -> tuple[float, float]:
        flags = ("--workers", workers, "--events", str(N_EVENTS), "--brokers", self._local.brokers, "--topic", topic)
        run = loadgen(self._folder, *USERS, *flags)
        if run["delivered"] != N_EVENTS:
            raise SystemExit(f"loadgen delivered {run['delivered']} of {N_EVENTS} events")
        return run["achieved_per_s"], run["cpu_s"] / N_EVENTS

    def _loop(self, topic: str) -> tuple[float, float]:
        loop = baseline("produce", self._local.brokers, topic, str(self._lines), str(N_PASSES))
        return loop["events"] / loop["wall_s"], loop["cpu_s"] / loop["events"]


def real_broker() -> Iterator[Row]:
    """Throughput and CPU per event on one real broker: medians of rounds in which all producers take their turn."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        raise LeftOut(f"needs {' and '.join(missing)}: apt install openjdk-17-jre-headless maven")
    with scratch() as folder:
        local = Local(Path(folder, "services"), ["--only", "kafka", "--kafka-heap", HEAP])
        try:
            local.up()
            contest = Contest(folder, local)
            contest.round()  # the broker compiles itself, and the disk's cache fills
            rounds = [contest.round() for _ in range(N_ROUNDS)]
        finally:
            local.down()
    yield from _ratios(rounds)
    yield from _figures(rounds)


def _ratios(rounds: list[dict[str, Cost]]) -> Iterator[Row]:
    def rate(ours: str, theirs: str) -> float:
        return statistics.median(one[ours].per_s / one[theirs].per_s for one in rounds)

    def cpu(ours: str, theirs: str) -> float:
        return statistics.median(one[ours].cpu_s / one[theirs].cpu_s for one in rounds)

    yield Row.at_least(f"real Kafka: {TWO} / {TOOL}, rate", rate(TWO, TOOL), "x", 0.7)
    yield Row(f"real Kafka: {ONE} / {TOOL}, rate", rate(ONE, TOOL), "x")
    yield Row(f"real Kafka: {ONE} / {TOOL}, CPU per event", cpu(ONE, TOOL), "x")
    yield Row(f"real Kafka: {ONE} / {LOOP}, rate", rate(ONE, LOOP), "x")
    yield Row.at_most(f"real Kafka: {ONE} / {LOOP}, CPU per event", cpu(ONE, LOOP), "x", 1.0)


def _figures(rounds: list[dict[str, Cost]]) -> Iterator[Row]:
    for name in (TWO, ONE, LOOP, TOOL):
        costs = [one[name] for one in rounds]
        yield Row(f"real Kafka: {name}, rate", statistics.median(cost.per_s for cost in costs) / 1000, "k/s")
        yield Row(f"real Kafka: {name}, CPU per event", statistics.median(cost.cpu_s for cost in costs) * 1e6, "us")
        broker_s = statistics.median(cost.broker_cpu_s for cost in costs)
        yield Row(f"real Kafka: {name}, broker's CPU per event", broker_s * 1e6, "us")

"""`loadgen consume` against the loop that a person would write first, on a real broker, to a folder and to HDFS.

In: nothing; services of its own are started by deploy/local. Out: rows. A topic of some million events is read from its
beginning each time, by one process. The loop (poll, json.loads, write, N times; prints events and seconds) is

    python -m tests.bench.consume ADDRESS TOPIC TARGET N
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.bench.measure import ROOT, PeakMemory, environment, loadgen, scratch
from tests.bench.real_broker import TOPIC_CONFIG, USERS
from tests.bench.rows import LeftOut, Row
from tests.integration.local import Local
from tests.messages import value_of

N_EVENTS = 3_000_000
N_LOOP_EVENTS = 500_000
N_ROUNDS = 3
PARTITIONS = 12
TOPIC = "consumed"
IDLE_S = 1.0
GIVE_UP_S = 30.0


@dataclass(frozen=True)
class Cost:
    """What a consumer did.

    Attributes:
        per_s: events per second of wall-clock time, from its first event to its last.
        cpu_s: seconds of CPU per event, all threads; with start-up.
        rss_bytes: the most memory that it had.
    """

    per_s: float
    cpu_s: float
    rss_bytes: int


def loop(address: str, topic: str, target: str, n_events: int) -> None:
    """Poll, parse, write: what takes an hour to write."""
    options = {"group.id": f"loop-{os.getpid()}", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": address, **options})
    consumer.subscribe([topic])
    n_read, began_s = 0, 0.0
    with open(target, "wb") as file:
        while n_read < n_events:
            message = consumer.poll(GIVE_UP_S)
            if message is None or message.error():
                raise SystemExit(f"the loop got {n_read} of {n_events} events")
            began_s = began_s or time.perf_counter()
            value = value_of(message)
            json.loads(value)
            file.write(value + b"\n")
            n_read += 1
    wall_s = time.perf_counter() - began_s
    print(json.dumps({"events": n_read, "reading_s": wall_s}))
    consumer.close()


def _cost(command: list[str], n_events: int) -> Cost:
    """Run it to its end; its last line on stdout is a JSON object with `events` and `reading_s`."""
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        memory = PeakMemory(process.pid)
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    found = json.loads(said.splitlines()[-1]) if said else {"events": 0}
    if process.returncode or found["events"] != n_events:
        raise SystemExit(f"{' '.join(command)} gave {found['events']} of {n_events} events")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Cost(n_events / found["reading_s"], cpu_s / n_events, memory.result())


def _ours(address: str, store: str) -> Cost:
    flags = ("--brokers", address, "--topic", TOPIC, "--store", store, "--group", f"bench-{time.time_ns()}")
    command = [sys.executable, "-m", "loadgen", "consume", *flags, "--until-idle", str(IDLE_S), "--json", "--quiet"]
    return _cost([*command, "--metrics-port", "0"], N_EVENTS)


def _theirs(address: str, target: str) -> Cost:
    return _cost(
        [sys.executable, "-m", "tests.bench.consume", address, TOPIC, target, str(N_LOOP_EVENTS)], N_LOOP_EVENTS
    )


def consume() -> Iterator[Row]:
    """Throughput, CPU and memory of one consumer process with millions of messages to catch up with."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        raise LeftOut(f"needs {' and '.join(missing)}: apt install openjdk-17-jre-headless maven")
    with scratch() as folder:
        kafka = Local(Path(folder, "kafka"), ["--only", "kafka"])
        hdfs = Local(Path(folder, "hdfs"), ["--only", "hdfs"])
        try:
            kafka.up()
            hdfs.up()
            rounds = list(_rounds(Path(folder), kafka.brokers, f"hdfs://127.0.0.1:{hdfs.hdfs_port}"))
        finally:
            kafka.down()
            hdfs.down()
    yield from _rows(rounds[1:])  # in the first the brokers compile themselves


def _rounds(folder: Path, brokers: str, namenode: str) -> Iterator[dict[str, Cost]]:
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 3})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1, config=TOPIC_CONFIG)])[TOPIC].result(30)
    loadgen(str(folder), *USERS, "--workers", "1", "--events", str(N_EVENTS), "--brokers", brokers, "--topic", TOPIC)
    for number in range(N_ROUNDS + 1):
        yield {
            "folder": _ours(brokers, str(folder / "store")),
            "loop": _theirs(brokers, str(folder / "loop.jsonl")),
            "hdfs": _ours(brokers, f"{namenode}/bench-{number}"),
        }
        shutil.rmtree(folder / "store")


def _rows(rounds: list[dict[str, Cost]]) -> Iterator[Row]:
    def ratio(ours: str, theirs: str) -> float:
        return statistics.median(one[ours].per_s / one[theirs].per_s for one in rounds)

    yield Row.at_least("consume / poll + json.loads + write, rate", ratio("folder", "loop"), "x", 3.0)
    yield Row.at_least("consume to HDFS / to a folder, rate", ratio("hdfs", "folder"), "x", 0.5)
    for name in ("folder", "hdfs", "loop"):
        costs = [one[name] for one in rounds]
        yield Row(f"consume, {name}: rate", statistics.median(cost.per_s for cost in costs) / 1000, "k/s")
        yield Row(f"consume, {name}: CPU per event", statistics.median(cost.cpu_s for cost in costs) * 1e6, "us")
    for name in ("folder", "hdfs"):
        most = max(one[name].rss_bytes for one in rounds)
        yield Row.at_most(f"consume, {name}: memory, {N_EVENTS / 1e6:g} M behind", most / 1e6, "MB RSS", 300.0)


if __name__ == "__main__":
    loop(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

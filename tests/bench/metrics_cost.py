"""What measuring a run costs it, as shares of its CPU time, in runs at a fixed rate as a load test has them.

In: nothing. Out: rows.
- recording: the CPU time that a worker spends in Histogram (three latencies of every event), measured in the worker
  itself, with the clock's own cost counted in;
- endpoint: what the coordinator spends more when Prometheus's endpoint is scraped once a second than with
  --metrics-port 0, over the CPU time of all processes of the run; pairs in turn, the median;
- windows: what the coordinator spends on windows, stalls and thresholds, measured alone, at two reports a second.
"""

import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Thread

import numpy as np
import numpy.typing as npt
import psutil

from loadgen.config.thresholds import threshold
from loadgen.histogram import Histogram
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.ledger import Outcome, Tally
from loadgen.runner.assignment import ShardAssignment
from loadgen.runner.history import History
from loadgen.runner.messages import Activity, Go, Snapshot
from loadgen.runner.stalls import Stalls
from loadgen.runner.thresholds import Thresholds
from loadgen.runner.totals import Moments, Totals
from loadgen.runner.worker import Worker
from loadgen.verifier.worker_progress import WorkerProgress
from tests.bench.measure import ROOT, START, environment, scratch
from tests.bench.rows import Row
from tests.runner.plans import plan_of

RATE_PER_S = 50_000
FLAGS = ("--users", "20000", "--workers", "1", "--rate", str(RATE_PER_S))
TOPIC = "bench"
PORT = 9118
N_PAIRS = 5
SETTLE_S, WATCH_S = 4.0, 8.0
REPORTS_PER_S = 2
ASKED = ("p99(ack) < 1min over 30s", "rate >= 0.1 * target over 10s", "failed == 0 abort")


@dataclass(frozen=True)
class Spent:
    """CPU seconds in a second of a run: of the coordinator, and of all its processes."""

    coordinator_s: float
    all_s: float


def metrics_cost() -> Iterator[Row]:
    """Shares of the run's CPU time, in percent."""
    with EmbeddedBroker(TOPIC) as broker:
        share = recording_share(broker.address)
        yield Row.at_most("recording latencies, share of a worker's CPU", share * 100, "%", 2.0)
        yield Row("the same, to nowhere", recording_share() * 100, "%", "", None)
        place = ("--brokers", broker.address, "--topic", TOPIC)
        pairs = [(spent(PORT, *place), spent(0, *place)) for _ in range(N_PAIRS)]
    extra = statistics.median((on.coordinator_s - off.coordinator_s) / off.all_s for on, off in pairs)
    yield Row.at_most("endpoint scraped once a second, share of a run's CPU", extra * 100, "%", 2.0)
    all_s = statistics.median(off.all_s for _, off in pairs)
    yield Row.at_most("windows and thresholds, share of a run's CPU", windows_s() / all_s * 100, "%", 2.0)


def recording_share(*place: str) -> float:
    """The share of a worker's CPU time that it spends on its histograms; the worker is a process of its own."""
    command = [sys.executable, "-m", "tests.bench.metrics_cost", *place]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    return float(done.stdout)


def _work(brokers: str | None) -> float:
    """Be a worker, and say what share of its CPU time went into its histograms."""
    spent_s = 0.0
    record = Histogram.record

    def timed(self: Histogram, values_s: npt.NDArray[np.float64]) -> None:
        nonlocal spent_s
        began_s = time.thread_time()
        record(self, values_s)
        spent_s += time.thread_time() - began_s

    Histogram.record = timed  # type: ignore[method-assign]
    place = {"brokers": brokers, "topic": TOPIC} if brokers else {}
    plan = plan_of(rate=RATE_PER_S, users=20_000, duration=f"{WATCH_S:g}s", **place)
    ours, theirs = Pipe()
    ours.send(Go(time.monotonic_ns(), time.time_ns() // 1_000_000))
    worker, listener = Worker(ShardAssignment(plan, 0), theirs, WorkerProgress()), Thread(target=_hear, args=(ours,))
    listener.start()
    worker.run()
    listener.join()
    return spent_s / worker.snapshot().cpu_s


def _hear(connection: Connection) -> None:
    """Take what a worker says, to its last word."""
    said = None
    while not (isinstance(said, Snapshot) and said.done):
        said = connection.recv()


def spent(port: int, *place: str) -> Spent:
    """What a run spends in a second, once it is under way; scraped once a second where there is a port."""
    flags = ("--quiet", "--metrics-port", str(port), "--duration", "60s", *START, *FLAGS, *place)
    with scratch() as folder:
        command = [sys.executable, "-m", "loadgen", "run", *flags]
        with subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.DEVNULL) as process:
            time.sleep(SETTLE_S)
            began, before = time.perf_counter(), _cpu(process.pid)
            while (gone_s := time.perf_counter() - began) < WATCH_S:
                if port:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read()
                time.sleep(1.0 - (gone_s % 1.0))
            after, gone_s = _cpu(process.pid), time.perf_counter() - began
            process.terminate()
    return Spent((after.coordinator_s - before.coordinator_s) / gone_s, (after.all_s - before.all_s) / gone_s)


def _cpu(pid: int) -> Spent:
    """CPU seconds so far."""
    parent = psutil.Process(pid)
    seconds = []
    for process in [parent, *parent.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds.append(times.user + times.system)
    return Spent(seconds[0], sum(seconds))


def windows_s() -> float:
    """CPU seconds that a second costs: the totals taken into windows, stalls and thresholds, with copies of all."""
    asked = Thresholds([threshold(text) for text in ASKED], 0.0, lambda: None)
    history, stalls, rng = History(0.0, [asked.watch]), Stalls(), np.random.default_rng(1)
    moments = iter(range(1, 10**9))
    tally, lag = Tally(), Histogram()

    def report() -> None:
        at_ns = next(moments) * 500_000_000
        latencies_s = rng.lognormal(-5, 1, 1000)
        for histogram in (lag, tally.ack_s, tally.intended_to_ack_s):
            histogram.record(latencies_s)
        tally.by_page[Outcome.DELIVERED, 0] += 1000
        now = Totals({"kafka": tally}, lag, scheduled=at_ns * 1e-9 * 2000, moments=Moments([at_ns], [], [at_ns]))
        now.activities = [Activity(int(tally.by_page.sum()), at_ns, 0, at_ns, 0, at_ns)]
        history.watch(now, 0)
        stalls.watch(now, 0)

    return REPORTS_PER_S * _best_s(report)


def _best_s(work: Callable[[], None], n_times: int = 200, rounds: int = 5) -> float:
    """CPU seconds of one call, the best of some rounds."""
    costs = []
    for _ in range(rounds):
        began_s = time.process_time()
        for _ in range(n_times):
            work()
        costs.append((time.process_time() - began_s) / n_times)
    return min(costs)


if __name__ == "__main__":
    with scratch() as here:
        os.chdir(here)
        print(_work(sys.argv[1] if len(sys.argv) > 1 else None))

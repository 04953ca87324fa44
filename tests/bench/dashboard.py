"""The dashboard with millions of events behind it: how soon it answers, and what catching up costs.

In: nothing; a store is made by `loadgen run`. Out: rows. 20 clients poll /api/figures, each twice a second: ten times
as often as the page does: while the dashboard reads what is stored, and after. The clients are plain sockets:
an HTTP library would cost more than what is measured.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.bench.measure import ROOT, environment, loadgen, scratch
from tests.bench.rows import Row

N_EVENTS = int(os.environ.get("TEST_BENCH_EVENTS", "10_000_000"))
N_CLIENTS = 20
PAUSE_S = 0.5
POLL_S = 10.0
PATIENCE_S = 1200.0
USERS = ("--users", "50000", "--rate", "max", "--format", "full")


async def _poll(port: int, times_s: list[float], until_s: float) -> None:
    """One client: ask over one connection, wait, ask again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until_s:
        await asyncio.sleep(random.uniform(0, 2 * PAUSE_S))
        began_s = time.perf_counter()
        writer.write(b"GET /api/figures HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        times_s.append(time.perf_counter() - began_s)
        assert head.startswith(b"HTTP/1.1 200"), head
    writer.close()


async def _clients(url: str, for_s: float) -> list[float]:
    times_s: list[float] = []
    until_s = time.perf_counter() + for_s
    await asyncio.gather(*(_poll(int(url.rpartition(":")[2]), times_s, until_s) for _ in range(N_CLIENTS)))
    return times_s


def polled(url: str, for_s: float = POLL_S) -> float:
    """The 95th percentile of the answers to 20 clients, seconds; measured from a process of its own."""
    command = [sys.executable, "-m", "tests.bench.dashboard", url, str(for_s)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    times_s: list[float] = sorted(json.loads(done.stdout))
    return times_s[int(0.95 * len(times_s))]


def _health(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/health", timeout=10).json()
    return found


def _caught_up(url: str, n_events: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while (found := _health(url))["status"] != "ok" or found["events"] < n_events:
        if time.monotonic() > deadline_s:
            raise SystemExit(f"the dashboard did not catch up: {found}")
        time.sleep(0.2)
    if found["events"] != n_events:
        raise SystemExit(f"the dashboard counted {found['events']} of {n_events} events")


def dashboard() -> Iterator[Row]:
    """Answers to 20 clients while and after reading N_EVENTS; CPU and time per event of that; memory."""
    with scratch() as folder:
        loadgen(folder, *USERS, "--events", str(N_EVENTS), "--folder", "store")
        loadgen(folder, *USERS, "--events", "10000", "--folder", "small")
        small_s = _small(folder)
        began_s = time.perf_counter()
        with _started(folder, "store") as (pid, url):
            busy_s = polled(url)
            _caught_up(url, N_EVENTS)
            wall_s = time.perf_counter() - began_s
            reader, memory_bytes = _reader(pid)
            yield from _rows(busy_s, polled(url), small_s, reader / N_EVENTS, wall_s / N_EVENTS, memory_bytes)


def _small(folder: str) -> float:
    """The answers of a dashboard with ten thousand events behind it."""
    with _started(folder, "small") as (_, url):
        _caught_up(url, 10_000)
        return polled(url, POLL_S / 2)


@contextmanager
def _started(folder: str, store: str) -> Iterator[tuple[int, str]]:
    """The pid of a dashboard and its address, while it lasts."""
    command = [sys.executable, "-m", "loadgen", "dashboard", "--port", "0", "--json", "--quiet", "--store", store]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.pid, json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def _reader(pid: int) -> tuple[float, int]:
    """CPU seconds of the reading process so far, and the memory of both."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    times = max((member.cpu_times() for member in family[1:]), key=lambda one: one.user)
    peaks = (Path(f"/proc/{member.pid}/status").read_text() for member in family)
    kilobytes = [int(text.partition("VmHWM:")[2].split()[0]) for text in peaks if "VmHWM:" in text]
    return times.user + times.system, sum(kilobytes) * 1024


def _rows(
    busy_s: float, calm_s: float, small_s: float, cpu_s: float, wall_s: float, memory_bytes: int
) -> Iterator[Row]:
    name = f"dashboard, {N_EVENTS / 1e6:g} M events"
    yield Row.at_most(f"{name}: p95 answer, {N_CLIENTS} clients", calm_s * 1000, "ms", 50.0)
    yield Row.at_most(f"{name}: the same while it catches up", busy_s * 1000, "ms", 50.0)
    yield Row("dashboard, 10 k events: p95 answer", small_s * 1000, "ms")
    yield Row(f"{name}: catching up, CPU per event", cpu_s * 1e6, "us")
    yield Row(f"{name}: catching up, rate", 1e-3 / wall_s, "k/s")
    yield Row.at_most(f"{name}: memory, both processes", memory_bytes / 1e6, "MB RSS", 700.0)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_clients(sys.argv[1], float(sys.argv[2])))))

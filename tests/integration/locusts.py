"""Locust as processes: a master, workers, and the ledger that is left of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
LOCUSTFILE = ROOT / "loadgen" / "scenarios" / "locustfile.py"
TOPIC = "music-streaming-events"
OUTCOMES = ("delivered", "failed", "dropped", "unfinished")
QUIET = ("--headless", "--only-summary", "--tracks", "10558")


@dataclass
class Locusts:
    """The Locust processes of a test.

    Attributes:
        folder: where they run; what they say is in NAME.log.
        prefix: words before each command, by the process's name: a network namespace.
        port: of the master, where the command says no other: tests that run beside this one have masters, too.
    """

    folder: Path
    prefix: dict[str, list[str]] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _started: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, *words: str) -> "subprocess.Popen[bytes]":
        """Start one."""
        command = [*self.prefix.get(name, []), sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *words]
        ports = {f"LOCUST_MASTER_{name}_PORT": str(self.port) for name in ("BIND", "NODE")}
        environment = {**os.environ, **ports, "PYTHONPATH": str(ROOT)}
        environment.pop("LOCUST_SKIP_MONKEY_PATCH", None)  # which tests set that import Locust themselves
        with (self.folder / f"{name}.log").open("wb") as log:
            self._started[name] = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        return self._started[name]

    def log(self, name: str) -> str:
        """What it has said so far."""
        return (self.folder / f"{name}.log").read_text()

    def end(self, name: str, timeout_s: float = 90.0) -> int:
        """Wait for its end: the exit code."""
        return self._started[name].wait(timeout_s)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal."""
        self._started[name].send_signal(number)

    def wait_for(self, name: str, text: str, timeout_s: float = 60.0) -> None:
        """Wait until it has said something."""
        wait_until(lambda: text in self.log(name), timeout_s, lambda: self.log(name))

    def ledger(self, name: str = "ledger.json") -> dict[str, Any]:
        """The ledger that the master has written."""
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found

    def stop_all(self) -> None:
        """Kill what is left."""
        for process in self._started.values():
            if process.poll() is None:
                for member in [*psutil.Process(process.pid).children(recursive=True), process]:
                    member.kill()
                process.wait(10)


def wait_until(condition: Callable[[], bool], timeout_s: float, say: Callable[[], str] = str) -> None:
    """Wait for a condition; AssertionError where it does not come true."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {say()[-3000:]}"
        time.sleep(0.1)


def adds_up(counts: dict[str, Any]) -> bool:
    """Whether each planned event has one outcome."""
    return bool(counts["planned"] == sum(counts[outcome] for outcome in OUTCOMES))


def n_in_topic(address: str, topic: str = TOPIC) -> int:
    """Events that a topic has had so far."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "count", "log_level": 3})
    try:
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        marks = [consumer.get_watermark_offsets(TopicPartition(topic, number), 10) for number in partitions]
        return sum(high for _, high in marks)
    finally:
        consumer.close()

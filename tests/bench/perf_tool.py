"""Kafka's own producer performance tool, run as its script kafka-producer-perf-test.sh runs it.

In: a broker, a topic, a file of messages. Out: events per second in the steady state by the tool's own clock, and CPU
per event of its whole process from the same moment on.
"""

import re
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.measure import ROOT

JARS = ROOT / "build" / "services" / "lib" / "kafka"
JVM = [
    *("java", "-server", "-Xmx512M"),
    *("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"),
    "-XX:+ExplicitGCInvokesConcurrent",
]
"""The heap and the collector that Kafka's scripts give their tools."""
TOOL = "org.apache.kafka.tools.ProducerPerformance"
PROPERTIES = {
    "acks": "all",
    "enable.idempotence": "true",
    "compression.type": "lz4",
    "linger.ms": "20",
    "batch.size": "1000000",
    "buffer.memory": str(128 << 20),  # with 32 MiB, its default, it waits for room
}
FIRST = re.compile(r"^In steady state.*\n(\d+) records sent", re.MULTILINE)
"""It says so after the first report's time; the report has the events of that time."""
STEADY = re.compile(r"^(\d+) steady state records sent, ([\d.]+) records/sec", re.MULTILINE)


@dataclass(frozen=True)
class PerfTool:
    """The tool, with the messages that it picks from at random. It sends no keys."""

    brokers: str
    lines: Path
    n_warm_up: int
    n_events: int

    def cost(self, topic: str) -> tuple[float, float]:
        """Send the warm-up, then the events: (events per second, seconds of CPU per event), of the events alone.

        A Java program spends a good part of its first seconds on compiling itself. The tool says when it is warm.
        """
        flags = ["--bootstrap-server", self.brokers, "--topic", topic, "--throughput", "-1"]
        flags += ["--num-records", str(self.n_warm_up + self.n_events), "--warmup-records", str(self.n_warm_up)]
        flags += ["--payload-file", str(self.lines), "--payload-delimiter", "\\n"]
        flags += ["--command-property", *(f"{name}={value}" for name, value in PROPERTIES.items())]
        flags += ["--reporting-interval", "200"]  # ms
        began_s, warm_up_s, shown = _children_cpu_s(), 0.0, ""
        with subprocess.Popen(
            [*JVM, "-cp", f"{JARS}/*", TOOL, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                shown += line
                if line.startswith("In steady state"):
                    times = psutil.Process(process.pid).cpu_times()
                    warm_up_s = times.user + times.system
        first, steady = FIRST.search(shown), STEADY.search(shown)
        if first is None or steady is None or int(steady[1]) != self.n_events:
            raise SystemExit(f"{TOOL} did not send {self.n_events} events:\n{shown}")
        n_counted = self.n_events - int(first[1])
        return float(steady[2]), (_children_cpu_s() - began_s - warm_up_s) / n_counted


def _children_cpu_s() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

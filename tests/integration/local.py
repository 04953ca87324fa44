"""Real Kafka and HDFS for tests, started and stopped by deploy/local/services.py as a user would.

In: a folder and flags. Out: addresses, and signals to single processes. Ports are free ones, so that nothing collides
with services that a developer has running. The services end with the test program, even one that is killed.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "deploy" / "local" / "services.py"
CI_PID = "TEST_CI_PID"
"""The variable with the pid of a script that the services should not outlive either."""
SCRIPTS = os.environ.get(CI_PID, "").split()  # now: during a test there are no such variables
OFFSETS = (0, 1, 2, 100, 101, 102, 200, 201, 202)
"""From the first broker's port, those that three brokers listen on."""


@dataclass
class Local:
    """Services with their data in one folder.

    Attributes:
        flags: of `up`, besides the ports.
        owned: whether they end with this process.
    """

    data: Path
    flags: list[str]
    kafka_port: int = field(default_factory=lambda: free_port(OFFSETS))
    hdfs_port: int = 0
    web_port: int = 0
    prometheus_port: int = 0
    registry_port: int = 0
    owned: bool = True

    def __post_init__(self) -> None:
        self.hdfs_port = self.hdfs_port or free_port((0, 1))
        self.web_port = self.web_port or self.hdfs_port + 1
        self.prometheus_port = self.prometheus_port or free_port()
        self.registry_port = self.registry_port or free_port()

    @property
    def brokers(self) -> str:
        """The bootstrap servers."""
        n_brokers = 3 if "3" in self.flags else 1
        return ",".join(f"127.0.0.1:{self.kafka_port + number}" for number in range(n_brokers))

    @property
    def registry_url(self) -> str:
        """The schema registry's."""
        return f"http://127.0.0.1:{self.registry_port}/apis/ccompat/v7"

    def command(self, command: str, *flags: str) -> list[str]:
        """The command line of services.py."""
        names = ("kafka", "hdfs", "web", "prometheus", "registry")
        pairs = [text for name in names for text in (f"--{name}-port", str(getattr(self, f"{name}_port")))]
        if command == "up" and self.owned:
            pairs += [f"--owner={pid}" for pid in (os.getpid(), *SCRIPTS)]
        return [sys.executable, str(PROGRAM), command, "--data", str(self.data), *self.flags, *pairs, *flags]

    def call(self, command: str, *flags: str) -> "subprocess.CompletedProcess[str]":
        """Run services.py to its end."""
        return subprocess.run(self.command(command, *flags), capture_output=True, text=True, timeout=150)

    def up(self) -> str:
        """Start what does not run; what it says."""
        done = self.call("up")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def down(self) -> str:
        """Stop all."""
        done = self.call("down")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pids(self) -> dict[str, int]:
        """The processes that run, by name."""
        nodes = json.loads(self.call("status", "--json").stdout)
        return {name: node["pid"] for name, node in nodes.items() if node["pid"]}

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send one process a signal; a deadly one is waited for."""
        pid = (self.data / name / "pid").read_text().split()[0]  # `status` takes its time, and runs go on meanwhile
        process = psutil.Process(int(pid))
        process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            process.wait(30)


def jars_of(name: str) -> list[Path]:
    """The jars of a profile of pom.xml."""
    folder: Path = runpy.run_path(str(PROGRAM.with_name("jars.py")))["find_jars"](name)
    return sorted(folder.glob("*.jar"))


def processes_of(local: Local) -> list[psutil.Process]:
    """Every service on this machine that was started with this data folder, by its command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "exe"])
        if (process.info["exe"] or "").endswith(("java", "prometheus"))
        and str(local.data) in " ".join(process.info["cmdline"] or [])
    ]

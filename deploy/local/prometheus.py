"""Prometheus from the distribution's package, scraping the `loadgen run` and `loadgen consume` of this machine.

In: a data folder, ports, the rules in ../prometheus. Out: a configuration file, a command, and whether it answers. It
is the one service that may be missing: Maven Central does not have it.
"""

import json
import shutil
from pathlib import Path
from urllib.request import urlopen

from jars import HERE, LIB
from node import HOST, Node

UNPACKED = LIB.parent / "prometheus" / "usr" / "bin" / "prometheus"
"""Where .ci/run unpacks the package, which would start a service of its own if it were installed."""
INSTALL = "Prometheus is not installed (Debian and Ubuntu: apt install prometheus)"
RULES = HERE.parent / "prometheus" / "rules"
SCRAPE_S = 5
KEEP = "15d"
RUN_PORT, CONSUMER_PORT = 9108, 9109


def find_prometheus() -> str | None:
    """The path of the program; None where there is none."""
    return shutil.which("prometheus") or (str(UNPACKED) if UNPACKED.exists() else None)


class Prometheus:
    """One process; name, nodes, configure, missing: see `Service`."""

    name = "prometheus"

    def __init__(self, data: Path, program: str, port: int, scrape_ports: list[int]) -> None:
        """Describe it; nothing is written or started yet."""
        self._folder, self._port, self._scrape_ports = data / "prometheus", port, scrape_ports
        command = [program, f"--config.file={self._folder / 'prometheus.json'}"]
        command += [f"--storage.tsdb.path={self._folder / 'data'}", f"--storage.tsdb.retention.time={KEEP}"]
        self.nodes = [Node(self._folder, (port,), [], [*command, f"--web.listen-address={HOST}:{port}"])]

    def configure(self) -> None:
        """Write its configuration, as JSON, which is YAML too."""
        self._folder.mkdir(parents=True, exist_ok=True)
        jobs = {"loadgen": self._scrape_ports, "loadgen-consumer": [CONSUMER_PORT]}  # as in ../prometheus
        scrapes = [
            {"job_name": name, "static_configs": [{"targets": [f"{HOST}:{port}" for port in ports]}]}
            for name, ports in jobs.items()
        ]
        often = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
        config = {"global": often, "rule_files": [str(RULES / "*.yml")], "scrape_configs": scrapes}
        (self._folder / "prometheus.json").write_text(json.dumps(config, indent=2) + "\n")

    def missing(self) -> str:
        """What it is that is not ready."""
        try:
            with urlopen(f"http://{HOST}:{self._port}/-/ready", timeout=5.0):
                return ""
        except OSError as error:
            return f"Prometheus does not answer at http://{HOST}:{self._port} ({error})"

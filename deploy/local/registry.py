"""Apicurio Registry, a schema registry with Confluent's API, in memory: what is registered ends with the process.

In: a data folder, ports. Out: a command, and whether it answers.
"""

import json
from pathlib import Path
from urllib.request import urlopen

from jars import ServiceError
from node import HOST, Node

PATH = "/apis/ccompat/v7"
"""Of Confluent's API."""
JVM = ("-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")


class Registry:
    """One process; name, nodes, configure, missing: see `Service`."""

    name = "registry"

    def __init__(self, data: Path, java: str, jars: Path, port: int) -> None:
        """Describe it; nothing is written or started yet.

        Raises:
            ServiceError: the program is not among the jars.
        """
        programs = list(jars.glob("*-runner.jar"))
        if len(programs) != 1:
            raise ServiceError(
                f"{jars} must hold one *-runner.jar, found {len(programs)}; remove {jars}, and try again"
            )
        self._address = f"http://{HOST}:{port}{PATH}"
        places = [f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={port}"]  # it listens everywhere by default
        self.nodes = [Node(data / "registry", (port,), [], [java, *JVM, *places, "-jar", str(programs[0])])]

    def configure(self) -> None:
        """There is nothing to write."""

    def missing(self) -> str:
        """What it is that is not ready."""
        try:
            with urlopen(f"{self._address}/subjects", timeout=5.0) as answer:
                json.load(answer)
        except (OSError, ValueError) as error:
            return f"the schema registry does not answer at {self._address} ({error})"
        return ""

"""What services.py knows of each process that it starts, whichever service it belongs to."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jars import ServiceError

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Node:
    """One process.

    Attributes:
        folder: of its own; its name is the node's name.
        ports: all that it listens on, the one that clients want first.
        format: the command that prepares its empty data folder.
        run: the command that it is.
    """

    folder: Path
    ports: tuple[int, ...]
    format: list[str]
    run: list[str]


class Service(Protocol):
    """Kafka, HDFS, Prometheus or the schema registry: some nodes that are ready together.

    Attributes:
        name: "kafka", "hdfs", "prometheus" or "registry".
        nodes: in the order of their start.
    """

    name: str
    nodes: list[Node]

    def configure(self) -> None:
        """Write the nodes' configuration files."""

    def missing(self) -> str:
        """What it is that is not ready; empty when all is."""


def keep_settings(folder: Path, fixed: dict[str, object]) -> None:
    """Remember what cannot change once there is data in the folder.

    Raises:
        ServiceError: the data was made with other settings.
    """
    file = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.write_text(json.dumps(fixed) + "\n")
        return
    before = json.loads(file.read_text())
    for name, value in fixed.items():
        if before.get(name) != value:
            raise ServiceError(
                f"{folder} was made with {name} {before.get(name)}, now asked for is {value}; "
                f"ask for the same, name another folder with --data, or run `down` and remove {folder}*"
            )


def require_free(port: int, flag: str) -> None:
    """See that nobody listens on this port.

    Raises:
        ServiceError: somebody does.
    """
    if not is_free(port):
        raise ServiceError(
            f"{HOST}:{port} is taken by something that was not started with this --data folder; "
            f"stop it, or choose other ports with {flag}"
        )


def is_free(port: int) -> bool:
    """Whether nobody listens on this port; connections that are ending do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True

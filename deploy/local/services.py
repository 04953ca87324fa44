#!/usr/bin/env python3
"""Kafka, HDFS, Prometheus and a schema registry on this machine without Docker: up | status | down.

Needs Java 17 and, once, Maven. In: flags. Out: processes on loopback that are ready when `up` returns, with all their
data in one folder; they go on until `down`, or with --owner until that process ends. Exit code 0: done, or all is
ready; 1: not so, and why is on stderr; 2: wrong usage.
"""

import argparse
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import processes
from hdfs import Hdfs
from jars import HERE, ServiceError, find_jars, find_java
from kafka import Kafka
from node import HOST, Node, Service, is_free, require_free
from prometheus import INSTALL, RUN_PORT, Prometheus, find_prometheus
from registry import PATH, Registry

DATA = HERE.parents[1] / "build" / "services" / "data"
READY_S = 90.0
POLL_S = 0.1
NAMES = {
    "kafka": ("kafka-1", "kafka-2", "kafka-3"),
    "hdfs": ("namenode", "datanode"),
    "prometheus": ("prometheus",),
    "registry": ("registry",),
}
USUAL = ("kafka", "hdfs", "prometheus")
"""What is started where nothing is asked for by name."""
ONLY_HELP = f"of {', '.join(NAMES)}; may be given more than once ({', '.join(USUAL)})"
OWNER_HELP = "they end when this process does, however it ends; may be given more than once (they go on until `down`)"
PORT_FLAGS = "--kafka-port, --hdfs-port, --web-port, --prometheus-port and --registry-port"


def up(flags: argparse.Namespace) -> None:
    """Start what does not run yet, and wait until all of it is ready; what was started ends again if that fails."""
    require_running(flags.owner)
    services = services_of(flags)
    already = {node.folder for service in services for node in service.nodes if is_running(node)}
    began_s = time.monotonic()
    try:
        for service in services:
            service.configure()
        new = [node for service in services for node in service.nodes if node.folder not in already]
        for node in new:
            for port in node.ports:
                require_free(port, PORT_FLAGS)
        prepare(new, flags.owner)
        for node in new:
            processes.start(node.folder, node.run, flags.owner)
        for service in services:
            wait_until_ready(service, already)
    except BaseException:
        processes.stop(node.folder for service in services for node in service.nodes if node.folder not in already)
        raise
    print(f"{'ready' if new else 'was ready already'} after {time.monotonic() - began_s:.1f} s")
    keep_flags(flags, services)
    show(flags.data, as_json=False)


def require_running(owners: list[int]) -> None:
    """See that the processes that are to own the services run.

    Raises:
        ServiceError: one does not, or this system cannot say when it ends.
    """
    if owners and not hasattr(os, "pidfd_open"):
        raise ServiceError("--owner needs Linux 5.3 or newer; leave it out, and run `down` at the end")
    ended = [str(owner) for owner in owners if not processes.is_running(owner)]
    if ended:
        raise ServiceError(f"no process has the pid {', '.join(ended)} of --owner; it has ended, or give another")


def services_of(flags: argparse.Namespace) -> list[Service]:
    """The services that the flags ask for, and of the optional one a line where it is left out."""
    services: list[Service] = []
    asked_for = flags.only or USUAL
    if "kafka" in asked_for:
        java, jars = find_java(), find_jars("kafka")
        heap, n_brokers, port = flags.kafka_heap, flags.brokers, flags.kafka_port
        services.append(Kafka(flags.data, java, jars, n_brokers, port, heap=heap, secure=flags.secure))
    if "hdfs" in asked_for:
        services.append(Hdfs(flags.data, find_java(), find_jars("hdfs"), flags.hdfs_port, flags.web_port))
    if "prometheus" in asked_for:
        services += prometheus_of(flags)
    if "registry" in asked_for:
        services.append(Registry(flags.data, find_java(), find_jars("registry"), flags.registry_port))
    return services


def prometheus_of(flags: argparse.Namespace) -> list[Service]:
    """Prometheus, where there is one; the distribution's own may have its port already.

    Raises:
        ServiceError: it was asked for by name, and cannot be had.
    """
    program, port = find_prometheus(), flags.prometheus_port
    hindrance = "" if program else INSTALL
    if program and processes.pid_of(flags.data / "prometheus") is None and not is_free(port):
        hindrance = f"{HOST}:{port} is taken, choose another with --prometheus-port"
    if program and not hindrance:
        return [Prometheus(flags.data, program, port, flags.scrape_port or [RUN_PORT])]
    if flags.only:
        raise ServiceError(hindrance)
    print(f"without Prometheus: {hindrance}")
    return []


def is_running(node: Node) -> bool:
    """Whether the node runs; what is left of an `up` that was killed while it formatted is stopped first."""
    if not (node.folder / "formatted").exists():
        processes.stop([node.folder])
    return processes.pid_of(node.folder) is not None


def prepare(nodes: list[Node], owners: list[int]) -> None:
    """Format the nodes' data folders, where that has not been done to its end."""
    fresh = [node for node in nodes if not (node.folder / "formatted").exists()]
    for node in fresh:
        rmtree(node.folder / "data", ignore_errors=True)
        (node.folder / "log").unlink(missing_ok=True)
        node.folder.mkdir(parents=True, exist_ok=True)
    started = {node.folder: processes.start(node.folder, node.format, owners) for node in fresh if node.format}
    for folder, pid in started.items():
        if not processes.has_succeeded(pid, folder, READY_S):
            raise ServiceError(f"{folder.name} could not be formatted:\n{processes.last_lines(folder)}")
    for node in fresh:
        (node.folder / "formatted").touch()


def wait_until_ready(service: Service, already: set[Path]) -> None:
    """Wait for the service.

    Raises:
        ServiceError: one of its processes has ended, or it has taken too long.
    """
    deadline_s = time.monotonic() + READY_S
    while missing := service.missing():
        for node in service.nodes:
            if processes.pid_of(node.folder) is None and node.folder.exists():
                raise ServiceError(f"{node.folder.name} has ended:\n{processes.last_lines(node.folder)}")
        if time.monotonic() >= deadline_s:
            hint = "; it ran before this `up`: run `down`, then `up`" if already else ""
            raise ServiceError(f"{service.name} is not ready after {READY_S:.0f} s: {missing}{hint}")
        time.sleep(POLL_S)


def keep_flags(flags: argparse.Namespace, services: list[Service]) -> None:
    """Write down where the services answer, for `status`."""
    file = flags.data / "addresses.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    known.update({node.folder.name: node.ports for service in services for node in service.nodes})
    file.write_text(json.dumps(known) + "\n")


def show(data: Path, *, as_json: bool) -> bool:
    """Print a line per process, or one JSON object; whether there is any, and all of them run."""
    file = data / "addresses.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    nodes = {name: {"pid": processes.pid_of(data / name), "ports": ports} for name, ports in known.items()}
    if as_json:
        print(json.dumps(nodes))
    else:
        for name, node in nodes.items():
            address = " ".join(f"{HOST}:{port}" for port in node["ports"])
            if name == "registry":
                address += f" http://{HOST}:{node['ports'][0]}{PATH}"
            print(f"{name:10} {'runs, pid ' + str(node['pid']) if node['pid'] else 'is down':18} {address}".rstrip())
        if not nodes:
            print(f"nothing was started with its data in {data}; start it with `up`")
    return bool(nodes) and all(node["pid"] for node in nodes.values())


def down(flags: argparse.Namespace) -> None:
    """Stop everything that was started with this data folder, whoever started it."""
    names = [name for service in flags.only or NAMES for name in NAMES[service]]
    stopped = processes.stop(flags.data / name for name in names)
    print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Keep a second `up` or `down` of the same folder waiting; the lock ends with this process, however it ends."""
    data.mkdir(parents=True, exist_ok=True)
    with open(data / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The flags; ends the program with code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("command", choices=["up", "status", "down"])
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="where all data goes (%(default)s)")
    parser.add_argument("--only", type=_services, action="extend", metavar="NAME,…", help=ONLY_HELP)
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="Kafka brokers (%(default)s)")
    parser.add_argument("--kafka-heap", default="512m", metavar="SIZE", help="of each broker, at most (%(default)s)")
    parser.add_argument("--kafka-port", type=_port, default=9092, metavar="P", help="of the first broker (%(default)s)")
    parser.add_argument("--hdfs-port", type=_port, default=8020, metavar="P", help="of the NameNode (%(default)s)")
    parser.add_argument("--web-port", type=_port, default=9870, metavar="P", help="of its web pages (%(default)s)")
    parser.add_argument("--prometheus-port", type=_port, default=9090, metavar="P", help="(%(default)s)")
    parser.add_argument(
        "--registry-port", type=_port, default=8081, metavar="P", help="(%(default)s); and the next one"
    )
    parser.add_argument("--scrape-port", type=_port, action="append", metavar="P", help="of a `loadgen run` (9108)")
    parser.add_argument("--owner", type=int, action="append", default=[], metavar="PID", help=OWNER_HELP)
    parser.add_argument("--secure", action="store_true", help="TLS with SASL/SCRAM too, on Kafka's port + 200")
    parser.add_argument("--json", action="store_true", help="status as one JSON object")
    flags = parser.parse_args(arguments)
    flags.data = flags.data.absolute()
    return flags


def _services(text: str) -> list[str]:
    """Names of services."""
    names = text.split(",")
    if unknown := [name for name in names if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(NAMES)}, got {unknown[0]!r}")
    return names


def _port(text: str) -> int:
    """A port, with room above it for those that follow from it."""
    if text.isdecimal() and 1024 <= int(text) <= 65000:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be 1024..65000, got {text!r}")


def main() -> int:
    """Do what the command line says."""
    flags = parse()
    try:
        if flags.command == "status":
            return 0 if show(flags.data, as_json=flags.json) else 1
        with alone(flags.data):
            (up if flags.command == "up" else down)(flags)
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

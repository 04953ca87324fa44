"""What this computer has: packages, memory, disk, the music catalogue, a free port.

In: nothing but the computer. Out: findings.
"""

import platform
import shutil
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from loadgen import __version__
from loadgen.disk import check_writable
from loadgen.doctor.check import Finding, Mark, bad, good
from loadgen.errors import LoadgenError
from loadgen.run.memory import available_bytes, needed_bytes
from loadgen.simulate.catalog import cache_folder

PACKAGES = ("confluent-kafka", "pyarrow", "numpy", "duckdb", "hdfs-native")
USERS = 10_000
DISK_BYTES = 1 << 30


def packages() -> Finding:
    """Python and what must be installed with loadgen."""
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    said = f"Python {platform.python_version()}, loadgen {__version__}, {', '.join(found)}"
    if missing:
        return Finding(
            "packages", Mark.BAD, f"{said}; not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}"
        )
    return good("packages", said)


def memory() -> Finding:
    """Whether a pipeline of the default size fits."""
    free, needed = available_bytes(), needed_bytes(USERS, 1)
    said = f"memory: {free / 1e9:.1f} GB available"
    if free < needed:
        step = f"a run of {USERS:,} listeners takes {needed / 1e9:.1f} GB: end something else, or simulate fewer"
        return Finding("memory", Mark.BAD, said, step)
    return good("memory", said)


def disk() -> Finding:
    """Whether this folder can be written and has room."""
    try:
        check_writable(".")
    except LoadgenError as error:
        return bad("disk", "disk", error, "go to a folder that you may write")
    free = shutil.disk_usage(".").free
    said = f"disk: {free / 1e9:.1f} GB free in {Path.cwd()}"
    if free < DISK_BYTES:
        return Finding(
            "disk", Mark.BAD, said, "an hour of 1,000 events/s takes about 1.5 GB: free some, or go elsewhere"
        )
    return good("disk", said)


def catalog() -> Finding:
    """Whether the music catalogue is built, or can be."""
    try:
        folder = cache_folder()
        check_writable(folder)
    except LoadgenError as error:
        return bad("catalog", "catalogue", error, "set LOADGEN_CACHE to a folder that you may write")
    is_built = any(folder.glob("**/*.arrow"))
    said = f"in {folder}" if is_built else f"the first run builds it in a few seconds, in {folder}"
    return good("catalog", f"catalogue: {said}")


def port(number: int) -> Finding:
    """Whether the dashboard can have this port."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
            probe.listen(1)
    except OSError as error:
        step = f"end what listens there (ss -ltnp 'sport = :{number}'), or say --port P to dashboard and pipeline"
        return Finding("port", Mark.BAD, f"port {number} for the dashboard: {error.strerror}", step)
    return good("port", f"port {number} is free for the dashboard")

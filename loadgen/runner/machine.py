"""The machine that a run was made on, in a few words: latencies mean little without it.

Out: a dict for the manifest. Nothing in it says whose machine it is: no host name, no user, no address.

Whether a population fits into this machine's memory, before it is built.
"""

import platform
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from loadgen.config.settings.run import usable_cores
from loadgen.errors import NotEnoughMemory

CPU_INFO = Path("/proc/cpuinfo")


@cache
def machine() -> dict[str, Any]:
    """{"system", "processor", "cores": usable ones, "memory_gib"}."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}".strip(),
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def _processor() -> str:
    """Its name where the system tells it, which Linux does in a file."""
    try:
        lines = CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


LISTENER_BYTES = 130
"""Attributes, state and the encoder's columns of one listener, and the working space of drawing them: measured with 10
million listeners at their peak 106 bytes."""
WORKER_BYTES = 60_000_000
RUN_BYTES = 250_000_000
"""The coordinator, the fork server and the catalogue's pages."""
_CGROUP_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_bytes(root: Path = Path("/")) -> int:
    """Memory that can still be had: the kernel's estimate, or the container's limit where that is lower."""
    found = [_meminfo_available(root / "proc" / "meminfo")]
    for path in _CGROUP_LIMITS:
        try:
            found.append(int((root / path).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(found)


def _meminfo_available(path: Path) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:  # not Linux: nothing to compare with
        return 1 << 62
    sizes = dict(line.split(":", 1) for line in lines)
    return int(sizes["MemAvailable"].split()[0]) * 1024


def needed_bytes(users: int, workers: int) -> int:
    """Memory that a run of this size takes at most."""
    return RUN_BYTES + workers * WORKER_BYTES + users * LISTENER_BYTES


def check_memory(users: int, workers: int, available: int) -> None:
    """Refuse a population that does not fit.

    Args:
        users: listeners simulated on this machine.
        workers: processes.
        available: bytes, see `available_bytes`.

    Raises:
        NotEnoughMemory: with the number of listeners that fits.
    """
    needed = needed_bytes(users, workers)
    if needed <= available:
        return
    fitting = max(0, (available - RUN_BYTES - workers * WORKER_BYTES) // LISTENER_BYTES)
    advice = f"--users {fitting} fits" if fitting else "lower --workers as well"
    raise NotEnoughMemory(
        f"{users:,} users in {workers} workers need {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are "
        f"available; {advice}, or spread them over machines with --shard I/N"
    )

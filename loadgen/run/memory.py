"""Whether a population fits into this machine's memory, before it is built."""

from pathlib import Path

from loadgen.errors import NotEnoughMemory

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

"""The machine that a run was made on, in a few words: latencies mean little without it.

Out: a dict for the manifest. Nothing in it says whose machine it is: no host name, no user, no address.
"""

import platform
from functools import cache
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from loadgen.config.settings.run import usable_cores

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

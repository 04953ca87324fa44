"""What the program, and the server that its workers are forked from, do to later imports: `prepare` is called first.

pandas is not to be found: Arrow imports it, where it is installed, with the first array that it makes, which takes half
a second and 35 MB per process, for nothing here. NumPy is not imported where there is too little address space: its
OpenBLAS then ends the process, with words of its own. OpenBLAS gets one thread, because no large matrices are used and
threads do not survive a fork. matplotlib says nothing of a home that is read-only: it caches elsewhere.
"""

import logging
import os
import resource
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder

from loadgen.errors import NotEnoughMemory

MIB = 1 << 20
NUMPY_MIB = 128
"""Address space that NumPy takes with one thread, 89 MiB, and some more."""


def check_address_space() -> None:
    """See that NumPy can be imported.

    Raises:
        NotEnoughMemory: the limit of address space leaves too little.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    left = limit - _address_space()
    if limit != resource.RLIM_INFINITY and left < NUMPY_MIB * MIB:
        raise NotEnoughMemory(
            f"loadgen needs {NUMPY_MIB} MiB of address space to begin, and the system's limit of {limit // MIB:,} MiB "
            f"leaves {max(0, left) // MIB:,}; raise `ulimit -v`"
        )


def _address_space() -> int:
    """What this process has taken of it, bytes; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


class _Watch(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("loadgen does without pandas", name=name)
        if name == "numpy":
            check_address_space()
        if name == "matplotlib":
            logging.getLogger(name).setLevel(logging.ERROR)


def prepare() -> None:
    """Do so in this process. The library does not: it is a guest in the process that imports it."""
    sys.meta_path.insert(0, _Watch())
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

"""The fork server: a process that imports everything workers need, while the coordinator still prepares the run.

Nothing heavy is imported here, so that it can be the first thing that a run does.
"""

import multiprocessing
import os
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running

from loadgen.signals import held_back

PRELOADED = ["loadgen.run.warm"]


def start_fork_server() -> None:
    """Begin importing, in the background; Python's own fork server ignores Ctrl-C only once it has imported all."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are not used, and threads do not survive a fork
    context().set_forkserver_preload(PRELOADED)
    with held_back():  # workers inherit the mask
        ensure_running()


def context() -> ForkServerContext:
    """How workers are started."""
    return multiprocessing.get_context("forkserver")

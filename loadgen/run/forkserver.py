"""The fork server: a process that imports everything workers need, while the coordinator still prepares the run.

Nothing heavy is imported here, so that it can be the first thing that a run does.
"""

import multiprocessing
import os
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running

PRELOADED = ["loadgen.run.warm"]


def start_fork_server() -> None:
    """Begin importing, in the background."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are not used, and threads do not survive a fork
    context().set_forkserver_preload(PRELOADED)
    ensure_running()


def context() -> ForkServerContext:
    """How workers are started."""
    return multiprocessing.get_context("forkserver")

"""The fork server: a process that imports everything workers need, while the coordinator still prepares the run.

Nothing heavy is imported here, so that it can be the first thing that a run does.
"""

import multiprocessing
import resource
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running

from loadgen.errors import LoadgenError
from loadgen.imports import check_address_space
from loadgen.signals import held_back

PRELOADED = ["loadgen.runner.warm"]
LEAST_FILES = 20
"""Open files without which no worker can be started: the fork server would die with a traceback of its own."""


def start_fork_server() -> None:
    """Begin importing, in the background; Python's own fork server ignores Ctrl-C only once it has imported all.

    Raises:
        LoadgenError: the limit of open files or of address space is too low for a run.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_FILES:
        raise LoadgenError(
            f"a run needs at least {LEAST_FILES} open files, and the system allows {allowed}; raise `ulimit -n`"
        )
    check_address_space()  # the server itself has no way to report it
    context().set_forkserver_preload(PRELOADED)
    with held_back():  # workers inherit the mask
        ensure_running()


def context() -> ForkServerContext:
    """How workers are started."""
    return multiprocessing.get_context("forkserver")

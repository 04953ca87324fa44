"""The fork server: a process that imports everything workers need, while the coordinator still prepares the run.

Nothing heavy is imported here, so that it can be the first thing that a run does.
"""

import multiprocessing
import resource
import tempfile
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running

from loadgen.errors import LoadgenError
from loadgen.imports import check_address_space
from loadgen.signals import held_back

PRELOADED = ["loadgen.runner.warm"]
MOST_TMP_BYTES = 75
"""A socket's path has 107 bytes, of which Python's names of folder and socket take 32."""
LEAST_FILES = 20
"""Open files without which no worker can be started: the fork server would die with a traceback of its own."""


def start_fork_server() -> None:
    """Begin importing, in the background; Python's own fork server ignores Ctrl-C only once it has imported all.

    Raises:
        LoadgenError: the limit of open files or of address space is too low for a run, or the path of the folder of
            temporary files too long.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_FILES:
        raise LoadgenError(
            f"a run needs at least {LEAST_FILES} open files, and the system allows {allowed}; raise `ulimit -n`"
        )
    check_address_space()  # the server itself has no way to report it
    context().set_forkserver_preload(PRELOADED)
    try:
        with held_back():  # workers inherit the mask
            ensure_running()
    except OSError as error:
        if "AF_UNIX" not in str(error):
            raise
        raise LoadgenError(
            "a run makes a socket in the folder of temporary files, whose path must have at most "
            f"{MOST_TMP_BYTES} bytes, got {tempfile.gettempdir()!r}; set TMPDIR to another folder"
        ) from error


def context() -> ForkServerContext:
    """How workers are started."""
    return multiprocessing.get_context("forkserver")

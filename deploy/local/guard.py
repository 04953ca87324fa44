"""Lets a process end with its owner, whichever of the two is killed and however.

In: the owners' pids, and what the guarded process is to become. Out: nothing; the guard is the process between them.

    owner (a test program)  <-- watches --  guard  -- is the parent of -->  java

When an owner ends the guard sees it and ends; when the guard ends, for whatever reason, the kernel kills its child. So
there is no process in this chain whose kill -9 leaves java behind. Linux only.
"""

import ctypes
import os
import select
import signal
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NoReturn

PR_SET_PDEATHSIG = 1
OWNER_ENDED = 1


def guard(owners: Sequence[int], become: Callable[[], None], first_fd: int, last_fd: int) -> NoReturn:
    """Be the parent of a process until it or an owner ends; `become` makes it out of a fork of this one.

    Descriptors first_fd..last_fd are closed in the guard, where it would keep its starter's files and pipes open.
    """
    libc, me = ctypes.CDLL(None), os.getpid()
    watched = [os.pidfd_open(owner) for owner in owners]
    child = os.fork()
    if child == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == me:  # else the guard ended before it was listened to
            become()
        os._exit(127)
    watched.append(os.pidfd_open(child))
    for below, above in pairwise([first_fd - 1, *sorted(watched), last_fd]):
        os.closerange(below + 1, above)
    ended, _, _ = select.select(watched, [], [])
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF if watched[-1] in ended else OWNER_ENDED)

"""Be `loadgen`, and end with the process that started this one, however that ends.

In: the parent's pid, and the words of a command. Out: what the command does. On Linux the kernel kills this process
with its parent; elsewhere a thread looks for the parent once a second.
"""

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
LOOK_S = 1.0


def tie_to(parent: int) -> None:
    """End with the process of this pid, which started this one; at once where it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_look_for, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _look_for(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":  # worker processes import this module again under another name
    tie_to(int(sys.argv.pop(1)))
    runpy.run_module("loadgen", run_name="__main__", alter_sys=True)

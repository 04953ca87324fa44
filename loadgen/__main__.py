"""The program `loadgen`, also as `python -m loadgen`."""

import atexit
import io
import os
import signal
import sys

from loadgen import imports
from loadgen.errors import NO_MEMORY, lacks_memory

imports.prepare()

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the program; a signal makes no traceback, while modules are imported or at the end either."""
    open_closed_streams()
    try:
        from loadgen.cli import main as run

        code = run()
    except KeyboardInterrupt as stopped:
        code = 128 + getattr(stopped, "number", signal.SIGINT)
    except (ImportError, MemoryError) as error:
        if not lacks_memory(error):
            raise  # an installation that is not whole
        os.write(2, f"error: {NO_MEMORY}\n".encode())
        code = 1
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(code))  # all is said; a thread that hangs must not keep the program
    atexit.register(_ignore_signals)  # once no thread is waited for
    return code


def open_closed_streams() -> None:
    """Open those of the descriptors 0 to 2 that are closed on /dev/null: else the next socket would be stdout.

    And what the encoding of stdout or stderr cannot show is replaced, since it is no reason to end.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            os.set_inheritable(number, True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":  # worker processes import this module again under another name
    sys.exit(main())

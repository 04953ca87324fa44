"""The program `loadgen`, also as `python -m loadgen`."""

import atexit
import os
import signal
import sys

import loadgen.no_pandas  # noqa: F401

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the program; a signal makes no traceback, while modules are imported or at the end either."""
    try:
        from loadgen.cli import main as run

        code = run()
    except KeyboardInterrupt as stopped:
        code = 128 + getattr(stopped, "number", signal.SIGINT)
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(code))  # all is said; a thread that hangs must not keep the program
    atexit.register(_ignore_signals)  # once no thread is waited for
    return code


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":  # worker processes import this module again under another name
    sys.exit(main())

"""The program `loadgen`, also as `python -m loadgen`."""

import signal
import sys

import loadgen.no_pandas  # noqa: F401


def main() -> int:
    """Run the program; a signal makes no traceback, while modules are imported or at the end either."""
    try:
        from loadgen.cli import main as run

        code = run()
    except KeyboardInterrupt as stopped:
        code = 128 + getattr(stopped, "number", signal.SIGINT)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return code


if __name__ == "__main__":  # worker processes import this module again under another name
    sys.exit(main())

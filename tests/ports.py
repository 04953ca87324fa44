"""Ports for what tests start: free ones, and never the same for two tests that run side by side."""

import os
import socket

N_PORTS = 10_000 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
FIRST_PORT = 21_000 + N_PORTS * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = range(FIRST_PORT, FIRST_PORT + N_PORTS, 7)
"""Where this process looks for free ones: others run tests beside it, and look elsewhere."""

_given: set[int] = set()


def free_port(offsets: tuple[int, ...] = (0,)) -> int:
    """A port that is free, as are those at these offsets from it; below the range that connections are given.

    No port is given twice, since what was given may not be in use yet.
    """
    for port in PORTS:
        wanted = {port + offset for offset in offsets}
        if not wanted & _given and all(map(is_free, wanted)):
            _given.update(wanted)
            return port
    raise AssertionError("no port is free")


def is_free(port: int) -> bool:
    """Whether nobody listens on this port; connections that are ending do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

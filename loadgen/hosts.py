"""Where servers on this machine listen, and which Host and Origin headers they accept.

A server that is bound to loopback answers only requests that name this machine. Otherwise the page of another site,
whose DNS name points to 127.0.0.1, could read from it.
"""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from loadgen.errors import LoadgenError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
BACKLOG = 128


def listen(host: str, port: int, other: str = "--port P (0 is any free one) or --host") -> socket.socket:
    """A listening socket for the dashboard; port 0 is any free one.

    Raises:
        LoadgenError: the port is taken, or the host is not an address of this machine; `other` names the flags that
            choose another one.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(BACKLOG)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise LoadgenError(
            f"port {port} of {host} must be free for the dashboard: {error.strerror}; end what listens there, or "
            f"choose another with {other}"
        ) from error
    return bound


def hosts_for(host: str) -> tuple[str, ...] | None:
    """The names in Host headers that are accepted; None for all, if other machines may reach the server."""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host.lower() == "localhost"
    own = f"[{host}]" if ":" in host else host.lower()
    return (*LOOPBACK, own) if is_loopback else None


def without_port(host: str) -> str:
    """The name in a Host header, in lower case."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def is_own_origin(origin: str | None, host: str | None) -> bool:
    """Whether a request comes from the server's own page, or from no page."""
    return origin is None or (host is not None and urlsplit(origin).netloc.lower() == host.lower())

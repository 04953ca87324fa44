"""Whom a server on this machine is meant for: the Host and Origin headers that it answers to.

A server that is bound to loopback answers only requests that name this machine. Otherwise a page from elsewhere, whose
name an attacker's DNS points to 127.0.0.1, could read from it.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def hosts_for(host: str) -> tuple[str, ...] | None:
    """The names in Host headers that are answered; None for all, where others are meant to reach the server.

    Args:
        host: where the server is bound to.
    """
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
    """Whether a request was sent by the server's own page, or by no page at all.

    Args:
        origin, host: these headers of the request; None where there is none.
    """
    return origin is None or (host is not None and urlsplit(origin).netloc.lower() == host.lower())

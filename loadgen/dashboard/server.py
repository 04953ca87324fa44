"""The page and its metrics over HTTP, with the rules that protect them.

In: answers, a socket. Out: a server that runs until a signal. Only GET. The Content-Security-Policy allows this
server's own files and nothing inline, so no text of an event can become markup or script.

If the server is bound to loopback, the Host header must name this machine. Otherwise the page of another site whose
name resolves to 127.0.0.1 (DNS rebinding) could read the metrics through the browser.
"""

import asyncio
import resource
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from types import FrameType

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from loadgen.dashboard.answers import Answers
from loadgen.hosts import hosts_for, without_port
from loadgen.signals import listening

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
STATIC = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/dashboard.js": ("dashboard.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
KEEP_ALIVE_S = 20
HEADERS_S = 10.0
"""The headers of a request must arrive within this time."""
MOST_CONNECTIONS = 256
LOG_EVERY_S = 60.0
"""Longer than the interval at which a page asks."""


def app_of(answers: Answers, host: str) -> ASGIApp:
    """The application; `host`: the address of the server; on loopback, only requests that name it are answered."""

    async def figures(request: Request) -> Response:
        return _json(answers.figures())

    async def health(request: Request) -> Response:
        return _json(answers.health())

    routes = [Route(path, _static(*file)) for path, file in STATIC.items()]
    routes += [Route("/api/figures", figures), Route("/health", health)]
    return Guard(Starlette(routes=routes), hosts_for(host))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


def _static(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    body = files("loadgen.dashboard").joinpath("static", name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(body, media_type=media_type, headers={"cache-control": "no-cache"})

    return answer


class Guard:
    """Adds the headers to every answer, and refuses requests to another host."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] == "http" and not self._is_for_us(scope):
            text = "this dashboard answers on this machine only: open it as http://127.0.0.1, or start it with --host"
            await PlainTextResponse(text, 421)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _is_for_us(self, scope: Scope) -> bool:
        if self._hosts is None:
            return True
        named = Headers(scope=scope).getlist("host")
        return len(named) == 1 and without_port(named[0]) in self._hosts


class _DashboardServer(uvicorn.Server):
    """Ends on a signal without raising it again, because the program chooses its exit code."""

    signal: int = 0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End the server on SIGINT, SIGTERM and SIGHUP."""
        with listening(self._end):
            yield

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self.should_exit = True
        self.force_exit = True


class _Connection(H11Protocol):
    """A connection that is closed if its headers are late, or if there are too many connections."""

    _headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the timeout of the headers."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            _problem_log.say("more connections at once than the dashboard takes: the newest are closed")
            transport.abort()
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._cancel()
        elif self._headers_due is None:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout."""
        self._cancel()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._headers_due = self.loop.call_later(HEADERS_S, self._give_up)

    def _cancel(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _give_up(self) -> None:
        self._headers_due = None
        _problem_log.say(f"a connection whose request was not whole after {HEADERS_S:g} s was closed")
        self.transport.abort()


def most_connections() -> int:
    """The limit of open connections, which leaves half of the file descriptors to other uses."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if allowed == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, allowed // 2)


@dataclass
class _ProblemLog:
    """Problems of connections on stderr, at most one line a minute."""

    said_s: float = float("-inf")
    n_unsaid: int = 0

    def say(self, text: str) -> None:
        """Print a problem, or count it."""
        now_s = time.monotonic()
        if now_s - self.said_s < LOG_EVERY_S:
            self.n_unsaid += 1
            return
        more = f" ({self.n_unsaid:,} more such lines were left out)" if self.n_unsaid else ""
        self.said_s, self.n_unsaid = now_s, 0
        sys.stderr.write(f"dashboard: {text}{more}\n")


_problem_log = _ProblemLog()


def serve(app: ASGIApp, bound: socket.socket) -> int:
    """Answer until SIGINT, SIGTERM or SIGHUP; returns the signal's number."""
    server = _DashboardServer(config_of(app))
    asyncio.run(server.serve([bound]))
    return server.signal


def config_of(app: ASGIApp) -> uvicorn.Config:
    """The configuration of uvicorn for an application."""
    return uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )

"""A web server on loopback that answers as a test says: a schema registry with faults."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """What a client has asked.

    Attributes:
        handler: writes the answer.
    """

    method: str
    path: str
    headers: Message
    body: bytes
    handler: BaseHTTPRequestHandler = field(repr=False)


Answer = Callable[[Request], None]


def with_status(status: int, body: Any, kind: str = "application/json", **headers: str) -> Answer:
    """An answer: bytes as they are, anything else as JSON."""

    def answer(request: Request) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request.handler.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            request.handler.send_header(name, value)
        request.handler.end_headers()
        request.handler.wfile.write(content)

    return answer


@dataclass
class Server:
    """A server that runs.

    Attributes:
        url: of it.
        requests: all so far.
    """

    url: str
    requests: list[Request] = field(default_factory=list)


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server, for as long as the context."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, self.headers, body, self)
            server.requests.append(request)
            answer(request)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815, the names are http.server's

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # clients leave, on purpose

    with Quiet(("127.0.0.1", 0), Handler) as running:
        if tls:
            running.socket = tls.wrap_socket(running.socket, server_side=True)
        server = Server(f"http{'s' if tls else ''}://127.0.0.1:{running.server_port}")
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            running.shutdown()

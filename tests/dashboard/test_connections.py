"""Connections that ask for nothing are closed in time and are bounded, and cost one line of log a minute."""

import asyncio
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from loadgen.dashboard import server
from loadgen.dashboard.server import _ProblemLog, config_of, most_connections
from loadgen.hosts import listen
from tests.runner.program import wait_until


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.8)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Where a server answers, whose bounds are small."""
    monkeypatch.setattr(server, "HEADERS_S", 0.4)
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 20)
    monkeypatch.setattr(server, "_problem_log", _ProblemLog())
    running = uvicorn.Server(config_of(answer))
    bound = listen("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve([bound])), daemon=True)
    thread.start()
    yield bound.getsockname()
    running.should_exit = True
    thread.join(10)


def half_asked(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, timeout=5)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    return connection


def test_half_a_request_is_closed_and_others_are_answered_meanwhile(
    address: tuple[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    began_s = time.monotonic()
    with closing(half_asked(address)) as connection:
        assert httpx.get(f"http://127.0.0.1:{address[1]}/").text == "ok"
        assert connection.recv(1) == b""
    assert 0.3 < time.monotonic() - began_s < 4
    assert capsys.readouterr().err.count("dashboard: ") == 1


def test_the_second_request_of_a_connection_must_be_whole_in_time_too(address: tuple[str, int]) -> None:
    with closing(socket.create_connection(address, timeout=5)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answered = b""
        while not answered.endswith(b"ok"):
            answered += connection.recv(1000)
        connection.sendall(b"GET / HT")
        assert connection.recv(1) == b""


def test_a_whole_request_is_answered_however_long_the_connection_was_idle(address: tuple[str, int]) -> None:
    with closing(socket.create_connection(address, timeout=5)) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answered = b""
            while not answered.endswith(b"ok"):
                answered += (received := connection.recv(1000))
                assert received, "it was closed"
            time.sleep(0.6)


def test_an_answer_may_take_longer_than_a_request(address: tuple[str, int]) -> None:
    assert httpx.get(f"http://127.0.0.1:{address[1]}/slow").text == "ok"


def test_connections_beyond_the_bound_are_closed_at_once(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "HEADERS_S", 60.0)
    with ExitStack() as stack:
        held = [stack.enter_context(closing(half_asked(address))) for _ in range(60)]
        wait_until(lambda: len(select.select(held, [], [], 0)[0]) >= 40, 5.0)
        time.sleep(0.2)
        assert len(select.select(held, [], [], 0)[0]) == 40
    wait_until(lambda: is_answered(address), 5.0)
    assert capsys.readouterr().err.count("\n") == 1


def is_answered(address: tuple[str, int]) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{address[1]}/").text == "ok"
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(("allowed", "most"), [(100, 50), (1 << 20, 256), (resource.RLIM_INFINITY, 256)])
def test_connections_leave_half_of_the_open_files_to_others(
    allowed: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    assert most_connections() == most


def test_no_server_and_version_are_named(address: tuple[str, int]) -> None:
    assert "server" not in httpx.get(f"http://127.0.0.1:{address[1]}/").headers


def test_what_is_left_out_is_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    complaints = _ProblemLog()
    for _ in range(5):
        complaints.say("x")
    monkeypatch.setattr(server, "LOG_EVERY_S", 0.0)
    complaints.say("y")
    assert capsys.readouterr().err == "dashboard: x\ndashboard: y (4 more such lines were left out)\n"

"""The metrics endpoint answers those whom it is meant for, names no versions, and is not held up by half a request."""

import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from prometheus_client.core import GaugeMetricFamily

from loadgen import metrics_endpoint
from loadgen.metrics_endpoint import serve


class One:
    def collect(self) -> Iterable[Any]:
        yield GaugeMetricFamily("loadgen_one", "One.", value=1)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(metrics_endpoint, "REQUEST_S", 0.3)
    monkeypatch.setattr(metrics_endpoint, "MOST_CONNECTIONS", 5)
    server = serve(One(), "127.0.0.1", 0)
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1:9108", "localhost", "host.docker.internal:9108"])
def test_those_on_this_machine_are_answered_without_versions(port: int, host: str) -> None:
    found = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": host})
    assert (found.status_code, found.headers["server"]) == (200, "loadgen")
    assert "loadgen_one 1.0" in found.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9108", "127.0.0.1.evil.example"])
def test_a_page_from_elsewhere_reads_nothing(port: int, host: str) -> None:
    found = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": host})
    assert (found.status_code, found.headers["server"]) == (421, "loadgen")
    assert "loadgen_one" not in found.text


def test_an_endpoint_that_others_are_to_reach_answers_them() -> None:
    server = serve(One(), "0.0.0.0", 0)
    found = httpx.get(f"http://127.0.0.1:{server.server_port}/metrics", headers={"Host": "loadgen:9108"})
    assert found.status_code == 200
    server.shutdown()
    server.server_close()


def test_connections_that_are_reset_are_not_worth_a_word(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.sendall(b"GET /metrics HTTP/1.1\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        time.sleep(0.02)
    assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    assert capsys.readouterr().err == ""


def test_half_requests_are_closed_and_hold_nobody_up_for_long(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    held = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(20)]
    for connection in held:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n")
    for connection in held:
        with closing(connection):
            try:
                assert connection.recv(1) == b""
            except ConnectionResetError:
                continue
    assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    assert capsys.readouterr().err == ""
